"""The supervisor's decisions, without any process of it."""

import asyncio
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from embedded.paths import State
from embedded.supervisor import simulation
from embedded.supervisor.container import (
    MissingReferenceError,
    arguments_of,
    environment_of,
    expand,
    field_of,
    resource_of,
)
from embedded.supervisor.controllers import CONTROLLERS, Controller
from embedded.supervisor.egress import EgressProxy, parse_connect
from embedded.supervisor.hook_jobs import HOOK_JOBS
from embedded.supervisor.overlay import write_overlay
from embedded.supervisor.ports import add_ports, choose_ports, is_free, load_ports
from embedded.supervisor.service_routes import ServiceRoutes

pytestmark = pytest.mark.unit

POD: dict[str, Any] = {
    "metadata": {"name": "kyverno-0", "namespace": "kyverno", "uid": "u", "labels": {"a": "b"}},
    "spec": {"serviceAccountName": "sa", "nodeName": "node-a"},
}


class FakeApi:
    """Objects and lists by their path."""

    def __init__(self, **objects: Any) -> None:
        self.objects = objects

    def find(self, path: str) -> Any:
        return self.objects.get(path.rsplit("/", maxsplit=1)[-1])

    def list(self, path: str) -> Any:
        return self.objects.get(path.rsplit("/", maxsplit=1)[-1], [])


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# Ports


def test_ports_are_kept_between_starts(tmp_path: Path) -> None:
    first = choose_ports(tmp_path / "ports.json", ["a", "b"])
    assert choose_ports(tmp_path / "ports.json", ["a", "b"]) == first
    assert len(set(first.values())) == 2


def test_a_port_that_another_program_took_is_replaced(tmp_path: Path) -> None:
    import socket

    first = choose_ports(tmp_path / "ports.json", ["a", "b"])
    # As a server does: the port may still have a closed connection of another control plane.
    with socket.create_server(("127.0.0.1", first["a"])):
        assert not is_free(first["a"])
        second = choose_ports(tmp_path / "ports.json", ["a", "b"], patience_seconds=0)
    assert second["a"] != first["a"]
    assert second["b"] == first["b"]


def test_another_supervisor_chooses_none_of_them_though_nobody_listens_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [str(number) for number in range(60)]
    first = choose_ports(tmp_path / "ports.json", names)
    (tmp_path / "other.json").write_text(json.dumps(first))
    with monkeypatch.context() as patched:
        # What another process has: it holds no lock yet.
        patched.setattr("embedded.supervisor.ports._HELD", [])
        other = choose_ports(tmp_path / "other.json", names)
    assert not {*first.values()} & {*other.values()}
    assert choose_ports(tmp_path / "ports.json", names) == first


def test_a_port_that_is_needed_later_is_none_that_is_taken_and_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "ports.json"
    chosen = choose_ports(path, ["a"])
    before = dict(chosen)
    add_ports(path, chosen, ["a", "b"])
    assert chosen["a"] == before["a"] != chosen["b"]
    assert load_ports(path) == chosen


# A container's arguments and environment


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("--ns=$(NS)", "--ns=kyverno"),
        ("$(UNKNOWN)", "$(UNKNOWN)"),
        ("$$(NS)", "$(NS)"),
        ("$(NS)-$(NS)", "kyverno-kyverno"),
        ("plain", "plain"),
    ],
)
def test_references_are_expanded_as_kubernetes_does(text: str, expected: str) -> None:
    assert expand(text, {"NS": "kyverno"}) == expected


@given(st.text(alphabet=st.characters(blacklist_characters="$")))
def test_text_without_a_reference_is_left_alone(text: str) -> None:
    assert expand(text, {"A": "b"}) == text


def test_the_environment_is_filled_in_from_every_source() -> None:
    container = {
        "args": ["--cluster-resource-namespace=$(POD_NAMESPACE)"],
        "envFrom": [{"prefix": "P_", "configMapRef": {"name": "settings"}}],
        "env": [
            {"name": "POD_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
            {"name": "COMBINED", "value": "$(POD_NAMESPACE)/$(P_level)"},
            {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "creds", "key": "password"}}},
            {"name": "ABSENT", "valueFrom": {"configMapKeyRef": {"name": "none", "key": "x", "optional": True}}},
        ],
    }
    api: Any = FakeApi(settings={"data": {"level": "info"}}, creds={"data": {"password": "aHVudGVyMg=="}})
    environment = environment_of(container, POD, api)
    assert environment == {
        "P_level": "info",
        "POD_NAMESPACE": "kyverno",
        "COMBINED": "kyverno/info",
        "PASSWORD": "hunter2",
    }
    assert arguments_of(container, environment) == ["--cluster-resource-namespace=kyverno"]


def test_a_required_reference_that_is_absent_is_named() -> None:
    container = {"env": [{"name": "X", "valueFrom": {"configMapKeyRef": {"name": "gone", "key": "x"}}}]}
    api: Any = FakeApi()
    with pytest.raises(MissingReferenceError, match="configmaps kyverno/gone does not exist"):
        environment_of(container, POD, api)


