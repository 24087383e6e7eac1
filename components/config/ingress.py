"""The section `ingress` of the stack config: the gateway, the limits of public services, and the issuer."""

import re
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StrictBool, StrictInt, StrictStr, model_validator

from components.config.existing import refuse_beside_existing, refuse_elsewhere
from components.config.overlay import OverlayAcme
from components.kube.names import (
    CERT_MANAGER_NAMESPACE,
    DEFAULT_NAMESPACE,
    EXTERNAL_SECRETS_NAMESPACE,
    GATEWAY_NAMESPACE,
    PLATFORM_NAMESPACES,
    TEAMS_NAMESPACE,
)
from components.schema.fields import (
    DNS_NAME,
    HTTPS_ORIGIN,
    AbsolutePath,
    Cidr,
    HttpsAddress,
    Label,
    ObjectName,
    PublicHost,
    Registry,
    Replicas,
    https_address,
)
from components.schema.labels import LabelKey
from components.schema.metadata_services import outside_host
from components.schema.public import (
    CIPHER_SUITES,
    CipherSuite,
    Headers,
    Nothing,
    RateLimit,
    RateLimitSpec,
    RequestBytes,
)
from components.schema.reached import REACHED
from components.schema.repeats import IN_ORDER
from components.schema.typed_file import IS_VALUE, NONE_OR_VALUE, TypedFile, misplaced


def _email(value: str) -> str:
    user, _, domain = value.rpartition("@")
    # RFC 5321's dot-string, which an authority for certificates takes.
    if not re.fullmatch(r"[-A-Za-z0-9!#$%&'*+/=?^_`{|}~.]{1,64}", user) or not re.fullmatch(DNS_NAME, domain.lower()):
        raise ValueError("not a mail address")
    return value


def _directory(value: str) -> str:
    message = "not the directory of an ACME server such as https://acme.example.org/directory (TLS only)"
    return https_address(value, rf"{HTTPS_ORIGIN}/[^\s?#]+", message)


def _pinned_module(value: str) -> str:
    host, slash, rest = value.partition("/")
    if not slash or not ("." in host or ":" in host) or not re.fullmatch(r"[^\s@]+@sha256:[0-9a-f]{64}", rest):
        raise ValueError("not a module by digest such as registry.example.org/waf/coraza@sha256:<64 hex digits>")
    outside_host(urlsplit(f"//{host}").hostname or "")
    return value


def _host_pattern(value: str) -> str:
    if value != "*" and not re.fullmatch(rf"(\*\.)?{DNS_NAME}", value):
        raise ValueError("not a host such as www.example.org, all below a domain such as *.team.example.org, or *")
    return value


def _directive(value: str) -> str:
    if "secruleengine" in value.lower():
        raise ValueError("leave it out: whether the rules block follows from the posture")
    return value


HostPattern = Annotated[StrictStr, AfterValidator(_host_pattern)]
Email = Annotated[StrictStr, AfterValidator(_email)]
AcmeDirectory = Annotated[StrictStr, AfterValidator(_directory), REACHED]
PinnedModule = Annotated[StrictStr, AfterValidator(_pinned_module), REACHED]
Directive = Annotated[StrictStr, AfterValidator(_directive)]


def _for_the_gateway(value: str) -> str:
    # The stack creates it, and takes it away in the end.
    others = (*PLATFORM_NAMESPACES, EXTERNAL_SECRETS_NAMESPACE, TEAMS_NAMESPACE, DEFAULT_NAMESPACE)
    if value != GATEWAY_NAMESPACE and (value in others or value.startswith("kube-")):
        raise ValueError("it is the cluster's own, or another part of the platform has it: give the gateway its own")
    return value


GatewayNamespace = Annotated[Label, AfterValidator(_for_the_gateway)]


