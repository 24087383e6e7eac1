"""Vault in pods of the node: what an operator prepares, and the way by which the deployer reaches it."""

import base64
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hvac
import hvac.exceptions
import yaml
from cryptography.x509.oid import ExtendedKeyUsageOID

from components.kube.names import OPERATOR
from embedded.node.names import VAULT_ADDRESS
from embedded.toolchain import stage_charts
from tests.e2e.plane import PROJECT, Plane
from tests.node.cluster import Cluster
from tests.support.vault_server import Authority
from tests.support.waiting import eventually

# The folder of the official chart, which is in no package registry: without it a chart of the same shape is installed.
OFFICIAL_CHART = "ZERO_TRUST_VAULT_CHART"
OF_THE_SAME_SHAPE = Path(__file__).parent / "vault_chart"
STACK = "production"
SERVERS = "app.kubernetes.io/name=vault,component=server"
_KEY_SERVICE, _SEAL, _AUTHORITIES = "key-service", "vault-seal", "vault-authorities"
_PORT = 8200


def charts(directory: Path) -> Path:
    """The staged charts, with Vault's beside them."""
    shutil.copytree(stage_charts(), directory)
    shutil.copytree(os.environ.get(OFFICIAL_CHART, OF_THE_SAME_SHAPE), directory / "vault")
    return directory


@dataclass(frozen=True)
class KeyService:
    """The Vault of the control plane, as one elsewhere that has the seal's key."""

    address: str
    authority: str
    token: str


def key_service(plane: Plane) -> KeyService:
    """With a key, and a token that may use it and nothing else."""
    vault = plane.vault()
    made: Any = vault.sys.initialize(recovery_shares=1, recovery_threshold=1, secret_shares=None, secret_threshold=None)
    vault.token = made["root_token"]
    eventually(lambda: not _refused(lambda: vault.sys.enable_secrets_engine("transit")), "it is active")
    vault.adapter.request("post", "/v1/transit/keys/unseal", json={})
    use = {"capabilities": ["update"]}
    rules = {"path": {f"transit/{action}/unseal": use for action in ("encrypt", "decrypt")}}
    vault.sys.create_or_update_policy("unseal", json.dumps(rules))
    made = vault.auth.token.create_orphan(policies=["unseal"], no_default_policy=True, period="24h", wrap_ttl=None)
    port = json.loads((plane.state / "ports.json").read_text())["vault"]
    authority = Path(plane.overlay["vault"]["caCertFile"]).read_text()
    return KeyService(f"https://{VAULT_ADDRESS}:{port}", authority, made["auth"]["client_token"])


def _refused(call: Callable[[], object]) -> bool:
    try:
        call()
    except hvac.exceptions.VaultError:
        return True
    return False


def prepare(cluster: Cluster, service: KeyService, databases: Authority) -> None:
    """What the operator has to make first, as `zt preflight` says it: the seal's token, and further authorities."""
    metadata = {"name": "vault", "labels": {"app.kubernetes.io/managed-by": "pulumi"}}
    named = {key: {"name": key, "namespace": "vault"} for key in (_SEAL, _AUTHORITIES)}
    authorities = {f"{_KEY_SERVICE}.crt": service.authority, "databases.crt": databases.certificate.read_text()}
    cluster.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata},
        {"apiVersion": "v1", "kind": "Secret", "metadata": named[_SEAL], "stringData": {"token": service.token}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": named[_AUTHORITIES], "data": authorities},
    )


def write_stack(plane: Plane, service: KeyService, port: int) -> None:
    """Production with Vault in the cluster, and its `postgres` as a database of `api` in place of a shared password."""
    path = plane.checkout / f"Pulumi.{STACK}.yaml"
    stack = yaml.safe_load(path.read_text())
    login = plane.overlay["vault"]["login"]
    stack["config"] |= {
        "zero-trust:posture": {"issuer": {"value": "ca", "reason": "no way to Let's Encrypt"}},
        "zero-trust:vault": {
            "mode": "helm",
            "address": f"https://127.0.0.1:{port}",
            "login": {key: login[key] for key in ("method", "certFile", "keyFile")},
            "bootstrap": {
                "login": {"cert": {"caCertFile": plane.overlay["vault"]["caCertFile"]}},
                "plainKeysReason": "they stay with their control plane",
            },
            "authorities": _AUTHORITIES,
            "seal": {
                "transit": {
                    "address": service.address,
                    "keyName": "unseal",
                    "tokenSecret": _SEAL,
                    "tlsCaCert": f"/vault/authorities/{_KEY_SERVICE}.crt",
                }
            },
            "storage": {"data": "1Gi", "audit": "1Gi"},
            "snapshots": {"offReason": "the storage is one of a test"},
            "secrets": {"refresh": "2s"},
            "retainData": False,
        },
        "zero-trust:databases": {
            "orders": {
                "service": "shop/postgres",
                "database": "postgres",
                "adminUser": "vault",
                "adminFrom": "vault/password",
                "caCertFile": "/vault/authorities/databases.crt",
            }
        },
    }
    path.write_text(yaml.safe_dump(stack))
    _change(plane, "postgres", _as_a_database)
    _change(plane, "api", _with_users_in_it)
    # The stack file says where Vault is.
    overlay = plane.state / "overlay.yaml"
    overlay.write_text(yaml.safe_dump({"charts": plane.overlay["charts"]}))