def test_pod_fields_and_addresses() -> None:
    assert field_of(POD, "metadata.name") == "kyverno-0"
    assert field_of(POD, "spec.serviceAccountName") == "sa"
    assert field_of(POD, "metadata.labels['a']") == "b"
    assert field_of(POD, "status.podIP") == "127.0.0.1"


def test_resource_fields_round_up_and_fall_back_to_the_host() -> None:
    container = {"resources": {"limits": {"cpu": "1500m"}}}
    assert resource_of(container, {"resource": "limits.cpu", "divisor": "1"}) == "2"
    assert resource_of({}, {"resource": "limits.cpu", "divisor": "0"}) == str(os.cpu_count())
    for limit, divisor, units in (
        ("1001m", "1m", 1001),
        ("2Gi", "1Mi", 2048),
        ("1e3", "1", 1000),
        ("1Pi", "1Ti", 1024),
    ):
        container = {"resources": {"limits": {"memory": limit}}}
        assert resource_of(container, {"resource": "limits.memory", "divisor": divisor}) == str(units), limit


# Controllers


def deployment(controller: Controller) -> dict[str, Any]:
    ports = [
        {
            "name": name if isinstance(name, str) else f"p{name}",
            "containerPort": name if isinstance(name, int) else 9443,
        }
        for name in controller.serves
    ]
    container = {"name": controller.container, "ports": ports}
    template = {"metadata": {"labels": dict(controller.labels)}, "spec": {"containers": [container]}}
    metadata = {"name": controller.name, "namespace": controller.namespace}
    selector = {"matchLabels": dict(controller.labels)}
    return {"metadata": metadata, "spec": {"selector": selector, "template": template}}


@pytest.mark.parametrize("controller", CONTROLLERS, ids=lambda controller: controller.name)
def test_each_deployment_is_known_as_one_controller(controller: Controller) -> None:
    found = deployment(controller)
    assert [other for other in CONTROLLERS if other.deploys(found)] == [controller]
    found["metadata"]["namespace"] = "shop"
    assert not [other for other in CONTROLLERS if other.deploys(found)]


@pytest.mark.parametrize("controller", CONTROLLERS, ids=lambda controller: controller.name)
def test_every_override_can_be_filled_in_and_listens_on_loopback(controller: Controller) -> None:
    values: dict[str, Any] = {
        "kubeconfig": "/k",
        "directory": "/d",
        "challenges": 19999,
        "suffix": "",
        **{name: 20000 + i for i, name in enumerate(controller.ports)},
    }
    for argument in (*controller.arguments, *controller.environment.values()):
        filled = argument.format_map(values)
        assert "0.0.0" not in filled
        assert "=:" not in filled
    assert set(controller.serves.values()) | {controller.health.port} <= set(controller.ports)


def test_a_bare_pod_with_a_controllers_labels_is_not_the_controllers() -> None:
    istiod = next(controller for controller in CONTROLLERS if controller.name == "istiod")
    pod: dict[str, Any] = {"metadata": {"namespace": "istio-system", "labels": {"app": "istiod"}}}
    assert not istiod.owns(pod)
    pod["metadata"]["ownerReferences"] = [{"kind": "ReplicaSet"}]
    assert istiod.owns(pod)


def revisions() -> dict[str, dict[str, Any]]:
    """The Deployments of two istiods, as their chart labels them."""
    istiod = next(controller for controller in CONTROLLERS if controller.name == "istiod")
    found = {name: deployment(istiod) for name in ("istiod", "istiod-1-31-0")}
    own = {"istiod": {"istio": "pilot"}, "istiod-1-31-0": {"app": "istiod", "istio.io/rev": "1-31-0"}}
    for name, made in found.items():
        made["metadata"]["name"] = name
        made["spec"]["selector"]["matchLabels"] = own[name]
        made["spec"]["template"]["metadata"]["labels"] = {"app": "istiod", "istio": "istiod", **own[name]}
    return found


def test_each_revision_of_istiod_has_its_own_pods_ports_and_mesh_configuration() -> None:
    istiod = next(controller for controller in CONTROLLERS if controller.name == "istiod")
    made = {name: istiod.of(found) for name, found in revisions().items()}
    assert {name: controller.name for name, controller in made.items()} == {name: name for name in made}
    assert {name: controller.suffix for name, controller in made.items()} == {"istiod": "", "istiod-1-31-0": "-1-31-0"}
    assert not {*made["istiod"].port_names} & {*made["istiod-1-31-0"].port_names}
    for name, found in revisions().items():
        labels = found["spec"]["template"]["metadata"]["labels"]
        pod = {"metadata": {"namespace": "istio-system", "labels": labels, "ownerReferences": [{"kind": "ReplicaSet"}]}}
        assert [other for other, controller in made.items() if controller.owns(pod)] == [name]


# Simulation


