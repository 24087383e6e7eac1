"""The ports of a service file: where it listens, and how other files name these ports.

https://kubernetes.io/docs/concepts/services-networking/service/#multi-port-services
"""

import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self, cast, get_args

from pydantic import AfterValidator, BeforeValidator, Field, StrictStr, model_validator

from components.schema.fields import PublicHost
from components.schema.problem import UNREPEATED
from components.schema.public import HeaderName
from components.schema.shape import Shape
from components.schema.typed_file import TypedFile, misplaced
from components.service.file.network import USUAL_LISTENERS, AppPort, MetricsSpec
from components.service.file.probes import ProbesSpec, unasked
from components.service.file.routes import MOST_PATHS, PathSpec, PublicPathSpec, check_paths

Protocol = Literal["http", "http2", "grpc", "tcp"]
PROTOCOLS: tuple[str, ...] = get_args(Protocol)

REQUESTS = [protocol for protocol in PROTOCOLS if protocol != "tcp"]
"""The protocols whose requests the gateway routes."""
NO_REQUESTS = (
    "host needs another: the gateway routes requests, and no stream of tcp is public. Leave host out if it is no HTTP"
)
"""Why no port that speaks tcp has a host."""

METRICS_PORT, VAULT_PORT_NAME = "http-metrics", "tcp-vault"
"""The names of the port with the metrics, where that is a port of its own, and of the one for Vault in a database."""
# IANA's grammar of a name, which ports of containers have too: https://www.rfc-editor.org/rfc/rfc6335#section-5.1
# A token of HTTP: https://www.rfc-editor.org/rfc/rfc6265#section-4.1.1
_COOKIE = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}")
_PORT_NAME = re.compile(r"(?=.{1,15}$)(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*")


# https://github.com/open-telemetry/opentelemetry-proto/blob/v1.7.0/docs/specification.md, and the examples of gRPC.
_USUALLY_GRPC = frozenset({2379, 4317, 7233, 10901, 50051})
# What begins with TLS, or with a message of its own if there is none.
_USUALLY_OTHERS = {
    465: "SMTP over TLS",
    636: "LDAP over TLS",
    993: "IMAP over TLS",
    995: "POP3 over TLS",
    5671: "AMQP over TLS",
    7687: "Bolt",
    8883: "MQTT over TLS",
    25565: "Minecraft",
}


def check_usual(port: int) -> None:
    """Raise `PydanticCustomError` for the port of a file that says no protocol, where it is hardly HTTP.

    The mesh would answer what is no request of HTTP with an error, at every connection.
    """
    if usual := USUAL_LISTENERS.get(port) or _USUALLY_OTHERS.get(port):
        message = f"{usual} usually listens there, which is not HTTP: write its protocol, tcp, or http if this one is"
        raise misplaced(["port"], message, port)
    if port in _USUALLY_GRPC:
        message = "gRPC usually listens there, which needs HTTP/2: write its protocol, grpc, or http if it is none"
        raise misplaced(["port"], message, port)


def port_name(value: str) -> str:
    """A name that a port of a pod may have. Raises `ValueError`."""
    if not _PORT_NAME.fullmatch(value):
        raise ValueError("not a port's name: at most 15 of a-z, 0-9 and single hyphens inside, with a letter")
    if value in (METRICS_PORT, VAULT_PORT_NAME):
        raise ValueError("the name of a port that the platform adds")
    return value


PortName = Annotated[
    StrictStr,
    AfterValidator(port_name),
    Shape(rf"(?!(?:{METRICS_PORT}|{VAULT_PORT_NAME})$){_PORT_NAME.pattern}"),
]


def _protocol(value: object) -> object:
    if isinstance(value, str) and value.lower() == "udp":
        raise ValueError("the mesh carries no UDP, so nobody would be known by its identity: only TCP is open")
    return value


def _cookie_name(value: str) -> str:
    if not _COOKIE.fullmatch(value):
        raise ValueError("not the name of a cookie such as orders-pod: at most 256 letters, digits and !#$%&'*+.^_`|~-")
    return value


CookieName = Annotated[StrictStr, AfterValidator(_cookie_name), Shape(_COOKIE.pattern)]


