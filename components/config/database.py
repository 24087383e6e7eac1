"""The section `databases` of the stack config."""

import ipaddress
import re
from types import MappingProxyType
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    TypeAdapter,
    model_validator,
)
from pydantic.alias_generators import to_camel

from components.config.engines import ENGINES, Engine, engine_name
from components.config.proxy_ports import OUTSIDE_THE_PROXY
from components.kube.service_ref import ServiceRef
from components.schema.fields import DNS_LABEL, AbsolutePath, Cidr, HostName, Identifier, Label, Port
from components.schema.metadata_services import outside_host
from components.schema.problem import UNREPEATED
from components.schema.reached import REACHED
from components.schema.typed_file import TypedFile, misplaced

_SERVICE = re.compile(rf"{DNS_LABEL}/{DNS_LABEL}")
_FIELD = re.compile(rf"{DNS_LABEL}/[a-z][a-z0-9_]*")


def _database_host(value: str) -> str:
    try:
        address = ipaddress.ip_address("" if "%" in value else value)
    except ValueError:
        return TypeAdapter[str](HostName).validate_python(value)
    if address.is_unspecified or address.is_multicast:
        raise ValueError("no server has it")
    outside_host(value)
    return str(address)


def _of_a_stack(value: str) -> str:
    if not _SERVICE.fullmatch(value):
        raise ValueError("not a service of the stack: write namespace/name")
    return value


def _generated(value: str) -> str:
    if not _FIELD.fullmatch(value):
        raise ValueError("not a field of a secret: write secret/field")
    return value


DatabaseHost = Annotated[StrictStr, AfterValidator(_database_host), REACHED]


