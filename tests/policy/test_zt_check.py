"""`zt check --plan` end to end: the real Kyverno CLI and the real helm on a plan that each test changes."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from components.config.action import Action
from components.kyverno.library import load_library, manifest
from tests.unit.zt.check.planned import (
    PROJECT,
    TODAY,
    Digest,
    add,
    add_exception,
    add_mutation,
    add_release,
    digest,
    inputs,
    pod,
    policy,
    write,
)
from zt.cli import app

pytestmark = pytest.mark.policy

_REGISTRIES = "restrict-image-registries"
_BAD = "docker.io/library/api:v1.2.3"
_DEPLOYMENTS = [{"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["deployments"]}]


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """What an earlier run remembers is none of a test's."""
    monkeypatch.setattr("embedded.access.EmbeddedPlane.cache", staticmethod(lambda: tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def plan() -> Digest:
    made = digest()
    # A chart of a repository needs the network.
    made["steps"] = [step for step in made["steps"] if not step["newState"]["type"].endswith(":Release")]
    return made


def check(plan: Digest, directory: Path, *options: str) -> tuple[int, dict[str, Any]]:
    arguments = ["check", "--plan", write(plan, directory), "--project", str(PROJECT), "--format", "json"]
    done = CliRunner().invoke(app, [*arguments, "--as-of", TODAY.isoformat(), *options])
    assert done.stdout, done.output
    return done.exit_code, json.loads(done.stdout)


def test_a_clean_plan_passes(plan: Digest, tmp_path: Path) -> None:
    code, report = check(plan, tmp_path, "--strict")
    assert (code, report["verdicts"], report["clean"]) == (0, [], True)


def test_an_image_of_a_foreign_registry_is_refused_with_its_file_and_key(plan: Digest, tmp_path: Path) -> None:
    pod(plan)["containers"][0]["image"] = _BAD
    code, report = check(plan, tmp_path)
    [verdict] = report["verdicts"]
    assert code == 1
    assert (verdict["outcome"], verdict["rule"], verdict["action"]) == ("refused", _REGISTRIES, "Deny")
    assert (verdict["service"], verdict["file"], verdict["key"], verdict["line"]) == (
        "shop.api",
        "services/api.yaml",
        "image",
        3,
    )
    assert _BAD in verdict["message"]


def test_what_only_reports_warns_and_passes(plan: Digest, tmp_path: Path) -> None:
    pod(plan)["containers"][0]["image"] = _BAD
    policy(plan, _REGISTRIES)["spec"]["validationActions"] = ["Audit"]
    code, report = check(plan, tmp_path)
    assert (code, [verdict["outcome"] for verdict in report["verdicts"]]) == (0, ["warned"])
    assert check(plan, tmp_path, "--strict")[0] == 1


@pytest.mark.parametrize(("expires", "code", "outcomes"), [("2026-06-02", 0, ["excepted"]), ("2026-06-01", 1, None)])
def test_an_exception_holds_until_its_day(
    plan: Digest, tmp_path: Path, expires: str, code: int, outcomes: list[str] | None
) -> None:
    pod(plan)["containers"][0]["image"] = _BAD
    add_exception(plan, _REGISTRIES, expires)
    found, report = check(plan, tmp_path)
    assert found == code
    assert [verdict["outcome"] for verdict in report["verdicts"]] == (outcomes or ["refused", "expired"])


def test_a_mutation_repairs_before_the_rules_judge(plan: Digest, tmp_path: Path) -> None:
    pod(plan)["containers"][0]["image"] = _BAD
    mirrored = (
        f"""object.spec.template.spec.containers[0].image.replace("{_BAD}", "registry.example.org/shop/api:v1")"""
    )
    patch = f"""[JSONPatch{{op: "replace", path: "/spec/template/spec/containers/0/image", value: {mirrored}}}]"""
    add_mutation(
        plan,
        {
            "matchConstraints": {"resourceRules": _DEPLOYMENTS},
            "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": patch}}],
        },
    )
    code, report = check(plan, tmp_path)
    assert (code, report["verdicts"]) == (0, [])


