"""The nodes: what they run, and whether Vault's replicas find room apart from each other."""

from collections.abc import Iterable

from zt.cluster.manifest import Manifest, part, parts
from zt.preflight.line import Check, Line, Theme, fails, ok, warns
from zt.preflight.session import Session

_ARCHITECTURES = ("amd64", "arm64")
_ZONE = "topology.kubernetes.io/zone"
_NODES = "/api/v1/nodes"
# How Autopilot names its nodes.
_AUTOPILOT = "gk3-"
_CLOSED = ("NoSchedule", "NoExecute")


def _platform(session: Session) -> Iterable[Line]:
    about = "nodes"
    nodes = session.cluster.objects(_NODES)
    if not nodes:
        yield warns(about, "there is none: nothing can start", "add nodes to the cluster")
        return
    other = sorted(
        f"{node['metadata']['name']}: {_labelled(node, 'kubernetes.io/os')}/{_labelled(node, 'kubernetes.io/arch')}"
        for node in nodes
        if not _runs_images(node)
    )
    if len(other) == len(nodes):
        yield fails(about, "none is Linux on amd64 or arm64", "add such nodes: the images are for these", *other)
    elif other:
        fix = "taint these nodes, so that no pod of the stack starts there: kubectl taint node NAME os=other:NoSchedule"
        yield warns(about, f"{len(other)} of {len(nodes)} are not Linux on amd64 or arm64", fix, *other)
    else:
        yield ok(about, f"{len(nodes)}, Linux on amd64 or arm64")


def _vault_apart(session: Session) -> Iterable[Line]:
    replicas = session.stack.posture.vault_replicas
    about = f"nodes for {replicas} replicas of Vault"
    nodes = [node for node in session.cluster.objects(_NODES) if _runs_images(node) and _open(node)]
    zones = {_labelled(node, _ZONE) for node in nodes} - {""}
    if len(nodes) < replicas:
        found = f"{len(nodes)} take pods, and each replica needs its own"
        yield fails(about, found, f"add nodes, or lower posture.vaultReplicas in {session.file}, with a reason")
    elif len(zones) < min(replicas, 3) and replicas > 1:
        found = f"{len(nodes)} nodes in {len(zones)} zone{'' if len(zones) == 1 else 's'}"
        yield warns(about, f"{found}: Vault ends with a zone that has most of them", "add nodes in other zones")
    else:
        yield ok(about, f"{len(nodes)} take pods, in {len(zones)} zone{'' if len(zones) == 1 else 's'}")


def _agents(session: Session) -> Iterable[Line]:
    """Nodes of a provider that refuse the mesh's node agent, which redirects the traffic of each pod there."""
    about = "nodes that take the mesh's agent"
    nodes = session.cluster.objects(_NODES)
    refusing = {node["metadata"]["name"]: why for node in nodes if (why := _refuses_agents(node))}
    if not refusing:
        yield ok(about, "all")
        return
    details = [f"{name}: {why}" for name, why in sorted(refusing.items())]
    if len(refusing) == len(nodes):
        fix = (
            "make nodes that you manage: eksctl create nodegroup --cluster NAME, or on GKE a Standard cluster: "
            "gcloud container clusters create NAME --enable-dataplane-v2"
        )
        yield fails(about, "none: no pod of a service gets its traffic redirected", fix, *details)
    else:
        fix = (
            "keep the stack's pods from them: kubectl taint node NAME agents=none:NoSchedule, or without a profile for "
            "its namespaces: aws eks delete-fargate-profile --cluster-name NAME --fargate-profile-name NAME"
        )
        yield warns(about, f"{len(refusing)} of {len(nodes)} refuse it", fix, *details)


def _refuses_agents(node: Manifest) -> str:
    """Why no privileged agent runs on a node; empty when one does.

    https://docs.aws.amazon.com/eks/latest/userguide/fargate.html and
    https://cloud.google.com/kubernetes-engine/docs/concepts/autopilot-security
    """
    if _labelled(node, "eks.amazonaws.com/compute-type") == "fargate":
        return "EKS Fargate runs no DaemonSet"
    if _labelled(node, "type") == "virtual-kubelet":
        return "a virtual node runs no DaemonSet"
    on_google = str(part(node, "spec").get("providerID", "")).startswith("gce://")
    if on_google and node["metadata"]["name"].startswith(_AUTOPILOT):
        return "GKE Autopilot refuses agents of others"
    return ""


def _runs_images(node: Manifest) -> bool:
    return _labelled(node, "kubernetes.io/os") == "linux" and _labelled(node, "kubernetes.io/arch") in _ARCHITECTURES


def _open(node: Manifest) -> bool:
    spec = part(node, "spec")
    return not spec.get("unschedulable") and not any(taint.get("effect") in _CLOSED for taint in parts(spec, "taints"))


def _labelled(node: Manifest, label: str) -> str:
    return str(part(node, "metadata", "labels").get(label, ""))


THEME = Theme(
    "nodes",
    (
        Check("nodes", "nodes", _platform),
        Check(
            "agent-nodes",
            "nodes that take the mesh's agent",
            _agents,
            lambda session: bool(session.created.chart("cni")),
        ),
        Check("vault-nodes", "nodes for Vault", _vault_apart, lambda session: session.in_cluster_vault),
    ),
)