class HstsSettings(TypedFile):
    """How long a browser refuses a host without TLS (RFC 6797)."""

    max_age: Annotated[StrictInt, Field(ge=0)]
    """Seconds."""
    include_subdomains: StrictBool = True
    preload: StrictBool = False
    """Whether browsers may add the host to their preload lists, which takes long to undo: https://hstspreload.org/."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        year = 31_536_000
        if self.preload and (self.max_age < year or not self.include_subdomains):
            raise misplaced(["preload"], f"it needs maxAge of {year} at least, and includeSubdomains", self.preload)
        return self

    @property
    def header(self) -> str:
        """The value of `Strict-Transport-Security`."""
        more = ("; includeSubDomains" if self.include_subdomains else "") + ("; preload" if self.preload else "")
        return f"max-age={self.max_age}{more}"


class TlsSettings(TypedFile):
    """The TLS that the gateway offers to clients (https://istio.io/latest/docs/tasks/traffic-management/ingress/gateway-api/)."""

    min_version: Literal["1.2", "1.3"] = "1.2"
    ciphers: tuple[CipherSuite, ...] = Field(default=CIPHER_SUITES, min_length=1)
    """The suites of TLS 1.2. Those of TLS 1.3 are all secure and cannot be chosen."""


class WafSettings(TypedFile):
    """A web application firewall in the gateway: the Coraza module, by digest.

    It blocks if the posture enforces authorization, and only detects if authorization is a dry run.
    https://github.com/corazawaf/coraza-proxy-wasm
    """

    image: PinnedModule
    """The module, in a registry that the gateway's pods can reach. It counts as an image of the platform."""
    cidrs: tuple[Cidr, ...] = ()
    """The networks of that registry, which the gateway's network policy opens. By default the internet, without
    private addresses."""
    directives: Annotated[tuple[Directive, ...], IN_ORDER] = Field(
        default=("Include @recommended-conf", "Include @crs-setup-conf", "Include @owasp_crs/*.conf"), min_length=1
    )
    """Coraza's rules without `SecRuleEngine`, which the program adds by the posture."""


class IngressAnnotations(TypedFile):
    """The annotations that configure what an Ingress of this class cannot. Each key is that of the setting.

    `{requests}` and `{seconds}` in a value of `rateLimit`, and `{bytes}` in a value of `maxRequestBytes`, are filled in
    for each service.
    """

    headers: dict[LabelKey, StrictStr] = Field(default_factory=dict)
    rate_limit: dict[LabelKey, StrictStr] = Field(default_factory=dict)
    max_request_bytes: dict[LabelKey, StrictStr] = Field(default_factory=dict)
    tls: dict[LabelKey, StrictStr] = Field(default_factory=dict)
    waf: dict[LabelKey, StrictStr] = Field(default_factory=dict)


class IngressController(TypedFile):
    """The workload that forwards requests when `kind` is `ingress`; it must be in the mesh."""

    namespace: Label
    service_account: Label


class AcmeServer(TypedFile):
    """An ACME server instead of Let's Encrypt (RFC 8555)."""

    directory: AcmeDirectory
    """The address that ACME clients start from."""
    ca_bundle_file: AbsolutePath | None = None
    """PEM file of the authority behind its certificate, if that is not a public one."""


class CaIssuerSettings(TypedFile):
    """A CA whose key is in the cluster (https://cert-manager.io/docs/configuration/ca/)."""

    key_pair: ObjectName
    """The Secret in namespace `cert-manager` with `tls.crt` and `tls.key` of the CA."""


class VaultIssuerSettings(TypedFile):
    """A PKI engine of Vault (https://cert-manager.io/docs/configuration/vault/).

    cert-manager logs in with a token of the service account `vault-issuer` in namespace `cert-manager`, whose audience
    is `vault://vault`.
    """

    mount: Label = "pki"
    """Where the engine is mounted."""
    role: Label = "public-hosts"
    """The role of the engine that signs."""
    auth_mount: Label = "kubernetes"
    """Where the Kubernetes auth method is mounted."""
    auth_role: Label = "cert-manager"
    """The role of that method, which may sign with `role` and nothing else."""
    server: HttpsAddress | None = None
    """The address of Vault for cert-manager; by default this cluster's Vault, or `vault.address` of an external one."""
    ca_bundle_file: AbsolutePath | None = None
    """PEM file of the authority behind its certificate; by default `vault.caCertFile`."""


class CertManagerSettings(TypedFile):
    """cert-manager, which issues the certificates."""

    mode: Literal["helm", "existing"] = "helm"
    """`helm` installs it in the namespace `cert-manager`; `existing` takes one that others installed, whose settings
    `pulumi up` and `zt preflight` check."""
    namespace: Label | None = None
    """With `mode: existing`: its namespace, which has the secrets of ClusterIssuers; by default `cert-manager`."""
    hub: Registry | None = None
    """A registry, or a path in one, that mirrors its images, each under its last name:
    `<hub>/cert-manager-controller`."""

    @model_validator(mode="after")
    def _own_place(self) -> Self:
        refuse_beside_existing(self, self.mode, "hub")
        refuse_elsewhere(self.mode, self.namespace, CERT_MANAGER_NAMESPACE)
        return self


class GatewayApiSettings(TypedFile):
    """The definitions of the Gateway API."""

    mode: Literal["apply", "existing"] = "apply"
    """`apply` creates those of the pinned version; `existing` takes those that others keep, such as a provider."""


class IngressSettings(TypedFile):
    """The gateway: Gateway API with Istio, or an Ingress of any class.

    Headers and limits are enforced if the posture enforces authorization. If authorization is a dry run, a request over
    the rate limit is counted and answered; if it is off, headers and limits are off too.
    """

    kind: Literal["gateway-api", "ingress"] = "gateway-api"
    class_name: ObjectName | None = None
    domain: PublicHost | None = None
    """The domain that `{domain}` stands for in the hosts of service files, so that each stack has hosts of its own."""
    acme_email: Email | None = None
    acme_server: AcmeServer | None = None
    ca: CaIssuerSettings | None = None
    """An existing CA; by default the issuer `ca` is a root that the cluster creates."""
    vault: VaultIssuerSettings | None = None
    gateway_namespace: GatewayNamespace = GATEWAY_NAMESPACE
    cert_manager: CertManagerSettings = CertManagerSettings()
    gateway_api: GatewayApiSettings = GatewayApiSettings()
    replicas: Replicas = 1
    """Replicas of cert-manager."""
    controller: IngressController | None = None
    tls: TlsSettings = TlsSettings()
    hsts: Annotated[Nothing | Annotated[HstsSettings, IS_VALUE], NONE_OR_VALUE] | None = None
    """By default a year if browsers trust the issuer, or else five minutes, because under HSTS a browser lets nobody
    ignore a certificate that it does not trust."""
    headers: Headers = Field(
        default={
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Referrer-Policy": "strict-origin-when-cross-origin",
            "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
        }
    )
    """Headers of every answer of a service. They replace those that the service sets."""
    rate_limit: RateLimit = RateLimitSpec(requests=100)
    max_request_bytes: RequestBytes = 1_048_576
    """The largest body of a request; a larger one gets 413. The gateway buffers a whole request, so a service that
    streams (WebSocket, gRPC) sets `none`."""
    waf: WafSettings | None = None
    annotations: IngressAnnotations = IngressAnnotations()
    hosts: dict[Label, tuple[HostPattern, ...]] = Field(default_factory=dict)
    """Further hosts that objects of a namespace may name, beside those of its services: a host, all below a domain
    (`*.team.example.org`), or all there are (`*`), which an Ingress without a host needs."""

    @model_validator(mode="after")
    def _installed_by_others(self) -> Self:
        refuse_beside_existing(self, self.cert_manager.mode, "replicas")
        return self

    @property
    def unsaid(self) -> tuple[str, ...]:
        """The settings that an Ingress cannot express and for which this stack has no annotations."""
        if self.kind == "gateway-api":
            return ()
        return tuple(name for name in IngressAnnotations.model_fields if not getattr(self.annotations, name))

    @property
    def unsaid_of_a_service(self) -> tuple[str, ...]:
        """The settings that a service file may not change: annotations for headers are the same for all services."""
        return tuple({*self.unsaid, "headers"}) if self.kind == "ingress" else ()

    def at(self, acme: OverlayAcme | None) -> Self:
        """These settings with the ACME server of a local control plane."""
        if acme is None:
            return self
        return self.model_copy(update={"acme_server": AcmeServer.model_validate(acme.model_dump(by_alias=True))})
