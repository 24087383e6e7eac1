"""`zt check` without a process: attribution, exit codes, formats, and what it says when something is missing."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from junitparser import JUnitXml
from typer.testing import CliRunner, Result

from components.kyverno.exceptions import AccountExceptionArgs, account_exception
from tests.support.stacks import ROOT
from tests.unit.zt.check.planned import PROJECT, TODAY, Digest, add, add_exception, digest, policy, write
from zt.check import charts, plan_source
from zt.check import command as check
from zt.check.kyverno import Result as RuleResult
from zt.check.plan import PlannedRelease
from zt.check.plan_source import preview_error
from zt.cli import app
from zt.project.errors import ConfigRefusedError, ToolError

_REGISTRIES = "restrict-image-registries"
_DEPLOYMENT = ("apps/v1", "Deployment", "shop", "api")
_MESSAGE = "Images must come from an approved registry: container api (docker.io/library/api:v1)."

Run = Callable[..., Result]
Answers = list[RuleResult]


def failing(rule: str = _REGISTRIES, identity: tuple[str, str, str, str] = _DEPLOYMENT) -> RuleResult:
    return RuleResult(rule, identity, "fail", _MESSAGE, ())


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Answers:
    """What Kyverno says, instead of its process; no chart is rendered."""
    made: Answers = []
    monkeypatch.setattr(check, "judge", lambda *_: made)
    monkeypatch.setattr(check, "render", lambda *_: ([], []))
    monkeypatch.setattr(check, "pinned_tool", Path)
    monkeypatch.setattr("embedded.access.EmbeddedPlane.cache", staticmethod(lambda: tmp_path / "cache"))
    return made


@pytest.fixture
def run(answers: Answers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("NO_COLOR", "1")

    def invoke(plan: Digest, *options: str) -> Result:
        arguments = ["check", "--plan", write(plan, tmp_path), "--project", str(PROJECT)]
        return CliRunner().invoke(app, [*arguments, "--as-of", TODAY.isoformat(), *options])

    return invoke


@pytest.fixture
def everything(answers: Answers) -> Digest:
    """A plan with one verdict of each outcome, and one of the platform's."""
    plan = digest()
    add_exception(plan, _REGISTRIES, "2026-05-31")
    add_exception(plan, "require-pod-disruption-budget", "2026-12-31")
    excepted = "shop.api.require-pod-disruption-budget"
    answers += [
        failing(),
        failing("require-replicas"),
        RuleResult("require-pod-disruption-budget", _DEPLOYMENT, "skip", "skipped", (excepted,)),
        failing("require-replicas", ("v1", "Namespace", "", "shop")),
        RuleResult(_REGISTRIES, ("policy/v1", "PodDisruptionBudget", "shop", "api"), "pass", "", ()),
    ]
    return plan


def write_exclusion(project: Path, expires: str) -> None:
    """The production stack's file, with a namespace that no rule looks at until a day."""
    written = yaml.safe_load((ROOT / "Pulumi.production.yaml").read_text())
    timed = {"reason": "the nodes need it", "owner": "platform", "granted": "2026-01-01", "expires": expires}
    written["config"]["zero-trust:kyverno"]["excludedNamespaces"] = {"calico-system": timed}
    (project / "Pulumi.production.yaml").write_text(yaml.safe_dump(written, sort_keys=False))


