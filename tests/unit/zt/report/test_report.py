"""`zt report`: what is known without a cluster, what a cluster adds, and what the command writes where."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from components.config.posture import TABLE
from tests.support.stacks import ROOT
from tests.unit.zt.report import stack as stacks
from zt.cli import app
from zt.cluster.access import Access, ClusterError
from zt.report.model import Report

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, project: Path = ROOT, connect: object = None) -> Result:
        command = ["report", "--project", str(project), "--stack", "production", "--as-of", "2026-03-01", *arguments]
        return CliRunner().invoke(app, command, obj=connect, catch_exceptions=False)

    return run


@pytest.fixture
def read(run: Run) -> Callable[..., Any]:
    def read(*arguments: str, **more: Any) -> Any:
        done = run("--format", "json", *arguments, **more)
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    return read


@pytest.fixture(scope="module")
def fifty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stacks.project(tmp_path_factory.mktemp("fifty"), changes={"phases": {"disallow-latest-tag": "warn"}})


class TestWithoutACluster:
    def test_nothing_that_needs_one_is_counted(self, read: Any) -> None:
        found = read()
        assert found["cluster"] == {
            "measured": False,
            "source": "",
            "reason": "no cluster given (--embedded, --kubeconfig or --context)",
        }
        assert found["attack"]["measured"] is False
        unknown = ("violations", "certificatesValid", "attacksBlocked", "attacksSucceeded")
        assert {key: found["summary"][key] for key in unknown} == dict.fromkeys(unknown)
        assert {rule["notMeasured"] for rule in found["rules"] if rule["compliance"] is None} == {
            "no cluster given",
            "off on this stack",
            "",
        }
        assert all(rule["compliance"] is None for rule in found["rules"])
        assert [(one["hosts"], one["state"], one["expires"]) for one in found["certificates"]] == [
            (["api.example.org"], "not measured", None)
        ]

    def test_the_services_and_who_reaches_them(self, read: Any) -> None:
        found = read()
        assert [(c["source"], c["target"], c["port"], c["declared"]) for c in found["connections"]] == [
            ("shop/api", "shop/postgres", 5432, True),
            ("shop/api", "shop/redis", 6379, True),
        ]
        api, postgres, _ = found["services"]
        assert (api["name"], api["url"], api["calledBy"]) == ("shop/api", "https://api.example.org", [])
        assert (postgres["calledBy"], postgres["secrets"]) == (["shop/api"], "Vault")
        assert next((p["path"], p["capabilities"], p["file"]) for p in found["vault"]) == (
            "secret/data/shop/api/database",
            ["read"],
            "/vault/secrets/database",
        )
        assert [one["url"] for one in found["public"]] == ["https://api.example.org/"]
        assert ("*", "istio-system/istiod", 15012) in {(o["source"], o["target"], o["port"]) for o in found["outside"]}
        assert (found["summary"]["openPairs"], found["summary"]["possiblePairs"]) == (2, 6)

    def test_what_a_job_reads_in_vault_is_its_own(self, read: Any, tmp_path: Path) -> None:
        session = {"session": {"generate": ["key"]}}
        own = stacks.service("shop", "api", secrets=session, jobs={"night": {"secrets": ["session"]}})
        found = read(project=stacks.project(tmp_path, {"api": own}))["vault"]
        assert [(each["service"], each["role"], each["file"]) for each in found] == [
            ("shop/api", "shop.api", "/vault/secrets/session"),
            ("shop/api-night", "shop.api-night", "/vault/secrets/session"),
        ]

    def test_a_stack_that_holds_nobody_back_says_so(self, read: Any) -> None:
        found = read("--stack", "dev")
        assert [c["target"] for c in found["connections"] if c["source"] == "*"] == [
            "shop/api",
            "shop/postgres",
            "shop/redis",
        ]
        assert {c["declared"] for c in found["connections"] if c["source"] == "shop/api"} == {True}
        assert found["summary"]["openPairs"] == found["summary"]["possiblePairs"] == 6

    def test_requests_hosts_tokens_plaintext_and_metrics(self, read: Any, tmp_path: Path) -> None:
        clear = stacks.exception("unused", "The old till speaks no TLS.", "2026-01-01", "2026-04-01")
        del clear["rule"]
        web = {
            "calls": [{"service": "api", "methods": ["GET", "POST"], "paths": ["/orders/*"]}],
            "egress": [{"host": "pay.example.com", "port": 443}],
            "host": "web.example.org",
            "jwt": {"issuer": "https://id.example.org", "audiences": ["web"], "jwksUri": "https://id.example.org/keys"},
            "plaintextPorts": [{**clear, "port": 8080, "cidrs": ["10.1.0.0/24"]}],
        }
        services = {
            "api": stacks.service("shop", "api", metrics={"port": 9100}),
            "web": stacks.service("shop", "web", **web),
        }
        scraper = {"namespace": "monitoring", "serviceAccount": "prometheus"}
        found = read(project=stacks.project(tmp_path, services, {"mesh": {"replicas": 2, "scraper": scraper}}))
        ends = ("source", "target", "port", "requests", "declared")
        assert [tuple(c[key] for key in ends) for c in found["connections"]] == [
            ("10.1.0.0/24", "shop/web", 8080, [], True),
            ("monitoring/prometheus", "shop/api", 9100, ["GET /metrics"], True),
            ("shop/web", "shop/api", 8080, ["GET /orders/*", "POST /orders/*"], True),
        ]
        assert found["summary"]["openPairs"] == 1
        mine = [(o["target"], o["port"], o["layer"]) for o in found["outside"] if o["source"] == "shop/web"]
        assert ("pay.example.com", 443, "mesh") in mine
        assert ("the internet", 443, "network policy") in mine
        shown = next(one for one in found["services"] if one["name"] == "shop/web")
        assert shown["clearText"] == ["8080 until 2026-04-01"]
        assert shown["token"].startswith("https://id.example.org")

    @pytest.mark.parametrize("environment", TABLE)
    def test_every_stack_of_the_project_has_a_report(self, read: Any, environment: str) -> None:
        found = read("--stack", environment)
        assert found["environment"] == environment
        assert len(found["posture"]) == found["summary"]["layers"] == 11

    def test_a_tier_whose_rules_all_report_blocks_nothing(self, read: Any) -> None:
        levels = {layer["name"]: layer["level"] for layer in read()["posture"]}
        assert (levels["critical rules"], levels["important rules"], levels["best practice"]) == (
            "enforced",
            "on",
            "on",
        )

    def test_a_tier_with_one_denying_rule_blocks_in_part(self, read: Any, tmp_path: Path) -> None:
        project = stacks.project(tmp_path, {}, {"phases": {"require-probes": "enforce"}})
        [layer] = [layer for layer in read(project=project)["posture"] if layer["name"] == "important rules"]
        assert layer["level"] == "partly"
        assert layer["state"].endswith(": 1 deny, 5 audit")

    def test_an_override_shows_its_reason_and_its_direction(self, read: Any, tmp_path: Path) -> None:
        posture = {"vaultReplicas": {"value": 5}, "generate": {"value": False, "reason": "another tool does"}}
        found = read(project=stacks.project(tmp_path, {}, {"posture": posture}))
        assert found["overrides"] == [
            {"layer": "vaultReplicas", "value": "5", "default": "3", "weaker": False, "reason": ""},
            {"layer": "generate", "value": "off", "default": "on", "weaker": True, "reason": "another tool does"},
        ]

    def test_exceptions_are_judged_by_the_day(self, read: Any, fifty: Path) -> None:
        found = read(project=fifty)
        ended = [one for one in found["exceptions"] if one["expired"]]
        assert [(one["service"], one["rule"], one["daysLeft"]) for one in ended] == [
            ("shop/import", "disallow-latest-tag", -28)
        ]
        assert found["summary"]["exceptionsExpired"] == 1
        assert read("--as-of", "2026-01-31", project=fifty)["summary"]["exceptionsExpired"] == 0


class TestWithACluster:
    def test_compliance_comes_from_its_reports(self, read: Any, fifty: Path) -> None:
        found = read("--embedded", project=fifty, connect=lambda _: stacks.cluster())
        rules = {rule["name"]: rule for rule in found["rules"]}
        assert found["cluster"]["source"] == "context test (https://test)"
        assert rules["require-probes"]["compliance"] == {
            "percent": 84.0,
            "compliant": 42,
            "measured": 50,
            "excepted": 0,
        }
        assert rules["disallow-privileged"]["compliance"] is None
        assert rules["disallow-privileged"]["notMeasured"] == "no PolicyReport has a result of it"
        assert found["summary"]["violations"] == len(found["violations"]) == 13
        assert found["violations"][0] == {
            "rule": "require-probes",
            "team": "care",
            "object": "Deployment customer-support/web",
            "message": "web has no tea",
        }

    def test_a_rule_that_enough_keep_to_is_ready_for_its_next_phase(self, read: Any, fifty: Path) -> None:
        found = read("--embedded", project=fifty, connect=lambda _: stacks.cluster())
        ready = {rule["name"]: rule["phase"] for rule in found["rules"] if rule["promotable"]}
        assert ready == {"disallow-latest-tag": "warn", "require-requests-and-limits": "audit"}

    def test_the_cluster_is_asked_once(self, read: Any) -> None:
        cluster = stacks.cluster()
        read("--embedded", connect=lambda _: cluster)
        assert cluster.listed == 1
        assert len(cluster.asked) == len(set(cluster.asked))

    def test_certificates_and_hosts_without_one(self, read: Any, fifty: Path) -> None:
        found = read("--embedded", project=fifty, connect=lambda _: stacks.cluster())
        # The command's clock is real: what has a date in the past is judged by it.
        states = {one["hosts"][0].partition(".")[0]: one["state"] for one in found["certificates"]}
        assert states["customer-support"] == states["search"] == "missing"
        assert states["identity"] == "expired"
        [waiting] = [one for one in found["certificates"] if one["state"] == "not ready"]
        assert (waiting["service"], waiting["reason"]) == (
            "logistics/web",
            "Waiting for the challenge to be answered",
        )

    def test_which_cluster_is_handed_over(self, run: Run, tmp_path: Path) -> None:
        asked: list[object] = []

        def connect(access: object) -> object:
            asked.append(access)
            raise ClusterError("context test (https://test) cannot be reached: refused")

        done = run("--kubeconfig", str(tmp_path / "k"), "--context", "blue", connect=connect)
        assert (done.exit_code, done.stderr) == (3, "error: context test (https://test) cannot be reached: refused\n")
        [access] = asked
        assert access == Access(tmp_path / "k", "blue")
        assert list(tmp_path.glob("*.html")) == []

    def test_embedded_names_the_cluster(self, run: Run) -> None:
        assert run("--embedded", "--context", "blue").exit_code == 2


class TestAttacks:
    def test_they_are_read_from_the_file(self, read: Any, tmp_path: Path) -> None:
        found = read("--attacks", str(stacks.attacks(tmp_path)))
        assert found["attack"] == {
            "measured": True,
            "source": "attacks.json: as shop/api, context test (https://test)",
            "reason": "",
        }
        assert [(a["number"], a["result"]) for a in found["attacks"]][-1] == (5, "succeeded")
        assert (found["summary"]["attacksBlocked"], found["summary"]["attacksSucceeded"]) == (3, 1)
        [tried] = found["attacks"][0]["attempts"]
        assert [(one["by"], one["sent"], one["differs"]) for one in tried["packets"]] == [
            ("name", "refused", False),
            ("Service", "open", True),
            ("Service", "silent", False),
            ("name", "open", False),
        ]

    def test_those_of_a_second_attacker_come_after_them(self, read: Any, tmp_path: Path) -> None:
        files = [stacks.attacks(tmp_path), stacks.member_attacks(tmp_path)]
        found = read(*(word for file in files for word in ("--attacks", str(file))))
        where = "context test (https://test)"
        both = f"attacks.json: as shop/api, {where}; member.json: as namespace-edit of shop/api, {where}"
        assert found["attack"]["source"] == both
        assert [(attack["number"], attack["attacker"]) for attack in found["attacks"]][-2:] == [
            (5, "pod"),
            (9, "namespace-edit"),
        ]
        assert (found["summary"]["attacksBlocked"], found["summary"]["attacksSucceeded"]) == (3, 2)

    def test_two_of_one_attacker_are_refused(self, run: Run, tmp_path: Path) -> None:
        file = str(stacks.attacks(tmp_path))
        done = run("--attacks", file, "--attacks", file)
        assert (done.exit_code, "give one file for each, found 'pod'" in done.stderr) == (2, True)

    def test_an_unknown_attacker_is_refused(self, run: Run, tmp_path: Path) -> None:
        done = run("--attacks", str(stacks.attacks(tmp_path, **{"as": "node"})))
        assert (done.exit_code, "as: Input should be 'pod'" in done.stderr) == (2, True)

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("{", "is no output of `zt attack --format json`"),
            ('{"version": 2}', "version: Input should be 1"),
            ('{"version": 1, "stack": "production"}', "service: Field required"),
        ],
    )
    def test_another_file_is_refused(self, run: Run, tmp_path: Path, text: str, why: str) -> None:
        (tmp_path / "a.json").write_text(text)
        done = run("--attacks", "a.json")
        assert done.exit_code == 2
        assert why in done.stderr

    def test_a_file_that_is_not_there(self, run: Run) -> None:
        assert "none.json cannot be read: No such file" in run("--attacks", "none.json").stderr

    def test_those_of_another_stack_are_refused(self, run: Run, tmp_path: Path) -> None:
        done = run("--attacks", str(stacks.attacks(tmp_path, stack="staging")))
        assert done.exit_code == 2
        assert "on another stack: write one of production, found 'staging'" in done.stderr


class TestWriting:
    def test_the_page_has_the_stack_in_its_name(self, run: Run, tmp_path: Path) -> None:
        done = run()
        assert (done.exit_code, done.stdout) == (0, "")
        assert done.stderr == "written to zero-trust-report-production.html\n"
        assert (tmp_path / "zero-trust-report-production.html").read_text().startswith("<!DOCTYPE html>")

    def test_a_report_replaces_the_one_before_and_keeps_its_mode(self, run: Run, tmp_path: Path) -> None:
        file = tmp_path / "r.html"
        file.write_text("old")
        file.chmod(0o600)
        assert run("--output", "r.html").exit_code == 0
        assert file.read_text() != "old"
        assert file.stat().st_mode & 0o777 == 0o600
        assert sorted(path.name for path in tmp_path.iterdir()) == ["r.html"]

    def test_a_refused_stack_leaves_the_report_before(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / "zero-trust-report-nowhere.html").write_text("old")
        assert run("--stack", "nowhere").exit_code == 2
        assert (tmp_path / "zero-trust-report-nowhere.html").read_text() == "old"

    def test_a_dash_is_the_standard_output(self, run: Run, tmp_path: Path) -> None:
        assert run("--output", "-").stdout.startswith("<!DOCTYPE html>")
        assert list(tmp_path.iterdir()) == []

    def test_json_goes_to_a_file_that_is_named(self, run: Run, tmp_path: Path) -> None:
        assert run("--format", "json", "--output", "r.json").stdout == ""
        Report.model_validate_json((tmp_path / "r.json").read_text())

    def test_a_place_that_is_not_there(self, run: Run) -> None:
        done = run("--output", "none/r.html")
        assert done.exit_code == 2
        assert "none/r.html: cannot be written: No such file" in done.stderr
