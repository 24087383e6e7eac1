"""The sections of a service file about the network: calls, egress, tokens, plaintext ports and metrics."""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Annotated, Literal, Self, cast

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool, StrictStr, model_validator

from components.kube.names import MESH_PORTS
from components.schema.fields import (
    DNS_LABEL,
    HTTPS_ORIGIN,
    PATH_CHARACTERS,
    Cidr,
    ExactText,
    HostName,
    HttpPath,
    Issuer,
    Port,
    https_address,
    normal_path,
)
from components.schema.problem import UNREPEATED
from components.schema.reached import REACHED
from components.schema.shape import Shape
from components.schema.timed_exception import CRITICAL_DAYS, TimedException
from components.schema.typed_file import IS_ONE, IS_SEVERAL, ONE_OR_SEVERAL, TypedFile, misplaced

_PORTS = 65536
_LONGEST_HOST = 189
_BROADEST = {4: 8, 6: 32}
_LOOPBACK = tuple(ipaddress.ip_network(network) for network in ("127.0.0.0/8", "::1/128"))
_NOT_OUTSIDE = (".svc", ".cluster.local", "metadata.google.internal")
# Names that no public DNS has: .internal by ICANN's resolution of 29 July 2024, .local by RFC 6762, the others by its
# appendix G, .home.arpa by RFC 8375.
_PRIVATE_DOMAINS = (".internal", ".local", ".intranet", ".private", ".corp", ".home", ".lan", ".home.arpa")
USUAL_LISTENERS = {
    21: "FTP",
    22: "SSH",
    25: "SMTP",
    110: "POP3",
    143: "IMAP",
    389: "LDAP",
    587: "SMTP",
    1433: "SQL Server",
    1521: "Oracle",
    1883: "MQTT",
    2181: "ZooKeeper",
    3306: "MySQL",
    4222: "NATS",
    5432: "PostgreSQL",
    5222: "XMPP",
    5672: "AMQP",
    6379: "Redis",
    6432: "PostgreSQL",
    6650: "Pulsar",
    9042: "Cassandra",
    9092: "Kafka",
    11211: "memcached",
    26257: "CockroachDB",
    26379: "Redis",
    27017: "MongoDB",
    61613: "STOMP",
    61616: "ActiveMQ",
}
"""What usually listens at a port, speaks no HTTP, and begins with a message of its own before there is any TLS."""
_HTTP_PORT = 80
_PRIVATE_KEY_PARTS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


_PORT_NAME = "[a-z0-9-]{1,15}"
_CALLED = rf"{DNS_LABEL}(/{DNS_LABEL})?(:{_PORT_NAME})?"
# A star is at the end alone, behind a slash; `PATH_CHARACTERS` has it as any other.
_CALLED_PATH = rf"(?!/\*$)(?!.*\*.){PATH_CHARACTERS.pattern}"


def service_name(value: str) -> str:
    """A valid reference to a service: its name, or `namespace/name`. Raises `ValueError`."""
    parts = value.split("/")
    if len(parts) > 2 or not all(re.fullmatch(DNS_LABEL, part) for part in parts):
        raise ValueError("not a service: write its name, or namespace/name (wildcards are over-broad)")
    return value


def called_port(value: str) -> str:
    """A valid reference to a service or to one of its ports, such as `minio:admin`. Raises `ValueError`."""
    service, colon, port = value.partition(":")
    if colon and not re.fullmatch(_PORT_NAME, port):
        raise ValueError("not a port's name behind the colon: write one of the called service's ports")
    service_name(service)
    return value


def check_repeated(sections: Iterable[tuple[str, Sequence[str]]]) -> None:
    """Raise a problem with the first section, by its key, in which a name stands twice."""
    for key, names in sections:
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise misplaced([key], "it stands there twice: keep one", ", ".join(twice))


def check_mixed_hosts(egress: Iterable["EgressSpec"]) -> None:
    """Raise a problem with the key `egress` for a host that stands there with tcp and without."""
    kinds = {(outside.host, outside.protocol == "tcp") for outside in egress}
    if mixed := sorted(host for host, tcp in kinds if tcp and (host, False) in kinds):
        message = "it stands there with tcp and without: the mesh holds a host to one of the two"
        raise misplaced(["egress"], message, mixed[0])


def at_port(service: str, port: str | None) -> str:
    """A service, or one of its ports by its name, as a file writes it."""
    return f"{service}:{port}" if port else service


def application_port(value: int) -> int:
    """A port that an application may listen on. Raises `ValueError`."""
    if not 0 < value < _PORTS:
        raise ValueError("no port: 1 to 65535")
    if value in MESH_PORTS:
        raise ValueError("ports 15000 to 15099 are the mesh proxy's")
    return value


def peers_name(service: str) -> str:
    """The name of the headless Service by which the replicas of a service reach each other."""
    return f"{service}-peers"


