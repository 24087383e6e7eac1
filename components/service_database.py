"""A service's own users in a database: what they may do, and the statements by which Vault makes and removes them.

Statements: https://developer.hashicorp.com/vault/api-docs/secret/databases/postgresql#statements
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Privilege = Literal["SELECT", "INSERT", "UPDATE", "DELETE"]
PRIVILEGES: tuple[str, ...] = ("SELECT", "INSERT", "UPDATE", "DELETE")
_TEMPLATE = """\
DB_HOST={host}
DB_PORT={port}
DB_NAME={database}
DB_USER={{{{ .Data.username }}}}
DB_PASS={{{{ .Data.password }}}}
"""
FIELD_OF_CREDENTIALS = re.compile(r"\.Data\.(username|password)")
SECRET_NAME = "database"  # noqa: S105 - the name that the injector's annotations give the file
DAY_SECONDS = 86400
_SECONDS = {"s": 1, "m": 60, "h": 3600}
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_TEXT_IDENTIFIER = "letters, digits and underscores, no digit first, 63 at most"


@dataclass(frozen=True)
class DatabaseServer:
    """A database that Vault makes users in, as a service reaches it."""

    name: str
    host: str
    port: int
    database: str
    networks: Sequence[str] = ()
    """Its networks when it is outside the cluster."""

    @property
    def named(self) -> bool:
        """Whether its host is a name of the world outside: no address, and none of the cluster's own DNS."""
        address = ":" in self.host or self.host.rpartition(".")[2].isdigit()
        return not address and service_of(self.host) == ("", "")


@dataclass(frozen=True)
class GrantArgs:
    """Rights in one schema. Without `all_tables` (or `all_sequences`) only those that are named."""

    schema: str
    privileges: Sequence[str] = ()
    all_tables: bool = False
    tables: Sequence[str] = ()
    all_sequences: bool = False
    sequences: Sequence[str] = ()


@dataclass(frozen=True)
class DatabaseArgs:
    """The database of a service; without a `connection` it has none. Times are seconds."""

    connection: str = ""
    database: str = ""
    grants: Sequence[GrantArgs] = ()
    ttl: int = 3600
    max_ttl: int = DAY_SECONDS
    file: str = SECRET_NAME
    template: str = ""


def service_of(host: str) -> tuple[str, str]:
    """Namespace and name of the service behind a host name of the cluster's own DNS; empty for any other."""
    name, _, rest = host.partition(".")
    namespace, _, tail = rest.partition(".")
    return (namespace, name) if tail in ("svc", "svc.cluster.local") else ("", "")


def default_template(server: DatabaseServer) -> str:
    """The text of the credentials' file when the service's file gives none: one line for each thing to know."""
    return _TEMPLATE.format(host=server.host, port=server.port, database=server.database)


def identifier(value: str) -> str:
    """A name that means the same in a quoted and in an unquoted place of a statement. Raises `ValueError`."""
    if not _IDENTIFIER.fullmatch(value):
        raise ValueError(f"not a name of a database: {_TEXT_IDENTIFIER}")
    return value


def schema_name(value: str) -> str:
    """The name of a schema that is not the server's own. Raises `ValueError`."""
    if value.lower().startswith("pg_") or value.lower() == "information_schema":
        raise ValueError("a schema of the server itself: name one of the application's")
    return identifier(value)


def duration(value: str) -> str:
    """A time such as `1h`, `30m` or `90s`. Raises `ValueError`."""
    if not re.fullmatch(r"[1-9]\d{0,5}[smh]", value):
        raise ValueError("not a time such as 1h, 30m or 90s")
    return value


def seconds(value: str) -> int:
    """The seconds of a `duration`."""
    return int(value[:-1]) * _SECONDS[value[-1]]


def creation_statements(args: DatabaseArgs) -> list[str]:
    """What Vault runs to make a user: a login that ends by itself, with the declared rights and no others.

    Raises `ValueError` on a name or privilege that is not what it says: the statements are text.
    """
    rights = [f"CONNECT ON DATABASE {_quoted(args.database)}"]
    for grant in args.grants:
        rights += _rights(grant)
    attributes = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
    return [
        f"CREATE ROLE \"{{{{name}}}}\" WITH {attributes} PASSWORD '{{{{password}}}}' VALID UNTIL '{{{{expiration}}}}';",
        *(f'GRANT {right} TO "{{{{name}}}}";' for right in rights),
    ]


def _rights(grant: GrantArgs) -> list[str]:
    schema = _quoted(schema_name(grant.schema))
    if foreign := sorted({*grant.privileges} - {*PRIVILEGES}):
        raise ValueError(f"{', '.join(foreign)}: not a privilege; legal: {', '.join(PRIVILEGES)}")
    found = [f"USAGE ON SCHEMA {schema}"]
    places = [
        (", ".join(grant.privileges), "TABLE", grant.all_tables, grant.tables),
        ("USAGE", "SEQUENCE", grant.all_sequences, grant.sequences),
    ]
    for privileges, kind, everything, names in places:
        if everything:
            found.append(f"{privileges} ON ALL {kind}S IN SCHEMA {schema}")
        elif names:
            listed = ", ".join(f"{schema}.{_quoted(name)}" for name in names)
            found.append(f"{privileges} ON {kind} {listed}")
    return found


def _quoted(name: str) -> str:
    return f'"{identifier(name)}"'


def revocation_statements() -> list[str]:
    """What Vault runs to remove a user, whatever it was granted and whatever it left behind.

    One block, so that a user that is gone already is no error. The rights are those found in the catalogue, since the
    role's grants may have changed after the user was made; each is revoked by its own name, because `REVOKE ALL` fails
    for an administrator that holds only some rights on a relation. Dropping what the user owns comes last: temporary
    tables and large objects, which every user may make, would otherwise keep it alive. The administrator joins the user
    first, which it may as its creator and must to end its sessions. Needs PostgreSQL 14.
    """
    return [_REVOCATION]


_REVOCATION = """\
DO $$
DECLARE
  held text;
BEGIN
  IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = '{{name}}') THEN
    GRANT "{{name}}" TO CURRENT_USER;
    PERFORM pg_catalog.pg_terminate_backend(pid, 5000) FROM pg_catalog.pg_stat_activity WHERE usename = '{{name}}';
    FOR held IN
      SELECT privilege_type || CASE relkind WHEN 'S' THEN ' ON SEQUENCE ' ELSE ' ON TABLE ' END || c.oid::regclass
        FROM pg_catalog.pg_class c, pg_catalog.aclexplode(relacl) WHERE grantee = '"{{name}}"'::regrole
      UNION SELECT privilege_type || ' ON SCHEMA ' || n.oid::regnamespace
        FROM pg_catalog.pg_namespace n, pg_catalog.aclexplode(nspacl) WHERE grantee = '"{{name}}"'::regrole
      UNION SELECT privilege_type || ' ON DATABASE ' || quote_ident(datname)
        FROM pg_catalog.pg_database, pg_catalog.aclexplode(datacl)
        WHERE grantee = '"{{name}}"'::regrole AND datname = current_database()
    LOOP
      EXECUTE 'REVOKE ' || held || ' FROM "{{name}}"';
    END LOOP;
    DROP OWNED BY "{{name}}";
    DROP ROLE "{{name}}";
  END IF;
END
$$"""
