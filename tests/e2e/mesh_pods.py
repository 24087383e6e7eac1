"""Pods of the data plane as somebody in their network sees them."""

import http.client
import json
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Thread
from typing import Any

from embedded.data_plane.applications import postgres_directory
from embedded.data_plane.namespaces import NetworkNamespace
from embedded.supervisor.postgres import SUPERUSER, postgres_binaries
from tests.e2e.plane import Plane
from tests.support.waiting import eventually

_ADMIN_PORT = 15000
_TIMEOUT = 5


@dataclass(frozen=True)
class Answer:
    status: int
    location: str
    body: str
    headers: Mapping[str, str]
    """By their names in lower case."""


@dataclass(frozen=True)
class Workload:
    """One network namespace of the data plane, by the process that lives in it."""

    name: str
    network: NetworkNamespace

    def admin(self, path: str) -> str:
        """What the proxy's own interface answers."""
        answer = self.get("127.0.0.1", _ADMIN_PORT, path)
        assert answer.status == 200, answer
        return answer.body

    def get(self, address: str, port: int, path: str, host: str = "", tls: ssl.SSLContext | None = None) -> Answer:
        """The answer to a GET from here, over TLS with a context. Raises `OSError`, `ssl.SSLError` among them."""
        return self.ask("GET", address, port, path, host, tls)

    def ask(
        self,
        method: str,
        address: str,
        port: int,
        path: str,
        host: str = "",
        tls: ssl.SSLContext | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """The answer to any request from here."""
        with self.connect(address, port) as plain:
            connection = http.client.HTTPConnection(host or address)
            connection.sock = tls.wrap_socket(plain, server_hostname=host) if tls else plain
            connection.request(method, path, headers=dict(headers or {}))
            found = connection.getresponse()
            answered = {name.lower(): value for name, value in found.getheaders()}
            return Answer(found.status, answered.get("location", ""), found.read().decode(), answered)

    def connect(self, address: str, port: int) -> socket.socket:
        """A TCP connection from here."""
        return self.network.call(lambda: socket.create_connection((address, port), timeout=_TIMEOUT))

    @contextmanager
    def answering(self, port: int, answer: bytes) -> Iterator[None]:
        """An application at a port, that says one thing to whoever asks."""
        listener = self.network.call(lambda: socket.create_server(("0.0.0.0", port)))  # noqa: S104 - the pod's alone

        def serve() -> None:
            with suppress(OSError):
                while True:
                    with listener.accept()[0] as connection:
                        if connection.recv(1):
                            connection.sendall(answer)

        Thread(target=serve, daemon=True).start()
        with listener:
            yield
            listener.shutdown(socket.SHUT_RDWR)

    def hears(self, address: str, port: int) -> bytes:
        """What somebody at an address answers; nothing when the connection is refused or ended."""
        with suppress(OSError), self.connect(address, port) as connection:
            connection.sendall(b"?")
            return connection.recv(64)
        return b""

    def certificate(self) -> dict[str, Any]:
        """The certificate that the proxy shows: its serial number and its identity."""
        chains = [item["cert_chain"] for item in json.loads(self.admin("/certs"))["certificates"]]
        found = next(chain[0] for chain in chains if chain)
        return {"serial": found["serial_number"], "identity": found["subject_alt_names"][0]["uri"]}

    def accepts(self, service: str, port: int) -> list[str]:
        """The identities that the proxy accepts of the pods of a Service (`api.shop`), whatever endpoints it has."""
        dump = json.loads(self.admin("/config_dump?resource=dynamic_active_clusters"))
        clusters = {entry["cluster"]["name"]: entry["cluster"] for entry in dump["configs"]}
        cluster = clusters[f"outbound|{port}||{service}.svc.cluster.local"]
        # That would be the way to an endpoint without a certificate.
        assert "transport_socket_matches" not in cluster
        context = cluster["transport_socket"]["typed_config"]["common_tls_context"]["combined_validation_context"]
        return [name["exact"] for name in context["default_validation_context"]["match_subject_alt_names"]]

    def counter(self, pattern: str) -> int:
        """The sum of the proxy's counters whose names match."""
        stats = json.loads(self.admin(f"/stats?format=json&filter={pattern}"))["stats"]
        return sum(item.get("value", 0) for item in stats)

    def psql(self, host: str, password: str, port: int = 5432) -> str:
        """What PostgreSQL at this address answers to a query from here, or the client's error."""
        client = str(postgres_binaries() / "psql")
        where = f"host={host} port={port} user={SUPERUSER} dbname=postgres sslmode=disable connect_timeout={_TIMEOUT}"
        command = (client, "--no-psqlrc", "-At", where, "-c", "SELECT 6 * 7")
        return self.network.output(command, {"PGPASSWORD": password}).strip()


@dataclass(frozen=True)
class Mesh:
    """The data plane of a running control plane."""

    plane: Plane

    def workload(self, name: str) -> Workload:
        """The first workload whose process name starts so, once all of those are ready."""

        def ready() -> Any:
            found = [item for item in self.plane.processes if item["name"].startswith(name)]
            return found if all(item["ready"] for item in found) else None

        found = eventually(ready, f"each process of {name} is ready")
        return Workload(name, NetworkNamespace.of_process(found[0]["pid"]))

    def replicas(self, selector: str, namespace: str = "shop") -> dict[str, Workload]:
        """The workloads with these labels, by their addresses."""
        found = self.plane.core.list_namespaced_pod(namespace, label_selector=selector).items
        return {pod.status.pod_ip: self.workload(f"{namespace}.{pod.metadata.name}") for pod in found}

    def address_of_service(self, name: str, namespace: str = "shop") -> str:
        return self.plane.core.read_namespaced_service(name, namespace).spec.cluster_ip

    def address_of_pod(self, selector: str, namespace: str = "shop") -> str:
        found = self.plane.core.list_namespaced_pod(namespace, label_selector=selector).items
        return found[0].status.pod_ip

    @property
    def database_password(self) -> str:
        return (postgres_directory(self.plane.state / "postgres", "shop") / "password").read_text()
