"""The database engines in which Vault makes users, and what each of them can do.

https://developer.hashicorp.com/vault/docs/secrets/databases lists Vault's plugins, and https://openbao.org/docs/secrets/databases
those of OpenBao.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

POSTGRESQL, MARIADB, REDIS, MONGODB = "postgresql", "mariadb", "redis", "mongodb"


@dataclass(frozen=True)
class Engine:
    """A database engine: Vault's plugin for it, and what its servers can do."""

    plugin: str
    port: int
    """The port at which its servers listen unless they are told otherwise."""
    schemas: bool
    """Whether rights are rights on tables in schemas; otherwise they are rights on keys."""
    sequences: bool
    """Whether sequences have rights of their own."""
    rotates: bool
    """Whether Vault changes the administrator's password: the server has to remember it when it starts again."""
    authority_at_vault: bool
    """Whether the plugin reads the authority's certificate on Vault's machine; otherwise the program sends it."""
    own_schemas: tuple[str, ...] = ()
    """The schemas that belong to the server, beside those that no service may name with any engine."""
    whole_schemas: bool = False
    """Whether rights are to read all of a schema, or to read and write it, and nothing finer."""
    in_openbao: bool = True
    """Whether OpenBao has the plugin; HashiCorp's Vault has all of them."""
    public_authorities: bool = True
    """Whether the plugin accepts a certificate of a public authority."""


ENGINES: Mapping[str, Engine] = MappingProxyType(
    {
        POSTGRESQL: Engine("postgresql-database-plugin", 5432, True, True, True, True),
        # The plugin is MySQL's; the statements are MariaDB's.
        MARIADB: Engine(
            "mysql-database-plugin", 3306, True, False, True, False, ("mysql", "performance_schema", "sys")
        ),
        # Redis forgets at a restart what it was told about users, so Vault would be locked out.
        REDIS: Engine("redis-database-plugin", 6379, False, False, False, False, public_authorities=False),
        MONGODB: Engine(
            *("mongodb-database-plugin", 27017, True, False, True, False, ("admin", "config", "local")),
            whole_schemas=True,
            in_openbao=False,
        ),
    }
)

REFUSED: Mapping[str, str] = MappingProxyType(
    {
        "mysql": "MySQL has no statement that ends the sessions of a user, so that one who is revoked would go on",
        "valkey": "its servers speak the protocol of Redis, and the same plugin makes their users: write redis",
    }
)
"""Engines that somebody may expect, and why there are none of them."""


def engine_name(value: object) -> object:
    """The name of an engine. Raises `ValueError` with the reason for one that is refused."""
    if isinstance(value, str) and value in REFUSED:
        raise ValueError(REFUSED[value])
    return value
