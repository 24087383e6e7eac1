"""The sections of the stack config, one for each platform component, and the overlay of a local control plane."""

from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StrictBool, StrictInt, StrictStr, ValidationError, model_validator

from components.typed_file import (
    Cidr,
    ConfigError,
    HttpsAddress,
    ImageReference,
    Label,
    Quantity,
    TypedFile,
    line_finder,
    problems_of,
    read_yaml,
)

Replicas = Annotated[StrictInt, Field(ge=1, le=9)]

# Parameters of a seal that grant access by themselves: they reach the pods through a Secret or the cloud's identity.
_SECRET_SEAL_PARAMETERS = frozenset(
    {"access_key", "secret_key", "session_token", "token", "client_secret", "credentials"}
)


def _absolute(value: str) -> str:
    if not PurePosixPath(value).is_absolute():
        raise ValueError("not an absolute path")
    return value


def _audit_path(value: str) -> str:
    if value != "stdout" and not PurePosixPath(value).is_absolute():
        raise ValueError("not stdout and not an absolute path")
    return value


def _email(value: str) -> str:
    user, at, domain = value.partition("@")
    if not (user and at and "." in domain) or " " in value:
        raise ValueError("not a mail address")
    return value


def _public_parameters(value: dict[str, str]) -> dict[str, str]:
    if leaked := sorted(_SECRET_SEAL_PARAMETERS & set(value)):
        raise ValueError(f"{', '.join(leaked)} is a secret: give the pods a cloud identity, or a Secret of the cluster")
    return value


AbsolutePath = Annotated[StrictStr, AfterValidator(_absolute)]
AuditPath = Annotated[StrictStr, AfterValidator(_audit_path)]


class VaultLogin(TypedFile):
    """How the deployer logs in to Vault. No token is ever stored: `environment` takes the provider's own variables."""

    method: Literal["environment", "cert"] = "environment"
    cert_file: AbsolutePath | None = None
    key_file: AbsolutePath | None = None
    role: Label = "platform-deployer"


class VaultSeal(TypedFile):
    """The key that unseals Vault on start (https://developer.hashicorp.com/vault/docs/configuration/seal)."""

    type: Literal["awskms", "gcpckms", "azurekeyvault", "ocikms", "transit", "static"]
    parameters: Annotated[dict[StrictStr, StrictStr], AfterValidator(_public_parameters)] = Field(default_factory=dict)


class VaultStorage(TypedFile):
    """The volumes of the Vault pods."""

    data: Quantity = "10Gi"
    audit: Quantity = "10Gi"
    storage_class: Label | None = None


class VaultSettings(TypedFile):
    """Vault: installed by its chart, or somewhere else already."""

    mode: Literal["helm", "external"] = "helm"
    distribution: Literal["vault", "openbao"] = "vault"
    address: HttpsAddress | None = None
    """Vault's API as the deployer reaches it."""
    ca_cert_file: StrictStr | None = None
    """PEM file of the authority behind Vault's certificate, when it is not a public one."""
    login: VaultLogin = VaultLogin()
    kubernetes_host: HttpsAddress = "https://kubernetes.default.svc"
    """The API server as Vault reaches it, to review tokens."""
    cidrs: tuple[Cidr, ...] = ()
    """Networks of an external Vault, when its address is a host name: network policies take no names."""
    audit_paths: tuple[AuditPath, ...] = ("/vault/audit/audit.log", "stdout")
    """Where the audit devices write; the posture says how many of them there are."""
    injector: StrictBool = True
    """Whether this stack installs the agent injector; false where the cluster has one already."""
    tls_secret: Label = "vault-server-tls"  # noqa: S105 - the name of a Secret, not its value
    """The Secret in namespace `vault` with `tls.crt`, `tls.key` and `ca.crt` of the server."""
    seal: VaultSeal | None = None
    storage: VaultStorage = VaultStorage()
    retain_data: StrictBool = True
    """Whether `pulumi destroy` refuses to remove what holds secrets."""


