"""The production stack with the sample's services on the node: their own probes, real proxies, and packets refused."""

import base64
import http.client
import json
import os
import socket
import ssl
import stat
from pathlib import Path
from typing import Any

import psutil
import pytest

from embedded.data_plane.namespaces import NetworkNamespace
from embedded.node.names import NODE
from tests.node.cluster import Cluster
from tests.support.waiting import eventually

pytestmark = pytest.mark.node

HOST = "api.example.org"
SERVICES = {"api", "postgres", "redis"}


@pytest.fixture(scope="module")
def cluster(production: Cluster) -> Cluster:
    return production


def pods(cluster: Cluster, namespace: str = "shop") -> list[Any]:
    return cluster.plane.core.list_namespaced_pod(namespace).items


def pod_of(cluster: Cluster, service: str) -> Any:
    return next(pod for pod in pods(cluster) if pod.metadata.labels.get("app") == service)


def test_services_and_the_gateway_are_ready_by_their_own_probes(cluster: Cluster) -> None:
    found = [*pods(cluster), *pods(cluster, "istio-ingress")]
    assert {pod.spec.node_name for pod in found} == {NODE}
    assert {pod.metadata.labels.get("app") for pod in pods(cluster)} == SERVICES
    for pod in found:
        statuses = [*(pod.status.container_statuses or []), *(pod.status.init_container_statuses or [])]
        running = [status for status in statuses if status.state.running]
        assert all(status.ready for status in running), pod.metadata.name
        assert any(status.name == "istio-proxy" for status in running), pod.metadata.name


def test_a_request_from_outside_reaches_the_database_and_the_cache(cluster: Cluster) -> None:
    def answer() -> dict[str, Any]:
        found = from_outside(cluster)
        return found if found.keys() == {"database", "cache"} and "error" not in json.dumps(found) else {}

    found = eventually(answer, "api answers with what it wrote and read", timeout=120)
    assert found["database"]["rows"] >= 1
    assert int(found["cache"]["visits"]) >= 1


def test_secrets_are_there_before_the_application_and_for_its_user_alone(cluster: Cluster) -> None:
    pod = pod_of(cluster, "api")
    statuses = {status.name: status.state for status in [*pod.status.init_container_statuses]}
    [started] = [status.state.running.started_at for status in pod.status.container_statuses if status.name == "api"]
    assert statuses["vault-agent-init"].terminated.finished_at <= started
    [api, *_] = processes(cluster, "api", pod.metadata.uid)
    secrets = Path(f"/proc/{api.pid}/root/vault/secrets")
    found = {file.name: file.stat() for file in secrets.iterdir() if not file.name.startswith(".")}
    assert found.keys() == {"database", "cache"}
    assert {(entry.st_uid, stat.S_IMODE(entry.st_mode)) for entry in found.values()} == {(api.uids().real, 0o400)}
    [proxy, *_] = processes(cluster, "pilot-agent", pod.metadata.uid)
    assert not Path(f"/proc/{proxy.pid}/root/vault/secrets").exists()


def processes(cluster: Cluster, name: str, uid: str) -> list[psutil.Process]:
    """The processes of that name in a pod's containers, told by its control group."""
    [node] = [process for process in cluster.status()["processes"] if process["name"] == "node"]
    return [
        child
        for child in psutil.Process(node["pid"]).children(recursive=True)
        if child.name() == name and uid in Path(f"/proc/{child.pid}/cgroup").read_text()
    ]


def from_outside(cluster: Cluster) -> dict[str, Any]:
    """What a client of the world gets for `https://api.example.org/`, by its name and the platform's authority."""
    [gateway] = [
        service
        for service in cluster.plane.core.list_namespaced_service("istio-ingress").items
        if service.spec.type == "LoadBalancer"
    ]
    [ingress] = gateway.status.load_balancer.ingress
    context = ssl.create_default_context(cadata=authority(cluster))

    def ask() -> dict[str, Any]:
        connection = _Pinned(HOST, ingress.ip, context)
        try:
            connection.request("GET", "/")
            return json.loads(connection.getresponse().read() or b"{}")
        except (OSError, http.client.HTTPException, json.JSONDecodeError):
            return {}
        finally:
            connection.close()

    world = NetworkNamespace(os.open(cluster.status()["node"]["outside"], os.O_RDONLY))
    try:
        return world.call(ask)
    finally:
        world.close()


class _Pinned(http.client.HTTPSConnection):
    """HTTPS to a host at an address that no DNS has."""

    def __init__(self, host: str, address: str, context: ssl.SSLContext) -> None:
        super().__init__(host, 443, timeout=10, context=context)
        self._address, self._context = address, context

    def connect(self) -> None:
        plain = socket.create_connection((self._address, self.port), self.timeout)
        self.sock = self._context.wrap_socket(plain, server_hostname=self.host)


def authority(cluster: Cluster) -> str:
    """The certificate of the authority that the issuer `ca` has."""
    secret = cluster.plane.core.read_namespaced_secret("root-ca", "cert-manager")
    return base64.b64decode(secret.data["tls.crt"]).decode()
