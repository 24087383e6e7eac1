"""Client configuration files for the Kubernetes API server (kubeconfig, v1)."""

from pathlib import Path

import yaml

from embedded.supervisor.pki import KeyPair
from embedded.supervisor.private_files import write_private

CLUSTER_NAME = "embedded"


def write_certificate_kubeconfig(path: Path, server: str, ca: Path, pair: KeyPair) -> None:
    """A configuration that authenticates with a client certificate, named by the files that hold it."""
    _write(path, server, ca, {"client-certificate": str(pair.certificate), "client-key": str(pair.key)})


def write_token_kubeconfig(path: Path, server: str, ca: Path, token: Path, namespace: str) -> None:
    """A configuration that reads its bearer token from a file again and again, as a pod does."""
    _write(path, server, ca, {"tokenFile": str(token)}, namespace)


def _write(path: Path, server: str, ca: Path, user: dict[str, str], namespace: str = "default") -> None:
    context = {"cluster": CLUSTER_NAME, "user": CLUSTER_NAME, "namespace": namespace}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": CLUSTER_NAME, "cluster": {"server": server, "certificate-authority": str(ca)}}],
        "users": [{"name": CLUSTER_NAME, "user": user}],
        "contexts": [{"name": CLUSTER_NAME, "context": context}],
        "current-context": CLUSTER_NAME,
    }
    write_private(path, yaml.safe_dump(content, sort_keys=False))
