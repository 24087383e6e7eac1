"""The connections that an attacker tries: one list, which the live rules are asked about and packets are sent for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from components.kube.names import VAULT_INBOUND
from components.kube.service_ref import ServiceRef
from components.service.file.service import ServiceSpec
from zt.attack.network import Address, Pod
from zt.attack.session import Session

METADATA_SERVICE, INTERNET = Address("169.254.169.254"), Address("203.0.113.10")
"""The cloud's metadata service, and an address reserved for documentation (RFC 5737) as the internet."""

INTRUDER = "intruder"
TCP = "tcp"


@dataclass(frozen=True)
class Edge:
    """A connection between two pods, as the service files have it. `protocol` is what the callee speaks there."""

    source: Pod
    target: Pod
    port: int
    protocol: str = TCP
    declared: bool = False


def live(session: Session, spec: ServiceSpec) -> Pod | None:
    """A pod of a service by the service's name; none where no pod runs."""
    pods = session.pods_of(spec)
    return replace(session.end(pods[0]), name=spec.name) if pods else None


def calls_of(spec: ServiceSpec) -> set[tuple[ServiceRef, str | None]]:
    """The services that a service calls, each with the name of the port."""
    return {(ref, call.port) for ref, call in spec.called()}


def edges(session: Session) -> Iterator[Edge]:
    """Each connection to a service: from every other service, and from a pod that is in no file."""
    running = [(spec, pod) for spec in session.declared.services if (pod := live(session, spec))]
    called = {spec.ref: calls_of(spec) for spec, _ in running}
    for spec, target in running:
        for name, (port, protocol) in spec.called_ports.items():
            yield Edge(session.imagined(INTRUDER), target, port, protocol)
            for other, source in running:
                if other != spec:
                    yield Edge(source, target, port, protocol, (spec.ref, name) in called[other.ref])
        # The port for Vault is for no service, not even for those that call it.
        if spec.lets_vault_in:
            others = [session.imagined(INTRUDER), *(pod for other, pod in running if other != spec)]
            yield from (Edge(source, target, VAULT_INBOUND) for source in others)


def undeclared(session: Session) -> list[Edge]:
    """The connections that no service file declares."""
    return [edge for edge in edges(session) if not edge.declared]


def outside(session: Session) -> Sequence[tuple[Address, int]]:
    """The places outside the cluster that the compromised service does not declare."""
    # An egress rule for a host name opens the whole internet at that port.
    declared = {(INTERNET, host.port) for host in session.service.egress if not host.cidrs}
    places = ((METADATA_SERVICE, 80), (INTERNET, 443), (INTERNET, 53))
    return [place for place in places if place not in declared]
