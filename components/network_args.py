"""The network half of the arguments of `SecureService`: whom it talks to, who talks to it, and what they may say."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from components.network_spec import EgressSpec, JwtSpec, MetricsSpec, PlaintextPortSpec


@dataclass(frozen=True)
class Peer:
    """A service at the other end of a call, the port that is called, and the requests that are sent there.

    Without `methods` or `paths` every one of them is meant.
    """

    namespace: str
    name: str
    port: int
    methods: Sequence[str] = ()
    paths: Sequence[str] = ()


@dataclass(frozen=True)
class EgressArgs:
    """A host outside the cluster. Without `networks` it is somewhere on the internet."""

    host: str
    port: int
    protocol: str = "tls"
    networks: Sequence[str] = ()


@dataclass(frozen=True)
class JwtArgs:
    """The token that requests from the public host must carry; without an `issuer` none.

    `jwks` is the key set as JSON text; without one istiod fetches it from `jwks_uri`.
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
    """Where the metrics are; without a `port` there are none."""

    port: int = 0
    path: str = ""


def egress_args(spec: EgressSpec) -> EgressArgs:
    """The arguments that a service file's outside host makes."""
    return EgressArgs(spec.host, spec.port, spec.protocol, spec.cidrs)


def jwt_args(spec: JwtSpec | None) -> JwtArgs:
    """The arguments that a service file's token makes."""
    if spec is None:
        return JwtArgs()
    return JwtArgs(
        issuer=spec.issuer,
        jwks_uri=spec.jwks_uri or "",
        jwks=json.dumps(spec.jwks, sort_keys=True) if spec.jwks else "",
        audiences=spec.audiences,
        required_claims=spec.required_claims,
        forward_token=spec.forward_token,
    )


def plaintext_args(spec: PlaintextPortSpec) -> PlaintextPortArgs:
    """The arguments that a service file's clear-text port makes."""
    return PlaintextPortArgs(spec.port, spec.cidrs, spec.reason, spec.owner, spec.expires.isoformat())


def metrics_args(spec: MetricsSpec | None) -> MetricsArgs:
    """The arguments that a service file's metrics make."""
    return MetricsArgs(spec.port, spec.path) if spec else MetricsArgs()


def beyond_ambient(
    port: int, peers: Sequence[Peer], egress: Sequence[EgressArgs], jwt: JwtArgs, metrics: MetricsArgs
) -> list[str]:
    """What of these only a proxy in the pod could hold; `components/service_ambient.py` says why."""
    asked = {
        "requests by method or path": any(peer.methods or peer.paths for peer in peers),
        "egress by host name": any(outside.protocol != "tcp" for outside in egress),
        "a token": bool(jwt.issuer),
        "the path of metrics on the service's own port": metrics.port == port,
    }
    return [what for what, found in asked.items() if found]
