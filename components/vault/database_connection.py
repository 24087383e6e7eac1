"""A connection of Vault's database engine: what each engine's plugin is given. Only Vault knows the administrator.

https://developer.hashicorp.com/vault/api-docs/secret/databases
"""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any
from urllib.parse import urlencode

import pulumi
from pulumi_vault.database import (
    SecretBackendConnectionMongodbArgs,
    SecretBackendConnectionMysqlArgs,
    SecretBackendConnectionPostgresqlArgs,
    SecretBackendConnectionRedisArgs,
)
from pydantic import AfterValidator

from components.config.database import DatabaseHost, DatabaseSettings
from components.config.engines import ENGINES, MARIADB, MONGODB, POSTGRESQL, REDIS, Engine
from components.config.pem_file import Pem
from components.kube.service_ref import ServiceRef
from components.schema.checked import check_fields, check_values
from components.schema.fields import DNS_LABEL, AbsolutePath, Identifier, Label, Port
from components.schema.problem import FieldError

# The service's users, those in another of its databases, and an owner's.
_OF_ONE_SERVICE = re.compile(r"[a-z0-9-]+\.[a-z0-9-]+(\.[a-z0-9-]+(\.owner)?)?")
# No display name of a login: the user name is part of SQL statements, and a display name may contain anything.
USERNAME_TEMPLATE = '{{ printf "v-%s-%s-%s" (.RoleName | truncate 24) (random 20) (unix_time) }}'


def _engine(value: str) -> str:
    if value not in ENGINES:
        raise ValueError(f"no engine: {', '.join(sorted(ENGINES))}")
    return value


@dataclass(frozen=True)
class DatabaseConnectionArgs:
    """A database and its server, and the roles of services that may have users in it.

    The administrator's first password comes from `password_file` or from the Pulumi secret `password_secret`
    (`namespace:key`); without both Vault has it already. Raises `FieldError` for a role that is not one service's, and
    for an engine without rotation that has no password.
    """

    name: Label
    host: DatabaseHost
    port: Port
    database: str
    """Its name; empty for an engine whose databases have none."""
    username: Identifier
    roles: Sequence[str]
    engine: Annotated[str, AfterValidator(_engine)] = POSTGRESQL
    """One of `components.config.engines`."""
    tls: bool = True
    ca_cert_file: AbsolutePath = ""
    """PEM file of PostgreSQL's authority on Vault's machine; empty: the public authorities."""
    authority: Pem = ""
    """The authority of another engine's server in PEM; empty: the public authorities."""
    max_open_connections: int = 4
    password_file: AbsolutePath = ""
    password_secret: str = ""
    password_version: int = 1
    service: ServiceRef = field(default_factory=ServiceRef)
    """The service of the stack that is the server, which is there after Vault; none for a server elsewhere."""
    password_path: str = ""
    """The path of that service's secret with the first password."""
    password_field: str = ""
    namespaces: Sequence[str] = ()
    """The namespaces of the team that makes its own roles, which begin with one of them and a dot."""

    def __post_init__(self) -> None:
        check_fields(self)
        if broad := sorted(role for role in self.roles if not _OF_ONE_SERVICE.fullmatch(role)):
            message = "it would let more than one service in: write namespace.name, and what follows for one database"
            raise FieldError("roles", message, broad[0])
        if broad := sorted(name for name in self.namespaces if not re.fullmatch(DNS_LABEL, name)):
            raise FieldError("namespaces", "not the name of one namespace", broad[0])
        if not self.kind.rotates and not (self.password_file or self.password_secret or self.password_path):
            message = f"required for {self.engine}, whose administrator's password Vault does not change"
            raise FieldError("password_file", message, self.name)
        check_values(DatabaseSettings, self._written, f"{self.name}.")

    @property
    def _written(self) -> dict[str, object]:
        """What a stack file says of it."""
        place: dict[str, object] = {"host": self.host, "port": self.port}
        if self.service:
            place = {"service": str(self.service)}
        said = {
            "database": self.database,
            "caCertFile": self.ca_cert_file,
            # The file that it was read of is not known here.
            "authorityFile": "/" if self.authority else "",
            "adminPasswordFile": self.password_file,
            "adminSecret": self.password_secret.partition(":")[2],
            "adminFrom": f"{self.password_path.rpartition('/')[2]}/{self.password_field}" if self.password_path else "",
        }
        pools = {} if not self.kind.schemas else {"maxOpenConnections": self.max_open_connections}
        always = {"engine": self.engine, "adminUser": self.username, "tls": self.tls}
        version = {"adminPasswordVersion": self.password_version}
        return {**place, **always, **pools, **version, **{key: value for key, value in said.items() if value}}

    @property
    def kind(self) -> Engine:
        """What its engine can do."""
        return ENGINES[self.engine]


