"""The headers and limits of public services, and the annotations that a class of Ingress has for them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from components.kube.manifest import Manifest, namespace_selector, pods, tcp_rule
from components.kube.names import GATEWAY_LABEL
from components.kube.service_ref import ServiceRef
from components.schema.host_pattern import is_covered

HSTS = "Strict-Transport-Security"


@dataclass(frozen=True)
class PublicLimits:
    """Headers and limits of one public service, or the stack's default for services whose files have none.

    A host answers `requests` in `seconds`; 0 is no limit. `annotations` are the headers and limits as annotations of an
    Ingress.
    """

    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    requests: int = 0
    seconds: int = 1
    max_request_bytes: int = 0
    annotations: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class PublicTerms:
    """The default headers and limits of a stack, and the annotations of its class of Ingress for each of them."""

    default: PublicLimits = field(default_factory=PublicLimits)
    header_annotations: Mapping[str, str] = field(default_factory=dict[str, str])
    rate_annotations: Mapping[str, str] = field(default_factory=dict[str, str])
    size_annotations: Mapping[str, str] = field(default_factory=dict[str, str])
    other_annotations: Mapping[str, str] = field(default_factory=dict[str, str])
    on: bool = True
    """Whether the posture applies headers and limits; otherwise those in a service's file are ignored too."""


@dataclass(frozen=True)
class IngressTerms:
    """The gateway or ingress controller of a stack, as its public services need to know it."""

    route: str = ""
    """`gateway-api` or `ingress`; empty: no service is public."""
    issuer: str = ""
    class_name: str = ""
    """The class of an Ingress."""
    gateway: ServiceRef = field(default_factory=ServiceRef)
    """The Gateway; for an ingress controller only its namespace is used."""
    account: str = ""
    """The service account, in that namespace, of the proxy that forwards the requests."""
    public: PublicTerms = field(default_factory=PublicTerms)
    hosts: Sequence[str] = ()
    """The public hosts that lead to it, and `*.example.org` for all below a domain."""

    @property
    def pods(self) -> Manifest:
        """The gateway's pods, as a peer of a network policy."""
        if self.route == "gateway-api":
            return pods(self.gateway.namespace, {GATEWAY_LABEL: self.gateway.name})
        # The labels of an ingress controller's pods depend on its chart; its namespace is known from the stack file.
        return namespace_selector(self.gateway.namespace)

    def leads_to(self, host: str) -> bool:
        """Whether a public host leads to this gateway."""
        return bool(self.route) and is_covered(host, self.hosts)

    def front(self, ports: Iterable[int]) -> list[Manifest]:
        """The rule for connections to the gateway at these ports; none without a port.

        Within the cluster the address of a load balancer leads straight to the gateway's pods, which no network outside
        has in it. At which ports an ingress controller's pods listen, its chart says: the rule names none.
        https://kubernetes.io/docs/reference/networking/virtual-ips/
        """
        numbers = sorted({*ports})
        if not numbers:
            return []
        return [tcp_rule("to", [self.pods], numbers) if self.route == "gateway-api" else {"to": [self.pods]}]
