"""Attack 1: connect from the compromised pod to the database, as the live rules of network and mesh would decide."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from components.kube.mesh_labels import HBONE_PORT
from components.kube.names import VAULT_INBOUND
from zt.attack.attempt import Attempt
from zt.attack.authorization import NOBODY, Peer, authorized, mtls_mode
from zt.attack.connections import INTRUDER, live, members, outside, undeclared
from zt.attack.evidence import Control, Evidence, blocked, not_measured, succeeded, together
from zt.attack.kubernetes_api import by_rights
from zt.attack.network import Decision, End, Pod, egress, ingress, of_own_node
from zt.attack.session import NAME, Session
from zt.cluster.manifest import Manifest

Way = Callable[[Sequence[Manifest], Pod, Pod, int], Decision]

_NO_PODS = "no pod of another service runs"
_OTHER_PORT = 22
_PLATFORM_PORT = 443


def _judge(decision: Decision, what: str, rule: str) -> Evidence:
    if decision.allowed:
        return succeeded(f"{what}: let through by {decision}")
    return blocked(f"{what}: no rule of {rule} {decision} allows it")


def _judge_network(session: Session, decision: Decision, what: str, *ends: End) -> Evidence:
    """What the NetworkPolicies say; a policy that is not evaluated may allow what they block."""
    if not decision.allowed and (others := session.other_network_policies(*ends)):
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        return not_measured(f"{what}: no NetworkPolicy allows it, and {others[0]}{more}, not evaluated here, may")
    return _judge(decision, what, "NetworkPolicy")


def _judge_mesh(session: Session, target: Pod, peer: Peer, port: int, what: str) -> Evidence:
    """What the AuthorizationPolicies say; without a proxy before the target nobody asks them."""
    if not target.meshed:
        return succeeded(f"{what}: {target} has no proxy of the mesh, so that no AuthorizationPolicy holds")
    policies, root = session.authorization_policies, session.declared.layers.mesh_root
    return _judge(authorized(policies, root, target, peer, port), what, "AuthorizationPolicy")


def _by_network(session: Session, way: Way, source: Pod, target: Pod, port: int) -> Evidence:
    """Whether the network policies let a connection through.

    A pod in ambient mode can also be reached through the mesh's tunnel, and then the mesh decides about the port.
    """
    policies, what = session.network_policies, f"{source} to {target}:{port}"
    decision = way(policies, source, target, port)
    tunnelled = target.ambient and way(policies, source, target, HBONE_PORT).allowed
    if decision.allowed or not tunnelled or session.other_network_policies(source, target):
        return _judge_network(session, decision, what, source, target)
    return _judge_mesh(session, target, session.peer(source), port, f"{what} through the mesh's tunnel")


def _connect_in(session: Session) -> Evidence:
    tries = [_by_network(session, ingress, edge.source, edge.target, edge.port) for edge in undeclared(session)]
    return together(tries, _NO_PODS)


def _connect_out(session: Session) -> Evidence:
    compromised = live(session, session.service)
    if compromised is None:
        return not_measured("no pod of the service runs")
    targets = [*_other_services(session), *_platform_pods(session)]
    sources = (compromised, session.imagined(INTRUDER))
    # To its own node a pod may always connect: what is there is tried with packets.
    tries = [
        _by_network(session, egress, source, target, port)
        for source in sources
        for target, port in targets
        if not of_own_node(compromised, target)
    ]
    return together(tries, "no other pod runs")


def _other_services(session: Session) -> Iterator[tuple[Pod, int]]:
    """The ports of services that this one does not call, and another port of those that it calls."""
    own = session.service.ref
    for member in members(session):
        if member.ref != own:
            closed = [port.number for port in member.ports if own not in port.callers]
            yield from ((member.pod, port) for port in closed or [_OTHER_PORT])


def _platform_pods(session: Session) -> Iterator[tuple[Pod, int]]:
    """One pod of each account that belongs to no service and to no package."""
    own = {(member.pod.namespace, member.pod.account) for member in members(session)}
    ends = {(end.namespace, end.account): end for end in map(session.end, session.pods)}
    for account, end in sorted(ends.items()):
        if account not in own:
            yield replace(end, name=end.account), _PLATFORM_PORT


def _leave(session: Session) -> Evidence:
    compromised = live(session, session.service)
    if compromised is None:
        return not_measured("no pod of the service runs")
    policies = session.network_policies
    tries = [
        _judge_network(
            session, egress(policies, compromised, target, port), f"{compromised} to {target}:{port}", compromised
        )
        for target, port in outside(session)
    ]
    return together(tries, _NO_PODS)


def _identity(session: Session) -> Evidence:
    tries: list[Evidence] = []
    for edge in undeclared(session):
        peer = session.peer(edge.source)
        what = f"{peer.principal} to {edge.target}:{edge.port}"
        tries.append(_judge_mesh(session, edge.target, peer, edge.port, what))
    return together(tries, _NO_PODS)


def _called(session: Session) -> list[tuple[Pod, int]]:
    own = session.service.ref
    return [(member.pod, port.number) for member in members(session) for port in member.ports if own in port.callers]


def _forged_label(session: Session) -> Evidence:
    """Copy the labels of a declared caller. Whoever writes a pod chooses its labels, but not its certificate."""
    compromised = live(session, session.service)
    if compromised is None:
        return not_measured("no pod of the service runs")
    impostor = replace(compromised, account=INTRUDER, name=INTRUDER)
    tries: list[Evidence] = []
    for target, port in _called(session):
        arrival = HBONE_PORT if target.ambient else port
        network = ingress(session.network_policies, impostor, target, arrival)
        peer = session.peer(impostor)
        what = f"{peer.principal} to {target}:{port} (by its labels let through: {network})"
        tries.append(_judge_mesh(session, target, peer, port, what))
    return together(tries, "the service calls no other one whose labels would be worth copying")


def _without_certificate(session: Session) -> Evidence:
    tries: list[Evidence] = []
    for member in members(session):
        for port in (each.number for each in member.ports if each.number != VAULT_INBOUND):
            mode, by = mtls_mode(session.peer_authentications, session.declared.layers.mesh_root, member.pod, port)
            said = f"PeerAuthentication {by or 'none'} says {mode}" if member.pod.meshed else "no proxy of the mesh"
            strict = member.pod.meshed and mode == "STRICT"
            tries.append((blocked if strict else succeeded)(f"plaintext to {member.pod}:{port}: {said}"))
    return together(tries, _NO_PODS)


def _unlisted(session: Session) -> Evidence:
    """Connect to a workload without a policy, for which the mesh's default holds."""
    target = session.imagined("unlisted")
    caller = Peer(session.declared.trust_domain, session.service.namespace, session.service.name)
    tries = [
        _judge(
            authorized(session.authorization_policies, session.declared.layers.mesh_root, target, peer, _PLATFORM_PORT),
            f"{peer.principal or 'nobody'} to a workload without a policy",
            "AuthorizationPolicy",
        )
        for peer in (caller, NOBODY)
    ]
    return together(tries, _NO_PODS)


