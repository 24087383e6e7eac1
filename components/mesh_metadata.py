"""The words by which objects tell the mesh what holds for them.

No SDK is loaded for them: `zt` reads them as well.
"""

from collections.abc import Mapping
from types import MappingProxyType

SECURITY_API = "security.istio.io/v1"
# Where connections between pods of the ambient mode arrive, whatever port they are for
# (https://istio.io/latest/docs/ambient/usage/networkpolicy/).
HBONE_PORT = 15008
KUBELET_PROBES = ("169.254.7.127/32", "fd16:9254:7127:1337:ffff:ffff:ffff:ffff/128")
"""The addresses that the ambient mode gives the probes of a node's own kubelet."""
DATA_PLANE = "istio.io/dataplane-mode"
AMBIENT: Mapping[str, str] = MappingProxyType({DATA_PLANE: "ambient"})
"""The label of what the node's proxy takes into the mesh: a pod, or a namespace with all of its pods."""
# The dry-run annotation of https://istio.io/latest/docs/tasks/security/authorization/authz-dry-run/
DRY_RUN = "istio.io/dry-run"


def revision_label(revision: str) -> dict[str, str]:
    """The label that names a control plane; none where there is only one."""
    return {"istio.io/rev": revision} if revision else {}


def namespace_label(revision: str, ambient: bool) -> dict[str, str]:
    """The label of a namespace whose pods join the mesh: by the node's proxy, or each by one of its own.

    A control plane is named for the latter alone, since that name has its webhook add proxies to pods.
    """
    return dict(AMBIENT) if ambient else revision_label(revision) or {"istio-injection": "enabled"}


def pod_label(revision: str, ambient: bool) -> dict[str, str]:
    """The label by which pods are made again when another data plane or revision is to have them."""
    return dict(AMBIENT) if ambient else revision_label(revision)


def dry_run_annotation(authorization: str) -> dict[str, dict[str, str]]:
    """What a policy's metadata needs for this decision: the dry-run annotation, or nothing."""
    return {"annotations": {DRY_RUN: "true"}} if authorization == "dry-run" else {}