def test_only_announced_controller_pods_become_ready() -> None:
    stages = {stage["metadata"]["name"]: stage["spec"] for stage in simulation.stages()}
    ordinary = json.dumps(stages["pod-ready"]["selector"])
    of_controller = json.dumps(stages["controller-ready"]["selector"])
    assert "embedded.zero-trust.dev/ready" in of_controller
    assert "embedded.zero-trust.dev/ready" not in ordinary
    for controller in CONTROLLERS:
        assert controller.namespace in ordinary
        assert all(value in ordinary for value in controller.labels.values())


def test_hook_jobs_complete_only_when_announced() -> None:
    stages = {stage["metadata"]["name"]: stage["spec"] for stage in simulation.stages()}
    assert "embedded.zero-trust.dev/ready" in json.dumps(stages["hook-complete"]["selector"])
    for hook in HOOK_JOBS:
        assert hook.argument in json.dumps(stages["pod-complete"]["selector"])


def test_a_pod_keeps_the_address_it_has() -> None:
    for stage in simulation.stages():
        template = stage["spec"]["next"].get("statusTemplate", "")
        if "PodIPsWith" in template:
            assert template.index("if not .status.podIP") < template.index("PodIPsWith")


# Egress


@pytest.mark.parametrize(
    ("request_line", "expected"),
    [(b"CONNECT 10.96.1.2:443 HTTP/1.1", ("10.96.1.2", 443)), (b"CONNECT [::1]:443 HTTP/1.1", ("::1", 443))],
)
def test_connect_requests_are_parsed(request_line: bytes, expected: tuple[str, int]) -> None:
    assert parse_connect(request_line + b"\r\nHost: x\r\n\r\n") == expected


@pytest.mark.parametrize("request_line", [b"GET / HTTP/1.1", b"CONNECT nohost HTTP/1.1"])
def test_other_requests_are_refused(request_line: bytes) -> None:
    with pytest.raises(ValueError, match="not a CONNECT request"):
        parse_connect(request_line + b"\r\n\r\n")


def test_the_proxy_refuses_what_no_process_implements(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    async def ask() -> bytes:
        proxy = EgressProxy(Path("egress.sock"), lambda _host, _port: None)
        await proxy.start()
        reader, writer = await asyncio.open_unix_connection("egress.sock")
        writer.write(b"CONNECT 10.96.0.9:443 HTTP/1.1\r\n\r\n")
        answer = await reader.read()
        writer.close()
        await proxy.stop()
        return answer

    assert asyncio.run(ask()).startswith(b"HTTP/1.1 403")


def services(target: object) -> dict[str, Any]:
    kyverno = next(controller for controller in CONTROLLERS if controller.serves == {"https": "https"})
    spec = {"clusterIP": "10.96.1.2", "selector": dict(kyverno.labels), "ports": [{"port": 443, "targetPort": target}]}
    service = {"metadata": {"name": "kyverno-svc", "namespace": "kyverno"}, "spec": spec}
    return {"services": [service], "deployments": [deployment(kyverno)]}


@pytest.mark.parametrize("target", ["https", 9443])
@pytest.mark.parametrize("host", ["10.96.1.2", "kyverno-svc.kyverno.svc"])
def test_a_service_leads_to_its_host_process(host: str, target: object) -> None:
    api: Any = FakeApi(**services(target))
    routes = ServiceRoutes(api, {"kyverno-admission-controller.https": 21000})
    assert routes.resolve(host, 443) == 21000
    assert routes.resolve(host, 8443) is None
    assert routes.resolve("10.96.9.9", 443) is None


@pytest.mark.parametrize(("port", "found"), [("istiod", 21001), ("istiod-1-31-0", 21002)])
def test_the_service_of_a_revision_leads_to_that_ones_process(port: str, found: int) -> None:
    made = revisions()
    spec = {"selector": made[port]["spec"]["selector"]["matchLabels"], "ports": [{"port": 443, "targetPort": 15017}]}
    service = {"metadata": {"name": port, "namespace": "istio-system"}, "spec": spec}
    api: Any = FakeApi(services=[service], deployments=[*made.values()])
    host = f"{port}.istio-system.svc"
    assert ServiceRoutes(api, {"istiod.https": 21001, "istiod-1-31-0.https": 21002}).resolve(host, 443) == found
    assert ServiceRoutes(api, {}).resolve(host, 443) is None, "it has not been started yet"


# Vault


def test_the_overlay_says_only_where_things_are(tmp_path: Path) -> None:
    state = State(tmp_path).create()
    state.ports.write_text(json.dumps({"vault": 20001, "kube-apiserver": 20002}))
    write_overlay(state, Path("/charts"))
    overlay = yaml.safe_load(state.overlay.read_text())
    assert set(overlay) == {"vault", "charts"}
    assert set(overlay["vault"]) == {
        "address",
        "caCertFile",
        "login",
        "deployersCaCertFile",
        "kubernetesHost",
        "auditDirectory",
    }
    assert overlay["vault"]["address"] == "https://127.0.0.1:20001"
    assert set(overlay["vault"]["login"]) == {"method", "certFile", "keyFile", "role"}
    assert mode(state.overlay) == 0o600
