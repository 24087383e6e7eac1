"""`zt promote` from its command line to the stack file, against a cluster of plain data."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from tests.support.clusters import FakeCluster, Workload, workload
from zt.cli import app
from zt.cluster.access import Access, ClusterError

RULE = "require-tea"
STACK_FILE = """\
config:
  zero-trust:environment: local
  zero-trust:registries: [registry.example.org]
  zero-trust:posture:
    important: {value: deny}   # we are strict
  # Where the rules are.
  zero-trust:phases: {}
"""
SERVICE = """\
namespace: shop
team: commerce
image: registry.example.org/shop/api:v1
port: 8080
"""


def rule(tier: str, name: str) -> dict[str, Any]:
    notes = {"title": "Require tea", "category": "Breaks", "severity": "medium", "description": "Without tea\nno work."}
    annotations = {f"policies.kyverno.io/{key}": value for key, value in notes.items()}
    if name == RULE:
        annotations["zero-trust.dev/service-key"] = "tea"
    return {
        "apiVersion": "policies.kyverno.io/v1",
        "kind": "ValidatingPolicy",
        "metadata": {"name": name, "annotations": annotations},
        "spec": {"validations": [{"expression": "object.tea", "message": "Every pod needs tea. Add tea to it.\n"}]},
    }


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for tier, name in (("important", RULE), ("important", "require-milk"), ("critical", "forbid-salt")):
        folder = tmp_path / "policies" / tier / name
        folder.mkdir(parents=True)
        (folder / "policy.yaml").write_text(yaml.safe_dump(rule(tier, name)))
    (tmp_path / "services").mkdir()
    (tmp_path / "services" / "api.yaml").write_text(SERVICE)
    (tmp_path / "Pulumi.here.yaml").write_text(STACK_FILE)
    return tmp_path


Run = Callable[..., Result]


@pytest.fixture
def run(project: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    # The width of a terminal that is not there must not decide where help and errors break.
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str, cluster: object = None, stack: str = "here") -> Result:
        def connect(access: Access) -> object:
            if cluster is None:
                raise AssertionError("no cluster is asked here")
            return cluster

        command = ["promote", "--stack", stack, "--project", str(project), *arguments]
        return CliRunner().invoke(app, command, obj=connect, catch_exceptions=False)

    return run


def cluster(compliant: int, *wrong: Workload) -> FakeCluster:
    return FakeCluster(*(workload(f"good-{n}", results={"pass": [RULE]}) for n in range(compliant)), *wrong)


BAD = workload("api", labels={"team": "commerce"}, results={"fail": [RULE]})


def phases(project: Path) -> Mapping[str, str]:
    return yaml.safe_load((project / "Pulumi.here.yaml").read_text())["config"]["zero-trust:phases"]


class TestGranted:
    def test_the_next_phase_is_written_and_the_diff_shown(self, project: Path, run: Run) -> None:
        done = run(RULE, cluster=cluster(9, BAD))
        assert done.exit_code == 0
        assert (project / "Pulumi.here.yaml").read_text() == STACK_FILE.replace(
            "zero-trust:phases: {}", f"zero-trust:phases:\n    {RULE}: warn"
        )
        assert "9 of 10 workloads comply (90.0 %); 90 % are needed" in done.stdout
        assert f"+    {RULE}: warn" in done.stdout
        assert "nothing is applied. Open a pull request" in done.stdout
        assert "Deployment shop/api" in done.stdout

    def test_each_further_phase_is_asked_for_on_its_own(self, project: Path, run: Run) -> None:
        for expected in ("warn", "enforce"):
            assert run(RULE, cluster=cluster(1)).exit_code == 0
            assert phases(project) == {RULE: expected}
        done = run(RULE)
        assert done.exit_code == 0
        assert "is in phase enforce on here already: nothing to do" in done.stdout

    def test_the_phase_can_be_named(self, project: Path, run: Run) -> None:
        assert run(RULE, "--to", "enforce", cluster=cluster(1)).exit_code == 0
        assert phases(project) == {RULE: "enforce"}

    def test_a_step_back_asks_no_cluster(self, project: Path, run: Run) -> None:
        run(RULE, "--to", "enforce", cluster=cluster(1))
        done = run(RULE, "--to", "warn")
        assert done.exit_code == 0
        assert phases(project) == {RULE: "warn"}
        assert f"-    {RULE}: enforce" in done.stdout

    def test_the_phase_that_it_is_in_is_nothing_to_do(self, project: Path, run: Run) -> None:
        done = run(RULE, "--to", "audit", "--format", "json")
        assert done.exit_code == 0
        assert json.loads(done.stdout)["decision"] == "nothing-to-do"
        assert (project / "Pulumi.here.yaml").read_text() == STACK_FILE

    def test_a_dry_run_leaves_the_file_alone(self, project: Path, run: Run) -> None:
        done = run(RULE, "--dry-run", cluster=cluster(1))
        assert done.exit_code == 0
        assert f"+    {RULE}: warn" in done.stdout
        assert "Pulumi.here.yaml stays as it is (--dry-run)" in done.stdout
        assert (project / "Pulumi.here.yaml").read_text() == STACK_FILE


class TestRefused:
    def test_below_the_threshold_who_violates_what_is_shown_by_team(self, project: Path, run: Run) -> None:
        other = workload("web", labels={"team": "about"}, results={"fail": [RULE]})
        done = run(RULE, cluster=cluster(8, BAD, other))
        assert done.exit_code == 1
        assert (project / "Pulumi.here.yaml").read_text() == STACK_FILE
        rows = [re.split(r"  +", line.strip()) for line in done.stdout.splitlines() if "has no tea" in line]
        assert rows == [
            ["about", "Deployment shop/web", "web has no tea"],
            ["commerce", "Deployment shop/api", "api has no tea"],
        ]
        assert "refused: require-tea stays in audit until 90 %" in done.stdout
        assert "+++" not in done.stdout

    def test_the_threshold_is_the_stacks(self, project: Path, run: Run) -> None:
        file = project / "Pulumi.here.yaml"
        file.write_text(STACK_FILE + "  zero-trust:kyverno: {promotionThreshold: 91}\n")
        assert run(RULE, cluster=cluster(9, BAD)).exit_code == 1
        file.write_text(STACK_FILE + "  zero-trust:kyverno: {promotionThreshold: 50}\n")
        assert run(RULE, cluster=cluster(1, BAD)).exit_code == 0

    @pytest.mark.parametrize("found", [FakeCluster(), FakeCluster(workload("api", results={"pass": ["require-milk"]}))])
    def test_without_a_measurement(self, project: Path, run: Run, found: FakeCluster) -> None:
        done = run(RULE, cluster=found)
        assert done.exit_code == 1
        assert "nothing is measured" in done.stdout
        assert (project / "Pulumi.here.yaml").read_text() == STACK_FILE

    def test_what_the_cluster_says_is_no_markup(self, run: Run) -> None:
        loud = workload("api", results={"fail": [RULE]})
        loud.report["results"][0]["message"] = "[bold]a[/] [link=x]b"
        assert "[bold]a[/] [link=x]b" in run(RULE, cluster=cluster(0, loud)).stdout


class TestWrong:
    @pytest.mark.parametrize(
        ("name", "why"),
        [("forbid-salt", "a critical rule has no phases"), ("require-cake", "no such rule in policies/")],
    )
    def test_a_rule_of_no_phase_is_refused_with_the_legal_ones(self, run: Run, name: str, why: str) -> None:
        done = run(name)
        assert done.exit_code == 2
        assert done.stderr == f"error: zt promote: RULE: {why}, found '{name}'; legal: require-milk, require-tea\n"

    def test_an_unknown_stack_is_refused_with_the_legal_ones(self, run: Run) -> None:
        done = run(RULE, stack="there")
        assert done.exit_code == 2
        assert "found 'there'; legal: here" in done.stderr

    @pytest.mark.parametrize(("ceiling", "legal"), [("audit", "warn, deny"), ("off", "warn, deny")])
    def test_a_posture_below_the_phase_is_named_by_its_key(
        self, project: Path, run: Run, ceiling: str, legal: str
    ) -> None:
        (project / "Pulumi.here.yaml").write_text(STACK_FILE.replace("value: deny", f'value: "{ceiling}"'))
        done = run(RULE)
        assert done.exit_code == 2
        assert "Pulumi.here.yaml: zero-trust:posture.important: the ceiling" in done.stderr
        assert f"found {ceiling}; legal: {legal}" in done.stderr

    def test_a_ceiling_in_between_lets_the_first_step_through(self, project: Path, run: Run) -> None:
        (project / "Pulumi.here.yaml").write_text(STACK_FILE.replace("value: deny", "value: warn"))
        assert run(RULE, cluster=cluster(1)).exit_code == 0
        assert run(RULE).exit_code == 2
        assert phases(project) == {RULE: "warn"}

    def test_a_directory_that_is_no_project(self, run: Run, tmp_path: Path) -> None:
        done = run(RULE, "--project", str(tmp_path / "services"))
        assert done.exit_code == 2
        assert "--project: there is no policies/ in it" in done.stderr

    def test_a_stack_file_that_the_program_refuses(self, project: Path, run: Run) -> None:
        (project / "Pulumi.here.yaml").write_text(STACK_FILE + "  zero-trust:typo: 1\n")
        done = run(RULE)
        assert done.exit_code == 2
        assert "zero-trust:typo: unknown key" in done.stderr

    def test_a_rule_file_that_is_none(self, project: Path, run: Run) -> None:
        (project / "policies/important/require-milk/policy.yaml").write_text("a: 1\n")
        done = run(RULE)
        assert done.exit_code == 2
        assert "policies/important/require-milk/policy.yaml" in done.stderr

    @pytest.mark.parametrize(
        "arguments",
        [("--to", "deny"), ("--format", "xml"), ("--embedded", "--context", "x"), ("--embedded", "--kubeconfig", "x")],
    )
    def test_a_wrong_option(self, run: Run, arguments: tuple[str, ...]) -> None:
        assert run(RULE, *arguments).exit_code == 2

    def test_a_cluster_that_cannot_be_reached(self, project: Path, run: Run) -> None:
        class Away(FakeCluster):
            def reports(self) -> Iterator[Mapping[str, object]]:
                raise ClusterError("context a (https://b) cannot be reached: refused")

        done = run(RULE, cluster=Away())
        assert done.exit_code == 3
        assert done.stderr == "error: context a (https://b) cannot be reached: refused\n"
        assert (project / "Pulumi.here.yaml").read_text() == STACK_FILE


class TestJson:
    def test_the_whole_outcome_is_data(self, project: Path, run: Run) -> None:
        excepted = workload("old", results={"skip": [RULE]})
        done = run(RULE, "--format", "json", "--notify", str(project / "out"), cluster=cluster(9, BAD, excepted))
        found = json.loads(done.stdout)
        assert f"+    {RULE}: warn" in found.pop("diff")
        assert found == {
            "version": 1,
            "decision": "moved",
            "rule": RULE,
            "stack": "here",
            "file": "Pulumi.here.yaml",
            "phase": "audit",
            "next": "warn",
            "threshold": 90,
            "cluster": "context test (https://test)",
            "compliance": {"percent": 90.0, "compliant": 9, "measured": 10, "owned": 0, "stale": 0, "excepted": 1},
            "violations": [
                {
                    "team": "commerce",
                    "kind": "Deployment",
                    "namespace": "shop",
                    "name": "api",
                    "message": "api has no tea",
                }
            ],
            "messages": [str(project / "out" / "commerce.md")],
        }

    @pytest.mark.parametrize(
        ("found", "decision", "code"),
        [(cluster(1), "would-move", 0), (cluster(0, BAD), "refused", 1), (FakeCluster(), "not-measured", 1)],
    )
    def test_each_decision(self, run: Run, found: FakeCluster, decision: str, code: int) -> None:
        done = run(RULE, "--format", "json", "--dry-run", cluster=found)
        assert (json.loads(done.stdout)["decision"], done.exit_code) == (decision, code)


class TestNotify:
    WRONG = (
        BAD,
        workload("stray", kind="Pod", labels={"team": "commerce"}, results={"fail": [RULE]}),
        workload("web", namespace="front", labels={"team": "site"}, results={"error": [RULE]}),
    )

    def test_one_message_for_each_team(self, project: Path, run: Run, snapshot: object) -> None:
        done = run(RULE, "--notify", str(project / "out"), cluster=cluster(1, *self.WRONG))
        assert done.exit_code == 1
        assert {path.name: path.read_text() for path in (project / "out").iterdir()} == snapshot
        assert f"wrote {project / 'out' / 'commerce.md'}" in done.stdout

    def test_a_rule_without_a_key_of_the_service_file(self, project: Path, run: Run, snapshot: object) -> None:
        wrong = workload("api", labels={"team": "commerce"}, results={"fail": ["require-milk"]})
        run("require-milk", "--to", "enforce", "--dry-run", "--notify", str(project / "out"), cluster=cluster(0, wrong))
        assert (project / "out" / "commerce.md").read_text() == snapshot

    def test_twice_is_the_same(self, project: Path, run: Run) -> None:
        texts: list[str] = []
        for _ in range(2):
            run(RULE, "--notify", str(project / "out"), cluster=cluster(1, *self.WRONG))
            texts.append((project / "out" / "commerce.md").read_text())
        assert texts[0] == texts[1]

    def test_a_team_without_violations_gets_none(self, project: Path, run: Run) -> None:
        run(RULE, "--notify", str(project / "out"), cluster=cluster(3))
        assert list((project / "out").iterdir()) == []

    def test_what_the_cluster_says_is_no_markdown(self, project: Path, run: Run) -> None:
        loud = workload("api", labels={"team": "commerce"}, results={"fail": [RULE]})
        loud.report["results"][0]["message"] = "a | [b](http://c) <i>\n`d`"
        run(RULE, "--notify", str(project / "out"), cluster=cluster(0, loud))
        assert r"a \| \[b\](http://c) \<i\> \`d\` |" in (project / "out" / "commerce.md").read_text()

    def test_a_directory_that_cannot_be_written(self, project: Path, run: Run) -> None:
        (project / "out").write_text("")
        done = run(RULE, "--notify", str(project / "out"), cluster=cluster(9, BAD))
        assert done.exit_code == 2
        assert "--notify: cannot be written" in done.stderr
        assert (project / "Pulumi.here.yaml").read_text() == STACK_FILE


def test_colours_are_only_for_a_terminal(run: Run) -> None:
    assert "\x1b" not in run(RULE, cluster=cluster(1)).output
