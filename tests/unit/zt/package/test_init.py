"""`zt package init`: the values that it finds by trying, and the file that it writes."""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from components.kube.charts import ChartSources
from components.package.file.directory import parse_package
from components.package.file.keys import PackageSpec
from components.package.rendered.checks import findings
from components.package.rendered.helm import Renderer, RenderError
from components.package.rendered.objects import rendered_objects
from components.service.file.layers import Layers
from tests.support.packages import FILE, FOLDER, account, labels, objects, role, service, workload, write
from tests.support.stacks import ROOT as PROJECT
from zt.check.kyverno_result import Result
from zt.check.plan import Plan, text
from zt.package.candidates import NO_TOKEN, POD, candidates, merged
from zt.package.command import InitOptions, problems
from zt.package.file_text import Draft, file_text
from zt.package.search import Outcome, search
from zt.package.trial import Asked, Trial, Trials, Violation, unsettled

pytestmark = pytest.mark.unit

HEAD = {"namespace": "guests", "team": "web", "chart": {"folder": "packages/guestbook"}}
DEFAULTS: dict[str, Any] = {
    "image": {"repository": "quay.io/guests/web", "tag": "latest"},
    "security": {},
    "account": {"create": False},
    "own": {"networkPolicy": True, "web": True},
    "front": {"type": "LoadBalancer"},
    "untouched": {"depth": {"switch": False}},
}
ROOT, LATEST, WRITES = "require-run-as-non-root", "disallow-latest-tag", "require-probes"
FOREIGN, TOKEN = "restrict-image-registries", "disallow-token-automount"
REGISTRY = "registry.example.org"


