"""What a package file may say, and what it is refused for: by itself, with the stack, and with what its chart has."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.schema.problem import ConfigError
from tests.support.packages import (
    API,
    DAYS,
    FILE,
    Manifest,
    account,
    job,
    objects,
    role,
    service,
    stack_of,
    workload,
    write,
)
from tests.support.stacks import values

pytestmark = pytest.mark.unit

Edit = Callable[[list[Manifest]], Any]


def refused(root: Path, made: list[Manifest], file: Manifest, /, **services: Manifest) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        stack_of(write(root, made, file, **services))
    return [str(problem) for problem in caught.value.problems]


def spec_of(made: list[Manifest], name: str) -> Manifest:
    return next(each for each in made if each["metadata"]["name"] == name and "template" in each.get("spec", {}))[
        "spec"
    ]


def pod_of(made: list[Manifest], name: str) -> Manifest:
    return spec_of(made, name)["template"]["spec"]


def test_a_package_is_read_with_its_objects(tmp_path: Path) -> None:
    [package] = stack_of(write(tmp_path, objects(), FILE)).packages
    assert [workload.name for workload in package.rendered.workloads] == ["migrate", "store", "web"]
    assert str(package.spec.ref) == "guests/guestbook"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"namespace": "istio-system"}, "packages/guestbook.yaml:1: namespace: it is the platform's"),
        ({"manifests": "../elsewhere"}, "manifests: not a folder below packages/"),
        ({"manifests": "packages/none"}, "manifests: no folder of this project with YAML files"),
        ({"chart": {"folder": "packages/guestbook"}}, "chart: write chart or manifests: one of them"),
        ({"values": {"a": 1}}, "values: only a chart has values"),
        ({"unknown": 1}, "unknown: unknown key"),
        ({"calls": ["shop/*"]}, "wildcards are over-broad"),
        ({"expose": [{"service": "web", "port": 80}] * 2}, "expose[1]: it stands there twice"),
        ({"expose": [{"service": "web", "port": 80, "host": "*.x.org"}]}, "expose[0].host: a wildcard host"),
        (
            {"expose": [{"service": "web", "port": 80, "host": "a.x.org", "protocol": "tcp"}]},
            "expose[0].protocol: host needs another",
        ),
        (
            {"expose": [{"service": n, "port": 1, "host": f"{n}.x.org", "name": n} for n in ("a", "b")]},
            "expose: one port of a package has a public host",
        ),
        ({"rateLimit": "none"}, "rateLimit: it needs a host under expose"),
        (
            {"secrets": {"key": {"workload": "web", "from": "shop/api/key"}}},
            "secrets.key.from: a package shares no secret",
        ),
        ({"secrets": {"key": {"workload": "web", "values": {"password": "x"}}}}, "looks like a secret in plaintext"),
        ({"callers": ["shop/api"], "expose": []}, "callers: it needs expose"),
        ({"grants": [{"kind": "ClusterRole", "names": ["*"], **DAYS}]}, "not the full name of an object"),
        ({"grants": [{"kind": "ClusterRole", "names": ["a"]}]}, "grants[0].reason: missing"),
        (
            {"grants": [{"kind": "ClusterRole", "names": ["a"], **DAYS, "expires": "2027-06-01"}]},
            "grants[0].expires: 212 days, 90 at most after granted 2026-11-01",
        ),
        (
            {"exceptions": [{"rule": "nothing", "workload": "web", **DAYS}]},
            "exceptions[0].rule: no validating rule of policies/ is called 'nothing'",
        ),
        ({"chart": {"name": "a"}, "manifests": None}, "chart.repository: missing: a chart has name, repository"),
        (
            {"chart": {"folder": "packages/guestbook", "version": "1.0.0"}, "manifests": None},
            "chart.version: the chart is in a folder: keep one",
        ),
        (
            {
                "chart": {"folder": "packages/guestbook"},
                "manifests": None,
                "values": {"env": ["postgres://user:pass@db/x"]},
            },
            "values.env[0]: it looks like a password in an address",
        ),
    ],
)
def test_what_no_package_may_say(tmp_path: Path, changes: Manifest, problem: str) -> None:
    file = {key: value for key, value in {**FILE, **changes}.items() if value is not None}
    problems = refused(tmp_path, objects(), file)
    assert any(problem in line for line in problems), problems


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            {"expose": [{"service": "front", "port": 80}]},
            "expose[0].service: no Service of the chart, found 'front'; legal: store, web",
        ),
        ({"expose": [{"service": "web", "port": 81}]}, "expose[0].port: it has no such TCP port, found 81; legal: 80"),
        (
            {"between": [{"workloads": ["wep"], "service": "store", "port": 6379}]},
            "between[0].workloads[0]: no workload of the chart, found 'wep'; legal: migrate, store, web",
        ),
        (
            {"egress": [{"host": "pay.example.org", "port": 443}]},
            "egress[0].workloads: missing: the chart has 3 workloads",
        ),
        (
            {"exceptions": [{"rule": "require-probes", "workload": "wep", **DAYS}]},
            "exceptions[0].workload: no workload of the chart",
        ),
        (
            {"without": [{"kind": "Job", "name": "none"}]},
            "without[0].name: the chart brings no Job of that name, found 'none'; legal: migrate",
        ),
        (
            {"grants": [{"kind": "ClusterRole", "names": ["a"], **DAYS}]},
            "grants[0].names[0]: the chart brings no ClusterRole of that name",
        ),
        (
            {"secrets": {"key": {"workload": "wep", "generate": ["value"]}}},
            "secrets.key.workload: no workload of the chart",
        ),
        ({"kubernetesApi": ["web"]}, "kubernetesApi: the stack's apiServerCidrs is empty"),
    ],
)
def test_what_the_file_names_is_there(tmp_path: Path, changes: Manifest, problem: str) -> None:
    [line] = refused(tmp_path, objects(), {**FILE, **changes})
    assert problem in line


def _set(name: str, **values: Any) -> Edit:
    return lambda made: pod_of(made, name).update(values)


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        (_set("web", serviceAccountName="default"), "values: web runs as an account that every pod"),
        (_set("web", serviceAccountName="other"), "values: web runs as an account that the chart does not bring"),
        (_set("web", hostNetwork=True), "exceptions: web shares its node's network"),
        (_set("migrate", hostPID=True), "exceptions: migrate shares its node's network or processes"),
        (lambda made: made.append(workload("DaemonSet", "web")), "chart: two workloads have the name web"),
        (lambda made: made.append(account("web")), "chart: it renders ServiceAccount web in guests twice"),
        (
            lambda made: made.append({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "guests"}}),
            "without: it brings the Namespace guests",
        ),
        (
            lambda made: made.append(job("bye", **{"helm.sh/hook": "pre-delete"})),
            "without: it brings Job bye as a hook of pre-delete",
        ),
        (
            lambda made: spec_of(made, "web")["template"]["metadata"].update(labels={"a": "b"}),
            "expose[0].service: no workload of the chart has the labels that it selects",
        ),
        (
            lambda made: pod_of(made, "web")["containers"][0].update(ports=[]),
            "expose[0].port: it leads to the port http, which no container of web has",
        ),
        (
            lambda made: pod_of(made, "web")["containers"][0].update(ports=[{"name": "http", "containerPort": 15006}]),
            "it leads to port 15006 of web",
        ),
    ],
)
def test_what_the_chart_brings_would_work(tmp_path: Path, edit: Edit, problem: str) -> None:
    made = copy.deepcopy(objects())
    edit(made)
    problems = refused(tmp_path, made, FILE)
    assert any(problem in line for line in problems), problems


def _object(version: str, kind: str, **more: Any) -> Manifest:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "x"}, **more}


BEYOND = [
    (
        role("ClusterRole", "x", {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}),
        "it holds for the whole cluster",
    ),
    (_object("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"), "it holds for the whole cluster"),
    (_object("apiextensions.k8s.io/v1", "CustomResourceDefinition"), "it holds for the whole cluster"),
    (_object("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration"), "it holds for the whole cluster"),
    (_object("admissionregistration.k8s.io/v1", "MutatingAdmissionPolicy"), "it holds for the whole cluster"),
    (_object("networking.k8s.io/v1", "NetworkPolicy"), "network policies add up"),
    (_object("networking.k8s.io/v1", "Ingress"), "it would be public past the gateway"),
    (_object("gateway.networking.k8s.io/v1", "HTTPRoute"), "it would be public at a host"),
    (_object("gateway.networking.k8s.io/v1", "Gateway"), "it changes what the gateway serves"),
    (_object("networking.istio.io/v1", "Sidecar"), "it changes what the mesh holds"),
    (_object("security.istio.io/v1", "AuthorizationPolicy"), "it changes what the mesh holds"),
    (_object("kyverno.io/v1", "ClusterPolicy"), "it changes what the rules hold"),
    (_object("monitoring.coreos.com/v1", "ServiceMonitor"), "a kind that no package brings by itself"),
    (_object("v1", "Secret", data={"password": "eA=="}), "its password would stand in the repository"),
    (_object("v1", "Secret", type="kubernetes.io/service-account-token"), "it holds a token that never ends"),
    (
        role("Role", "x", {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}),
        "get secrets may lead to more",
    ),
    (role("Role", "x", {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}), "* *.* may lead to more"),
    (
        _object("rbac.authorization.k8s.io/v1", "RoleBinding", roleRef={"kind": "ClusterRole", "name": "admin"}),
        "it gives the rights of the ClusterRole admin",
    ),
    (
        _object(
            "rbac.authorization.k8s.io/v1",
            "RoleBinding",
            roleRef={"kind": "Role", "name": "a"},
            subjects=[{"kind": "Group", "name": "system:authenticated"}],
        ),
        "it gives rights to the Group system:authenticated",
    ),
    (
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "kube-system"}},
        "it is in the namespace kube-system",
    ),
]


@pytest.mark.parametrize(("extra", "why"), BEYOND, ids=[each["kind"] for each, _ in BEYOND])
def test_what_reaches_beyond_the_package_takes_a_grant(tmp_path: Path, extra: Manifest, why: str) -> None:
    [line] = refused(tmp_path, [*objects(), extra], FILE)
    assert "grants: the chart brings" in line
    assert why in line
    grant = {"kind": extra["kind"], "names": ["x"], **DAYS}
    if elsewhere := extra["metadata"].get("namespace"):
        grant["namespace"] = elsewhere
    assert stack_of(write(tmp_path, [*objects(), extra], {**FILE, "grants": [grant]})).packages
    left = {**FILE, "without": [{"kind": extra["kind"], "name": "x"}]}
    [package] = stack_of(write(tmp_path, [*objects(), extra], left)).packages
    assert len(package.rendered.objects) == len(objects())


NEVER = [
    (_object("policies.kyverno.io/v1", "PolicyException"), "exceptions stand in the package's file"),
    (_object("v1", "Service", spec={"type": "LoadBalancer"}), "of type LoadBalancer it would be open past the gateway"),
    (_object("v1", "Service", spec={"type": "ExternalName"}), "of type ExternalName it would be open past the gateway"),
    (_object("v1", "Service", spec={"externalIPs": ["10.0.0.1"]}), "it has addresses outside"),
]


@pytest.mark.parametrize(("extra", "why"), NEVER)
def test_what_admission_refuses_takes_no_grant(tmp_path: Path, extra: Manifest, why: str) -> None:
    """No exception of a package is for a Service, and none counts in its namespace: the update would end half-way."""
    [line] = refused(tmp_path, [*objects(), extra], FILE)
    assert f"values: the chart brings {extra['kind']} x, and {why}" in line
    granted = {**FILE, "grants": [{"kind": extra["kind"], "names": ["x"], **DAYS}]}
    problems = refused(tmp_path, [*objects(), extra], granted)
    assert any(why in problem for problem in problems)
    left = {**FILE, "without": [{"kind": extra["kind"], "name": "x"}]}
    assert stack_of(write(tmp_path, [*objects(), extra], left)).packages


def test_a_kind_that_the_chart_defines_for_the_cluster_is_in_no_namespace(tmp_path: Path) -> None:
    names = {"kind": "Realm", "plural": "realms"}
    defined = _object("apiextensions.k8s.io/v1", "CustomResourceDefinition", spec={"names": names, "scope": "Cluster"})
    realm = {"apiVersion": "x.org/v1", "kind": "Realm", "metadata": {"name": "x", "namespace": "guests"}}
    grant = {"kind": "CustomResourceDefinition", "names": ["x"], **DAYS}
    [line] = refused(tmp_path, [*objects(), defined, realm], {**FILE, "grants": [grant]})
    assert "the chart brings Realm x, and it holds for the whole cluster" in line
    granted = {**FILE, "grants": [grant, {"kind": "Realm", "names": ["x"], **DAYS}]}
    [package] = stack_of(write(tmp_path, [*objects(), defined, realm], granted)).packages
    assert {each.kind: each.namespace for each in package.rendered.objects}["Realm"] == ""


def test_no_package_brings_a_rule_of_the_platforms(tmp_path: Path) -> None:
    """It would be applied over it: a chart's audit in place of a denial."""
    policy = _object("policies.kyverno.io/v1", "ValidatingPolicy")
    policy["metadata"] = {"name": "disallow-privileged"}
    grant = {"kind": "ValidatingPolicy", "names": ["disallow-privileged"], **DAYS}
    [line] = refused(tmp_path, [*objects(), policy], {**FILE, "grants": [grant]})
    assert "without: it brings ValidatingPolicy disallow-privileged, which is one of the platform's rules" in line
    left = {**FILE, "without": [{"kind": "ValidatingPolicy", "name": "disallow-privileged"}]}
    assert stack_of(write(tmp_path, [*objects(), policy], left)).packages


