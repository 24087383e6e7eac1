"""Lists the packets that are sent: the connections that the live rules are asked about, by each way to the target."""

import ipaddress
from collections.abc import Iterator
from dataclasses import replace

from components.kube.names import SHARED_ACCOUNTS
from zt.attack.connections import INTERNET, INTRUDER, Edge, Port, edges, live, outside
from zt.attack.evidence import UntriedError
from zt.attack.network import Address, Pod, is_same
from zt.attack.packets.packet import HTTP, HTTP2, NAME, TCP, Packet, Sender, Way
from zt.attack.packets.verdict import verdict
from zt.attack.session import Session
from zt.attack.temporary_rights import NAME as TEMPORARY
from zt.cluster.manifest import Manifest, parts, texts, word

OUTSIDE_NAME = "example.com"
"""A name of the world, which IANA keeps for examples."""

_KUBELET, _SSH = 10250, 22
_NODES = 3
_SLICES = (
    "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices?labelSelector=kubernetes.io/service-name=kubernetes"
)


def to_services(session: Session) -> list[Packet]:
    """From every service, and from a pod of none, to each service; with those that are declared."""
    return [packet for edge in edges(session) for packet in _to(session, _sender(session, edge.source), edge)]


def declared(session: Session) -> list[Packet]:
    """Those that a service file declares: they show that a service answers."""
    return [packet for packet in to_services(session) if packet.declared]


def past_the_proxy(session: Session) -> list[Packet]:
    """From a pod like that of the compromised service, without a proxy: as it would be past its own."""
    return _from(session, Sender(compromised(session), meshed=False))


def of_a_neighbour(session: Session) -> list[Packet]:
    """From a pod in the node's network, which no NetworkPolicy holds."""
    pod = session.imagined("neighbour", session.service.name)
    return _from(session, Sender(replace(pod, labels={"app": TEMPORARY}), meshed=False, host_network=True))


def to_the_outside(session: Session) -> list[Packet]:
    """From the compromised service, by its proxy and past it, to the world, the API server and the nodes."""
    pod = compromised(session)
    itself = _sender(session, pod)
    senders = [itself, *([Sender(pod, meshed=False)] if itself.meshed else [])]
    return [
        Packet(sender, target, host, at, by, HTTP, verdict(session, sender, target, port, by))
        for sender in senders
        for target, port, host, at, by in _places(session)
    ]


def for_names(session: Session) -> list[Packet]:
    """The compromised service asks for a name of the world."""
    sender = _sender(session, compromised(session))
    return [Packet(sender, Address(OUTSIDE_NAME), OUTSIDE_NAME, 80, Way.NAME, NAME, None)]


def compromised(session: Session) -> Pod:
    """The pod of the compromised service. Raises `UntriedError` when none runs."""
    if (pod := live(session, session.service)) is None:
        raise UntriedError("no pod of the service runs")
    return pod


def _from(session: Session, sender: Sender) -> list[Packet]:
    others = (edge for edge in edges(session) if not is_same(edge.target, sender.pod))
    targets = {(str(edge.target), edge.port): edge for edge in others}
    undeclared = (replace(edge, declared=False) for edge in targets.values())
    return [packet for edge in undeclared for packet in _to(session, sender, edge)]


def _to(session: Session, sender: Sender, edge: Edge) -> Iterator[Packet]:
    """By the address of a pod, by the Service's and by name. A declared caller has to use one of the last two."""
    target, question = edge.target, {"http": HTTP, "tcp": TCP}.get(edge.at.protocol, HTTP2)
    for by, host, port in _ways(session, target, edge.at):
        if host and not (edge.declared and by is Way.ADDRESS):
            judged = verdict(session, sender, target, edge.port, by)
            yield Packet(sender, target, host, port, by, question, judged, edge.declared)


def _ways(session: Session, target: Pod, at: Port) -> Iterator[tuple[Way, str, int]]:
    """The hosts and ports by which a port of a pod is reached."""
    yield Way.ADDRESS, target.ip, at.number
    if at.service:
        path = f"/api/v1/namespaces/{target.namespace}/services/{at.service}"
        address = word(session.known(path), "spec", "clusterIP")
        yield Way.SERVICE, "" if address == "None" else address, at.service_port
        yield Way.NAME, f"{at.service}.{target.namespace}.svc", at.service_port


def _sender(session: Session, source: Pod) -> Sender:
    if source.name != INTRUDER:
        return Sender(source, source.meshed, running=True)
    # The rules refuse the account that everybody has; one of no service is there for everybody, too.
    account = next(name for name in SHARED_ACCOUNTS if name != "default")
    return Sender(replace(source, account=account), compromised(session).meshed)


def _places(session: Session) -> Iterator[tuple[Address, int, str, int, Way]]:
    """Target and port as the rules see them, host and port to connect to, and by what that names the target."""
    families = _families(compromised(session))
    for place, port in outside(session):
        # A pod without an address of version 6 has no way there.
        if ipaddress.ip_address(place.ip).version not in families:
            continue
        # Nobody has the address that stands for the internet, unless somebody names one that answers.
        if place != INTERNET or session.internet:
            address = session.internet if place == INTERNET else place.ip
            yield Address(address), port, address, port, Way.ADDRESS
    if not session.service.kubernetes_api:
        yield from _api_server(session)
    nodes = [_internal(node) for node in session.admin.listed("/api/v1/nodes")]
    # The pod's own node first: what listens there is nearest.
    nodes.sort(key=set(compromised(session).node_ips).isdisjoint)
    for addresses in nodes[:_NODES]:
        for address in addresses:
            yield from ((Address(address), port, address, port, Way.ADDRESS) for port in (_KUBELET, _SSH))


def _families(pod: Pod) -> set[int]:
    """The versions of the internet protocol that a pod's network has."""
    return {ipaddress.ip_address(each).version for each in (pod.ip, *pod.node_ips) if each}


def _internal(node: Manifest) -> list[str]:
    return [one["address"] for one in parts(node, "status", "addresses") if one["type"] == "InternalIP"]


def _api_server(session: Session) -> Iterator[tuple[Address, int, str, int, Way]]:
    service = word(session.known("/api/v1/namespaces/default/services/kubernetes"), "spec", "clusterIP")
    for item in session.admin.listed(_SLICES):
        ports = [port["port"] for port in parts(item, "ports")]
        addresses = [address for end in parts(item, "endpoints") for address in texts(end, "addresses")]
        for address in addresses:
            yield from ((Address(address), port, address, port, Way.ADDRESS) for port in ports)
        if service and addresses and ports:
            yield Address(addresses[0]), ports[0], service, 443, Way.SERVICE