def _called_path(value: str) -> str:
    if value == "/*":
        raise ValueError("/* is every path: leave paths out")
    path = value.removesuffix("/*")
    if "*" in path or not PATH_CHARACTERS.fullmatch(path or "/"):
        raise ValueError("not a path such as /orders, or /orders/* for all below it; %XX for what is no letter of it")
    normal_path(path)
    return value


# https://github.com/grpc/grpc/blob/v1.71.0/doc/PROTOCOL-HTTP2.md: a request's path is its service and its method.
_GRPC_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_GRPC_SERVICE = rf"{_GRPC_NAME}(?:\.{_GRPC_NAME})*"
GRPC_PATH = re.compile(rf"/(?P<service>{_GRPC_SERVICE})(?:/(?P<method>{_GRPC_NAME}))?")
"""The path of a gRPC service, or of one of its methods."""


_RPC = rf"{_GRPC_SERVICE}/(?:{_GRPC_NAME}|\*)"


def _rpc(value: str) -> str:
    if not re.fullmatch(_RPC, value):
        raise ValueError("not a method of a gRPC service such as shop.Cart/AddItem, nor shop.Cart/* for all of them")
    return value


def written_call(value: object) -> object:
    """A call that is written as a text, `service` or `service:port`, as its keys; any other value as it is."""
    if not isinstance(value, str):
        return value
    service, _, port = called_port(value).partition(":")
    return {"service": service, **({"port": port} if port else {})}


def _outside_host(value: str) -> str:
    # The name of the ServiceEntry contains service and host, and has 253 characters at most.
    if len(value) > _LONGEST_HOST:
        raise ValueError(f"longer than {_LONGEST_HOST} characters")
    if value.endswith(_NOT_OUTSIDE):
        raise ValueError("not outside: a service of the cluster is written under calls, metadata is out of reach")
    return value


def _narrow(value: str) -> str:
    network = ipaddress.ip_network(value)
    if network.prefixlen < _BROADEST[network.version]:
        raise ValueError(f"broader than /{_BROADEST[network.version]}: name the networks that are meant")
    if any(network.version == each.version and network.overlaps(each) for each in _LOOPBACK):  # pyright: ignore[reportArgumentType] - the same version
        raise ValueError("it holds loopback addresses, which are the pod's own")
    return value


_JWKS_URI = rf"{HTTPS_ORIGIN}/[^\s#*]*"


def _jwks_uri(value: str) -> str:
    message = "not an address such as https://login.example.org/keys (TLS only, no credentials)"
    return https_address(value, _JWKS_URI, message)


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


_SERVICE_NAME = rf"{DNS_LABEL}(/{DNS_LABEL})?"
ServiceName = Annotated[StrictStr, AfterValidator(service_name), Shape(_SERVICE_NAME)]
CallerName = Annotated[StrictStr, AfterValidator(called_port), Shape(_CALLED)]
Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
AppPort = Annotated[
    Port,
    AfterValidator(application_port),
    Shape(more={"not": {"minimum": MESH_PORTS[0], "maximum": MESH_PORTS[-1]}}),
]

NarrowCidr = Annotated[Cidr, AfterValidator(_narrow)]


class CallSpec(TypedFile):
    """A service that is called; its name alone allows every request, and `name:port` every one at that port."""

    service: ServiceName
    """The name of the service, or `namespace/name`."""
    port: Annotated[StrictStr, Field(min_length=1, max_length=15)] | None = None
    """The name of the port, if it is one of the service's `ports`; for a service that another stack deploys, its
    number."""
    methods: tuple[Method, ...] = ()
    """The HTTP methods of the requests; by default all."""
    paths: tuple[Annotated[StrictStr, AfterValidator(_called_path), Shape(_CALLED_PATH)], ...] = ()
    """The paths of the requests; `/orders/*` stands for all below `/orders`. By default all."""

    rpc: tuple[Annotated[StrictStr, AfterValidator(_rpc), Shape(_RPC)], ...] = ()
    """The gRPC methods that are called, such as `shop.Cart/AddItem`; `shop.Cart/*` stands for all of a service. By
    default all."""

    @property
    def written(self) -> str:
        """The service and the port, as the short form writes them."""
        return at_port(self.service, self.port)

    @property
    def number(self) -> int:
        """The number of the port, by which a call to a service of another stack names it; 0 for a name. A port's name
        has a letter."""
        return int(self.port) if self.port and self.port.isdecimal() and 0 < int(self.port) < _PORTS else 0

    @property
    def http(self) -> bool:
        """Whether it names methods or paths, which only HTTP has."""
        return bool(self.methods or self.paths or self.rpc)

    @property
    def sent_methods(self) -> tuple[str, ...]:
        """The HTTP methods of the requests; each of gRPC is a POST."""
        return ("POST",) if self.rpc else self.methods

    @property
    def sent_paths(self) -> tuple[str, ...]:
        """The paths of the requests."""
        return tuple(f"/{method}" for method in self.rpc) or self.paths

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if self.rpc and (self.methods or self.paths):
            raise misplaced(["rpc"], "it says methods and paths already: keep rpc, or the two others", list(self.rpc))
        return self