class DatabaseSettings(TypedFile):
    """A database in which Vault creates and removes a user for each service that declares one.

    Vault changes the administrator's password as soon as it is connected, so that nobody else knows it; not that of
    Redis, which would forget the new one when it starts again.
    https://developer.hashicorp.com/vault/docs/secrets/databases
    """

    renamed = MappingProxyType({"plugin": "engine"})

    engine: Annotated[Literal["postgresql", "mariadb", "redis", "mongodb"], BeforeValidator(engine_name)] = "postgresql"
    """What the server is. `redis` is Valkey, too. `mongodb` needs HashiCorp's Vault, and is planned by its
    documentation alone: it has not been tried."""
    team: Label | None = None
    """The team whose stack makes the users of its services in it; then no service of this stack has any. Whoever makes
    users writes statements that run as `adminUser`, so that has to be an administrator of nothing else."""
    service: Annotated[StrictStr, AfterValidator(_of_a_stack)] | None = None
    """The service of this stack that is its server, as `namespace/name`, in place of `host` and `port`. Its file lets
    Vault in: `callers: [vault/vault]`. Vault speaks TLS with the server itself, past the mesh."""
    host: DatabaseHost | None = None
    """The host that Vault and the services connect to, if it is no service of this stack."""
    port: Annotated[Port, OUTSIDE_THE_PROXY] | None = None
    """Its port; by default that of the engine: 5432, 3306, 6379 or 27017."""
    cidrs: tuple[Cidr, ...] = ()
    """Its networks, if it is outside the cluster and its host is a name: network policies accept no names."""
    database: Identifier | None = None
    """The database that services connect to. Redis has none."""
    admin_user: Identifier
    """A user for Vault alone, which may create users and grant the services' rights."""
    admin_password_file: AbsolutePath | None = None
    """File with the administrator's first password. Vault needs it once; then the file and this key may be removed,
    but for Redis, whose administrator keeps it."""
    admin_secret: Label | None = None
    """The first password as a secret of the Pulumi config: `pulumi config set --secret zero-trust-secrets:<this>`."""
    admin_from: Annotated[StrictStr, AfterValidator(_generated)] | None = None
    """The first password as a field that `service` generates, as `secret/field`: its image makes the administrator with
    it."""
    admin_password_version: Annotated[StrictInt, Field(ge=1)] = 1
    """Increase it by one with each new first password, after the password was reset in the database."""
    tls: StrictBool = True
    """Whether Vault verifies the server. False is legal only for a loopback address."""
    ca_cert_file: AbsolutePath | None = None
    """PEM file of the authority behind a PostgreSQL server's certificate, on Vault's machine: its pods have each key of
    the ConfigMap `vault.authorities` as `/vault/authorities/<key>`, and each of the Secret `vault.tlsSecret` as
    `/vault/tls/<key>`."""
    authority_file: AbsolutePath | None = None
    """PEM file of the authority behind the certificate of another engine's server, on the machine that runs Pulumi:
    the program sends it to Vault. Redis needs one; MariaDB has the public authorities without."""
    max_open_connections: Annotated[StrictInt, Field(ge=1, le=100)] = 4

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        self._one_place()
        self._of_the_engine()
        if self.admin_password_file is not None and self.admin_secret is not None:
            raise misplaced(["adminSecret"], "adminPasswordFile is there, too: keep one", self.admin_secret)
        if self.admin_from is not None and (self.admin_password_file or self.admin_secret):
            raise misplaced(["adminFrom"], "the first password is there twice: keep one", self.admin_from)
        if not self.tls and not self._loopback:
            raise misplaced(["tls"], "it would send credentials over a network in plaintext: leave it out", self.tls)
        for name in ("ca_cert_file", "authority_file"):
            if not self.tls and name in self.model_fields_set:
                raise misplaced([to_camel(name)], "it needs tls: leave it out", getattr(self, name))
        return self

    def _of_the_engine(self) -> None:
        kind = self.kind
        if kind.schemas and self.database is None:
            raise misplaced(["database"], f"required for {self.engine}", UNREPEATED)
        without = {
            "ca_cert_file": None if kind.authority_at_vault else "its plugin reads no file: name it in authorityFile",
            "authority_file": "its plugin reads the file at Vault: name it in caCertFile"
            if kind.authority_at_vault
            else None,
            "database": None if kind.schemas else "it has no databases with names: leave it out",
            "max_open_connections": None if kind.schemas else "its plugin has no such limit: leave it out",
        }
        for name, reason in without.items():
            if reason and name in self.model_fields_set:
                raise misplaced([to_camel(name)], f"{self.engine}: {reason}", getattr(self, name))
        if self.tls and not kind.public_authorities and self.authority_file is None:
            message = f"required for {self.engine}: its plugin accepts no public authority"
            raise misplaced(["authorityFile"], message, UNREPEATED)
        if not kind.rotates and not (self.admin_password_file or self.admin_secret or self.admin_from):
            message = f"required for {self.engine}, or adminSecret or adminFrom: Vault does not change this password"
            raise misplaced(["adminPasswordFile"], message, UNREPEATED)

    def _one_place(self) -> None:
        if (self.service is None) == (self.host is None):
            message = "service is there, too: keep one" if self.host else "required, or service"
            raise misplaced(["host"], message, UNREPEATED)
        if self.service is None:
            if self.admin_from is not None:
                raise misplaced(["adminFrom"], "it needs service, which generates it", self.admin_from)
            return
        if twice := next((key for key in ("port", "cidrs") if key in self.model_fields_set), ""):
            raise misplaced([twice], "service says it: leave it out", UNREPEATED)

    @property
    def kind(self) -> Engine:
        """What its engine can do."""
        return ENGINES[self.engine]

    @property
    def own_port(self) -> int:
        """The port of a server that is no service of the stack."""
        return self.port or self.kind.port

    @property
    def server(self) -> ServiceRef:
        """The service of the stack that it is; none for a server elsewhere."""
        return ServiceRef.parse(self.service, "") if self.service else ServiceRef()

    @property
    def address(self) -> str:
        """The host that Vault and the services connect to."""
        return f"{self.server.name}.{self.server.namespace}.svc" if self.server else self.host or ""

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
            return ipaddress.ip_address(self.host or "")
        except ValueError:
            return None
