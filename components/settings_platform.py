"""The sections of the stack config, one for each platform component, and the overlay of a local control plane."""

import ipaddress
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, Self, cast

from pydantic import (
    AfterValidator,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from components.service_database import duration, identifier
from components.typed_file import (
    Cidr,
    ConfigError,
    HostName,
    HttpsAddress,
    Label,
    Port,
    Quantity,
    TypedFile,
    line_finder,
    problems_of,
    read_yaml,
)

Replicas = Annotated[StrictInt, Field(ge=1, le=9)]


def _absolute(value: str) -> str:
    if not PurePosixPath(value).is_absolute():
        raise ValueError("not an absolute path")
    return value


def _audit_path(value: str) -> str:
    if value != "stdout" and not PurePosixPath(value).is_absolute():
        raise ValueError("not stdout and not an absolute path")
    return value


def _database_host(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        return TypeAdapter[str](HostName).validate_python(value)


AbsolutePath = Annotated[StrictStr, AfterValidator(_absolute)]
AuditPath = Annotated[StrictStr, AfterValidator(_audit_path)]
Identifier = Annotated[StrictStr, AfterValidator(identifier)]
Duration = Annotated[StrictStr, AfterValidator(duration)]


class VaultLogin(TypedFile):
    """How the deployer logs in to Vault. No token is ever stored: `environment` takes the provider's own variables."""

    method: Literal["environment", "cert"] = "environment"
    cert_file: AbsolutePath | None = None
    key_file: AbsolutePath | None = None
    role: Label = "platform-deployer"


class AwsKmsSeal(TypedFile):
    """A key of AWS KMS. The pods may use it by their service account's role (IRSA), never by an access key."""

    region: StrictStr
    kms_key_id: StrictStr
    """The key's id, ARN or alias."""
    endpoint: HttpsAddress | None = None


class GcpKmsSeal(TypedFile):
    """A key of Google Cloud KMS. The pods may use it by Workload Identity, never by a credentials file."""

    project: StrictStr
    region: StrictStr
    key_ring: StrictStr
    crypto_key: StrictStr


class AzureKeyVaultSeal(TypedFile):
    """A key of Azure Key Vault. The pods may use it by their managed identity, never by a client secret."""

    tenant_id: StrictStr
    vault_name: StrictStr
    key_name: StrictStr
    client_id: StrictStr | None = None
    """The managed identity, when the node has several."""


class TransitSeal(TypedFile):
    """A key of another Vault's transit engine."""

    address: HttpsAddress
    key_name: StrictStr
    mount_path: StrictStr = "transit/"
    tls_ca_cert: AbsolutePath | None = None
    """PEM file in the pod; a further key of the Secret `vault.tlsSecret` is there as `/vault/tls/<key>`."""
    token_secret: Label
    """The Secret in namespace `vault` whose key `token` holds a token that may use the key, and nothing else."""


class StaticSeal(TypedFile):
    """A key of the operator's own, for OpenBao where there is no key service."""

    current_key_id: Label
    previous_key_id: Label | None = None
    """The key before, while its data are not yet written again."""
    key_secret: Label
    """The Secret in namespace `vault` that holds each key, 32 bytes, under its id."""


class VaultSeal(TypedFile):
    """The key that unseals Vault on start: one of these (https://developer.hashicorp.com/vault/docs/configuration/seal)."""

    awskms: AwsKmsSeal | None = None
    gcpckms: GcpKmsSeal | None = None
    azurekeyvault: AzureKeyVaultSeal | None = None
    transit: TransitSeal | None = None
    static: StaticSeal | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if len(self._written) != 1:
            raise ValueError(f"write one of {', '.join(type(self).model_fields)}")
        return self

    @property
    def _written(self) -> dict[str, TypedFile]:
        given = {name: cast("TypedFile | None", getattr(self, name)) for name in type(self).model_fields}
        return {name: seal for name, seal in given.items() if seal is not None}

    @property
    def type(self) -> str:
        """The seal's name in Vault's own configuration."""
        return next(iter(self._written))

    @property
    def parameters(self) -> dict[str, str]:
        """What stands in Vault's own configuration; no secret does."""
        written = self._written[self.type]
        return written.model_dump(exclude_none=True, exclude={"token_secret", "key_secret"})

    @property
    def secret(self) -> str:
        """The Secret that the pods need for it; empty where their cloud's identity is enough."""
        return next(
            (s for s in (self.transit and self.transit.token_secret, self.static and self.static.key_secret) if s), ""
        )


class VaultStorage(TypedFile):
    """The volumes of the Vault pods."""

    data: Quantity = "10Gi"
    audit: Quantity = "10Gi"
    storage_class: Label | None = None


class VaultSecrets(TypedFile):
    """The KV v2 engine that holds the services' secrets (https://developer.hashicorp.com/vault/docs/secrets/kv/kv-v2)."""

    keep_versions: Annotated[StrictInt, Field(ge=1, le=100)] = 10
    check_and_set: StrictBool = True
    """Whether a write must name the version that it replaces, so that none undoes another unseen."""
    delete_after: Duration | None = None
    """After this time each version is deleted, the newest one too: a secret that is not rotated ends. By default
    never."""
    refresh: Duration = "5m"
    """How often a pod's agent asks for the newest version, and so how soon a rotated secret is in its file."""


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
    secrets: VaultSecrets = VaultSecrets()
    retain_data: StrictBool = True
    """Whether `pulumi destroy` refuses to remove what holds secrets."""


class DatabaseSettings(TypedFile):
    """A database in which Vault makes a user for each service that asks for one, and removes it again.

    Vault changes the administrator's password as soon as it has the connection, so that nobody else knows it.
    https://developer.hashicorp.com/vault/docs/secrets/databases/postgresql
    """

    plugin: Literal["postgresql"] = "postgresql"
    host: Annotated[StrictStr, AfterValidator(_database_host)]
    """Its host as Vault and the services reach it; of a service of this stack `<name>.<namespace>.svc`."""
    port: Port = 5432
    cidrs: tuple[Cidr, ...] = ()
    """Its networks when it is outside the cluster and its host is a name: network policies take no names."""
    database: Identifier
    admin_user: Identifier
    """May create roles, and holds the services' rights with the right to grant them. Vault's alone."""
    admin_password_file: AbsolutePath | None = None
    """File with the administrator's first password. Vault needs it once: the file, and this key, may go after that."""
    admin_secret: Label | None = None
    """The first password as a secret of the Pulumi config: `pulumi config set --secret zero-trust-secrets:<this>`."""
    admin_password_version: Annotated[StrictInt, Field(ge=1)] = 1
    """Raised by one with each new first password, for an administrator whose password was reset in the database."""
    tls: StrictBool = True
    """Whether Vault verifies the server. False is legal at a loopback address alone."""
    ca_cert_file: AbsolutePath | None = None
    """PEM file of the authority behind the server's certificate, on Vault's own machine: a further key of the Secret
    `vault.tlsSecret` is there as `/vault/tls/<key>`."""
    max_open_connections: Annotated[StrictInt, Field(ge=1, le=100)] = 4

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.admin_password_file is not None and self.admin_secret is not None:
            raise ValueError("adminPasswordFile and adminSecret: keep one")
        if not self.tls and not self._loopback:
            raise ValueError("tls: false would send credentials over a network in clear text: leave it out")
        if not self.tls and self.ca_cert_file is not None:
            raise ValueError("caCertFile needs tls")
        return self

    @property
    def networks(self) -> tuple[str, ...]:
        """The networks it is reached in from a service's pod: those written, or its address when its host is one."""
        address = self._address
        if self.cidrs or address is None or address.is_loopback:
            return self.cidrs
        return (f"{address}/{address.max_prefixlen}",)

    @property
    def _loopback(self) -> bool:
        return self._address is not None and self._address.is_loopback

    @property
    def _address(self) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
        try:
            return ipaddress.ip_address(self.host)
        except ValueError:
            return None


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


class OverlayAcme(TypedFile):
    """Where an ACME server is."""

    directory: StrictStr
    ca_bundle_file: AbsolutePath


class Overlay(TypedFile):
    """Where the parts of a local control plane are. It says nothing of what they enforce."""

    vault: OverlayVault | None = None
    acme: OverlayAcme | None = None
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