def chart(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A chart with a value against all of its sins but one, and a switch that takes its workload away."""
    v: Any = merged(DEFAULTS, values)
    if v["security"].get("limits"):
        raise RenderError(("chart",), "the schema of the values takes no limits here")
    made: list[dict[str, Any]] = [role("ClusterRole", "nodes")]
    if v["own"]["web"]:
        web = workload("Deployment", "web", http=8080)
        pod = web["spec"]["template"]["spec"]
        pod["serviceAccountName"] = "web" if v["account"]["create"] else "default"
        image = f"{v['image']['repository']}:{v['image']['tag']}"
        pod["containers"][0] |= {"image": image, "securityContext": v["security"]}
        # A switch that is not among the chart's values.
        pod["automountServiceAccountToken"] = v["own"].get("automountServiceAccountToken", True)
        # That of the proxy's health is no port of an application.
        health = service("health", 15021, 15021)
        health["spec"]["selector"] = labels("web")
        front = service("web", 80, "http")
        front["spec"]["type"] = v["front"]["type"]
        made += [web, front, health]
    if v["account"]["create"]:
        made.append(account("web"))
    if v["own"]["networkPolicy"]:
        made.append({**role("NetworkPolicy", "own"), "apiVersion": "networking.k8s.io/v1"})
    return made


ASKED: list[int] = []
"""How many rules were asked about an object, each time."""
RENDERED: list[object] = []


def rule(name: str, reads: str, kind: str = "ValidatingPolicy") -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": name}, "spec": {"variables": [{"expression": reads}]}}


POLICIES = [
    rule(ROOT, "object.spec.template.spec.containers.all(c, c.securityContext.runAsNonRoot)"),
    rule(LATEST, "object.spec.template.spec.containers.all(c, c.image)"),
    rule(FOREIGN, "object.spec.template.spec.containers.all(c, c.image)"),
    rule(TOKEN, "object.spec.template.spec.automountServiceAccountToken"),
    rule(WRITES, "object.spec.template.spec.containers.all(c, has(c.livenessProbe))"),
    rule("fills-in", "object.spec.template.spec.containers.map(c, c.resources)", "MutatingPolicy"),
]


def judge(plan: Plan, asked: Asked) -> list[Result]:
    results: list[Result] = []
    for planned in plan.objects:
        pod = cast("Any", planned.manifest)["spec"]["template"]["spec"]
        container = pod["containers"][0]
        broken = {
            ROOT: not container["securityContext"].get("runAsNonRoot"),
            LATEST: container["image"].endswith(":latest"),
            FOREIGN: not container["image"].startswith(f"{REGISTRY}/"),
            TOKEN: pod["automountServiceAccountToken"],
            # No value mends it.
            WRITES: True,
        }
        chosen = [policy for policy in plan.policies if asked(policy, planned)]
        assert [each for each in chosen if each["kind"] == "MutatingPolicy"]
        rules = [text(policy, "metadata", "name") for policy in chosen if policy["kind"] != "MutatingPolicy"]
        ASKED.append(len(rules))
        results += [Result(rule, planned.identity, "fail" if broken[rule] else "pass", "", ()) for rule in rules]
    return results


def spec() -> PackageSpec:
    return parse_package(Layers("packages/guestbook.yaml", yaml.safe_dump(HEAD))).spec


@pytest.fixture
def trials(monkeypatch: pytest.MonkeyPatch) -> Trials:
    """Renders that chart, without helm."""
    ASKED.clear()

    def manifests(_: Renderer, package: PackageSpec, **_options: bool) -> list[dict[str, Any]]:
        RENDERED.append(package.values)
        return chart(package.values)

    RENDERED.clear()
    monkeypatch.setattr(Renderer, "manifests", manifests)
    return Trials(spec(), Renderer(Path(), ChartSources()), POLICIES, judge)


@pytest.fixture
def outcome(trials: Trials) -> Outcome:
    return search(trials, DEFAULTS, "2.0.0", registry=REGISTRY)


def test_each_violation_has_the_value_that_mends_it(outcome: Outcome) -> None:
    assert outcome.last.values == {
        "security": POD,
        "image": {"repository": f"{REGISTRY}/guests/web", "tag": "2.0.0"},
        "account": {"create": True},
        "own": {"networkPolicy": False, "automountServiceAccountToken": False},
        "front": {"type": "ClusterIP"},
    }
    mended = {one for mend in outcome.mends for one in mend.mends}
    assert mended == {
        Violation(ROOT, "Deployment", "web"),
        Violation(LATEST, "Deployment", "web"),
        Violation(FOREIGN, "Deployment", "web"),
        Violation(TOKEN, "Deployment", "web"),
        Violation("service account", "", "web"),
        Violation("admission", "Service", "web"),
    }
    assert outcome.last.violations == {Violation(WRITES, "Deployment", "web")}


def test_a_switch_that_takes_the_workload_away_mends_nothing(outcome: Outcome) -> None:
    assert "web" not in cast("Any", outcome.last.values)["own"]
    assert [mend.removes for mend in outcome.mends if mend.removes] == [("NetworkPolicy own",)]


def test_an_object_is_asked_about_once(trials: Trials) -> None:
    search(trials, DEFAULTS, "2.0.0")
    before = sum(ASKED)
    search(trials, DEFAULTS, "2.0.0")
    assert sum(ASKED) == before


def test_a_rule_is_asked_about_what_it_reads(trials: Trials) -> None:
    """Of a chart with many values that do nothing, each is rendered by itself once, and no rule hears of it."""
    values = {**DEFAULTS, "unused": {f"key{number}": {} for number in range(64)}}
    search(trials, values, "2.0.0")
    rendered, asked = len(RENDERED), sum(ASKED)
    assert rendered < 1.5 * 65 * 4
    search(trials, values, "2.0.0")
    assert len(RENDERED) - rendered < 65 * 4 / 2
    assert sum(ASKED) == asked


def test_what_others_fill_in_is_judged_by_every_rule(trials: Trials) -> None:
    last = trials.first({})
    changed = trials._reading(frozenset({"resources"}))
    assert changed == {each["metadata"]["name"] for each in POLICIES}
    assert trials._reading(frozenset({"image"})) == {LATEST, FOREIGN}
    assert trials._reading(frozenset({"nodeSelector"})) == frozenset()
    assert {violation.rule for violation in last.violations} == {ROOT, LATEST, FOREIGN, TOKEN, WRITES}


def tried_of(values: Mapping[str, Any], version: str, registry: str = "") -> list[dict[str, Any]]:
    return [change.values for change in candidates(values, version, registry)]


def test_every_value_is_tried_by_what_it_is() -> None:
    tried = tried_of({"a": {"b": True, "c": None, "d": "latest", "e": "text", "f": 1}}, "1.2.3")
    assert {"a": {"b": False}} in tried
    assert {"a": {"c": POD}} in tried
    assert {"a": {"d": "1.2.3"}} in tried
    assert {"a": POD} in tried
    assert NO_TOKEN in tried
    assert not any({"e", "f"} & {*each.get("a", {})} for each in tried)


def test_what_a_chart_keeps_for_itself_is_written_where_its_users_write_it() -> None:
    tried = tried_of({"_internal": {"service": {"type": "NodePort"}, "on": True}}, "")
    assert {"service": {"type": "ClusterIP"}} in tried
    assert {"on": False} in tried
    assert not any("_internal" in each for each in tried)


@pytest.mark.parametrize(
    ("value", "moved"),
    [
        ("quay.io", REGISTRY),
        ("localhost:5000", None),
        ("registry.corp.example:5000", REGISTRY),
        ("quay.io/jetstack/controller", f"{REGISTRY}/jetstack/controller"),
        ("bitnami/redis:7.2", f"{REGISTRY}/bitnami/redis:7.2"),
        ("ghcr.io/a/b_c:v1.0", f"{REGISTRY}/a/b_c:v1.0"),
        ("info", None),
        ("/var/run", None),
        ("100m", None),
        ("https://example.org/a", None),
    ],
)
def test_an_image_is_tried_from_the_stacks_own_registry(value: str, moved: str | None) -> None:
    tried = [each["a"] for each in tried_of({"a": value}, "", REGISTRY) if "a" in each]
    assert tried == ([moved] if moved else [])
    assert not [each for each in tried_of({"a": value}, "") if "a" in each]


def test_the_file_is_one_that_the_program_takes(outcome: Outcome) -> None:
    planned = spec().model_copy(update={"values": dict(outcome.last.values)})
    left = unsettled(planned, outcome.last.objects)
    text = file_text(Draft(HEAD, outcome, left, "web", date(2026, 11, 29), registry=REGISTRY))
    assert f"# Images to have at {REGISTRY}: guests/web:2.0.0" in text
    made = parse_package(Layers("packages/guestbook.yaml", text)).spec
    assert list(findings(made, rendered_objects(chart(made.values), made.namespace))) == []
    assert [(one.rule, one.workload, str(one.expires)) for one in made.exceptions] == [(WRITES, "web", "2026-12-29")]
    assert [(grant.kind, grant.names) for grant in made.grants] == [("ClusterRole", ("nodes",))]
    assert [(port.service, port.port, port.protocol, port.name) for port in made.expose] == [("web", 80, "http", None)]
    assert "# Ports of the mesh's proxy, which nobody else has: health:15021" in text
    assert not made.callers
    assert "&id" not in text
    assert f"# security mends: {ROOT} of web" in text


PORTS: list[dict[str, Any]] = [
    {"name": "http", "port": 80, "targetPort": 8080},
    {"name": "https", "port": 443, "targetPort": 8443},
    {"name": "http2-admin", "port": 81, "targetPort": 8081},
    {"name": "grpc-web", "port": 82, "targetPort": 8082},
    {"name": "metrics", "port": 83, "targetPort": "http-metrics"},
    {"name": "a", "port": 84, "targetPort": 8084, "appProtocol": "kubernetes.io/h2c"},
    {"name": "https-tls", "port": 85, "targetPort": "http"},
    {"name": "redis", "port": 86, "targetPort": 8086},
]


def written(made: list[dict[str, Any]], networks: Sequence[str] = (), taken: Any = None) -> tuple[str, PackageSpec]:
    """The file for a chart of these objects, which the program takes."""
    rendered = rendered_objects(made, "guests")
    last = Trial({}, rendered)
    left = unsettled(spec(), rendered, taken or {})
    text = file_text(Draft(HEAD, Outcome((), last, 0), left, "web", date(2026, 11, 29), networks))
    return text, parse_package(Layers("packages/guestbook.yaml", text)).spec


def test_a_port_speaks_what_its_name_says() -> None:
    """By its own name or protocol, else by the name of the port of the pods; one with TLS is forwarded as it is."""
    made = objects()
    front = next(each for each in made if each["kind"] == "Service" and each["metadata"]["name"] == "web")
    front["spec"]["ports"] = PORTS
    made[3]["spec"]["template"]["spec"]["containers"][0]["ports"] = [
        {"name": "http", "containerPort": 8080},
        {"name": "http-metrics", "containerPort": 8083},
    ]
    _, file = written(made)
    spoken = {port.port: port.protocol for port in file.expose if port.service == "web"}
    assert spoken == {
        80: "http",
        443: "tcp",
        81: "http2",
        82: "http",
        83: "http",
        84: "http2",
        85: "tcp",
        86: "tcp",
    }
    assert list(findings(file, rendered_objects(made, "guests"))) == []


def test_a_grant_names_the_namespace_whatever_its_reason_is() -> None:
    """And an object of the same kind and name in the package's own has one of its own."""
    policies: list[dict[str, Any]] = [
        {**role("NetworkPolicy", "open"), "apiVersion": "networking.k8s.io/v1"} for _ in range(2)
    ]
    policies[1]["metadata"] = {"name": "open", "namespace": "kube-system"}
    elsewhere = {**role("Role", "leases"), "metadata": {"name": "leases", "namespace": "kube-system"}}
    made = [*objects(), *policies, elsewhere]
    _, file = written(made)
    assert [(grant.kind, grant.namespace, grant.names) for grant in file.grants] == [
        ("NetworkPolicy", None, ("open",)),
        ("NetworkPolicy", "kube-system", ("open",)),
        ("Role", "kube-system", ("leases",)),
    ]
    assert [key for key, *_ in findings(file, rendered_objects(made, "guests"))] == []


def test_a_port_that_the_api_server_calls_is_opened_to_its_networks() -> None:
    webhook = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "own"},
        "webhooks": [
            {"name": "a.x.org", "clientConfig": {"service": {"namespace": "guests", "name": "web", "port": 80}}}
        ],
    }
    made = [*objects(), webhook]
    text, file = written(made, ["10.0.0.0/24"])
    [port] = file.plaintext_ports
    assert (port.workload, port.port, [str(network) for network in port.cidrs]) == ("web", 8080, ["10.0.0.0/24"])
    assert "the API server calls it by ValidatingWebhookConfiguration own" in port.reason
    assert list(findings(file, rendered_objects(made, "guests"))) == []
    text, file = written(made)
    assert "# Write them under plaintextPorts, with its networks" in text
    assert [key for key, *_ in findings(file, rendered_objects(made, "guests"))] == [("plaintextPorts",)]


