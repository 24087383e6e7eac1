"""Labels and annotations that the mesh reads, and its fixed addresses.

This module imports no SDK, since `zt` reads them as well.
"""

from collections.abc import Mapping
from types import MappingProxyType

# In the ambient mode every connection between pods arrives at this port, whatever port it is meant for
# (https://istio.io/latest/docs/ambient/usage/networkpolicy/).
HBONE_PORT = 15008
KUBELET_PROBES = ("169.254.7.127/32", "fd16:9254:7127:1337:ffff:ffff:ffff:ffff/128")
"""The source addresses that the ambient mode gives to probes of a node's kubelet."""
DATA_PLANE = "istio.io/dataplane-mode"
AMBIENT: Mapping[str, str] = MappingProxyType({DATA_PLANE: "ambient"})
"""The label by which a node's proxy takes a pod, or all pods of a namespace, into the mesh."""
MESH_DOMAIN = "istio.io"
"""The domain, with those below it, of the labels and annotations by which the mesh treats a pod in another way."""
PASSING_BY = (f"{MESH_DOMAIN}/", "cni.cncf.io/")
"""What the key of a label or an annotation has in it by which a pod leaves the mesh, or gets a network beside its own
(https://github.com/k8snetworkplumbingwg/multi-net-spec)."""
STAYING: Mapping[str, str] = MappingProxyType(
    {
        "prometheus.istio.io/merge-metrics": "",
        "service.istio.io/canonical-name": "",
        "service.istio.io/canonical-revision": "",
        "service.istio.io/workload-name": "",
        "sidecar.istio.io/inject": "true",
        "sidecar.istio.io/interceptionMode": "REDIRECT",
        "sidecar.istio.io/nativeSidecar": "true",
        "sidecar.istio.io/rewriteAppHTTPProbers": "true",
    }
)
"""Those with which a pod stays in the mesh as it is, each with the only value that does; empty stands for any.

With any other it leaves the mesh in part, or takes another proxy, another control plane or no TLS
(https://istio.io/latest/docs/reference/config/annotations/).
"""
REVISION = "istio.io/rev"
"""The label that names a control plane."""
DEFAULT_REVISION = "default"
"""The name of the control plane that has none of its own."""
# The dry-run annotation of https://istio.io/latest/docs/tasks/security/authorization/authz-dry-run/
DRY_RUN = "istio.io/dry-run"


def leaves_mesh(key: str, value: str) -> bool:
    """Whether a label or an annotation of a pod takes it out of the mesh, or out of what the platform makes of it."""
    return any(part in key for part in PASSING_BY) and STAYING.get(key) not in ("", value)


def revision_label(revision: str) -> dict[str, str]:
    """The label that names the control plane; no label without a revision."""
    return {REVISION: revision} if revision else {}


def own_revision(revision: str, ambient: bool) -> dict[str, str]:
    """The label by which a pod names the control plane that it has anyway.

    None in the ambient mode, in which the label makes the webhook of the control plane inject a sidecar.
    """
    return {} if ambient else {REVISION: revision or DEFAULT_REVISION}


def namespace_label(revision: str, ambient: bool) -> dict[str, str]:
    """The label of a namespace whose pods join the mesh.

    It names no revision in the ambient mode: that label makes the webhook of the control plane inject sidecars.
    """
    return dict(AMBIENT) if ambient else revision_label(revision) or {"istio-injection": "enabled"}


def pod_label(revision: str, ambient: bool) -> dict[str, str]:
    """The label of a pod; a new data plane or revision changes it, so that the pods are replaced."""
    return dict(AMBIENT) if ambient else revision_label(revision)


def dry_run_annotation(authorization: str) -> dict[str, dict[str, str]]:
    """The part of a policy's metadata that makes it a dry run; empty for any other decision."""
    return {"annotations": {DRY_RUN: "true"}} if authorization == "dry-run" else {}