def connection_url(args: DatabaseConnectionArgs) -> str:
    """The connection URL of a database, with Vault's placeholders for the administrator's name and password."""
    credentials = "{{username}}:{{password}}"
    if args.engine == MARIADB:
        # With an authority of its own the plugin names the TLS settings itself.
        verify = "?tls=true" if args.tls and not args.authority else ""
        return f"{credentials}@tcp({_host(args.host)}:{args.port})/{verify}"
    if args.engine == MONGODB:
        return f"mongodb://{credentials}@{_host(args.host)}:{args.port}/admin?tls={str(args.tls).lower()}"
    verify = {"sslmode": "verify-full", **({"sslrootcert": args.ca_cert_file} if args.ca_cert_file else {})}
    query = urlencode(verify if args.tls else {"sslmode": "disable"}, safe="/")
    return f"postgresql://{credentials}@{_host(args.host)}:{args.port}/{args.database}?{query}"


def _host(host: str) -> str:
    try:
        return f"[{host}]" if ipaddress.ip_address(host).version == 6 else host
    except ValueError:
        return host


@dataclass(frozen=True)
class PluginArgs:
    """What Vault's plugin is given: one of them, by the engine."""

    postgresql: SecretBackendConnectionPostgresqlArgs | None = None
    mysql: SecretBackendConnectionMysqlArgs | None = None
    redis: SecretBackendConnectionRedisArgs | None = None
    mongodb: SecretBackendConnectionMongodbArgs | None = None


def plugin_args(args: DatabaseConnectionArgs, password: pulumi.Output[str] | None) -> PluginArgs:
    """The arguments of the plugin, with the administrator's `password` if Vault is to have it."""
    if args.engine == REDIS:
        return PluginArgs(redis=_redis(args, password))
    if args.engine == MONGODB:
        return PluginArgs(mongodb=SecretBackendConnectionMongodbArgs(**_by_url(args, password)))
    if args.engine == MARIADB:
        return PluginArgs(mysql=SecretBackendConnectionMysqlArgs(**_by_url(args, password)))
    return PluginArgs(postgresql=_postgresql(args, password))


def _postgresql(
    args: DatabaseConnectionArgs, password: pulumi.Output[str] | None
) -> SecretBackendConnectionPostgresqlArgs:
    return SecretBackendConnectionPostgresqlArgs(
        connection_url=connection_url(args),
        username=args.username,
        # Only sent when its version changes, since it is wrong after the rotation.
        password_wo=password,
        password_wo_version=args.password_version,
        # Vault sends a hash, so that no user's password appears in the log of the database server.
        password_authentication="scram-sha-256",  # noqa: S106 - a method's name
        max_open_connections=args.max_open_connections,
        username_template=USERNAME_TEMPLATE,
    )


def _by_url(args: DatabaseConnectionArgs, password: pulumi.Output[str] | None) -> dict[str, Any]:
    """What the plugins of MariaDB and MongoDB are given alike."""
    return {
        "connection_url": connection_url(args),
        "username": args.username,
        "password_wo": password,
        "password_wo_version": args.password_version,
        "tls_ca": args.authority or None,
        "max_open_connections": args.max_open_connections,
        "username_template": USERNAME_TEMPLATE,
    }


def _redis(args: DatabaseConnectionArgs, password: pulumi.Output[str] | None) -> SecretBackendConnectionRedisArgs:
    return SecretBackendConnectionRedisArgs(
        host=args.host,
        port=args.port,
        username=args.username,
        # The arguments have refused a connection without one.
        password=password or "",
        tls=args.tls,
        ca_cert=args.authority or None,
    )