def _over_wide(session: Session) -> Evidence:
    """Create a policy whose source has no field: it looks like a restriction and is none, so istiod refuses it."""
    body: Manifest = {
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": NAME},
        "spec": {"action": "ALLOW", "rules": [{"from": [{"source": {}}]}]},
    }
    path = f"/apis/security.istio.io/v1/namespaces/{session.service.namespace}/authorizationpolicies"
    answer = session.deployer.call("POST", path, body, dry_run=True)
    if answer.unauthorized or answer.status == 404:
        return not_measured(f"{answer.status} {answer.message}")
    return by_rights(answer, "an AuthorizationPolicy with an empty source")


def _attempt(name: str, tried: str, control: Control, run: Callable[[Session], Evidence]) -> Attempt:
    return Attempt(name, 1, tried, control, run)


_NETWORK = Control("network_policies", "SecureService", ("default-deny",))
_MESH = Control("authorization", "SecureService: AuthorizationPolicy")

ATTEMPTS = (
    _attempt(
        "connect-in",
        "Connect to each service from pods that are not among its declared callers.",
        _NETWORK,
        _connect_in,
    ),
    _attempt(
        "connect-out",
        "Connect from {service}, and from a pod of its own, to services it does not call and to the platform.",
        _NETWORK,
        _connect_out,
    ),
    _attempt(
        "leave-the-cluster",
        "Connect from {service} to the cloud's metadata service and the internet.",
        _NETWORK,
        _leave,
    ),
    _attempt(
        "identity-undeclared",
        "Call each service with the certificate of an identity that is not among its declared callers.",
        _MESH,
        _identity,
    ),
    _attempt(
        "identity-forged-label",
        "Call what {service} calls from a pod with its labels and another service account.",
        _MESH,
        _forged_label,
    ),
    _attempt(
        "identity-unlisted",
        "Call a workload for which nobody wrote an AuthorizationPolicy.",
        Control("authorization", "MeshSecurity: deny-by-default"),
        _unlisted,
    ),
    _attempt(
        "plaintext",
        "Speak to each service without a certificate.",
        Control("mtls", "MeshSecurity: PeerAuthentication"),
        _without_certificate,
    ),
    _attempt(
        "over-wide-policy",
        "Have istiod take an AuthorizationPolicy whose source names nobody, as a deployer of the namespace.",
        Control("authorization", "MeshSecurity: istiod's webhook"),
        _over_wide,
    ),
)
