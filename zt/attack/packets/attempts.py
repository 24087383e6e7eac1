"""Attack 1, sent. What became of each packet stands beside what the live rules say: a difference is a finding."""

from collections.abc import Callable, Sequence

from zt.attack.attempt import Attempt
from zt.attack.evidence import Control, Evidence, UntriedError, blocked, not_measured, short, succeeded, together
from zt.attack.packets import parcels
from zt.attack.packets.packet import Arrival, Packet, Sender, Sent
from zt.attack.packets.senders import ProbeRefusedError, send
from zt.attack.session import Run, Session

PacketList = Callable[[Session], list[Packet]]


def sends(packets_of: PacketList, nothing: str, *, with_declared: bool = False) -> Run:
    """Send a list of packets, and with them the declared ones by which a silent service shows that it answers."""

    def run(session: Session) -> Evidence:
        packets = packets_of(session)
        answering = parcels.declared(session) if with_declared else []
        sent: list[Sent] = []
        tries: list[Evidence] = []
        for sender, own in _by_sender([*packets, *answering]):
            try:
                sent += send(session, sender, own)
            except ProbeRefusedError as error:
                tries.append(blocked(str(error)))
            except UntriedError as error:
                # Without a declared caller only what stays silent is not measured.
                tries += [not_measured(str(error))] if any(not packet.declared for packet in own) else []
        heard = {(str(one.packet.target), one.packet.port) for one in sent if one.arrival is Arrival.OPEN}
        tries += [_evidence(one, heard) for one in sent if not one.packet.declared]
        return _summed_up(together(tries, nothing), sent)

    return run


def _by_sender(packets: Sequence[Packet]) -> list[tuple[Sender, list[Packet]]]:
    # A sender has labels, which can be no key.
    groups: list[tuple[Sender, list[Packet]]] = []
    for packet in packets:
        group = next((own for sender, own in groups if sender == packet.sender), None)
        if group is None:
            groups.append((packet.sender, [packet]))
        else:
            group.append(packet)
    return groups


def _evidence(sent: Sent, heard: set[tuple[str, int]]) -> Evidence:
    """What one packet shows. Silence shows something only of a service that answers those who may ask."""
    match sent.arrival:
        case Arrival.OPEN:
            return succeeded(str(sent))
        case Arrival.REFUSED:
            return blocked(str(sent))
        case Arrival.SILENT if (str(sent.packet.target), sent.packet.port) in heard:
            return blocked(f"{sent}; its declared callers it answers")
        case Arrival.SILENT:
            return not_measured(f"{sent}; nobody was answered there, so that silence says nothing")
        case _:
            return not_measured(f"{sent.packet}: {sent.answer}")


def _summed_up(evidence: Evidence, sent: Sequence[Sent]) -> Evidence:
    """The evidence with its packets. Where a packet went otherwise than the rules say, the answer is that one."""
    differing = [one for one in sent if one.differs]
    answer = f"{differing[0]} ({len(differing)} differ)" if differing else evidence.answer
    return Evidence(evidence.result, short(answer), tuple(sent))


def _attempt(name: str, tried: str, control: Control, run: Run) -> Attempt:
    return Attempt(name, 1, tried, control, run)


_NETWORK = Control("network_policies", "SecureService", ("default-deny",))
_NO_PODS = "no pod of another service runs"

ATTEMPTS = (
    _attempt(
        "packets",
        "Send to each service from every other one that does not call it, by pod address, Service and name.",
        _NETWORK,
        sends(parcels.to_services, _NO_PODS),
    ),
    _attempt(
        "packets-past-the-proxy",
        "Send plaintext to each service, past the proxy of {service}.",
        Control("mtls", "MeshSecurity: PeerAuthentication"),
        sends(parcels.past_the_proxy, _NO_PODS, with_declared=True),
    ),
    _attempt(
        "packets-outside",
        "Send from {service} to the metadata service, the API server, kubelets and other ports of nodes, and with "
        "--internet to the internet.",
        _NETWORK,
        sends(parcels.to_the_outside, "nothing is outside"),
    ),
    _attempt(
        "packets-host-network",
        "Send to each service from a pod in the network of a node.",
        Control("critical", "KyvernoPolicySet", ("disallow-host-namespaces",)),
        sends(parcels.of_a_neighbour, _NO_PODS, with_declared=True),
    ),
    _attempt(
        "packets-names",
        "Resolve a name of the world from {service}: data leaves in the names that are asked for.",
        Control("dns", "the cluster's DNS, by the stack output coreDns"),
        sends(parcels.for_names, "nothing was asked for"),
    ),
)
