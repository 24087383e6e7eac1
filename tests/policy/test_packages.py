"""Packages by the real helm: a chart of the tests' own with the usual sins, and charts of others.

What the rules say of a package's objects is asked of the real Kyverno CLI.
"""

import os
import shutil
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.kube.charts import ChartSources
from components.kyverno.library import load_library
from components.package.args import PackageArgs
from components.package.file.chart import ChartSpec
from components.package.file.directory import parse_package
from components.package.manifests import applied, exceptions
from components.package.rendered.helm import Renderer, defaults
from components.program.plan import plan
from components.schema.problem import ConfigError
from components.service.file.layers import Layers
from embedded.toolchain import ensure
from embedded.toolchain.charts import stage_charts
from embedded.toolchain.gomodule import module_dir
from tests.policy.kyverno_cli import Verdicts, verdicts
from tests.support.packages import CHART, DAYS, MENDED, Manifest, stack_of
from tests.support.packages import CHART_FILE as FILE
from tests.support.stacks import ROOT
from zt.check.kyverno import judge
from zt.package.command import InitOptions, draft
from zt.package.command import problems as init_problems
from zt.package.file_text import Draft, file_text
from zt.package.lean_chart import lean
from zt.package.search import search
from zt.package.trial import Trials, unsettled

pytestmark = pytest.mark.policy

RULES = [rule for rule in load_library().rules.values() if rule.tier in ("critical", "important")]
SINS = {
    "disallow-latest-tag",
    "disallow-secrets-in-environment",
    "disallow-token-automount",
    "drop-all-capabilities",
    "disallow-privilege-escalation",
    "require-probes",
    "require-read-only-root-filesystem",
    "require-requests-and-limits",
    "require-run-as-non-root",
    "require-seccomp-profile",
}


@pytest.fixture(autouse=True)
def _helm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{ensure(['helm'], progress=False)}{os.pathsep}{os.environ['PATH']}")


def package(root: Path, file: Manifest, **changes: Any) -> PackageArgs:
    """The package of a project with the tests' own chart."""
    shutil.copytree(CHART, root / "packages" / "guestbook", dirs_exist_ok=True)
    (root / "packages" / "guestbook.yaml").write_text(yaml.safe_dump(file, sort_keys=False), encoding="utf-8")
    (root / "services").mkdir(exist_ok=True)
    [made] = plan(stack_of(root, **changes)).packages
    return made


def problems(root: Path, file: Manifest, **changes: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        package(root, file, **changes)
    return [problem.sentence for problem in caught.value.problems]


def judged(folder: Path, args: PackageArgs) -> Verdicts:
    granted = [manifest for made in exceptions(args).values() for manifest in made.values()]
    for manifest in granted:
        # Its last day is asked of the day of the check, not of this one.
        manifest["spec"].pop("expiresAt")
    objects = [applied(args, each) for each in args.objects.objects if each.template is not None]
    return verdicts(folder, [rule.document for rule in RULES], objects, exceptions=granted)


def failing(found: Verdicts) -> set[str]:
    return {rule for results in found.values() for rule, result in results.items() if result == "fail"}


def with_values(**changes: Any) -> Manifest:
    return {**FILE, "values": {**MENDED, **changes}}


def test_every_sin_of_the_chart_is_mended_by_its_own_values(tmp_path: Path) -> None:
    project, folder = tmp_path / "project", tmp_path / "rules"
    folder.mkdir()
    assert failing(judged(folder, package(project, FILE))) == set()


def test_without_the_values_the_rules_refuse_the_chart(tmp_path: Path) -> None:
    project, folder = tmp_path / "project", tmp_path / "rules"
    folder.mkdir()
    kept = ("serviceAccount", "networkPolicy", "rbac", "crds")
    made = package(project, {**FILE, "values": {key: MENDED[key] for key in kept}})
    assert failing(judged(folder, made)) == SINS


def test_an_exception_is_that_of_one_workload(tmp_path: Path) -> None:
    project, folder = tmp_path / "project", tmp_path / "rules"
    folder.mkdir()
    excepted = [{"rule": "disallow-secrets-in-environment", "workload": "guestbook-web", **DAYS}]
    made = package(project, {**with_values(password={"inEnvironment": True}), "exceptions": excepted})
    found = judged(folder, made)
    assert failing(found) == set()
    assert found["Deployment", "guestbook-web"]["disallow-secrets-in-environment"] == "skip"
    assert found["StatefulSet", "guestbook-store"]["disallow-secrets-in-environment"] == "pass"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"serviceAccount": {"create": False}}, "values: guestbook-web runs as an account that every pod"),
        (
            {"networkPolicy": {"enabled": True}},
            "grants: the chart brings NetworkPolicy guestbook, and network policies",
        ),
        ({"rbac": {"clusterWide": True}}, "grants: the chart brings ClusterRole guestbook-nodes, and it holds for the"),
        ({"crds": {"enabled": True}}, "grants: the chart brings CustomResourceDefinition pages.guestbook.example.org"),
    ],
)
def test_a_sin_that_no_rule_sees_is_refused_before(tmp_path: Path, changes: Manifest, problem: str) -> None:
    found = problems(tmp_path, with_values(**changes))
    assert any(problem in line for line in found), found


