"""The images of the charts' pods, as their projects publish them. A test compares them with what the charts render."""

from collections.abc import Mapping
from types import MappingProxyType

from components.kube.charts import CERT_MANAGER, EXTERNAL_SECRETS, ISTIOD, OPENBAO_IMAGE, VAULT_IMAGE

MESH_HUB = "docker.io/istio"
VAULT_HUB = "docker.io/hashicorp"
PROXY, SOLVER, INJECTOR = "proxyv2", "cert-manager-acmesolver", "vault-k8s"

_KYVERNO_VERSION = "v1.19.1"

_KYVERNO = tuple(
    f"reg.kyverno.io/kyverno/{name}:{_KYVERNO_VERSION}"
    for name in ("kyverno", "kyvernopre", "background-controller", "reports-controller", "cleanup-controller")
)
_CERT_MANAGER = tuple(
    f"quay.io/jetstack/{name}:{CERT_MANAGER.version}"
    for name in (
        *("cert-manager-controller", "cert-manager-webhook", "cert-manager-cainjector", "cert-manager-startupapicheck"),
        SOLVER,
    )
)

IMAGES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "kyverno": (
            *_KYVERNO,
            # Of the jobs before a removal and after an upgrade.
            f"ghcr.io/kyverno/readiness-checker:{_KYVERNO_VERSION}",
            f"reg.kyverno.io/kyverno/kyverno-cli:{_KYVERNO_VERSION}",
        ),
        "istiod": (f"{MESH_HUB}/pilot:{ISTIOD.version}", f"{MESH_HUB}/{PROXY}:{ISTIOD.version}"),
        "cni": (f"{MESH_HUB}/install-cni:{ISTIOD.version}",),
        "ztunnel": (f"{MESH_HUB}/ztunnel:{ISTIOD.version}",),
        "cert-manager": _CERT_MANAGER,
        "external-secrets": (f"oci.external-secrets.io/external-secrets/external-secrets:v{EXTERNAL_SECRETS.version}",),
        "vault": (VAULT_IMAGE, f"{VAULT_HUB}/{INJECTOR}:1.7.6"),
        "openbao": (OPENBAO_IMAGE, f"{VAULT_HUB}/{INJECTOR}:1.7.2"),
    }
)
"""The images of each chart, by the chart's name: those of its pods, and those that they add to other pods."""


def from_hub(image: str, hub: str | None) -> str:
    """The image in the registry, or the path in one, that mirrors it under its last name; the image itself without."""
    return f"{hub}/{image.rpartition('/')[2]}" if hub else image
