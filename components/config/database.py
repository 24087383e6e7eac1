"""The section `databases` of the stack config."""

import ipaddress
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StrictBool, StrictInt, StrictStr, TypeAdapter, model_validator

from components.schema.fields import AbsolutePath, Cidr, HostName, Identifier, Label, Port
from components.schema.typed_file import TypedFile, misplaced


def _database_host(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        return TypeAdapter[str](HostName).validate_python(value)


class DatabaseSettings(TypedFile):
    """A database in which Vault creates and removes a user for each service that declares one.

    Vault changes the administrator's password as soon as it is connected, so that nobody else knows it.
    https://developer.hashicorp.com/vault/docs/secrets/databases/postgresql
    """

    plugin: Literal["postgresql"] = "postgresql"
    host: Annotated[StrictStr, AfterValidator(_database_host)]
    """The host that Vault and the services connect to; for a service of this stack `<name>.<namespace>.svc`."""
    port: Port = 5432
    cidrs: tuple[Cidr, ...] = ()
    """Its networks, if it is outside the cluster and its host is a name: network policies accept no names."""
    database: Identifier
    admin_user: Identifier
    """A user for Vault alone, which may create roles and grant the services' rights."""
    admin_password_file: AbsolutePath | None = None
    """File with the administrator's first password. Vault needs it once; then the file and this key may be removed."""
    admin_secret: Label | None = None
    """The first password as a secret of the Pulumi config: `pulumi config set --secret zero-trust-secrets:<this>`."""
    admin_password_version: Annotated[StrictInt, Field(ge=1)] = 1
    """Increase it by one with each new first password, after the password was reset in the database."""
    tls: StrictBool = True
    """Whether Vault verifies the server. False is legal only for a loopback address."""
    ca_cert_file: AbsolutePath | None = None
    """PEM file of the authority behind the server's certificate, on Vault's machine: each key of the Secret
    `vault.tlsSecret` is mounted as `/vault/tls/<key>`."""
    max_open_connections: Annotated[StrictInt, Field(ge=1, le=100)] = 4

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.admin_password_file is not None and self.admin_secret is not None:
            raise misplaced(["adminSecret"], "adminPasswordFile is there, too: keep one", self.admin_secret)
        if not self.tls and not self._loopback:
            raise misplaced(["tls"], "it would send credentials over a network in plaintext: leave it out", self.tls)
        if not self.tls and self.ca_cert_file is not None:
            raise misplaced(["caCertFile"], "it needs tls: leave it out", self.ca_cert_file)
        return self

    @property
    def networks(self) -> tuple[str, ...]:
        """The networks of the database: those in the stack file, or its address if its host is one."""
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