def test_a_chart_that_cannot_be_rendered_says_why(tmp_path: Path) -> None:
    found = problems(tmp_path, with_values(image={"tag": {"a": "b"}}, probes="none"))
    assert "chart: helm template ended with status 1" in found[0]


def test_a_chart_that_renders_a_new_password_each_time_is_refused(tmp_path: Path) -> None:
    package(tmp_path, FILE)
    extra = 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: luck}\ndata: {number: "{{ randAlphaNum 20 }}"}\n'
    (tmp_path / "packages/guestbook/templates/luck.yaml").write_text(extra)
    [line] = problems(tmp_path, FILE)
    assert "values: each rendering has other values in ConfigMap luck" in line


@pytest.mark.parametrize(
    ("name", "version", "problem"),
    [
        ("external-secrets", "9.9.9", "chart.version: "),
        ("none", "1.0.0", "chart.name: no chart in "),
    ],
)
def test_a_chart_of_the_stacks_directory_has_the_version_that_the_file_says(
    tmp_path: Path, name: str, version: str, problem: str
) -> None:
    chart = {
        "name": name,
        "version": version,
        "repository": "https://charts.example.org",
        "digest": f"sha256:{'0' * 64}",
    }
    found = problems(tmp_path, {**FILE, "chart": chart}, charts={"directory": str(stage_charts())})
    assert problem in found[0]


