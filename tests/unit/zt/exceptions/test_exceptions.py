"""`zt exceptions`: the register of what service files declare, as text and as data."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from tests.support.stacks import ROOT
from zt.cli import app

SERVICE = """\
namespace: shop
team: commerce
image: registry.example.org/shop/{name}:v1
port: 8080
exceptions:
"""
EXCEPTION = """\
  - rule: {rule}
    reason: >-
      The vendor's image writes
      to its own directory.
    owner: ann@example.org
    granted: {granted}
    expires: {expires}
"""

Run = Callable[..., Result]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "policies").symlink_to(ROOT / "policies")
    for file in ROOT.glob("Pulumi.*.yaml"):
        (tmp_path / file.name).symlink_to(file)
    (tmp_path / "services").mkdir()
    return tmp_path


def declare(project: Path, name: str, *granted: tuple[str, str, str]) -> None:
    entries = [EXCEPTION.format(rule=rule, granted=start, expires=end) for rule, start, end in granted]
    (project / "services" / f"{name}.yaml").write_text(SERVICE.format(name=name) + "".join(entries))


@pytest.fixture
def run(project: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> Result:
        command = ["exceptions", "--project", str(project), *arguments]
        return CliRunner().invoke(app, command, catch_exceptions=False)

    return run


@pytest.fixture
def two(project: Path) -> Path:
    declare(project, "api", ("require-read-only-root-filesystem", "2026-01-01", "2026-03-01"))
    declare(
        project,
        "web",
        ("disallow-latest-tag", "2026-01-01", "2026-12-01"),
        ("require-read-only-root-filesystem", "2026-01-15", "2026-02-01"),
    )
    return project


def test_without_an_exception_it_says_so(run: Run) -> None:
    assert run("--as-of", "2026-01-01").stdout == "no file declares an exception\n"
    done = run("--format", "json", "--as-of", "2026-01-01")
    assert (json.loads(done.stdout), done.exit_code) == ({"version": 1, "asOf": "2026-01-01", "exceptions": []}, 0)


@pytest.mark.parametrize(
    ("options", "action"), [((), ""), (("--stack", "production"), "deny"), (("--stack", "dev"), "off")]
)
def test_a_port_in_plaintext_is_an_exception_too(
    project: Path, run: Run, options: tuple[str, ...], action: str
) -> None:
    text = SERVICE.format(name="till").replace("exceptions:", "plaintextPorts:")
    text += EXCEPTION.format(rule="x", granted="2026-01-01", expires="2026-02-01").replace("rule: x", "port: 8080")
    (project / "services" / "till.yaml").write_text(text + "    cidrs: [10.0.0.0/24]\n")
    done = run("--format", "json", "--as-of", "2026-02-01", *options)
    (row,) = json.loads(done.stdout)["exceptions"]
    assert (row["service"], row["rule"], row["tier"]) == ("shop/till", "mtls:8080", "mesh")
    assert (row["state"], row["action"], done.exit_code) == ("expired", action, 1)


def test_a_right_that_may_lead_to_more_is_an_exception_too(project: Path, run: Run) -> None:
    text = SERVICE.format(name="till").replace("exceptions:", "kubernetesApi:")
    right = EXCEPTION.format(rule="x", granted="2026-01-01", expires="2026-02-01")
    right = right.replace("rule: x", "resources: [services]\n    verbs: [get, patch, update]")
    (project / "services" / "till.yaml").write_text(text + right)
    done = run("--format", "json", "--as-of", "2026-02-01")
    rows = json.loads(done.stdout)["exceptions"]
    assert [(row["service"], row["rule"], row["tier"]) for row in rows] == [
        ("shop/till", "api:patch services", "kubernetes-api"),
        ("shop/till", "api:update services", "kubernetes-api"),
    ]
    assert ({row["state"] for row in rows}, done.exit_code) == ({"expired"}, 1)


def test_a_secret_in_a_variable_is_an_exception_too(project: Path, run: Run) -> None:
    days = {"reason": "the image reads no file", "owner": "ann", "granted": "2026-01-01", "expires": "2026-02-01"}
    file = {
        **yaml.safe_load(SERVICE.format(name="till").replace("exceptions:", "")),
        "command": ["serve"],
        "secrets": {"db": {"generate": ["password"]}},
        "secretEnv": {"variables": {"DB_PASSWORD": "db/password"}, **days},
    }
    (project / "services" / "till.yaml").write_text(yaml.safe_dump(file))
    (row,) = json.loads(run("--format", "json", "--as-of", "2026-01-31").stdout)["exceptions"]
    assert (row["rule"], row["tier"], row["state"]) == ("secret-env:DB_PASSWORD", "secret-env", "active")


TIMED = {"reason": "the nodes need it", "owner": "platform", "granted": "2026-01-01", "expires": "2026-02-01"}
AGENT = {**TIMED, "rule": "disallow-host-path", "namespace": "monitoring", "serviceAccount": "node-exporter"}


@pytest.fixture
def others(project: Path) -> Path:
    """A project whose production stack excludes a namespace and excepts what no service file makes."""
    file = project / "Pulumi.production.yaml"
    written = yaml.safe_load(file.read_text())
    written["config"]["zero-trust:kyverno"] |= {
        "excludedNamespaces": {"calico-system": TIMED},
        "parameters": {"restrict-sysctls": {"allowedSysctls": ["net.core.somaxconn"]}},
        "widened": {"restrict-sysctls": {**TIMED, "expires": "2026-04-01"}},
        "exceptions": [{**AGENT, "expires": "2026-03-01"}],
    }
    file.unlink()
    file.write_text(yaml.safe_dump(written, sort_keys=False))
    return project


@pytest.mark.usefixtures("others")
class TestOfAStackFile:
    @pytest.mark.parametrize(("options", "action"), [((), ""), (("--stack", "production"), "deny")])
    def test_it_has_rows_of_its_own(self, run: Run, options: tuple[str, ...], action: str) -> None:
        done = run("--format", "json", "--as-of", "2026-02-01", *options)
        keys = ("service", "rule", "tier", "state", "action", "stack")
        assert [tuple(row[key] for key in keys) for row in json.loads(done.stdout)["exceptions"]] == [
            ("calico-system/*", "*", "namespace", "expired", "", "production"),
            ("monitoring/node-exporter", "disallow-host-path", "critical", "active", action, "production"),
            ("*/*", "restrict-sysctls", "critical", "active", action, "production"),
        ]
        assert done.exit_code == 1

    def test_another_stack_has_none_of_them(self, run: Run) -> None:
        assert run("--stack", "staging").stdout == "no file declares an exception\n"

    def test_the_text_names_the_stack(self, run: Run) -> None:
        lines = run("--as-of", "2026-01-20").stdout.splitlines()
        assert lines[0].split()[:3] == ["service", "stack", "rule"]
        assert lines[1].split()[:4] == ["calico-system/*", "production", "*", "namespace"]

    def test_a_wrong_one_is_refused_with_its_line(self, others: Path, run: Run) -> None:
        file = others / "Pulumi.production.yaml"
        file.write_text(file.read_text().replace("disallow-host-path", "require-tea"))
        done = run()
        assert done.exit_code == 2
        assert "zero-trust:kyverno.exceptions[0].rule: no validating rule of policies/ is called" in done.stderr


@pytest.mark.usefixtures("two")
class TestTheRegister:
    def test_the_first_to_end_is_first(self, run: Run) -> None:
        found = json.loads(run("--format", "json", "--as-of", "2026-01-20").stdout)
        assert [(row["service"], row["expires"]) for row in found["exceptions"]] == [
            ("shop/web", "2026-02-01"),
            ("shop/api", "2026-03-01"),
            ("shop/web", "2026-12-01"),
        ]

    def test_a_row_says_who_why_and_how_long(self, run: Run) -> None:
        found = json.loads(run("--format", "json", "--as-of", "2026-02-28").stdout)
        assert found["exceptions"][1] == {
            "service": "shop/api",
            "rule": "require-read-only-root-filesystem",
            "tier": "critical",
            "reason": "The vendor's image writes to its own directory.",
            "owner": "ann@example.org",
            "granted": "2026-01-01",
            "expires": "2026-03-01",
            "daysLeft": 1,
            "state": "active",
            "action": "",
            "stack": "",
        }

    @pytest.mark.parametrize(
        ("day", "expired", "code"), [("2026-01-31", 0, 0), ("2026-02-01", 1, 1), ("2027-01-01", 3, 1)]
    )
    def test_the_day_it_expires_is_the_first_without_it(self, run: Run, day: str, expired: int, code: int) -> None:
        done = run("--format", "json", "--as-of", day)
        states = [row["state"] for row in json.loads(done.stdout)["exceptions"]]
        assert (states.count("expired"), done.exit_code) == (expired, code)

    def test_today_is_the_default(self, run: Run) -> None:
        assert json.loads(run("--format", "json").stdout)["asOf"] >= "2026-01-01"

    def test_the_text_has_a_row_for_each(self, run: Run, snapshot: object) -> None:
        done = run("--as-of", "2026-02-10")
        assert done.exit_code == 1
        assert done.stdout == snapshot

    @pytest.mark.parametrize(
        ("stack", "actions"), [("production", {"deny", "audit"}), ("staging", {"warn", "audit"}), ("local", {"off"})]
    )
    def test_a_stack_adds_what_the_rule_does_there(self, run: Run, stack: str, actions: set[str]) -> None:
        done = run("--format", "json", "--stack", stack, "--as-of", "2026-01-20")
        assert {row["action"] for row in json.loads(done.stdout)["exceptions"]} == actions

    def test_the_text_of_a_stack_has_the_column(self, run: Run, snapshot: object) -> None:
        assert run("--stack", "production", "--as-of", "2026-01-20").stdout == snapshot


class TestWrong:
    def test_an_unknown_stack(self, run: Run) -> None:
        done = run("--stack", "prod")
        assert done.exit_code == 2
        assert "found 'prod'; legal: dev, local, production, staging" in done.stderr

    def test_an_unknown_rule_is_refused_with_file_key_and_legal_names(self, project: Path, run: Run) -> None:
        declare(project, "api", ("require-tea", "2026-01-01", "2026-03-01"))
        done = run()
        assert done.exit_code == 2
        assert done.stderr.startswith("error: services/api.yaml:6: exceptions[0].rule: ")
        assert "disallow-latest-tag" in done.stderr

    def test_a_directory_that_is_no_project(self, run: Run, tmp_path: Path) -> None:
        done = run("--project", str(tmp_path / "services"))
        assert done.exit_code == 2
        assert "--project: there is no policies/ in it" in done.stderr

    def test_a_day_that_is_none(self, run: Run) -> None:
        assert run("--as-of", "tomorrow").exit_code == 2