def test_what_a_chart_writes_stays_in_its_comment() -> None:
    name = "health\nkubernetesApi: []\x1b[2J\u202e"
    front = service(name, 15021, 15021)
    front["spec"]["selector"] = labels("web")
    text, _ = written([*objects(), front])
    assert "health\\nkubernetesApi: []\\x1b[2J\\u202e" in text
    assert "kubernetesApi" not in yaml.safe_load(text)


def test_what_is_somebody_elses_is_left_out() -> None:
    policy = {"apiVersion": "policies.kyverno.io/v1", "kind": "ValidatingPolicy", "metadata": {"name": "own"}}
    made = [*objects(), policy, role("ClusterRole", "nodes")]
    taken = {("policies.kyverno.io", "ValidatingPolicy", "", "own"): "the platform's rules"}
    _, file = written(made, taken=taken)
    assert [(left.kind, left.name) for left in file.without] == [("ValidatingPolicy", "own")]
    assert [grant.kind for grant in file.grants] == ["ClusterRole"]
    assert list(findings(file, rendered_objects(made, "guests"))) == []


def test_what_the_program_still_refuses_is_told(tmp_path: Path) -> None:
    write(tmp_path, objects(), FILE)
    for name in ("policies", "Pulumi.production.yaml"):
        (tmp_path / name).symlink_to(PROJECT / name)
    options = InitOptions("c", "other", "other", "web", "production", tmp_path, date(2026, 11, 29))
    second = {**FILE, "namespace": "other", "manifests": FOLDER}
    assert problems(options, yaml.safe_dump(second)) == []
    reaching, there = {**second, "kubernetesApi": ["web"]}, {**second, "namespace": "guests"}
    [problem] = problems(options, yaml.safe_dump(reaching))
    assert "kubernetesApi: the stack's apiServerCidrs is empty" in str(problem)
    assert [one.file for one in problems(options, yaml.safe_dump(there))] == ["packages/other.yaml"]
    assert sorted(path.name for path in (tmp_path / "packages").iterdir()) == ["guestbook", "guestbook.yaml"]