def test_a_rule_that_looks_beside_sees_the_plan(plan: Digest, tmp_path: Path) -> None:
    inputs(plan, "PodDisruptionBudget", "shop.api")["spec"]["selector"]["matchLabels"] = {"app": "another"}
    code, report = check(plan, tmp_path)
    [verdict] = report["verdicts"]
    assert (code, verdict["rule"]) == (0, "require-pod-disruption-budget")
    assert "none in namespace shop selects the pods of api" in verdict["message"]


def test_the_platform_namespaces_stay_out_by_their_name(plan: Digest, tmp_path: Path) -> None:
    pod(plan)["containers"][0]["image"] = _BAD
    inputs(plan, "Deployment", "shop.api")["metadata"]["namespace"] = "kyverno"
    assert check(plan, tmp_path)[1]["verdicts"] == []


def test_a_rule_for_labelled_namespaces_knows_the_labels_of_the_plan(plan: Digest, tmp_path: Path) -> None:
    pod(plan)["containers"][0]["image"] = _BAD
    selector = {"matchLabels": {"istio-injection": "enabled"}}
    policy(plan, _REGISTRIES)["spec"]["matchConstraints"]["namespaceSelector"] = selector
    assert check(plan, tmp_path)[0] == 1


def test_a_release_is_rendered_with_its_values(plan: Digest, tmp_path: Path) -> None:
    _write_chart(tmp_path / "agent")
    add_release(plan, tmp_path / "agent", {"privileged": True})
    rule = manifest(load_library().rule("disallow-privileged"), Action.DENY)
    add(plan, "kubernetes:policies.kyverno.io/v1:ValidatingPolicy", "policies-disallow-privileged", rule)
    code, report = check(plan, tmp_path)
    refused = [verdict for verdict in report["verdicts"] if verdict["rule"] == "disallow-privileged"]
    assert code == 1
    assert [verdict["object"] for verdict in refused] == [
        {"kind": "Deployment", "namespace": "agents", "name": "agent", "release": "agent"}
    ]
    assert refused[0]["service"] == "platform"


def test_a_policy_that_kyverno_cannot_read_is_no_clean_plan(plan: Digest, tmp_path: Path) -> None:
    # YAML reads an unquoted `no` as a boolean; the CLI leaves such a policy out without a word.
    policy(plan, _REGISTRIES)["spec"]["validations"][0]["message"] = False
    arguments = ["check", "--plan", write(plan, tmp_path), "--project", str(PROJECT)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 3
    assert _REGISTRIES in done.stderr


def test_a_second_run_says_the_same_without_asking_again(
    plan: Digest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pod(plan)["containers"][0]["image"] = _BAD
    add_exception(plan, "require-probes", "2026-06-02")
    first = check(plan, tmp_path)
    monkeypatch.setattr("zt.check.kyverno._Cli.apply", None)
    assert check(plan, tmp_path) == first


def _write_chart(directory: Path) -> None:
    templates = directory / "templates"
    (templates / "tests").mkdir(parents=True)
    (directory / "Chart.yaml").write_text("apiVersion: v2\nname: agent\nversion: 0.1.0\nkubeVersion: '>=1.30.0'\n")
    (templates / "deployment.yaml").write_text(
        """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: "{{ .Release.Name }}"}
spec:
  replicas: 2
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec:
      containers:
        - name: agent
          image: registry.example.org/platform/agent:v1
          securityContext: {privileged: {{ .Values.privileged }}}
"""
    )
    (templates / "tests" / "pod.yaml").write_text(
        """\
apiVersion: v1
kind: Pod
metadata: {name: try, annotations: {helm.sh/hook: test}}
spec: {containers: [{name: try, image: registry.example.org/try:v1, securityContext: {privileged: true}}]}
"""
    )