def test_two_packages_bring_no_object_together(tmp_path: Path) -> None:
    nodes = role("ClusterRole", "nodes")
    granted = {**FILE, "grants": [{"kind": "ClusterRole", "names": ["nodes"], **DAYS}]}
    write(tmp_path, [*objects(), nodes], {**granted, "namespace": "books"})
    (tmp_path / "packages" / "guestbook.yaml").rename(tmp_path / "packages" / "library.yaml")
    [line] = refused(tmp_path, [*objects(), nodes], granted)
    assert "it brings ClusterRole nodes, which is one of packages/library.yaml" in line


@pytest.mark.parametrize(
    "extra",
    [
        role("Role", "x", {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch"]}),
        role(
            "Role", "x", {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create", "update"]}
        ),
        _object("v1", "Secret"),
        _object("v1", "ConfigMap", data={"a": "b"}),
    ],
)
def test_what_stays_in_the_package_takes_none(tmp_path: Path, extra: Manifest) -> None:
    assert stack_of(write(tmp_path, [*objects(), extra], FILE)).packages


def test_both_ends_agree_between_services_and_packages(tmp_path: Path) -> None:
    calls = {**API, "calls": ["guests/guestbook"]}
    [line] = refused(tmp_path, objects(), FILE, api=calls)
    assert "packages/guestbook.yaml" in line
    assert "callers: shop/api calls it, and it does not agree" in line
    assert stack_of(write(tmp_path, objects(), {**FILE, "callers": ["shop/api"]}, api=calls)).packages
    back = {**FILE, "calls": [{"service": "shop/api", "workloads": ["web"]}]}
    [line] = refused(tmp_path, objects(), back, api=API)
    assert "services/api.yaml:1: callers: guests/guestbook calls it" in line
    agreed = {**API, "callers": ["guests/guestbook"]}
    assert stack_of(write(tmp_path, objects(), back, api=agreed)).packages


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        ("guests/other", "calls: no such service, found 'guests/other'; legal: guests/guestbook"),
        ("guests/guestbook:admin", "calls[0]: no such port of this service, found 'guests/guestbook:admin'"),
    ],
)
def test_a_call_leads_to_a_port_of_a_package(tmp_path: Path, call: str, problem: str) -> None:
    problems = refused(tmp_path, objects(), {**FILE, "callers": ["shop/api"]}, api={**API, "calls": [call]})
    assert any(problem in line for line in problems), problems


def test_a_package_has_its_namespace_alone(tmp_path: Path) -> None:
    [line] = refused(tmp_path, objects(), FILE, api={**API, "namespace": "guests"})
    assert "namespace: services have it" in line


def test_a_public_host_is_that_of_one(tmp_path: Path) -> None:
    public = {**FILE, "expose": [{"service": "web", "port": 80, "host": "api.example.org"}]}
    [line] = refused(tmp_path, objects(), public, api={**API, "host": "api.example.org"})
    assert "packages/guestbook.yaml:4: expose: the service shop/api has this host already" in line


def test_the_domain_of_a_host_is_that_of_the_stack(tmp_path: Path) -> None:
    write(tmp_path, objects(), {**FILE, "expose": [{"service": "web", "port": 80, "host": "guests.{domain}"}]})
    with pytest.raises(ConfigError, match=r"expose\[0\]\.host: the stack has no domain"):
        stack_of(tmp_path)
    ingress = {**values("production")["ingress"], "domain": "example.net"}
    assert stack_of(tmp_path, ingress=ingress).packages[0].spec.hosts == ("guests.example.net",)


def test_secrets_are_brought_by_vaults_agent_alone(tmp_path: Path) -> None:
    write(tmp_path, objects(), {**FILE, "secrets": {"key": {"workload": "web", "generate": ["value"]}}})
    assert stack_of(tmp_path).packages
    with pytest.raises(ConfigError, match=r"secrets: Vault's agent brings them to the pods of a chart, and none runs"):
        stack_of(tmp_path, "local")


def test_the_agent_runs_as_a_user_that_the_chart_names(tmp_path: Path) -> None:
    made = copy.deepcopy(objects())
    del pod_of(made, "web")["containers"][0]["securityContext"]["runAsUser"]
    [line] = refused(tmp_path, made, {**FILE, "secrets": {"key": {"workload": "web", "generate": ["value"]}}})
    assert "secrets.key.workload: Vault's agent runs as the user of its first container" in line


def test_a_stack_lies_over_a_package(tmp_path: Path) -> None:
    write(tmp_path, objects(), FILE)
    (tmp_path / "Pulumi.production.yaml").touch()
    (tmp_path / "packages" / "guestbook.production.yaml").write_text("expose: [{service: nobody, port: 80}]\n")
    with pytest.raises(ConfigError, match=r"packages/guestbook\.production\.yaml:1: expose\[0\]\.service: no Service"):
        stack_of(tmp_path)
    assert stack_of(tmp_path, "staging").packages


def test_a_role_that_only_reads_what_view_reads_is_not_enough_for_another_namespace(tmp_path: Path) -> None:
    elsewhere = service("dns", 53, 53)
    elsewhere["metadata"]["namespace"] = "kube-system"
    [line] = refused(tmp_path, [*objects(), elsewhere], FILE)
    assert "Service dns in kube-system, and it is in the namespace kube-system" in line