def test_the_chart_of_an_operator_names_all_that_it_reaches(tmp_path: Path) -> None:
    """External Secrets: definitions, webhooks, their port and cluster-wide rights, each with its way out."""
    chart = {
        "name": "external-secrets",
        "version": "0.16.2",
        "repository": "https://charts.external-secrets.io",
        "digest": f"sha256:{'0' * 64}",
    }
    file = {"namespace": "secrets-operator", "team": "platform", "chart": chart}
    found = problems(tmp_path, file, charts={"directory": str(stage_charts())})
    *brought, called = found
    kinds = {line.split("grants: the chart brings ")[1].split()[0] for line in brought}
    assert {"ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "ValidatingWebhookConfiguration"} <= kinds
    assert all("or grant it here with a reason and a last day" in line for line in brought)
    assert "plaintextPorts: the API server calls port 10250 of guestbook-external-secrets-webhook" in called


SOUGHT = (
    "require-run-as-non-root",
    "disallow-token-automount",
    "disallow-latest-tag",
    "disallow-secrets-in-environment",
)


def test_the_first_file_has_the_values_that_mend_it_and_is_accepted(tmp_path: Path) -> None:
    """With some of the rules, since each value is asked about with each of them."""
    project = tmp_path / "project"
    (project / "services").mkdir(parents=True)
    shutil.copytree(CHART, project / "packages" / "guestbook")
    head = {key: FILE[key] for key in ("namespace", "team", "chart")}
    spec = parse_package(Layers("packages/guestbook.yaml", yaml.safe_dump(head))).spec
    renderer = Renderer(project, ChartSources())
    rules = [rule.document for rule in RULES if rule.name in SOUGHT]
    cli = ensure(["kubectl-kyverno"], progress=False) / "kubectl-kyverno"
    trials = Trials(spec, renderer, rules, lambda plan, asked: judge(cli, plan, (), asked=asked))
    outcome = search(trials, *defaults(renderer, spec))
    assert outcome.last.problems == frozenset()
    assert {rule for mend in outcome.mends for rule in (one.rule for one in mend.mends)} == {*SOUGHT, "service account"}
    left = unsettled(spec.model_copy(update={"values": dict(outcome.last.values)}), outcome.last.objects)
    text = file_text(Draft(head, outcome, left, "web", date(2026, 11, 20)))
    (project / "packages" / "guestbook.yaml").write_text(text, encoding="utf-8")
    assert "# networkPolicy.enabled mends: NetworkPolicy guestbook, which the platform has" in text
    [made] = plan(stack_of(project, apiServerCidrs=["10.0.0.1/32"])).packages
    assert len(made.workloads) == 3


@pytest.mark.parametrize("packed", [False, True])
def test_a_lean_copy_of_a_chart_has_all_but_definitions(tmp_path: Path, packed: bool) -> None:
    """Whose files are left out only if nothing else comes from them."""
    for name, folder in (("external-secrets", stage_charts() / "external-secrets"), ("guestbook", CHART)):
        place = tmp_path / "packages" / name
        shutil.copytree(folder, place)
        head = {**{key: FILE[key] for key in ("namespace", "team")}, "chart": {"folder": f"packages/{name}"}}
        spec = parse_package(Layers("packages/guestbook.yaml", yaml.safe_dump(head))).spec
        renderer = Renderer(tmp_path, ChartSources())
        whole = renderer.manifests(spec)
        if packed:
            shutil.make_archive(str(place), "gztar", tmp_path / "packages", name)
            renderer = _Packed(tmp_path, ChartSources(), Path(f"{place}.tar.gz"))
        with lean(renderer, spec) as (quick, of_copy):
            made = quick.manifests(of_copy, steady=False)
            assert quick is not renderer
        of_definitions = "CustomResourceDefinition" if name == "external-secrets" else ""
        assert made == [each for each in whole if each["kind"] != of_definitions]
        assert len(made) < len(whole) or name == "guestbook"


@dataclass(frozen=True)
class _Packed(Renderer):
    archive: Path

    def chart(self, chart: ChartSpec, into: Path) -> Path:  # noqa: ARG002 - as the renderer calls it
        return self.archive


@pytest.mark.parametrize(
    ("module", "chart", "granted"),
    [
        ("istio.io/istio", "manifests/charts/gateway", {"Role"}),
        ("github.com/kyverno/kyverno", "charts/kyverno-policies", {"ValidatingPolicy"}),
    ],
)
def test_the_first_file_of_a_chart_of_others_is_accepted(
    tmp_path: Path, module: str, chart: str, granted: set[str]
) -> None:
    """Two that need none of its neighbours: a port of the mesh's proxy in the one, policies alone in the other."""
    for name in ("policies", "services"):
        (tmp_path / name).symlink_to(ROOT / name)
    stack = yaml.safe_load((ROOT / "Pulumi.production.yaml").read_text(encoding="utf-8"))
    stack["config"]["zero-trust:apiServerCidrs"] = ["10.0.0.1/32"]
    (tmp_path / "Pulumi.production.yaml").write_text(yaml.safe_dump(stack), encoding="utf-8")
    folder = tmp_path / "packages" / "other"
    shutil.copytree(module_dir(module) / chart, folder, copy_function=shutil.copyfile)
    options = InitOptions("other", "other", "others", "web", "production", tmp_path, date.today())
    text, left = draft(options, lambda _: None)
    assert left
    assert init_problems(options, text) == []
    assert {grant["kind"] for grant in yaml.safe_load(text)["grants"]} == granted
