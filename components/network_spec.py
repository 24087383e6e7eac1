"""The network half of a service file: what a service may reach, who may reach it, and how."""

import ipaddress
import re
from datetime import date
from typing import Annotated, Literal, Self, cast

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool, StrictStr, model_validator

from components.policy_exceptions import CRITICAL_DAYS, TimedException
from components.typed_file import Cidr, HostName, Port, TypedFile

_MESH_PORTS = range(15000, 15100)
_LONGEST_HOST = 189
_BROADEST = {4: 8, 6: 32}
# Addresses that hand out a node's identity and are in no range that is private or link-local.
METADATA_NETWORKS = ("168.63.129.16/32", "192.0.0.192/32", "100.100.100.200/32")
_NEVER = tuple(
    ipaddress.ip_network(network)
    for network in ("169.254.0.0/16", "127.0.0.0/8", "fe80::/10", "::1/128", "fd00:ec2::254/128", *METADATA_NETWORKS)
)
_NOT_OUTSIDE = (".svc", ".cluster.local", "metadata.google.internal")
_PRIVATE_KEY_PARTS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


def service_name(value: str) -> str:
    """A service of the same namespace or `namespace/name`. Raises `ValueError`."""
    parts = value.split("/")
    if len(parts) > 2 or not all(re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", part) for part in parts):
        raise ValueError("not a service: write its name, or namespace/name (wildcards are over-broad)")
    return value


def application_port(value: int) -> int:
    """A port that an application may listen on. Raises `ValueError`."""
    if value in _MESH_PORTS:
        raise ValueError("ports 15000 to 15099 are the mesh proxy's")
    return value


def http_path(value: str) -> str:
    """An absolute path without a query. Raises `ValueError`."""
    if not re.fullmatch(r"/[^\s?#*]*", value):
        raise ValueError("not an absolute path such as /healthz")
    return value


def _called_path(value: str) -> str:
    # Braces are a template and a star elsewhere is another match in the mesh's own spelling.
    if not re.fullmatch(r"/([^\s?#*{}]*|[^\s?#*{}]*/\*|\*)", value):
        raise ValueError("not a path such as /orders, or /orders/* for all below it")
    if value == "/*":
        raise ValueError("/* is every path: leave paths out")
    return value


def _call(value: object) -> object:
    return {"service": service_name(value)} if isinstance(value, str) else value


def _outside_host(value: str) -> str:
    # The entry of the mesh is called after the service and the host, which is 253 characters at most.
    if len(value) > _LONGEST_HOST:
        raise ValueError(f"longer than {_LONGEST_HOST} characters")
    if value.endswith(_NOT_OUTSIDE):
        raise ValueError("not outside: a service of the cluster is written under calls, metadata is out of reach")
    return value


def _narrow(value: str) -> str:
    network = ipaddress.ip_network(value)
    if network.prefixlen < _BROADEST[network.version]:
        raise ValueError(f"broader than /{_BROADEST[network.version]}: name the networks that are meant")
    if any(network.version == other.version and network.overlaps(other) for other in _NEVER):  # pyright: ignore[reportArgumentType] - the same version
        raise ValueError("it holds loopback, link-local or metadata addresses, which no service may reach")
    return value


def _issuer(value: str) -> str:
    if not re.fullmatch(r"https://[^\s*?#@]+", value):
        raise ValueError("not an https address, as the token's `iss` has it to the letter (no wildcard)")
    return value


def _jwks_uri(value: str) -> str:
    if not re.fullmatch(r"https://[^\s/@?#*]+(:\d{1,5})?/[^\s#*]*", value):
        raise ValueError("not an address such as https://login.example.org/keys (TLS only, no credentials)")
    return value


def _exact(value: str) -> str:
    if not value.strip() or "*" in value:
        raise ValueError("not one exact value (empty, or a wildcard)")
    return value


def _claim(value: str) -> str:
    if not re.fullmatch(r"[^\s\[\]*]+", value):
        raise ValueError("not the name of a claim: no space, bracket or wildcard")
    return value


def _public_keys(value: dict[str, object]) -> dict[str, object]:
    keys = value.get("keys")
    if set(value) != {"keys"} or not isinstance(keys, list) or not keys:
        raise ValueError("not a JSON Web Key Set: a mapping with the one key `keys`, a list of public keys")
    for key in cast("list[object]", keys):
        parts = set(cast("dict[str, object]", key)) if isinstance(key, dict) else set[str]()
        if "kty" not in parts:
            raise ValueError("each of keys needs its kty")
        if parts & _PRIVATE_KEY_PARTS:
            raise ValueError("it holds a private or a shared key, which is now known to whoever reads this file")
    return value


Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
AppPort = Annotated[Port, AfterValidator(application_port)]
HttpPath = Annotated[StrictStr, AfterValidator(http_path)]
NarrowCidr = Annotated[Cidr, AfterValidator(_narrow)]
ExactText = Annotated[StrictStr, AfterValidator(_exact)]


class CallSpec(TypedFile):
    """A service that is called; a name alone stands for every request."""

    service: Annotated[StrictStr, AfterValidator(service_name)]
    """Its name, or `namespace/name`."""
    methods: tuple[Method, ...] = ()
    """The HTTP methods of the requests; all of them by default."""
    paths: tuple[Annotated[StrictStr, AfterValidator(_called_path)], ...] = ()
    """The paths of the requests, `/orders/*` for all below one; all of them by default."""

    @property
    def http(self) -> bool:
        """Whether it says something that only HTTP has."""
        return bool(self.methods or self.paths)


Call = Annotated[CallSpec, BeforeValidator(_call, json_schema_input_type=StrictStr | CallSpec)]


class EgressSpec(TypedFile):
    """A host outside the cluster that a service may reach, at one port."""

    host: Annotated[HostName, AfterValidator(_outside_host)]
    port: AppPort
    protocol: Literal["tls", "https", "http", "tcp"] = "tls"
    """What is spoken there. `tls` and `https` are let through by the host name of the handshake, `http` by that of the
    request; `tcp` names no host, so that it needs `cidrs`."""
    cidrs: tuple[NarrowCidr, ...] = ()
    """The host's networks. By default the internet, without what is private, link-local or a cloud's metadata."""

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if self.protocol == "tcp" and not self.cidrs:
            raise ValueError("tcp names no host that the mesh could hold it to: write the host's networks under cidrs")
        return self


class JwtSpec(TypedFile):
    """The end user's token that every request from the public host must carry (`Authorization: Bearer`).

    https://istio.io/latest/docs/reference/config/security/request_authentication/
    """

    issuer: Annotated[StrictStr, AfterValidator(_issuer)]
    """Who signs: the token's `iss`, to the letter."""
    jwks_uri: Annotated[StrictStr, AfterValidator(_jwks_uri)] | None = None
    """Where the issuer's public keys are. istiod fetches them: this host must be reachable from `istio-system`."""
    jwks: Annotated[dict[StrictStr, object], AfterValidator(_public_keys)] | None = None
    """The public keys themselves, as a mapping, where istiod cannot fetch them."""
    audiences: tuple[ExactText, ...] = Field(min_length=1)
    """The token's `aud` must be one of these."""
    required_claims: dict[Annotated[StrictStr, AfterValidator(_claim)], tuple[ExactText, ...]] = Field(
        default_factory=dict
    )
    """Further claims, each with the values of which the token must have one."""
    forward_token: StrictBool = False
    """Whether the application sees the token too."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.jwks_uri is None) == (self.jwks is None):
            raise ValueError("write jwksUri or jwks: one of them")
        if empty := sorted(name for name, values in self.required_claims.items() if not values):
            raise ValueError(f"requiredClaims.{empty[0]} has no value")
        return self


class PlaintextPortSpec(TimedException):
    """A port that takes connections without a certificate for a while, and whose they may be."""

    port: AppPort
    cidrs: tuple[NarrowCidr, ...] = Field(min_length=1)
    """The networks of the callers: without a certificate nothing else tells who they are."""

    def problem(self, as_of: date | None) -> tuple[str, str] | None:
        """The key and the message of what is wrong with its days. Without a day, expiry is not judged."""
        if self.days > CRITICAL_DAYS:
            return "expires", f"{self.days} days, {CRITICAL_DAYS} at most after granted {self.granted}"
        return self.day_problem(as_of)


class MetricsSpec(TypedFile):
    """The metrics that the platform's scraper reads."""

    port: AppPort
    path: HttpPath = "/metrics"
