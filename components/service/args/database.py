"""The arguments of a service's databases: what its users may do, and the file that shows their credentials."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from components.config.engines import POSTGRESQL
from components.schema.fields import DAY_SECONDS
from components.service.file.database import SECRET_NAME
from components.service.file.service import ServiceSpec
from components.vault.terms import DatabaseServer

_LONGEST, _DIGEST = 63, 16
_CREDENTIALS = "DB_USER={{ .Data.username }}\nDB_PASS={{ .Data.password }}\n"


@dataclass(frozen=True)
class GrantArgs:
    """Rights in one schema: on all its tables and sequences, or only on the named ones."""

    schema: str
    privileges: Sequence[str] = ()
    all_tables: bool = False
    tables: Sequence[str] = ()
    all_sequences: bool = False
    sequences: Sequence[str] = ()


@dataclass(frozen=True)
class KeyGrantArgs:
    """Rights on the keys whose names begin with the prefix."""

    prefix: str
    privileges: Sequence[str]


@dataclass(frozen=True)
class DatabaseArgs:
    """A database of a service, by its `name` there. Times are seconds."""

    connection: str
    database: str = ""
    grants: Sequence[GrantArgs] = ()
    name: str = SECRET_NAME
    owner: str = ""
    """The role in PostgreSQL that owns `schemas`, or its name elsewhere; empty: the service owns nothing there."""
    schemas: Sequence[str] = ()
    as_owner: bool = False
    """Whether users act as the owner. Only those of a job do."""
    ttl: int = 3600
    max_ttl: int = DAY_SECONDS
    file: str = SECRET_NAME
    template: str = ""
    files: Mapping[str, str] = field(default_factory=dict[str, str])
    """Further files with the same credentials, each with its template."""
    engine: str = POSTGRESQL
    """One of `components.config.engines`."""
    encrypted: bool = False
    """Whether the server is to refuse its users without TLS. PostgreSQL has that in its own configuration."""
    keys: Sequence[KeyGrantArgs] = ()
    channels: Sequence[str] = ()
    """The beginnings of the names of channels."""
    scripts: bool = False

    def role(self, service: str) -> str:
        """The name of the role in Vault that makes the users of a service, which is given as `namespace.name`."""
        return role_name(service, self.name, self.as_owner)


def role_name(service: str, database: str, as_owner: bool) -> str:
    """The name of a role of Vault's database engine: no name has a dot, so it is that of one service's database."""
    if as_owner:
        return f"{service}.{database}.owner"
    return service if database == SECRET_NAME else f"{service}.{database}"


def role_names(spec: ServiceSpec, connection: str) -> list[str]:
    """The names of the roles of a service in one database of the stack: its users', and those of owners."""
    names: list[str] = []
    for name, database in spec.all_databases.items():
        if database.connection == connection:
            kinds = (False, True) if spec.has_owner(name) else (False,)
            names += [role_name(spec.ref.key, name, as_owner) for as_owner in kinds]
    return names


def owner_role(database: str, service: str) -> str:
    """The name of the role in a database that owns the schemas of a service, which is given as `namespace.name`.

    The roles of all databases of a server have their names in common, and PostgreSQL cuts a longer one off at
    63 bytes: https://www.postgresql.org/docs/current/sql-syntax-lexical.html#SQL-SYNTAX-IDENTIFIERS
    """
    name = f"owner.{database}.{service}"
    digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGEST]
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - _DIGEST - 1]}.{digest}"


def default_template(server: DatabaseServer) -> str:
    """The default template of the credentials' file: a line for each of host, port, database, user and password."""
    where = f"DB_HOST={server.host}\nDB_PORT={server.port}\n"
    return where + (f"DB_NAME={server.database}\n" if server.database else "") + _CREDENTIALS
