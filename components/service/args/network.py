"""The network part of the arguments of `SecureService`: its callees and callers, and the requests between them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from components.kube.manifest import Manifest, pods
from components.kube.names import WORKLOAD_LABEL
from components.kube.service_ref import ServiceRef
from components.service.args.routes import RouteArgs
from components.service.file.network import EgressSpec, JwtSpec, MetricsSpec, PlaintextPortSpec
from components.service.file.ports import StickySpec


def pod_labels(name: str, *, packaged: bool) -> dict[str, str]:
    """The labels that select the pods of a service, or of a workload of a package; they never change."""
    return {WORKLOAD_LABEL if packaged else "app": name}


@dataclass(frozen=True)
class Peer:
    """The service at the other end of a call, the port that is called, and the requests that are sent.

    Empty `methods` or `paths` stand for all of them. For a workload of a `package`, `service` has the workload's name,
    `account` is its service account, and `host` its Service.
    """

    service: ServiceRef
    port: int
    """The port of its pods."""
    methods: Sequence[str] = ()
    paths: Sequence[str] = ()
    package: str = ""
    account: str = ""
    host: str = ""
    each: bool = False
    """Whether its pods are reached by their own names too, as those of a cluster whose clients choose one."""

    @property
    def identity(self) -> ServiceRef:
        """Its service account."""
        return ServiceRef(self.service.namespace, self.account or self.service.name)

    @property
    def called_as(self) -> ServiceRef:
        """What a file names to call it: the service, or the package."""
        return ServiceRef(self.service.namespace, self.package or self.service.name)

    @property
    def reached_at(self) -> ServiceRef:
        """Its Service."""
        return ServiceRef(self.service.namespace, self.host or self.service.name)

    @property
    def pods(self) -> Manifest:
        """Its pods as a peer of a NetworkPolicy's rule."""
        return pods(self.service.namespace, pod_labels(self.service.name, packaged=bool(self.package)))


@dataclass(frozen=True)
class Neighbours:
    """The packages beside the services of a stack, at the other ends of their calls.

    `callees` are the workloads behind a port of a package, by the package and the name in a call; `callers` are the
    calls from packages, by service.
    """

    callees: Mapping[tuple[ServiceRef, str], Sequence[Peer]] = field(
        default_factory=dict[tuple[ServiceRef, str], Sequence[Peer]]
    )
    callers: Mapping[ServiceRef, Sequence[Peer]] = field(default_factory=dict[ServiceRef, Sequence[Peer]])


@dataclass(frozen=True)
class StickyArgs:
    """What sends the requests of one client to one pod: a cookie of the gateway, or a header; empty are neither."""

    cookie: str = ""
    header: str = ""


@dataclass(frozen=True)
class PortArgs:
    """A port that a service listens on, by its name in the Service."""

    name: str
    port: int
    protocol: str = "http"
    sticky: StickyArgs = field(default_factory=StickyArgs)
    host: str = ""
    """A public host of its own; empty: it has none."""
    paths: Sequence[str] = ("/",)
    """The path prefixes that are public there."""
    routes: Sequence[RouteArgs] = ()
    """What holds for some of them."""


@dataclass(frozen=True)
class EgressArgs:
    """A host outside the cluster. Without `networks` it may be anywhere on the internet."""

    host: str
    port: int
    protocol: str = "tls"
    networks: Sequence[str] = ()


@dataclass(frozen=True)
class JwtArgs:
    """The token that requests to the public host must have; none without an `issuer`.

    `jwks` is the key set as JSON text; without it istiod fetches it from `jwks_uri`.
    """

    issuer: str = ""
    jwks_uri: str = ""
    jwks: str = ""
    audiences: Sequence[str] = ()
    required_claims: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    forward_token: bool = False


@dataclass(frozen=True)
class PlaintextPortArgs:
    """A port that takes connections without a certificate; `expires` is an ISO date."""

    port: int
    networks: Sequence[str]
    reason: str
    owner: str
    expires: str


@dataclass(frozen=True)
class MetricsArgs:
    """Port and path of the metrics; without a `port` there are none."""

    port: int = 0
    path: str = ""


def sticky_args(spec: StickySpec | None) -> StickyArgs:
    """The arguments of what sends a client's requests to one pod."""
    return StickyArgs(spec.cookie or "", spec.header or "") if spec else StickyArgs()


def egress_args(spec: EgressSpec) -> EgressArgs:
    """The arguments of an outside host in a service file."""
    return EgressArgs(spec.host, spec.port, spec.protocol, spec.cidrs)


def jwt_args(spec: JwtSpec) -> JwtArgs:
    """The arguments of a token in a service file."""
    return JwtArgs(
        issuer=spec.issuer,
        jwks_uri=spec.jwks_uri or "",
        jwks=json.dumps(spec.jwks, sort_keys=True) if spec.jwks else "",
        audiences=spec.audiences,
        required_claims=spec.required_claims,
        forward_token=spec.forward_token,
    )


def plaintext_args(spec: PlaintextPortSpec) -> PlaintextPortArgs:
    """The arguments of a plaintext port in a service file."""
    return PlaintextPortArgs(spec.port, spec.cidrs, spec.reason, spec.owner, spec.expires.isoformat())


def metrics_args(spec: MetricsSpec | None) -> MetricsArgs:
    """The arguments of the metrics in a service file."""
    return MetricsArgs(spec.port, spec.path) if spec else MetricsArgs()


def beyond_ambient(
    ports: Sequence[PortArgs], peers: Sequence[Peer], egress: Sequence[EgressArgs], jwt: JwtArgs, metrics: MetricsArgs
) -> list[str]:
    """The features among these that need a proxy in the pod; `components/service/file/ambient.py` says why."""
    features = {
        "requests by method or path": any(peer.methods or peer.paths for peer in peers),
        "egress by host name": any(host.protocol != "tcp" for host in egress),
        "a token": bool(jwt.issuer),
        "the path of metrics on the service's own port": metrics.port in [each.port for each in ports],
        "sticky requests": any(each.sticky != StickyArgs() for each in ports),
    }
    return [feature for feature, used in features.items() if used]
