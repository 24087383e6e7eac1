"""The access control list with which Vault creates a service's users in Redis 7 or Valkey.

A user has what its keys need and nothing that has no key: it neither sees nor removes what belongs to other services.
https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl
https://developer.hashicorp.com/vault/docs/secrets/databases/redis
"""

import json
from collections.abc import Mapping

from components.schema.problem import FieldError
from components.service.args.database import DatabaseArgs, KeyGrantArgs
from components.service.file.database import KEY_PRIVILEGES, key_prefix

_ACCESS: Mapping[tuple[str, ...], str] = {("READ",): "%R~", ("WRITE",): "%W~", ("READ", "WRITE"): "~"}
_SCRIPTS = ("+eval", "+evalsha", "+eval_ro", "+evalsha_ro", "+script|load", "+script|exists")
# What the categories hold that no pattern of keys or channels bounds. Those of scripts include functions, which are
# everybody's; tracking tells the names of all keys that change.
_BEYOND = (
    *("-@admin", "-@dangerous", "-@scripting"),
    *("-scan", "-randomkey", "-dbsize", "-wait", "-client|tracking", "-pubsub|channels", "-pubsub|shardchannels"),
)


def creation_statements(args: DatabaseArgs) -> list[str]:
    """The rules of a user as one JSON list, which Vault's plugin sends as the arguments of `ACL SETUSER`.

    Raises `ValueError` for a prefix that is a pattern, and for an unknown privilege.
    """
    keys = [_keys(grant) for grant in args.keys]
    channels = [f"&{key_prefix(prefix)}*" for prefix in args.channels]
    granted = {privilege for grant in args.keys for privilege in grant.privileges}
    commands = [f"+@{privilege.lower()}" for privilege in KEY_PRIVILEGES if privilege in granted]
    commands += ["+@connection", "+@transaction", *(["+@pubsub"] if channels else []), *_BEYOND]
    commands += _SCRIPTS if args.scripts else ()
    return [json.dumps(["resetkeys", "resetchannels", "-@all", *keys, *channels, *commands])]


def revocation_statements(_: DatabaseArgs) -> list[str]:
    """None: the plugin deletes the user, and Redis ends its connections."""
    return []


def _keys(grant: KeyGrantArgs) -> str:
    if foreign := sorted({*grant.privileges} - {*KEY_PRIVILEGES}):
        raise FieldError("privileges", "not a privilege", foreign[0], KEY_PRIVILEGES)
    return f"{_ACCESS[tuple(sorted({*grant.privileges}))]}{key_prefix(grant.prefix)}*"
