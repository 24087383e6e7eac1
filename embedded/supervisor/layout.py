"""Everything a part of the control plane needs to know about this checkout: paths, ports, certificates, executables."""

import base64
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from embedded.paths import State
from embedded.supervisor.kubeconfig import write_certificate_kubeconfig
from embedded.supervisor.pki import CLUSTER, INJECTOR, Pki
from embedded.supervisor.ports import address
from embedded.supervisor.private_files import write_private

# Relative to the API server's own directory, since a Unix socket's path may have 107 bytes at most (unix(7)).
EGRESS_SOCKET = "egress.sock"
STATE_SERVICE = "state-service"
CORE_PORTS = (
    "etcd",
    "etcd-peer",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kwok",
    "vault",
    "vault-cluster",
    "postgres",
    "pebble",
    "pebble-management",
    "pebble-dns",
    "pebble-dns-management",
    "challenges",
    STATE_SERVICE,
    INJECTOR,
)
_COMPONENT_USERS = ("kube-controller-manager", "kube-scheduler", "kwok")
_SEARCH_PATH = "/usr/local/bin:/usr/bin:/bin"


def api_server_url(ports: Mapping[str, int]) -> str:
    """Address of the Kubernetes API."""
    return f"https://{address(ports, 'kube-apiserver')}"


def vault_url(ports: Mapping[str, int]) -> str:
    """Address of the Vault API."""
    return f"https://{address(ports, 'vault')}"


def state_service_url(ports: Mapping[str, int]) -> str:
    """Address of the service that keeps the stacks: ``PULUMI_BACKEND_URL``."""
    return f"http://{address(ports, STATE_SERVICE)}"


@dataclass(frozen=True, slots=True)
class Layout:
    """One checkout's control plane: where its files are, which ports it has, and where its executables come from."""

    state: State
    tools: Path
    ports: dict[str, int]
    pki: Pki

    @property
    def api_server_url(self) -> str:
        """Address of the Kubernetes API."""
        return api_server_url(self.ports)

    @property
    def vault_url(self) -> str:
        """Address of the Vault API."""
        return vault_url(self.ports)

    @property
    def state_service_url(self) -> str:
        """Address of the service that keeps the stacks."""
        return state_service_url(self.ports)

    @property
    def encryption_config(self) -> Path:
        """Configuration of encryption at rest, with its key."""
        return self.state.pki / "encryption.yaml"

    @property
    def egress_config(self) -> Path:
        """The API server's egress selector configuration."""
        return self.state.run / "egress.yaml"

    @property
    def kwok_config(self) -> Path:
        """The stages of simulated nodes and pods."""
        return self.state.run / "kwok.yaml"

    def tool(self, name: str) -> str:
        """Path of an executable."""
        return str(self.tools / name)

    def log(self, name: str) -> Path:
        """Log file of a process."""
        return self.state.logs / f"{name}.log"

    def directory(self, name: str) -> Path:
        """Working directory of a process, created when absent, readable by its owner only."""
        directory = self.state.run / name
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        return directory

    def component_kubeconfig(self, name: str) -> Path:
        """Client configuration of a control plane component."""
        return self.state.run / f"{name}.kubeconfig"

    def environment(self, name: str) -> dict[str, str]:
        """The whole environment of a host process: nothing of the caller's, who may have secrets in it."""
        return {"PATH": _SEARCH_PATH, "HOME": str(self.directory(name))}


def prepare(layout: Layout) -> None:
    """Write the certificates, client configurations and server configurations that the processes read."""
    layout.pki.ensure()
    _write_encryption_config(layout.encryption_config)
    write_private(layout.egress_config, yaml.safe_dump(_egress_selector(), sort_keys=False))
    authority = layout.pki.ca(CLUSTER)
    write_certificate_kubeconfig(layout.state.kubeconfig, layout.api_server_url, authority, layout.pki.pair("admin"))
    for user in _COMPONENT_USERS:
        path = layout.component_kubeconfig(user)
        write_certificate_kubeconfig(path, layout.api_server_url, authority, layout.pki.pair(user))


def _egress_selector() -> dict[str, object]:
    """Send what the API server dials in the cluster (webhooks, nodes) to the supervisor's proxy.

    A Unix socket is the only legal choice without TLS: k8s.io/apiserver's egress selector dereferences the TLS
    configuration of every TCP proxy. etcd stays direct: what is not listed is dialled as without a configuration.
    """
    connection = {"proxyProtocol": "HTTPConnect", "transport": {"uds": {"udsName": EGRESS_SOCKET}}}
    return {
        "apiVersion": "apiserver.k8s.io/v1beta1",
        "kind": "EgressSelectorConfiguration",
        "egressSelections": [{"name": "cluster", "connection": connection}],
    }


def _write_encryption_config(path: Path) -> None:
    if path.exists():
        return
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    providers = [{"secretbox": {"keys": [{"name": "key1", "secret": key}]}}, {"identity": {}}]
    content = {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "EncryptionConfiguration",
        "resources": [{"resources": ["secrets"], "providers": providers}],
    }
    write_private(path, yaml.safe_dump(content, sort_keys=False))
