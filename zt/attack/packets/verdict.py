"""What the live rules of the network and of the mesh, together, say of one packet."""

from collections.abc import Sequence

from components.kube.mesh_labels import HBONE_PORT
from components.schema.host_pattern import is_covered
from zt.attack.authorization import NOBODY, authorized, mtls_mode
from zt.attack.network import Address, End, Pod, egress, ingress, of_own_node, selects
from zt.attack.packets.packet import Sender, Verdict, Way
from zt.attack.session import Session
from zt.cluster.manifest import Manifest, part, parts, texts, word

_NO_WAY = 3
_OPEN = "no rule is in its way"


def verdict(session: Session, sender: Sender, target: End, port: int, by: Way) -> Verdict | None:
    """Whether a packet gets through, or `None` where the rules that are evaluated here do not say.

    The first rule that refuses decides: at the sender, at the target, and then in the mesh. `by` is how the packet
    names the target, which the sender's own proxy looks at. Policies of administrators and of the network plugin are
    not evaluated, and Kubernetes leaves a pod's own node open where many plugins do not.
    """
    network = _by_network(session, sender, target, port)
    unsure = bool(session.other_network_policies(sender.pod, target)) or of_own_node(sender.pod, target)
    if not network.allowed and not unsure:
        return network
    mesh = _by_mesh(session, sender, target, port, by)
    return None if unsure and mesh.allowed else mesh


def _by_network(session: Session, sender: Sender, target: End, port: int) -> Verdict:
    pod, policies = sender.pod, session.network_policies
    arrival = HBONE_PORT if sender.meshed and isinstance(target, Pod) and target.ambient else port
    if not sender.host_network:
        # What is in the node's network is no pod to a NetworkPolicy, and reaches the pods of its node.
        out = egress(policies, pod, target, arrival)
        if not out.allowed:
            return Verdict(allowed=False, why=f"no egress rule of {out}")
        if isinstance(target, Pod) and not (into := ingress(policies, pod, target, arrival)).allowed:
            return Verdict(allowed=False, why=f"no ingress rule of {into}")
    return Verdict(allowed=True, why=_OPEN)


def _by_mesh(session: Session, sender: Sender, target: End, port: int, by: Way) -> Verdict:
    pod = sender.pod
    if sender.meshed and (closed := _unknown_to_proxy(session, pod, target, by)):
        return Verdict(allowed=False, why=closed)
    if isinstance(target, Address) or not target.meshed:
        return Verdict(allowed=True, why=_OPEN)
    mode, policy = mtls_mode(session.peer_authentications, session.declared.layers.mesh_root, target, port)
    if not sender.meshed and mode == "STRICT":
        return Verdict(allowed=False, why=f"PeerAuthentication {policy} says {mode}")
    peer = session.peer(pod) if sender.meshed else NOBODY
    decision = authorized(session.authorization_policies, session.declared.layers.mesh_root, target, peer, port)
    said = f"AuthorizationPolicy {decision}"
    return Verdict(decision.allowed, said if decision.allowed else f"no rule of {said}")


def _unknown_to_proxy(session: Session, pod: Pod, target: End, by: Way) -> str:
    """Why the pod's own proxy has no way to the target; empty if it has one.

    A proxy that is told to keep to what it knows has no way to an address, but to that of a Service.
    https://istio.io/latest/docs/reference/config/networking/sidecar/
    """
    if pod.ambient:
        return ""
    item = _sidecar_of(session.sidecars, pod, session.declared.layers.mesh_root)
    if item is None or word(item, "spec", "outboundTrafficPolicy", "mode") != "REGISTRY_ONLY":
        return ""
    hosts = [host for listener in parts(item, "spec", "egress") for host in texts(listener, "hosts")]
    known = by is not Way.ADDRESS and isinstance(target, Pod) and any(_names(host, target, pod) for host in hosts)
    metadata = item["metadata"]
    return "" if known else f"no host of Sidecar {metadata['namespace']}/{metadata['name']}"


def _sidecar_of(sidecars: Sequence[Manifest], pod: Pod, root: str) -> Manifest | None:
    """The Sidecar of a pod: one that selects it, before that of its namespace, before the one in `root`."""

    def rank(item: Manifest) -> int:
        labels = part(item, "spec", "workloadSelector", "labels")
        place = (item["metadata"]["namespace"], bool(labels))
        ways = ((pod.namespace, True), (pod.namespace, False), (root, False))
        return ways.index(place) if place in ways and selects({"matchLabels": labels}, pod.labels) else _NO_WAY

    nearest = min(sidecars, key=rank, default=None)
    return nearest if nearest is not None and rank(nearest) < _NO_WAY else None


def _names(pattern: str, target: Pod, pod: Pod) -> bool:
    """Whether a host of a Sidecar, `namespace/name`, is that of a target's Service."""
    namespace, _, host = pattern.partition("/")
    wanted = f"{target.name}.{target.namespace}.svc.cluster.local"
    in_namespace = namespace == "*" or target.namespace == (pod.namespace if namespace == "." else namespace)
    return in_namespace and (host == "*" or is_covered(wanted, [host]))