class StickySpec(TypedFile):
    """What sends the requests of one client to one pod, for as long as that pod is there.

    The gateway, and the proxy of each caller, choose the pod by it. A pod that ends, or a new one, moves some clients.
    """

    cookie: CookieName | None = None
    """A cookie, for browsers: the gateway sets it where a request has none, until the browser ends. Its name is none
    that the application sets."""
    header: HeaderName | None = None
    """A header that the client sends, such as `X-Session`; a request without it goes to any pod."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.cookie is None) == (self.header is None):
            raise misplaced([], "it is one of the two", UNREPEATED, ["cookie", "header"])
        return self


class PortSpec(TypedFile):
    """A further port that a service listens on; its number alone is enough."""

    port: AppPort
    """The number."""
    protocol: Annotated[Protocol, BeforeValidator(_protocol)] = "http"
    """The protocol, without TLS of its own; by default the one that is the name of the port, else `http`. It has to be
    written where no HTTP usually listens, such as AMQP at 5672."""
    sticky: StickySpec | None = None
    """What sends the requests of one client to one pod; by default any pod gets them."""
    host: PublicHost | None = None
    """A public host name of its own, which leads to this port; without it the port is not reachable from outside the
    cluster. Headers, limits and `jwt` of the service hold there, too."""
    paths: tuple[PublicPathSpec, ...] = Field(default=(PathSpec(path="/"),), min_length=1, max_length=MOST_PATHS)
    """The path prefixes that are public at that host, each by its text or with what holds there."""

    @property
    def public_paths(self) -> tuple[str, ...]:
        """The path prefixes that are public."""
        return tuple(public.path for public in self.paths)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if "protocol" not in self.model_fields_set:
            check_usual(self.port)
        check_sticky(self.sticky, self.protocol)
        if self.host is None and "paths" in self.model_fields_set:
            raise misplaced(["paths"], "it needs host: nothing else is public", UNREPEATED)
        if self.host is not None and self.protocol == "tcp":
            raise misplaced(["protocol"], NO_REQUESTS, "tcp", REQUESTS)
        check_paths(self.paths, grpc=self.protocol == "grpc")
        return self


def _by_name(value: object) -> object:
    """Numbers as ports, and a port with the name of a protocol with that."""
    if not isinstance(value, dict):
        return value
    ports: dict[object, object] = {}
    for name, port in cast("dict[object, object]", value).items():
        spec = {"port": port} if isinstance(port, int) else port
        named = isinstance(spec, dict) and "protocol" not in spec and name in PROTOCOLS
        ports[name] = {**cast("dict[str, object]", spec), "protocol": name} if named else spec
    return ports


Ports = Annotated[
    dict[PortName, PortSpec],
    BeforeValidator(_by_name, json_schema_input_type=dict[PortName, AppPort | PortSpec]),
]


def check_ports(port: int, protocol: str, ports: Mapping[str, PortSpec], metrics: MetricsSpec | None) -> None:
    """Raise `PydanticCustomError`, with the key, for ports that are in each other's way."""
    protocols = {port: protocol}
    for name, spec in ports.items():
        if name == protocol:
            message = "the name that port has, by its protocol: choose another"
            raise misplaced(["ports", name], message, name)
        if spec.port in protocols:
            raise misplaced(["ports", name], "another port of the service has this number: keep one", spec.port)
        protocols[spec.port] = spec.protocol
    if metrics is not None and (spoken := protocols.get(metrics.port, "http")) not in ("http", "http2"):
        # Of HTTP/2 the proxy of the pod makes what the scraper reads, and a server of gRPC alone answers no GET.
        answers = ", or write http2 if it answers GET beside gRPC" if spoken == "grpc" else ""
        message = f"metrics are read over http, and this port speaks {spoken}: give them a port of their own{answers}"
        raise misplaced(["metrics", "port"], message, metrics.port)


def check_sticky(sticky: StickySpec | None, protocol: str) -> None:
    """Raise `PydanticCustomError` where the mesh sees no requests."""
    if sticky is not None and protocol == "tcp":
        message = "the mesh forwards tcp as it is, and sees no cookie or header: leave it out, or write the protocol"
        raise misplaced(["sticky"], message, UNREPEATED)


def check_probes(probes: ProbesSpec | None) -> None:
    """Raise `PydanticCustomError`, with the key, for a probe that lacks a port to connect to, in a file without one."""
    if probes is None:
        message = "required without port: write the port that it listens on, or a command for each of its probes"
        raise misplaced(["probes"], message, UNREPEATED)
    if kind := unasked(probes):
        message = "required without port: write its command, or the port that it connects to"
        raise misplaced(["probes", kind], message, UNREPEATED, ["command", "port"])