def _change(plane: Plane, name: str, change: Callable[[dict[str, Any]], None]) -> None:
    path = plane.checkout / "services" / f"{name}.yaml"
    service = yaml.safe_load(path.read_text())
    change(service)
    path.write_text(yaml.safe_dump(service))


def _as_a_database(service: dict[str, Any]) -> None:
    service["callers"].append("vault/vault")
    service["secrets"] = {
        "superuser": service["secrets"]["superuser"],
        "vault": {"generate": ["password"]},
        "tls": {
            "external": ["certificate", "key"],
            "template": "{{ .Data.data.certificate }}\n{{ .Data.data.key }}\n",
        },
    }


def _with_users_in_it(service: dict[str, Any]) -> None:
    del service["secrets"]["database"]
    grant = {"schema": "orders", "tables": ["visits"], "privileges": ["SELECT", "INSERT"]}
    service["database"] = {"connection": "orders", "grants": [grant]}
    service["env"] = {"TABLE": "orders.visits"}


@contextmanager
def way_to_vault(cluster: Cluster) -> Iterator[int]:
    """A port of loopback that leads to the active server, or to one that waits to be initialised."""
    with cluster.world() as world, socket.create_server(("127.0.0.1", 0)) as listener:

        def place() -> str:
            found = cluster.plane.core.list_namespaced_pod("vault", label_selector=SERVERS).items
            active = [pod for pod in found if is_active(pod)]
            return next((pod.status.pod_ip for pod in (*active, *found) if pod.status.pod_ip), "")

        def serve() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=lead, args=(listener.accept()[0],), daemon=True).start()

        def lead(client: socket.socket) -> None:
            with client, suppress(OSError):
                address = place()
                server = world.call(lambda: socket.create_connection((address, _PORT), timeout=10))
                with server:
                    server.settimeout(None)
                    back = threading.Thread(target=_copy, args=(server, client), daemon=True)
                    back.start()
                    _copy(client, server)
                    back.join()

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def is_active(pod: Any) -> bool:
    """Whether a server says of itself that it is the active one: OpenBao has a label of its own for that."""
    return "true" in {pod.metadata.labels.get(f"{name}-active") for name in ("vault", "openbao")}


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while chunk := source.recv(65536):
            target.sendall(chunk)
        target.shutdown(socket.SHUT_WR)


@dataclass(frozen=True)
class VaultPods:
    """The cluster with its Vault in pods."""

    cluster: Cluster
    port: int
    directory: Path

    @property
    def authority(self) -> Path:
        """The authority of the servers' certificate, as the cluster has it."""
        path = self.directory / "vault-ca.pem"
        secret = self.cluster.plane.core.read_namespaced_secret("vault-server-tls", "vault")
        path.write_bytes(base64.b64decode(secret.data["ca.crt"]))
        return path

    def client(self, token: str = "") -> hvac.Client:
        return hvac.Client(url=f"https://127.0.0.1:{self.port}", verify=str(self.authority), token=token)

    def served(self) -> str:
        """The certificate that the servers show."""
        return ssl.get_server_certificate(("127.0.0.1", self.port))

    def as_account(self, namespace: str, account: str, role: str) -> hvac.Client:
        """A client logged in with a token of a service account."""
        login: Any = self.client().auth.kubernetes.login(
            role=role, jwt=self.cluster.plane.token(namespace, account, "vault")
        )
        return self.client(login["auth"]["client_token"])

    def set_secret(self, service: str, secret: str, field: str, value: str) -> str:
        """What `zt secret set` prints, as the operator; empty while it can't."""
        try:
            token = self.as_account("vault", OPERATOR, OPERATOR).token
        except Exception:  # noqa: BLE001 - the account, the way and the login come one after the other
            return ""
        environment = {
            "VAULT_ADDR": f"https://127.0.0.1:{self.port}",
            "VAULT_CACERT": str(self.authority),
            "VAULT_TOKEN": token,
        }
        words = ["secret", "set", service, secret, "--field", field, "--project", str(self.cluster.plane.checkout)]
        done = subprocess.run(
            [sys.executable, "-m", "zt", *words],
            cwd=PROJECT,
            env={**os.environ, **environment, "NO_COLOR": "1"},
            input=value,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout if done.returncode == 0 else ""

    def bring_certificate(self, databases: Authority) -> None:
        """Give the database its certificate, as soon as Vault takes it: the pods wait for it."""
        files = databases.issue("postgres.shop.svc", ExtendedKeyUsageOID.SERVER_AUTH)
        for field, file in zip(("certificate", "key"), files, strict=True):
            eventually(
                lambda field=field, file=file: self.set_secret("shop/postgres", "tls", field, file.read_text()),
                f"Vault takes the {field}",
            )
