"""The first values of secrets, and where Vault keeps them."""

import json
from collections.abc import Mapping

import pulumi
from pulumi_random import RandomPassword
from pulumi_vault.kv import SecretV2

from components.service.args.service import SecretArgs, SecureServiceArgs

GENERATED_LENGTH = 32


def first_values(name: str, secret: SecretArgs, parent: pulumi.Resource) -> pulumi.Output[Mapping[str, str]]:
    """The first values of a secret of the component `name`: those that are written, and those that are generated."""
    generated = {
        field: RandomPassword(
            f"{name}.{secret.name}.{field}",
            length=GENERATED_LENGTH,
            # No characters that need quoting in a connection string or a shell file.
            special=False,
            opts=pulumi.ResourceOptions(parent=parent),
        ).result
        for field in secret.generate
    }
    # Where there is no Vault, nobody can give those from outside.
    unknown = dict.fromkeys(secret.external, "")
    return pulumi.Output.secret(pulumi.Output.all(**{**unknown, **secret.values, **generated}))


def kept_secrets(
    name: str,
    args: SecureServiceArgs,
    values: Mapping[str, pulumi.Output[Mapping[str, str]]],
    opts: pulumi.ResourceOptions,
) -> list[pulumi.Resource]:
    """Create the secrets of a service in Vault with their first values, which are given by path."""
    return [
        SecretV2(
            f"{name}.{secret.name}",
            mount=args.platform.vault.kv_mount,
            name=args.secret_path(secret),
            data_json=pulumi.Output.secret(values[args.secret_path(secret)]).apply(_compact_json),
            # First values only: neither a refresh nor a later run overwrites a rotation.
            disable_read=True,
            options={"cas": str(secret.replaces)},
            opts=opts,
        )
        for secret in args.own_secrets
        if not secret.external
    ]


def _compact_json(values: Mapping[str, str]) -> str:
    """JSON without spaces, as the provider keeps it in the state: with others each run would show a difference."""
    return json.dumps(values, sort_keys=True, separators=(",", ":"))
