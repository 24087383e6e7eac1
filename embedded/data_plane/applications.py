"""What runs in place of an application's image: PostgreSQL for itself, a small server for everything else."""

import sys
from pathlib import Path

from embedded.data_plane.namespaces import NetworkNamespace
from embedded.data_plane.proxy import CONTAINER
from embedded.paths import CHECKOUT
from embedded.supervisor import probes
from embedded.supervisor.kubernetes_api import Manifest
from embedded.supervisor.layout import Layout
from embedded.supervisor.postgres import PostgresServer, server_program
from embedded.supervisor.process import Program

POSTGRES_IMAGE = "postgres"
# Not root and not the proxy, whose connections are not redirected.
_USER = 1000


def postgres_directory(layout_postgres: Path, namespace: str) -> Path:
    """Data and the superuser's password of the PostgreSQL that runs as a pod of this namespace."""
    return layout_postgres / f"pod-{namespace}"


def application_program(name: str, pod: Manifest, layout: Layout, namespace: NetworkNamespace) -> Program | None:
    """The server behind the pod's first declared port; None for a pod that only calls others."""
    containers = (container for container in pod["spec"]["containers"] if container["name"] != CONTAINER)
    serving = next((container for container in containers if container.get("ports")), None)
    if serving is None:
        return None
    port = serving["ports"][0]
    if _image_name(serving["image"]) == POSTGRES_IMAGE:
        directory = postgres_directory(layout.state.postgres, pod["metadata"]["namespace"])
        # Every address, and every client in its rules: it is the mesh that keeps them out.
        server = PostgresServer(name, directory, "*", port["containerPort"], namespace.enter, everyone=True)
        return server_program(layout, server)
    protocol = "http" if port.get("name", "").startswith("http") else "tcp"
    return server_of(protocol, name, port["containerPort"], layout, namespace)


def server_of(protocol: str, name: str, port: int, layout: Layout, namespace: NetworkNamespace) -> Program:
    """A small server of that protocol (``http`` or ``tcp``) on a port of the namespace."""
    words = ("-m", "embedded.data_plane.servers", protocol, str(port), str(_USER))
    accepts = probes.listens(port)
    return Program(
        name=name,
        arguments=(*namespace.enter, sys.executable, *words),
        directory=CHECKOUT,
        log=layout.log(name),
        ready=lambda started: namespace.call(lambda: accepts(started)),
        environment=layout.environment(name),
    )


def _image_name(image: str) -> str:
    return image.rsplit("/", 1)[-1].split("@", 1)[0].split(":", 1)[0]
