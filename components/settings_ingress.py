"""The section `ingress` of the stack config: the door, what it asks of every public service, and its issuer."""

import re
from collections.abc import Sequence
from typing import Annotated, Literal, Protocol, Self, cast

from pydantic import AfterValidator, Field, StrictBool, StrictInt, StrictStr, model_validator
from pydantic.alias_generators import to_camel

from components.gateway_hardening import CIPHER_SUITES, CipherSuite
from components.posture import Posture
from components.settings_platform import OverlayAcme, Replicas
from components.settings_vault import AbsolutePath
from components.typed_file import IS_GIVEN, IS_NONE, NONE_OR_GIVEN, HttpsAddress, Label, TypedFile

# The most that a filter of an HTTPRoute takes, with one left for HSTS.
_MAX_HEADERS = 15
# What is asked of every public service, in the words of a service's own file where that may differ.
ROUTE_SETTINGS = {"headers": "security_headers", "rate_limit": "rate_limit", "max_request_bytes": "max_request_bytes"}


def _email(value: str) -> str:
    user, at, domain = value.partition("@")
    if not (user and at and "." in domain) or " " in value:
        raise ValueError("not a mail address")
    return value


def _header_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}", value):
        raise ValueError("not the name of a header such as X-Frame-Options")
    return value


def _header_value(value: str) -> str:
    if not re.fullmatch(r"[\x21-\x7e]([\x20-\x7e]{0,4094}[\x21-\x7e])?", value):
        raise ValueError("not the value of a header: printable ASCII, without a space at either end")
    return value


def _headers(value: dict[str, str]) -> dict[str, str]:
    names = [name.lower() for name in value]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{', '.join(twice)} stands there twice: names of headers have no case")
    if len(names) > _MAX_HEADERS:
        raise ValueError(f"{len(names)} headers; {_MAX_HEADERS} at most")
    return value


def _directory(value: str) -> str:
    if not re.fullmatch(r"https://[^\s/@?#]+(:\d{1,5})?/[^\s?#]+", value):
        raise ValueError("not the directory of an ACME server such as https://acme.example.org/directory (TLS only)")
    return value


def _pinned_module(value: str) -> str:
    host, slash, rest = value.partition("/")
    if not slash or not ("." in host or ":" in host) or not re.fullmatch(r"[^\s@]+@sha256:[0-9a-f]{64}", rest):
        raise ValueError("not a module by digest such as registry.example.org/waf/coraza@sha256:<64 hex digits>")
    return value


HeaderName = Annotated[StrictStr, AfterValidator(_header_name)]
HeaderValue = Annotated[StrictStr, AfterValidator(_header_value)]
Nothing = Annotated[Literal["none"], IS_NONE]
Headers = Annotated[
    Nothing | Annotated[dict[HeaderName, HeaderValue], AfterValidator(_headers), IS_GIVEN], NONE_OR_GIVEN
]
RequestBytes = Annotated[Nothing | Annotated[StrictInt, Field(ge=1, le=1 << 30), IS_GIVEN], NONE_OR_GIVEN]


class RateLimitSpec(TypedFile):
    """How many requests a host answers in a time; one more gets 429. Each replica of the gateway counts its own."""

    requests: Annotated[StrictInt, Field(ge=1, le=1_000_000)]
    per: Literal["second", "minute", "hour"] = "second"

    @property
    def seconds(self) -> int:
        """The time in seconds."""
        return {"second": 1, "minute": 60, "hour": 3600}[self.per]


RateLimit = Annotated[Nothing | Annotated[RateLimitSpec, IS_GIVEN], NONE_OR_GIVEN]


