"""What the live rules of the network and of the mesh, together, say of one packet."""

from components.kube.mesh_labels import HBONE_PORT
from zt.attack.attempts_environment import containers
from zt.attack.authorization import NOBODY, authorized, mtls_mode
from zt.attack.network import Address, End, Pod, egress, ingress
from zt.attack.packets.packet import Sender, Verdict
from zt.attack.session import MESH_ROOT, Session
from zt.cluster.manifest import Manifest

PROXY = "istio-proxy"


def has_proxy(pod: Manifest) -> bool:
    """Whether a pod has a proxy of the mesh of its own."""
    return any(container["name"] == PROXY for container in containers(pod))


def verdict(session: Session, sender: Sender, target: End, port: int, *, meshed: bool) -> Verdict:
    """Whether a packet gets through. `meshed`: the mesh decides who may talk to the target.

    The first rule that refuses decides: at the sender, at the target, and then in the mesh.
    """
    pod, policies = sender.pod, session.network_policies
    arrival = HBONE_PORT if sender.meshed and isinstance(target, Pod) and target.ambient else port
    if not sender.host_network:
        # What is in the node's network is no pod to a NetworkPolicy, and reaches the pods of its node.
        out = egress(policies, pod, target, arrival)
        if not out.allowed:
            return Verdict(allowed=False, why=f"no egress rule of {out}")
        if isinstance(target, Pod) and not (into := ingress(policies, pod, target, arrival)).allowed:
            return Verdict(allowed=False, why=f"no ingress rule of {into}")
    if isinstance(target, Address) or not meshed:
        return Verdict(allowed=True, why="no rule is in its way")
    mode, by = mtls_mode(session.peer_authentications, MESH_ROOT, target, port)
    if not sender.meshed and mode == "STRICT":
        return Verdict(allowed=False, why=f"PeerAuthentication {by} says {mode}")
    peer = session.peer(pod) if sender.meshed else NOBODY
    decision = authorized(session.authorization_policies, MESH_ROOT, target, peer, port)
    said = f"AuthorizationPolicy {decision}"
    return Verdict(decision.allowed, said if decision.allowed else f"no rule of {said}")
