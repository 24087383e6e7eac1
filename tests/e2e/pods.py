"""Pods as an application team, or an attacker, would send them. Each bad one is wrong in one thing alone."""

from copy import deepcopy
from typing import Any

COMPLIANT: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "probe", "labels": {"app": "probe", "sidecar.istio.io/inject": "false"}},
    "spec": {
        "automountServiceAccountToken": False,
        "serviceAccountName": "api",
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 1000,
            "fsGroup": 2000,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": "app",
                "image": "registry.example.org/shop/api:v1.2.3",
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                "resources": {
                    "requests": {"cpu": "10m", "memory": "16Mi"},
                    "limits": {"cpu": "100m", "memory": "64Mi"},
                },
            }
        ],
    },
}


def pod(name: str) -> dict[str, Any]:
    """A pod that every rule admits."""
    made = deepcopy(COMPLIANT)
    made["metadata"]["name"] = name
    return made


def privileged(name: str) -> dict[str, Any]:
    made = pod(name)
    context = made["spec"]["containers"][0]["securityContext"]
    # The API server itself refuses a privileged container that may not escalate.
    del context["allowPrivilegeEscalation"]
    context["privileged"] = True
    return made


def root(name: str) -> dict[str, Any]:
    """Says in so many words that it runs as root: mutation only fills in what is absent."""
    made = pod(name)
    made["spec"]["securityContext"] |= {"runAsNonRoot": False, "runAsUser": 0}
    return made


def unapproved_image(name: str) -> dict[str, Any]:
    """The seed's fifth attack: a cryptominer from a public registry."""
    made = pod(name)
    made["spec"]["containers"][0]["image"] = "docker.io/attacker/cryptominer:latest"
    return made


def host_network(name: str) -> dict[str, Any]:
    made = pod(name)
    made["spec"]["hostNetwork"] = True
    return made


BAD = {
    "disallow-privileged": privileged,
    "require-run-as-non-root": root,
    "restrict-image-registries": unapproved_image,
    "disallow-host-namespaces": host_network,
}