class TestExitCodes:
    def test_nothing_found_is_clean(self, run: Run) -> None:
        done = run(digest(), "--strict")
        assert (done.exit_code, done.stdout) == (0, "production: clean; 4 objects held against 3 rules\n")

    def test_a_rule_that_denies(self, run: Run, answers: Answers) -> None:
        answers.append(failing())
        assert run(digest()).exit_code == 1

    @pytest.mark.parametrize(("options", "code"), [((), 0), (("--strict",), 1)])
    def test_a_rule_that_reports(self, run: Run, answers: Answers, options: tuple[str, ...], code: int) -> None:
        answers.append(failing("require-replicas"))
        assert run(digest(), *options).exit_code == code

    @pytest.mark.parametrize(("failure_policy", "code"), [("Fail", 1), ("Ignore", 0)])
    def test_a_rule_that_cannot_be_computed(self, run: Run, answers: Answers, failure_policy: str, code: int) -> None:
        plan = digest()
        policy(plan, _REGISTRIES)["spec"]["failurePolicy"] = failure_policy
        answers.append(RuleResult(_REGISTRIES, _DEPLOYMENT, "error", "no such key", ()))
        assert run(plan).exit_code == code

    def test_a_skipped_rule_is_nobodys_exception(self, run: Run, answers: Answers) -> None:
        answers.append(RuleResult(_REGISTRIES, _DEPLOYMENT, "skip", "conditions", ()))
        assert run(digest(), "--strict").exit_code == 0

    @pytest.mark.parametrize(("day", "code"), [("2026-05-30", 0), ("2026-05-31", 1), ("2026-06-02", 1)])
    def test_an_exception_by_its_day(self, run: Run, day: str, code: int) -> None:
        plan = digest()
        add_exception(plan, _REGISTRIES, "2026-05-31")
        assert run(plan, "--as-of", day).exit_code == code

    @pytest.mark.parametrize(("day", "code"), [("2026-06-02", 0), ("2026-06-01", 1), ("2026-05-31", 1)])
    def test_an_excluded_namespace_by_its_day(self, answers: Answers, tmp_path: Path, day: str, code: int) -> None:
        assert not answers
        project = tmp_path / "project"
        shutil.copytree(PROJECT, project)
        write_exclusion(project, day)
        arguments = ["check", "--plan", write(digest(), tmp_path), "--project", str(project)]
        done = CliRunner().invoke(app, [*arguments, "--as-of", TODAY.isoformat(), "--format", "json"])
        blocking = [v for v in json.loads(done.stdout)["verdicts"] if v["outcome"] == "expired"]
        assert (done.exit_code, len(blocking)) == (code, code)
        if blocking:
            assert blocking[0]["key"] == "zero-trust:kyverno.excludedNamespaces.calico-system.expires"
            assert "It was agreed until" in blocking[0]["message"]

    @pytest.mark.parametrize("output_format", ["text", "sarif", "junit"])
    def test_an_expired_exclusion_is_said_in_every_format(
        self, answers: Answers, tmp_path: Path, output_format: str
    ) -> None:
        assert not answers
        project = tmp_path / "project"
        shutil.copytree(PROJECT, project)
        write_exclusion(project, "2026-05-31")
        arguments = ["check", "--plan", write(digest(), tmp_path), "--project", str(project)]
        done = CliRunner().invoke(app, [*arguments, "--as-of", TODAY.isoformat(), "--format", output_format])
        assert done.exit_code == 1
        assert "It was agreed until 2026-05-31 that no rule looks at this namespace" in " ".join(done.stdout.split())

    @pytest.mark.parametrize(("day", "code"), [("2026-06-02", 0), ("2026-06-01", 1)])
    def test_an_exception_of_what_no_service_file_makes(self, run: Run, day: str, code: int) -> None:
        plan = digest()
        agent = AccountExceptionArgs(_REGISTRIES, "monitoring", "agent", "the vendor's image", "platform", day)
        add(
            plan,
            "kubernetes:policies.kyverno.io/v1:PolicyException",
            "policies-agent",
            account_exception(agent, "kyverno"),
        )
        done = run(plan, "--format", "json")
        blocking = [v for v in json.loads(done.stdout)["verdicts"] if v["outcome"] == "expired"]
        assert (done.exit_code, len(blocking)) == (code, code)
        if blocking:
            assert (blocking[0]["file"], blocking[0]["key"]) == (
                "Pulumi.production.yaml",
                "zero-trust:kyverno.exceptions",
            )

    def test_a_release_that_cannot_be_rendered_is_said(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        def missing(_helm: Path, releases: list[PlannedRelease], *_: object) -> tuple[list[Any], list[Any]]:
            return [], [(releases[0], "no such host")]

        monkeypatch.setattr(check, "render", missing)
        done = run(digest())
        assert (done.exit_code, done.stdout.splitlines()[0]) == (
            0,
            "not checked: the release cert-manager: no such host",
        )

    def test_a_stack_without_rules_is_said(self, run: Run) -> None:
        plan = digest()
        plan["steps"] = [step for step in plan["steps"] if "policies.kyverno.io" not in step["urn"]]
        done = run(plan)
        assert done.exit_code == 0
        assert "not checked: production has no rule that judges" in done.stdout

    def test_a_tool_that_fails(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: object) -> None:
            raise ToolError("kyverno apply ended with status 2")

        monkeypatch.setattr(check, "judge", fail)
        done = run(digest())
        assert (done.exit_code, done.stderr) == (3, "error: kyverno apply ended with status 2\n")


class TestUsage:
    def test_a_plan_of_another_stack(self, run: Run) -> None:
        done = run(digest(), "--stack", "staging")
        assert done.exit_code == 2
        assert "this is not a plan of staging, found 'production'" in done.stderr

    def test_a_plan_that_is_not_there(self) -> None:
        done = CliRunner().invoke(app, ["check", "--plan", "nowhere.json"])
        assert (done.exit_code, done.stderr) == (
            2,
            "error: --plan: nowhere.json: cannot be read: No such file or directory\n",
        )

    def test_neither_plan_nor_stack(self) -> None:
        assert CliRunner().invoke(app, ["check"]).exit_code == 2

    def test_both_a_plan_and_a_control_plane(self) -> None:
        assert CliRunner().invoke(app, ["check", "--plan", "p.json", "--embedded"]).exit_code == 2

    @pytest.mark.usefixtures("answers")
    def test_the_plan_of_the_standard_input(self) -> None:
        arguments = ["check", "--plan", "-", "--project", str(PROJECT)]
        assert CliRunner().invoke(app, arguments, input=json.dumps(digest())).exit_code == 0

    def test_a_broken_service_file(self, tmp_path: Path) -> None:
        (tmp_path / "services").mkdir()
        (tmp_path / "services" / "api.yaml").write_text("a: [")
        done = CliRunner().invoke(app, ["check", "--plan", write(digest(), tmp_path), "--project", str(tmp_path)])
        assert done.exit_code == 2
        assert "services/api.yaml:1: YAML: " in done.stderr

    def test_a_report_that_cannot_be_written(self, run: Run, tmp_path: Path) -> None:
        done = run(digest(), "--output", str(tmp_path / "no" / "such" / "file"))
        assert done.exit_code == 2
        assert "--output: " in done.stderr

    def test_a_report_in_a_file(self, run: Run, tmp_path: Path) -> None:
        done = run(digest(), "--format", "json", "--output", str(tmp_path / "report.json"))
        assert (done.exit_code, done.stdout) == (0, "")
        assert json.loads((tmp_path / "report.json").read_text())["clean"] is True

    def test_pulumi_that_is_not_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "")
        done = CliRunner().invoke(app, ["check", "--stack", "dev", "--project", str(PROJECT)])
        assert done.exit_code == 3
        assert "pulumi is not on PATH" in done.stderr

    def test_a_configuration_that_the_program_refuses(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object) -> None:
            raise ConfigRefusedError("Pulumi.dev.yaml: zero-trust:environment: not a legal value")

        monkeypatch.setattr(check, "preview", refuse)
        done = CliRunner().invoke(app, ["check", "--stack", "dev", "--project", str(PROJECT)])
        assert (done.exit_code, done.stderr) == (
            2,
            "error: Pulumi.dev.yaml: zero-trust:environment: not a legal value\n",
        )


