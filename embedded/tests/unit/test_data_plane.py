"""What a pod of the mesh would run, worked out from the pod; and what is asked of the machine first."""

import os
from pathlib import Path
from typing import Any, cast

import pytest

from embedded.data_plane import machine, proxy
from embedded.data_plane.applications import application_program
from embedded.data_plane.errors import DataPlaneError
from embedded.data_plane.namespaces import NetworkNamespace
from embedded.paths import State
from embedded.supervisor.control_plane import ControlPlane, ControlPlaneError
from embedded.supervisor.controllers import CONTROLLERS
from embedded.supervisor.features import WANTED
from embedded.supervisor.kubernetes_api import KubernetesApi
from embedded.supervisor.layout import Layout
from embedded.supervisor.pki import Pki
from embedded.supervisor.private_files import write_private_json

pytestmark = pytest.mark.unit

RULES = ["istio-iptables", "-p", "15001", "-o", "8200", "--run-validation", "--skip-rule-apply"]


class FakeApi:
    """One ConfigMap, and tokens that say what they were asked for."""

    def __init__(self, root: str | None = "ROOT") -> None:
        self.root = root

    def find(self, path: str) -> Any:
        assert path == "/api/v1/namespaces/shop/configmaps/istio-ca-root-cert"
        return self.root and {"data": {"root-cert.pem": self.root}}

    def service_account_token(self, *request: Any) -> str:
        return repr(request)


class FakeNamespace:
    """Records what is run in it."""

    enter = ("enter", "--")

    def __init__(self) -> None:
        self.commands: list[tuple[str, ...]] = []

    def run(self, command: tuple[str, ...], environment: dict[str, str]) -> None:
        assert environment == {"PATH": "/with/iptables"}
        self.commands.append(command)


def pod(image: str = "registry.example.org/shop/api:v1", **port: Any) -> dict[str, Any]:
    application = {"name": "api", "image": image, "ports": [port] if port else []}
    sidecar = {"name": proxy.CONTAINER, "image": "proxyv2", "args": ["proxy", "sidecar"]}
    return {
        "metadata": {"name": "api-1", "namespace": "shop", "uid": "u1", "labels": {"app": "api"}},
        "spec": {
            "serviceAccountName": "api",
            "initContainers": [{"name": "istio-validation", "args": RULES}, sidecar],
            "containers": [application],
        },
        "status": {"podIP": "10.244.0.5"},
    }


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    state = State(tmp_path / "state").create()
    return Layout(state, tmp_path / "tools", {}, Pki(state.pki))


@pytest.fixture
def namespace(monkeypatch: pytest.MonkeyPatch) -> FakeNamespace:
    monkeypatch.setattr(proxy, "iptables_environment", lambda: {"PATH": "/with/iptables"})
    monkeypatch.setattr(os, "chown", lambda *_: None)
    return FakeNamespace()


def as_namespace(fake: FakeNamespace) -> NetworkNamespace:
    return cast("NetworkNamespace", fake)


def as_api(fake: FakeApi) -> KubernetesApi:
    return cast("KubernetesApi", fake)


def test_the_proxy_is_a_sidecar_a_gateway_or_absent() -> None:
    assert proxy.proxy_container(pod())
    gateway = {"spec": {"containers": [{"name": proxy.CONTAINER}]}}
    assert proxy.proxy_container(gateway)
    assert proxy.proxy_container({"spec": {"containers": [{"name": "api"}]}}) is None


@pytest.mark.parametrize(("revision", "name"), [("default", "istiod"), ("1-31-0", "istiod-1-31-0")])
def test_a_proxy_knows_the_istiod_of_its_own_revision(revision: str, name: str) -> None:
    made = pod()
    assert proxy.istiod_of(made) == "istiod"
    made["metadata"]["annotations"] = {"istio.io/rev": revision}
    assert proxy.istiod_of(made) == name


def test_connections_are_redirected_by_the_injected_rules_which_are_applied_and_not_only_checked(
    layout: Layout, namespace: FakeNamespace
) -> None:
    proxy.redirect_connections(pod(), layout, as_namespace(namespace))
    assert namespace.commands == [(layout.tool("pilot-agent"), "istio-iptables", "-p", "15001", "-o", "8200")]


def test_a_gateway_is_not_redirected(layout: Layout, namespace: FakeNamespace) -> None:
    gateway = {"spec": {"containers": [{"name": proxy.CONTAINER}]}}
    proxy.redirect_connections(gateway, layout, as_namespace(namespace))
    assert namespace.commands == []


def test_a_container_finds_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, namespace: FakeNamespace) -> None:
    template = tmp_path / "istio" / "tools/packaging/common/envoy_bootstrap.json"
    template.parent.mkdir(parents=True)
    template.write_text("TEMPLATE")
    monkeypatch.setattr(proxy, "module_dir", lambda _: tmp_path / "istio")
    proxy.lay_out(pod(), as_api(FakeApi()), tmp_path / "pod")
    files = {
        str(path.relative_to(tmp_path / "pod")): path.read_text()
        for path in (tmp_path / "pod").rglob("*")
        if path.is_file()
    }
    bound = {"apiVersion": "v1", "kind": "Pod", "name": "api-1", "uid": "u1"}
    assert files == {
        "etc/hosts": "127.0.0.1 localhost\n169.254.1.1 istiod.istio-system.svc\n",
        "etc/istio/pod/annotations": "",
        "etc/istio/pod/labels": 'app="api"\n',
        "var/lib/istio/envoy/envoy_bootstrap_tmpl.json": "TEMPLATE",
        "var/run/secrets/istio/root-cert.pem": "ROOT",
        "var/run/secrets/tokens/istio-token": repr(("shop", "api", 43200, "istio-ca", bound)),
    }