class ImageAttestor(TypedFile):
    """Who may sign an image: the holder of a key, or an identity that an OpenID issuer vouches for."""

    name: Label
    public_key: StrictStr | None = None
    """PEM, as `cosign public-key` prints it."""
    issuer: HttpsAddress | None = None
    subject: StrictStr | None = None
    """The identity in full, such as one workflow of one repository at one branch."""
    rekor_url: HttpsAddress | None = None
    """The transparency log of a keyless signature; by default the public one."""

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        keyless = (self.issuer, self.subject)
        if (self.public_key is None) == (keyless == (None, None)) or (None in keyless and keyless != (None, None)):
            raise ValueError("write publicKey, or issuer and subject")
        if self.public_key is not None and self.rekor_url is not None:
            raise ValueError("rekorUrl belongs to issuer and subject: a key is checked without a log")
        return self


class KyvernoSettings(TypedFile):
    """Kyverno's controllers and the parameters of the rules."""

    replicas: Replicas = 1
    parameters: dict[StrictStr, dict[StrictStr, object]] = Field(default_factory=dict)
    """Values of a rule's variables, by rule and variable."""
    promotion_threshold: Annotated[StrictInt, Field(ge=1, le=100)] = 90
    """Percent of workloads that must keep to an important rule before it moves to its next phase."""
    image_signatures: tuple[ImageAttestor, ...] = ()
    """Who may sign images; the rule that asks for a signature is off without one."""


class MeshSettings(TypedFile):
    """Istio's control plane."""

    replicas: Replicas = 1
    hub: ImageReference | None = None
    """A mirror of Istio's images."""


class IngressController(TypedFile):
    """The workload that forwards requests when `kind` is `ingress`; it must be in the mesh."""

    namespace: Label
    service_account: Label


class IngressSettings(TypedFile):
    """The door: Gateway API with Istio, or an Ingress of any class."""

    kind: Literal["gateway-api", "ingress"] = "gateway-api"
    class_name: Label | None = None
    acme_email: Annotated[StrictStr, AfterValidator(_email)] | None = None
    gateway_namespace: Label = "istio-ingress"
    replicas: Replicas = 1
    """Replicas of cert-manager."""
    controller: IngressController | None = None


class ServiceDefaults(TypedFile):
    """What a service gets when its file says nothing."""

    replicas: Replicas = 2


class OverlayVault(TypedFile):
    """Where an external Vault is."""

    address: HttpsAddress
    ca_cert_file: AbsolutePath | None = None
    login: VaultLogin = VaultLogin()
    kubernetes_host: HttpsAddress = "https://kubernetes.default.svc"
    audit_directory: AbsolutePath | None = None
    cidrs: tuple[Cidr, ...] = ()


class Overlay(TypedFile):
    """Where the parts of a local control plane are. It says nothing of what they enforce."""

    vault: OverlayVault | None = None
    charts: AbsolutePath | None = None

    @classmethod
    def read(cls, path: Path) -> Self:
        """The overlay of a file. Raises `ConfigError` naming the file, line and key of each problem."""
        text = path.read_text(encoding="utf-8")
        values = read_yaml(text, path.name)
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise ConfigError(problems_of(error, cls, path.name, line_of=line_finder(text))) from error

    def place(self, vault: VaultSettings) -> VaultSettings:
        """The stack's Vault settings with the places of this overlay: Vault is there already, and so is its data."""
        if self.vault is None:
            return vault
        here = self.vault
        audit_paths = vault.audit_paths
        if here.audit_directory is not None:
            audit_paths = tuple(
                path if path == "stdout" else f"{here.audit_directory}/{PurePosixPath(path).name}"
                for path in audit_paths
            )
        places = here.model_dump(include={"address", "ca_cert_file", "kubernetes_host", "cidrs"})
        # An overlay's Vault lives and dies with the control plane it belongs to, so nothing in it outlasts the stack.
        fixed = {"mode": "external", "injector": False, "retain_data": False}
        return vault.model_copy(update={**places, **fixed, "login": here.login, "audit_paths": audit_paths})