class TestFailedPreviews:
    @pytest.mark.parametrize(
        "problem",
        [
            "services/api.yaml:3: image: not from an approved registry, found 'x'; legal: registry.example.org",
            "Pulumi.dev.yaml:7: zero-trust:vault.address: required",
            "policies/critical/x/policy.yaml: metadata.name: a rule is called like its folder, found 'y'; legal: x",
            "policies: urgent: no tier has this name",
        ],
    )
    def test_the_programs_own_words(self, problem: str) -> None:
        diagnostics = [
            {"severity": "warning", "message": "warning: using a plugin from $PATH"},
            {"severity": "error", "message": f"error: {problem}\n"},
            {"severity": "error", "message": "error: an unhandled error occurred: program exited with 1\n"},
        ]
        error = preview_error("dev", 1, json.dumps({"diagnostics": diagnostics}), "")
        assert isinstance(error, ConfigRefusedError)
        assert str(error) == problem

    @pytest.mark.parametrize(
        ("stdout", "stderr", "said"),
        [
            ("", "error: no stack named 'nope' found\n", "no stack named"),
            (json.dumps({"diagnostics": [{"severity": "error", "message": "error: Traceback"}]}), "", "Traceback"),
            ("[]", "", "without a word"),
        ],
    )
    def test_anything_else_is_a_tools_failure(self, stdout: str, stderr: str, said: str) -> None:
        error = preview_error("dev", 6, stdout, stderr)
        assert isinstance(error, ToolError)
        assert said in str(error)


