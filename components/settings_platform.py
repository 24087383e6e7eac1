"""The sections of the stack config, one for each platform component, and the overlay of a local control plane."""

import ipaddress
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, Self

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

from components.service_database import identifier
from components.settings_vault import (
    AbsolutePath,
    VaultBootstrap,
    VaultLogin,
    VaultSettings,
)
from components.typed_file import (
    Cidr,
    ConfigError,
    HostName,
    HttpsAddress,
    Label,
    Port,
    TypedFile,
    line_finder,
    problems_of,
    read_yaml,
)

Replicas = Annotated[StrictInt, Field(ge=1, le=9)]


def _database_host(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        return TypeAdapter[str](HostName).validate_python(value)


Identifier = Annotated[StrictStr, AfterValidator(identifier)]


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
    deployers_ca_cert_file: AbsolutePath | None = None
    """The authority behind `login.certFile`, for a Vault that the first `pulumi up` initialises."""
    cidrs: tuple[Cidr, ...] = ()

    def bootstrap(self, wanted: VaultBootstrap | None) -> VaultBootstrap | None:
        """The stack's own bootstrap, by the certificates of this place."""
        if self.deployers_ca_cert_file is None:
            return wanted
        certificate = {"caCertFile": self.deployers_ca_cert_file, "commonName": self.login.role}
        own = {
            "login": {"cert": certificate},
            "plainKeysReason": "they stay with their control plane",
        }
        here = VaultBootstrap.model_validate(own)
        return wanted.model_copy(update={"login": here.login}) if wanted else here


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
        fixed = {
            "mode": "external",
            "injector": False,
            "retain_data": False,
            "bootstrap": here.bootstrap(vault.bootstrap),
        }
        return vault.model_copy(update={**places, **fixed, "login": here.login, "audit_paths": audit_paths})
