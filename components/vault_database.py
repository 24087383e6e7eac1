"""The database engine of Vault: one connection for each database, whose administrator's password is Vault's alone.

https://developer.hashicorp.com/vault/docs/secrets/databases/postgresql
"""

import ipaddress
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import pulumi
from pulumi_vault import Mount
from pulumi_vault.database import SecretBackendConnection, SecretBackendConnectionPostgresqlArgs
from pulumi_vault.generic import Endpoint

_PLUGIN = "postgresql-database-plugin"
_DAY_SECONDS = 86400
# The service and no display name of a login: the name is part of statements, and a login's may hold anything.
_USERNAME = '{{ printf "v-%s-%s-%s" (.RoleName | truncate 24) (random 20) (unix_time) }}'


@dataclass(frozen=True)
class DatabaseConnectionArgs:
    """One PostgreSQL server and database, and the services' roles that may have users in it.

    The first password comes from `password_file`, or from the Pulumi secret `password_secret` (namespace and key), or
    Vault knows it already. Raises `ValueError` on a role that is not one service's.
    """

    name: str
    host: str
    port: int
    database: str
    username: str
    roles: Sequence[str]
    tls: bool = True
    ca_cert_file: str = ""
    """PEM file on Vault's own machine; empty: the public authorities."""
    max_open_connections: int = 4
    password_file: str = ""
    password_secret: str = ""
    password_version: int = 1

    def __post_init__(self) -> None:
        if broad := sorted(role for role in self.roles if "*" in role or role.count(".") != 1):
            raise ValueError(f"databases.{self.name}: {broad} would let more than one service in: write namespace.name")


def connection_url(args: DatabaseConnectionArgs) -> str:
    """The address with Vault's own placeholders for the administrator, as rotation needs it."""
    verify = {"sslmode": "verify-full", **({"sslrootcert": args.ca_cert_file} if args.ca_cert_file else {})}
    query = urlencode(verify if args.tls else {"sslmode": "disable"}, safe="/")
    return f"postgresql://{{{{username}}}}:{{{{password}}}}@{_host(args.host)}:{args.port}/{args.database}?{query}"


def _host(host: str) -> str:
    try:
        return f"[{host}]" if ipaddress.ip_address(host).version == 6 else host
    except ValueError:
        return host


def first_password(args: DatabaseConnectionArgs) -> pulumi.Output[str] | None:
    """The administrator's first password, as a secret; `None` when Vault knows it already."""
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
    """Mount the engine and make its connections, each with its administrator's password changed at once.

    Returns nothing made without a connection. `options` gives the options of a resource in Vault by what it waits for;
    `keep` protects what holds the passwords. Vault checks each connection, and its error ends the run.
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
    # When the mount goes, Vault first removes every user that it made, for which it needs the connections.
    within = pulumi.ResourceOptions(deleted_with=engine)
    made: list[pulumi.Resource] = [engine]
    for args in connections:
        connection = SecretBackendConnection(
            f"{mount}.{args.name}",
            backend=mount,
            name=args.name,
            plugin_name=_PLUGIN,
            allowed_roles=sorted(args.roles),
            verify_connection=True,
            postgresql=_postgresql(args),
            opts=pulumi.ResourceOptions.merge(
                pulumi.ResourceOptions.merge(options([engine]), within),
                pulumi.ResourceOptions(protect=keep, retain_on_delete=keep),
            ),
        )
        rotation = Endpoint(
            f"{mount}.{args.name}.rotation",
            path=f"{mount}/rotate-root/{args.name}",
            # Vault reads none of it: another administrator or first password makes the rotation due again.
            data_json=json.dumps({"password_version": args.password_version, "username": args.username}),
            disable_read=True,
            disable_delete=True,
            opts=pulumi.ResourceOptions.merge(options([connection]), within),
        )
        made += [connection, rotation]
    return made


def _postgresql(args: DatabaseConnectionArgs) -> SecretBackendConnectionPostgresqlArgs:
    return SecretBackendConnectionPostgresqlArgs(
        connection_url=connection_url(args),
        username=args.username,
        # Sent when its version changes alone: after the rotation the first password is wrong.
        password_wo=first_password(args),
        password_wo_version=args.password_version,
        # Vault hashes what it sends, so that no password of a user is ever in the server's log.
        password_authentication="scram-sha-256",  # noqa: S106 - a method's name
        max_open_connections=args.max_open_connections,
        username_template=_USERNAME,
    )