def test_a_namespace_without_the_roots_certificate_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, namespace: FakeNamespace
) -> None:
    template = tmp_path / "tools/packaging/common/envoy_bootstrap.json"
    template.parent.mkdir(parents=True)
    template.write_text("")
    monkeypatch.setattr(proxy, "module_dir", lambda _: tmp_path)
    with pytest.raises(DataPlaneError, match="shop/istio-ca-root-cert"):
        proxy.lay_out(pod(), as_api(FakeApi(root=None)), tmp_path / "pod")


@pytest.mark.parametrize(
    ("port", "words"),
    [
        ({"name": "http", "containerPort": 8080}, ["http", "8080"]),
        ({"name": "http-metrics", "containerPort": 9090}, ["http", "9090"]),
        ({"name": "tcp", "containerPort": 6379}, ["tcp", "6379"]),
        ({"containerPort": 6379}, ["tcp", "6379"]),
    ],
)
def test_an_application_serves_the_protocol_of_its_port(
    layout: Layout, namespace: FakeNamespace, port: dict[str, Any], words: list[str]
) -> None:
    program = application_program("shop.api-1", pod(**port), layout, as_namespace(namespace))
    assert program
    assert program.arguments[:2] == namespace.enter
    assert list(program.arguments[-3:-1]) == words


def test_a_pod_without_a_port_only_calls_others(layout: Layout, namespace: FakeNamespace) -> None:
    assert application_program("shop.api-1", pod(), layout, as_namespace(namespace)) is None


@pytest.mark.parametrize("image", ["registry.example.org/shop/postgres:17.6", "host:5000/postgres@sha256:00"])
def test_the_image_of_postgresql_is_postgresql(layout: Layout, namespace: FakeNamespace, image: str) -> None:
    data = layout.state.postgres / "pod-shop" / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("15")
    program = application_program("shop.pg-1", pod(image, containerPort=5432), layout, as_namespace(namespace))
    assert program
    assert str(data) in program.arguments
    assert "listen_addresses=*" in program.arguments


def test_only_istiod_changes_for_the_stock_envoy_and_only_by_what_it_lacks() -> None:
    changed = [controller for controller in CONTROLLERS if controller.for_stock_envoy() != controller]
    assert [controller.name for controller in changed] == ["istiod"]
    [istiod] = changed
    added = istiod.for_stock_envoy()
    assert added.environment.items() - istiod.environment.items() == {
        ("SHARED_MESH_CONFIG", "istio{suffix}"),
        ("PILOT_ENABLE_METADATA_EXCHANGE", "false"),
        ("PILOT_ENABLE_ALPN_FILTER", "false"),
    }
    assert added.files == {"mesh.yaml": "defaultProviders: {metrics: []}\nenablePrometheusMerge: false\n"}


def test_where_nobody_wants_reports_two_of_kyvernos_controllers_write_none() -> None:
    changed = {each.name: each.for_no_reports().arguments for each in CONTROLLERS if each.for_no_reports() != each}
    assert {name: arguments[-1] for name, arguments in changed.items()} == {
        "kyverno-admission-controller": "--admissionReports=false",
        "kyverno-reports-controller": "--admissionReports=false",
    }
    assert "--backgroundScan=false" in changed["kyverno-reports-controller"]


def test_without_root_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(DataPlaneError, match="needs root"):
        machine.check_machine()


def test_a_missing_command_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(machine.shutil, "which", lambda name: None if name == "ip" else f"/bin/{name}")
    with pytest.raises(DataPlaneError, match="apt-get install iproute2"):
        machine.check_machine()


class FakePlane(ControlPlane):
    """A control plane that answers with one status."""

    def __init__(self, state: State, **status: Any) -> None:
        super().__init__(state)
        self._status = {"ready": True, "data_plane": None, "processes": [], "message": "", **status}

    def status(self) -> dict[str, Any]:
        return self._status


def test_the_data_plane_is_waited_for_until_it_has_seen_the_pods(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("embedded.supervisor.control_plane._UP_SECONDS", 0.0)
    state = State(tmp_path)
    FakePlane(state, data_plane={"seen": float("inf"), "waiting": []}).wait_data_plane()
    for pods in (None, {"seen": 0.0, "waiting": []}):
        with pytest.raises(ControlPlaneError, match="not ready"):
            FakePlane(state, data_plane=pods).wait_data_plane()
    waiting = {"seen": float("inf"), "waiting": ["shop.api-1: no address"]}
    with pytest.raises(ControlPlaneError, match=r"shop\.api-1: no address"):
        FakePlane(state, data_plane=waiting).wait_data_plane()


def test_one_feature_does_not_revoke_another(tmp_path: Path) -> None:
    state = State(tmp_path).create()
    write_private_json(state.run / WANTED, {"postgres": True})
    plane = ControlPlane(state)
    plane.features.add(dataPlane=True, postgres=False)
    assert (state.run / WANTED).read_text().count("true") == 2
    plane.features.forget("postgres")
    assert "postgres" not in plane.features
    assert "dataPlane" in plane.features
