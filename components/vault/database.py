"""The database engine of Vault, and its connections to databases.

https://developer.hashicorp.com/vault/docs/secrets/databases
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pulumi
from pulumi_vault import Mount
from pulumi_vault.database import SecretBackendConnection
from pulumi_vault.generic import Endpoint

from components.vault.database_connection import DatabaseConnectionArgs, plugin_args

_DAY_SECONDS = 86400


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
    """Create one connection, and rotate the administrator's `password` at once if the server remembers the new one."""
    # Before Vault removes the mount, it removes every user that it resources, and needs the connections for that.
    within = pulumi.ResourceOptions(deleted_with=engine)
    plugin = plugin_args(args, password)
    connection = SecretBackendConnection(
        f"{mount}.{args.name}",
        backend=mount,
        name=args.name,
        plugin_name=args.kind.plugin,
        allowed_roles=sorted([*args.roles, *(f"{namespace}.*" for namespace in args.namespaces)]),
        verify_connection=True,
        postgresql=plugin.postgresql,
        mysql=plugin.mysql,
        redis=plugin.redis,
        mongodb=plugin.mongodb,
        opts=pulumi.ResourceOptions.merge(
            pulumi.ResourceOptions.merge(options([engine]), within),
            pulumi.ResourceOptions(protect=keep, retain_on_delete=keep),
        ),
    )
    if not args.kind.rotates:
        return [connection]
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