Call = Annotated[CallSpec, BeforeValidator(written_call, json_schema_input_type=CallerName | CallSpec)]


class EgressSpec(TypedFile):
    """A host outside the cluster that a service may reach, at one port."""

    host: Annotated[HostName, AfterValidator(_outside_host), Shape(more={"maxLength": _LONGEST_HOST})]
    """The host, by its whole name."""
    port: AppPort
    """The port of the host."""
    protocol: Literal["tls", "https", "http", "tcp"] = "tls"
    """The protocol; by default `http` at port 80. For `tls` and `https` the host name in the handshake is checked, for
    `http` that in the request; `tcp` has no host name, so it needs `cidrs`. Where a protocol that does not begin with
    TLS usually listens, such as PostgreSQL's at 5432, it has to be written."""
    cidrs: tuple[NarrowCidr, ...] = ()
    """The networks of the host. By default the internet, without private, link-local and metadata addresses."""

    @model_validator(mode="before")
    @classmethod
    def _by_port(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        written = cast("dict[str, object]", value)
        at_http = written.get("port") == _HTTP_PORT and "protocol" not in written
        return {**written, "protocol": "http"} if at_http else written

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if self.protocol == "tcp" and not self.cidrs:
            raise ValueError("tcp names no host that the mesh could hold it to: write the host's networks under cidrs")
        if "protocol" not in self.model_fields_set and (usual := USUAL_LISTENERS.get(self.port)):
            message = (
                f"at port {self.port} usually listens {usual}, which does not begin with TLS: write tcp and the host's "
                "cidrs, or tls if this server takes TLS from the first byte"
            )
            raise misplaced(["protocol"], message, UNREPEATED, ["tcp", "tls"])
        if not self.cidrs and self.host.endswith(_PRIVATE_DOMAINS):
            message = "required: the name is a private one, and without them only the internet is open"
            raise misplaced(["cidrs"], message, UNREPEATED)
        return self


class JwtSpec(TypedFile):
    """The end user's token that every request to the public host must have (`Authorization: Bearer`).

    https://istio.io/latest/docs/reference/config/security/request_authentication/
    """

    issuer: Issuer
    """The issuer: exactly the `iss` of the token."""
    jwks_uri: Annotated[StrictStr, AfterValidator(_jwks_uri), Shape(_JWKS_URI), REACHED] | None = None
    """The address of the issuer's public keys. istiod fetches them, so `istio-system` must be able to reach it."""
    jwks: Annotated[dict[StrictStr, object], AfterValidator(_public_keys)] | None = None
    """The public keys as a mapping, for when istiod cannot fetch them."""
    audiences: tuple[ExactText, ...] = Field(min_length=1)
    """The `aud` of the token must be one of these."""
    required_claims: dict[Annotated[StrictStr, AfterValidator(_claim)], tuple[ExactText, ...]] = Field(
        default_factory=dict
    )
    """Further claims; the token must have one of the values of each."""
    forward_token: StrictBool = False
    """Whether the token is passed on to the application."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.jwks_uri is None) == (self.jwks is None):
            raise ValueError("write jwksUri or jwks: one of them")
        if empty := sorted(name for name, values in self.required_claims.items() if not values):
            raise ValueError(f"requiredClaims.{empty[0]} has no value")
        return self


Tokens = Annotated[
    Annotated[JwtSpec, IS_ONE] | Annotated[tuple[JwtSpec, ...], Field(min_length=1), IS_SEVERAL], ONE_OR_SEVERAL
]


def check_tokens(tokens: Sequence[JwtSpec]) -> None:
    """Raise `PydanticCustomError` for two tokens of one issuer."""
    issuers = [token.issuer for token in tokens]
    if twice := sorted({issuer for issuer in issuers if issuers.count(issuer) > 1}):
        raise misplaced(["jwt"], "two are of one issuer: keep one, with all its audiences", twice[0])


class PlaintextPortSpec(TimedException):
    """A port that accepts connections without a certificate, for a limited time and from some networks."""

    port: AppPort
    """The port of the pods."""
    cidrs: tuple[NarrowCidr, ...] = Field(min_length=1)
    """The networks of the callers, which have no other identity without a certificate."""

    def problem(self, as_of: date | None) -> tuple[str, str] | None:
        """The key and the message, if its days are wrong. Without `as_of` it does not expire."""
        if self.days > CRITICAL_DAYS:
            return "expires", f"{self.days} days, {CRITICAL_DAYS} at most after granted {self.granted}"
        return self.day_problem(as_of)


class MetricsSpec(TypedFile):
    """The metrics that the platform's scraper reads."""

    port: AppPort
    """The port of the pods, which may be that of the service."""
    path: HttpPath = "/metrics"
    """The path that answers with them."""
