"""The SQL statements with which Vault creates and removes a service's users in MariaDB.

A schema of MariaDB is a database, and nobody owns what is in it: users of an owner have the rights to change tables.
Statements take effect one by one, so a user can log in only when it has all its rights.
https://developer.hashicorp.com/vault/api-docs/secret/databases/mysql-maria#statements
"""

from components.schema.fields import identifier
from components.schema.problem import FieldError
from components.service.args.database import DatabaseArgs, GrantArgs
from components.service.file.database import PRIVILEGES, schema_name

# Without those on views, triggers and routines: they act as the user that creates them, who is gone after the job.
_OF_AN_OWNER = (*PRIVILEGES, "CREATE", "ALTER", "DROP", "INDEX", "REFERENCES")
_USER = "'{{name}}'@'%'"


def creation_statements(args: DatabaseArgs) -> list[str]:
    """The statements that create a user with exactly the declared rights, or with those of the owner.

    Raises `ValueError` for an invalid name or privilege, since they become part of the text.
    """
    tls = " REQUIRE SSL" if args.encrypted else ""
    create = f"CREATE USER {_USER} IDENTIFIED BY '{{{{password}}}}'{tls} ACCOUNT LOCK;"
    rights = _of_an_owner(args) if args.as_owner else [right for grant in args.grants for right in _rights(grant)]
    return [create, *rights, f"ALTER USER {_USER} ACCOUNT UNLOCK;"]


def revocation_statements(_: DatabaseArgs) -> list[str]:
    """The statements that remove a user: it can't log in again, its sessions end, and it is gone with its rights.

    The administrator needs `CONNECTION ADMIN` for the second one. A missing user is no error.
    """
    return [
        f"ALTER USER IF EXISTS {_USER} ACCOUNT LOCK;",
        f"KILL HARD CONNECTION USER {_USER};",
        f"DROP USER IF EXISTS {_USER};",
    ]


def _of_an_owner(args: DatabaseArgs) -> list[str]:
    names = [schema_name(schema) for schema in args.schemas]
    privileges = ", ".join(_OF_AN_OWNER)
    statements = [f"CREATE DATABASE IF NOT EXISTS `{name}`;" for name in names]
    return statements + [f"GRANT {privileges} ON {_every_table(name)} TO {_USER};" for name in names]


def _rights(grant: GrantArgs) -> list[str]:
    schema = schema_name(grant.schema)
    if foreign := sorted({*grant.privileges} - {*PRIVILEGES}):
        raise FieldError("privileges", "not a privilege", foreign[0], PRIVILEGES)
    named = [f"`{schema}`.`{identifier(name)}`" for name in grant.tables]
    places = [_every_table(schema)] if grant.all_tables else named
    return [f"GRANT {', '.join(grant.privileges)} ON {place} TO {_USER};" for place in places]


def _every_table(schema: str) -> str:
    # Here, and only here, an underscore stands for any character: https://mariadb.com/kb/en/grant/#database-privileges
    escaped = schema.replace("_", r"\_")
    return f"`{escaped}`.*"
