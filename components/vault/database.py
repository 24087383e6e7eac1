"""The database engine of Vault: one connection for each database. Only Vault knows the administrator's password.

https://developer.hashicorp.com/vault/docs/secrets/databases/postgresql
"""

import ipaddress
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

import pulumi
from pulumi_vault import Mount
from pulumi_vault.database import SecretBackendConnection, SecretBackendConnectionPostgresqlArgs
from pulumi_vault.generic import Endpoint

from components.kube.service_ref import ServiceRef
from components.schema.problem import FieldError

_PLUGIN = "postgresql-database-plugin"
# The service's users, those in another of its databases, and an owner's.
_OF_ONE_SERVICE = re.compile(r"[a-z0-9-]+\.[a-z0-9-]+(\.[a-z0-9-]+(\.owner)?)?")
_DAY_SECONDS = 86400
# No display name of a login: the user name is part of SQL statements, and a display name may contain anything.
_USERNAME = '{{ printf "v-%s-%s-%s" (.RoleName | truncate 24) (random 20) (unix_time) }}'


@dataclass(frozen=True)
class DatabaseConnectionArgs:
    """A PostgreSQL database and its server, and the roles of services that may have users in it.

    The administrator's first password comes from `password_file` or from the Pulumi secret `password_secret`
    (`namespace:key`); without both Vault has it already. Raises `FieldError` for a role that is not one service's.
    """

    name: str
    host: str
    port: int
    database: str
    username: str
    roles: Sequence[str]
    tls: bool = True
    ca_cert_file: str = ""
    """PEM file on Vault's machine; empty: the public authorities."""
    max_open_connections: int = 4
    password_file: str = ""
    password_secret: str = ""
    password_version: int = 1
    service: ServiceRef = field(default_factory=ServiceRef)
    """The service of the stack that is the server, which is there after Vault; none for a server elsewhere."""
    password_path: str = ""
    """The path of that service's secret with the first password."""
    password_field: str = ""

    def __post_init__(self) -> None:
        if broad := sorted(role for role in self.roles if not _OF_ONE_SERVICE.fullmatch(role)):
            message = "it would let more than one service in: write namespace.name, and what follows for one database"
            raise FieldError("roles", message, broad[0])


def connection_url(args: DatabaseConnectionArgs) -> str:
    """The connection URL, with Vault's placeholders for the administrator's name and password."""
    verify = {"sslmode": "verify-full", **({"sslrootcert": args.ca_cert_file} if args.ca_cert_file else {})}
    query = urlencode(verify if args.tls else {"sslmode": "disable"}, safe="/")
    return f"postgresql://{{{{username}}}}:{{{{password}}}}@{_host(args.host)}:{args.port}/{args.database}?{query}"


def _host(host: str) -> str:
    try:
        return f"[{host}]" if ipaddress.ip_address(host).version == 6 else host
    except ValueError:
        return host


def first_password(args: DatabaseConnectionArgs) -> pulumi.Output[str] | None:
    """The administrator's first password, as a secret; `None` when Vault has it already."""
    if args.password_file:
        return pulumi.Output.secret(Path(args.password_file).read_text(encoding="utf-8").rstrip("\n"))
    if args.password_secret:
        namespace, _, key = args.password_secret.partition(":")
        return pulumi.Config(namespace).require_secret(key)
    return None


def database_engine(
    mount: str,
    connections: Sequence[DatabaseConnectionArgs],
    options: Callable[[Sequence[pulumi.Resource]], pulumi.ResourceOptions],
    keep: bool | None,
) -> list[pulumi.Resource]:
    """Mount the engine and create its connections to what is there already.

    Creates nothing without a connection. `options` returns the options of a resource in Vault that depends on others;
    `keep` protects the engine and the connections, which hold the passwords. Vault tests each connection, and an error
    ends the run.
    """
    if not connections:
        return []
    engine = Mount(
        mount,
        path=mount,
        type="database",
        description="The services' own users in databases, each for a limited time",
        max_lease_ttl_seconds=_DAY_SECONDS,
        opts=pulumi.ResourceOptions.merge(options([]), pulumi.ResourceOptions(protect=keep, retain_on_delete=keep)),
    )
    resources: list[pulumi.Resource] = [engine]
    for args in connections:
        if not args.service:
            resources += database_connection(mount, args, first_password(args), engine, options, keep)
    return resources


def database_connection(
    mount: str,
    args: DatabaseConnectionArgs,
    password: pulumi.Output[str] | None,
    engine: pulumi.Resource,
    options: Callable[[Sequence[pulumi.Resource]], pulumi.ResourceOptions],
    keep: bool | None,
) -> list[pulumi.Resource]:
    """Create one connection, and rotate the administrator's `password` at once."""
    # Before Vault removes the mount, it removes every user that it resources, and needs the connections for that.
    within = pulumi.ResourceOptions(deleted_with=engine)
    connection = SecretBackendConnection(
        f"{mount}.{args.name}",
        backend=mount,
        name=args.name,
        plugin_name=_PLUGIN,
        allowed_roles=sorted(args.roles),
        verify_connection=True,
        postgresql=_postgresql(args, password),
        opts=pulumi.ResourceOptions.merge(
            pulumi.ResourceOptions.merge(options([engine]), within),
            pulumi.ResourceOptions(protect=keep, retain_on_delete=keep),
        ),
    )
    rotation = Endpoint(
        f"{mount}.{args.name}.rotation",
        path=f"{mount}/rotate-root/{args.name}",
        # Vault ignores these fields; a change of one makes Pulumi rotate again.
        data_json=json.dumps({"password_version": args.password_version, "username": args.username}),
        disable_read=True,
        disable_delete=True,
        opts=pulumi.ResourceOptions.merge(options([connection]), within),
    )
    return [connection, rotation]


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
        username_template=_USERNAME,
    )