class HstsSettings(TypedFile):
    """How long a browser refuses a host without TLS (RFC 6797)."""

    max_age: Annotated[StrictInt, Field(ge=0)]
    """Seconds."""
    include_subdomains: StrictBool = True
    preload: StrictBool = False
    """Whether browsers may build the host in, which cannot be undone soon: https://hstspreload.org/."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        year = 31_536_000
        if self.preload and (self.max_age < year or not self.include_subdomains):
            raise ValueError(f"preload needs maxAge of {year} at least, and includeSubdomains")
        return self

    @property
    def header(self) -> str:
        """The value of `Strict-Transport-Security`."""
        more = ("; includeSubDomains" if self.include_subdomains else "") + ("; preload" if self.preload else "")
        return f"max-age={self.max_age}{more}"


class TlsSettings(TypedFile):
    """What the gateway offers a client (https://istio.io/latest/docs/tasks/traffic-management/ingress/gateway-api/)."""

    min_version: Literal["1.2", "1.3"] = "1.2"
    ciphers: tuple[CipherSuite, ...] = Field(default=CIPHER_SUITES, min_length=1)
    """The suites of TLS 1.2; those of 1.3 are all sound, and not for choice."""


class WafSettings(TypedFile):
    """A web application firewall in the gateway: the Coraza module, by digest.

    It blocks where the posture enforces authorization, and detects where that is a dry run.
    https://github.com/corazawaf/coraza-proxy-wasm
    """

    image: Annotated[StrictStr, AfterValidator(_pinned_module)]
    """The module in a registry that the gateway's pods reach; it counts as an image of the platform."""
    directives: tuple[StrictStr, ...] = Field(
        default=("Include @recommended-conf", "Include @crs-setup-conf", "Include @owasp_crs/*.conf"), min_length=1
    )
    """Coraza's rules, without `SecRuleEngine`: the posture writes that one behind them."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if engines := [text for text in self.directives if "secruleengine" in text.lower()]:
            raise ValueError(f"directives has {engines[0]!r}: whether the rules block follows from the posture")
        return self


class IngressAnnotations(TypedFile):
    """How this class of Ingress says what the object itself cannot. Each key stands for the setting of its name.

    `{requests}` and `{seconds}` in a value of `rateLimit`, and `{bytes}` in one of `maxRequestBytes`, are filled in for
    each service.
    """

    headers: dict[StrictStr, StrictStr] = Field(default_factory=dict)
    rate_limit: dict[StrictStr, StrictStr] = Field(default_factory=dict)
    max_request_bytes: dict[StrictStr, StrictStr] = Field(default_factory=dict)
    tls: dict[StrictStr, StrictStr] = Field(default_factory=dict)
    waf: dict[StrictStr, StrictStr] = Field(default_factory=dict)


class IngressController(TypedFile):
    """The workload that forwards requests when `kind` is `ingress`; it must be in the mesh."""

    namespace: Label
    service_account: Label


class AcmeServer(TypedFile):
    """An ACME server in the place of Let's Encrypt's (RFC 8555)."""

    directory: Annotated[StrictStr, AfterValidator(_directory)]
    """The address that ACME clients start from."""
    ca_bundle_file: AbsolutePath | None = None
    """PEM file of the authority behind its certificate, when it is not a public one."""


class CaIssuerSettings(TypedFile):
    """A CA whose key the cluster holds (https://cert-manager.io/docs/configuration/ca/)."""

    key_pair: Label
    """The Secret in namespace `cert-manager` with `tls.crt` and `tls.key` of the CA."""


class VaultIssuerSettings(TypedFile):
    """A PKI engine of Vault (https://cert-manager.io/docs/configuration/vault/).

    cert-manager logs in with a token of the service account `vault-issuer` in namespace `cert-manager`, whose audience
    is `vault://vault`.
    """

    mount: Label = "pki"
    """Where the engine is mounted."""
    role: Label = "public-hosts"
    """The engine's role that signs."""
    auth_mount: Label = "kubernetes"
    """Where the Kubernetes auth method is mounted."""
    auth_role: Label = "cert-manager"
    """The role of that method, which may sign with `role` and nothing else."""
    server: HttpsAddress | None = None
    """Vault's API as cert-manager reaches it; by default this cluster's, or `vault.address` of an external one."""
    ca_bundle_file: AbsolutePath | None = None
    """PEM file of the authority behind its certificate; by default `vault.caCertFile`."""


class IngressSettings(TypedFile):
    """The door: Gateway API with Istio, or an Ingress of any class.

    Headers and limits are enforced where the posture enforces authorization. Where that is a dry run, a request over
    the rate limit is counted and answered; where it is off, so are they.
    """

    kind: Literal["gateway-api", "ingress"] = "gateway-api"
    class_name: Label | None = None
    acme_email: Annotated[StrictStr, AfterValidator(_email)] | None = None
    acme_server: AcmeServer | None = None
    ca: CaIssuerSettings | None = None
    """A CA that is there already; by default the issuer `ca` is a root of the cluster's own."""
    vault: VaultIssuerSettings | None = None
    gateway_namespace: Label = "istio-ingress"
    replicas: Replicas = 1
    """Replicas of cert-manager."""
    controller: IngressController | None = None
    tls: TlsSettings = TlsSettings()
    hsts: Annotated[Nothing | Annotated[HstsSettings, IS_GIVEN], NONE_OR_GIVEN] | None = None
    """By default a year where browsers trust the issuer, and five minutes elsewhere: a browser that keeps a host to TLS
    lets nobody past a certificate that it does not trust."""
    headers: Headers = Field(
        default={
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Referrer-Policy": "strict-origin-when-cross-origin",
            "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
        }
    )
    """What every answer of a service carries, in place of what the service wrote there itself."""
    rate_limit: RateLimit = RateLimitSpec(requests=100)
    max_request_bytes: RequestBytes = 1_048_576
    """The largest body of a request; a larger one gets 413. The gateway holds a request until it is whole: a service
    that streams (WebSocket, gRPC) says `none`."""
    waf: WafSettings | None = None
    annotations: IngressAnnotations = IngressAnnotations()

    @property
    def unsaid(self) -> tuple[str, ...]:
        """The settings that an Ingress does not say by itself, and this stack gives no annotations for."""
        if self.kind == "gateway-api":
            return ()
        return tuple(name for name in IngressAnnotations.model_fields if not getattr(self.annotations, name))

    @property
    def unsaid_of_a_service(self) -> tuple[str, ...]:
        """The settings that a service's file may not change: annotations of headers are the same for every service."""
        return tuple({*self.unsaid, "headers"}) if self.kind == "ingress" else ()

    def at(self, acme: OverlayAcme | None) -> Self:
        """These settings with the ACME server of a local control plane."""
        if acme is None:
            return self
        return self.model_copy(update={"acme_server": AcmeServer.model_validate(acme.model_dump(by_alias=True))})


class ProblemSink(Protocol):
    """Takes a problem of the stack file."""

    def __call__(self, key: str, message: str, value: object = "") -> None:
        """Report what is wrong with the value of a key."""


def ingress_problems(ingress: IngressSettings, posture: Posture, images: Sequence[str], problem: ProblemSink) -> None:
    """Report what only shows when the door is read together with the posture and the approved registries."""
    if posture.issuer.startswith("letsencrypt") and ingress.acme_email is None:
        problem("ingress.acmeEmail", f"required: the issuer {posture.issuer} registers an account with it")
    if posture.issuer != "none" and posture.mtls is None and ingress.kind == "gateway-api":
        problem("posture.issuer", "the gateway is the mesh's, and mTLS is off: set issuer to none", posture.issuer)
    if posture.issuer == "vault" and not posture.vault:
        problem("posture.issuer", "this stack has no Vault that could sign", posture.issuer)
    for issuer in ("ca", "vault"):
        if getattr(ingress, issuer) is not None and posture.issuer != issuer:
            problem(f"ingress.{issuer}", f"the issuer is {posture.issuer}: set posture.issuer, or leave this out")
    if ingress.waf and not any(ingress.waf.image.startswith((f"{image}/", f"{image}@")) for image in images):
        problem("ingress.waf.image", "not from registries or platformImages", ingress.waf.image)
    if ingress.kind == "ingress":
        _class_problems(ingress, posture, problem)
    elif "annotations" in ingress.model_fields_set:
        problem("ingress.annotations", "belong to an Ingress, and ingress.kind is gateway-api: leave them out")


def _class_problems(ingress: IngressSettings, posture: Posture, problem: ProblemSink) -> None:
    if ingress.class_name is None:
        problem("ingress.className", "required when ingress.kind is ingress")
    if ingress.controller is None:
        problem("ingress.controller", "required when ingress.kind is ingress: its identity is what services admit")
    written = ingress.model_fields_set
    for name in ingress.unsaid:
        value = cast("object", getattr(ingress, name))
        # A default of the posture's is due as much as what is written; TLS has the controller's own.
        due = name in written or (name in ROUTE_SETTINGS and posture.authorization != "off")
        if due and value not in ("none", None):
            _unsaid(name, problem)
    if isinstance(ingress.hsts, HstsSettings) and "headers" in ingress.unsaid:
        problem("ingress.hsts", "an Ingress cannot say it: write it as ingress.annotations.headers, or leave it out")


def _unsaid(name: str, problem: ProblemSink) -> None:
    key = to_camel(name)
    instead = "set it to none" if name in ROUTE_SETTINGS else "leave it out"
    problem(
        f"ingress.{key}", f"an Ingress cannot say it: write ingress.annotations.{key} as its class does, or {instead}"
    )
