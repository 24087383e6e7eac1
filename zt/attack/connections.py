"""The connections that an attacker tries: one list, which the live rules are asked about and packets are sent for.

Its ends are the services of a stack and the workloads that packages bring, as far as a pod of them runs.
"""

import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from components.kube.names import VAULT_INBOUND, WORKLOAD_LABEL
from components.kube.service_ref import ServiceRef
from components.package.args import PackageArgs
from components.schema.metadata_services import METADATA_SERVICES
from components.service.args.service import SecureServiceArgs
from components.service.file.service import ServiceSpec
from zt.attack.network import Address, Pod
from zt.attack.session import Session
from zt.cluster.manifest import part

INTERNET = Address("203.0.113.10")
"""An address reserved for documentation (RFC 5737) as the internet."""

_METADATA_PORT = 80
INTRUDER = "intruder"
TCP = "tcp"


@dataclass(frozen=True)
class Port:
    """A port of a pod: what is spoken there, who may call it, and by which Service's port. No `service`: by none."""

    number: int
    protocol: str = TCP
    callers: frozenset[ServiceRef] = frozenset()
    service: str = ""
    service_port: int = 0


@dataclass(frozen=True)
class Member:
    """A service or a workload of a package, with a pod of it that runs."""

    ref: ServiceRef
    pod: Pod
    ports: Sequence[Port]


@dataclass(frozen=True)
class Edge:
    """A connection between two pods, and whether a file declares it."""

    source: Pod
    target: Pod
    at: Port
    declared: bool = False

    @property
    def port(self) -> int:
        """The port of the target."""
        return self.at.number


def live(session: Session, spec: ServiceSpec) -> Pod | None:
    """A pod of a service by the service's name; none where no pod runs."""
    pods = session.pods_of(spec)
    return replace(session.end(pods[0]), name=spec.name) if pods else None


def members(session: Session) -> list[Member]:
    """All that runs of the stack."""
    services = [
        Member(spec.ref, pod, list(_ports(session, spec)))
        for spec in session.declared.services
        if (pod := live(session, spec))
    ]
    packaged = [
        Member(_ref(workload), pod, _packaged_ports(package, workload))
        for package in session.declared.packages
        for workload in package.workloads
        if (pod := _packaged(session, workload))
    ]
    return [*services, *packaged]


def _ports(session: Session, spec: ServiceSpec) -> Iterator[Port]:
    stack = session.declared
    packaged = [workload for package in stack.packages for workload in package.workloads]
    for name, (number, protocol) in spec.called_ports.items():
        callers = {
            *(other.ref for other in stack.services if (spec.ref, name) in _calls_of(other)),
            *(_ref(each) for each in packaged if any((to.service, to.port) == (spec.ref, number) for to in each.calls)),
        }
        yield Port(number, protocol, frozenset(callers), spec.name, number)
    # The port for Vault is for no service, not even for those that call it.
    if spec.lets_vault_in:
        yield Port(VAULT_INBOUND, service=spec.name, service_port=VAULT_INBOUND)


def _calls_of(spec: ServiceSpec) -> set[tuple[ServiceRef, str | None]]:
    """The services that a service calls, each with the name of the port."""
    return {(ref, call.port) for ref, call in spec.called()}


def _ref(workload: SecureServiceArgs) -> ServiceRef:
    return ServiceRef(workload.namespace, workload.name)


def _packaged(session: Session, workload: SecureServiceArgs) -> Pod | None:
    """A pod of a workload, by the label that its package's policies select."""
    for pod in session.pods:
        metadata = pod["metadata"]
        marked = part(metadata, "labels").get(WORKLOAD_LABEL) == workload.name
        if marked and metadata["namespace"] == workload.namespace:
            return replace(session.end(pod), name=workload.name)
    return None


def _packaged_ports(package: PackageArgs, workload: SecureServiceArgs) -> list[Port]:
    rendered = next(each for each in package.objects.workloads if each.name == workload.name)
    reached = {
        rendered.port(target): (service.name, number)
        for service in package.objects.services
        if service.selects(rendered)
        for number, target in service.targets.items()
    }
    return [
        Port(
            each.port,
            each.protocol,
            frozenset(peer.service for peer in workload.called_by if peer.port == each.port),
            *reached.get(each.port, ("", 0)),
        )
        for each in workload.open_ports
    ]


def edges(session: Session) -> Iterator[Edge]:
    """Each connection to a member: from every other one, and from a pod that is in no file."""
    running = members(session)
    for target in running:
        for port in target.ports:
            yield Edge(session.imagined(INTRUDER), target.pod, port)
            for source in running:
                if source != target:
                    yield Edge(source.pod, target.pod, port, source.ref in port.callers)


def undeclared(session: Session) -> list[Edge]:
    """The connections that no file declares."""
    return [edge for edge in edges(session) if not edge.declared]


def outside(session: Session) -> Sequence[tuple[Address, int]]:
    """The places outside the cluster that the compromised service does not declare."""
    # An egress rule for a host name opens the whole internet at that port.
    declared = {(INTERNET, host.port) for host in session.service.egress if not host.cidrs}
    places = (*metadata_services(session), (INTERNET, 443), (INTERNET, 53))
    return [place for place in places if place not in declared]


def metadata_services(session: Session) -> Sequence[tuple[Address, int]]:
    """The address and port of each metadata service, those of the cluster's own by the first address of a network."""
    of_clouds = [(Address(each.address), each.port) for each in METADATA_SERVICES if each.address]
    own = [ipaddress.ip_network(network) for network in session.declared.metadata]
    return [*of_clouds, *((Address(str(network.network_address)), _METADATA_PORT) for network in own)]