class TestFormats:
    def test_text(self, run: Run, everything: Digest, snapshot: object) -> None:
        done = run(everything)
        assert (done.exit_code, done.stdout) == (1, snapshot)

    def test_json(self, run: Run, everything: Digest, snapshot: object) -> None:
        assert json.loads(run(everything, "--format", "json").stdout) == snapshot

    def test_sarif(self, run: Run, everything: Digest, snapshot: object) -> None:
        made = json.loads(run(everything, "--format", "sarif").stdout)
        assert made == snapshot
        [described] = made["runs"]
        ids = [rule["id"] for rule in described["tool"]["driver"]["rules"]]
        assert all(ids[result["ruleIndex"]] == result["ruleId"] for result in described["results"])

    def test_junit(self, run: Run, everything: Digest, snapshot: object) -> None:
        written = run(everything, "--format", "junit").stdout
        assert written == snapshot
        suites = JUnitXml.fromstring(written.encode())
        assert (suites.tests, suites.failures, suites.skipped) == (5, 2, 3)

    def test_a_clean_junit_report_has_a_case(self, run: Run) -> None:
        assert JUnitXml.fromstring(run(digest(), "--format", "junit").stdout.encode()).tests == 1

    def test_the_json_keeps_to_its_shape(self, run: Run, everything: Digest) -> None:
        texts = ("outcome", "service", "rule", "tier", "action", "severity", "message", "file", "key", "madeBy")
        verdict = {
            "type": "object",
            "required": [*texts, "object", "line", "keyWritten"],
            "properties": {**{key: {"type": "string"} for key in texts}, "line": {"type": "integer"}},
        }
        shape = {
            "type": "object",
            "required": ["version", "stack", "asOf", "clean", "checked", "summary", "warnings", "verdicts"],
            "properties": {"version": {"const": 1}, "verdicts": {"type": "array", "items": verdict}},
        }
        Draft202012Validator(shape).validate(json.loads(run(everything, "--format", "json").stdout))


class TestPlaces:
    def test_a_service_whose_file_is_not_here(self, answers: Answers, tmp_path: Path) -> None:
        answers.append(failing())
        arguments = ["check", "--plan", write(digest(), tmp_path), "--project", str(tmp_path), "--format", "json"]
        [found] = json.loads(CliRunner().invoke(app, arguments).stdout)["verdicts"]
        assert (found["file"], found["key"], found["line"]) == ("services/api.yaml", "image", 0)

    def test_an_object_that_the_plan_calls_otherwise_is_not_lost(self, run: Run, answers: Answers) -> None:
        answers.append(failing(identity=("apps/v1", "Deployment", "default", "unknown")))
        done = run(digest())
        assert done.exit_code == 1
        assert "Deployment default/unknown" in done.stdout

    def test_a_rule_without_a_key(self, run: Run, answers: Answers) -> None:
        plan = digest()
        del policy(plan, _REGISTRIES)["metadata"]["annotations"]["zero-trust.dev/service-key"]
        answers.append(failing())
        assert "no key: the program makes it (kubernetes:apps/v1:Deployment shop.api)" in run(plan).stdout


class TestCharts:
    RELEASE = PlannedRelease(
        "urn", "platform", ("", 0), "cert-manager", "cert-manager", "cert-manager", "v1.21.2", "https://x", {}, ""
    )

    def test_a_chart_of_a_repository_with_its_version(self) -> None:
        found = charts.template_arguments(self.RELEASE, Path("v.json"), "v1.36.3")
        assert found[-4:] == ["--repo", "https://x", "--version", "v1.21.2"]
        assert "--skip-tests" in found

    def test_objects_arrive_in_the_namespace_of_the_release(self) -> None:
        rendered = """\
---
# Source: x
apiVersion: v1
kind: ServiceAccount
metadata: {name: a}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: b}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: c}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: d, namespace: kube-system}
---
"""
        found = charts.parse_rendered(rendered, self.RELEASE)
        assert [planned.identity[1:] for planned in found] == [
            ("ServiceAccount", "cert-manager", "a"),
            ("ClusterRole", "", "b"),
            ("ConfigMap", "kube-system", "d"),
        ]
        assert {planned.release for planned in found} == {"cert-manager"}

    def test_a_chart_that_is_not_here_is_no_failure(self) -> None:
        release = PlannedRelease("urn", "platform", ("", 0), "x", "x", "/no/chart", "", "", {}, "")
        _, missing = charts.render(Path("helm"), [release], "v1.36.3")
        assert missing == [(release, "the chart '/no/chart' is not on this machine")]


def test_a_preview_asks_for_everything() -> None:
    # Without the unchanged resources a plan lacks the rules that did not change.
    assert "--show-sames" in plan_source.ARGUMENTS
