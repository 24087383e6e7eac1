"""The SQL statements with which Vault creates and removes a service's users in PostgreSQL.

https://developer.hashicorp.com/vault/api-docs/secret/databases/postgresql#statements

Where a job of the service is an owner, its schemas belong to a role that nobody logs in as. The users of that job are
members of it for the job's time, and their sessions are the owner's from the start, so that what they create is the
owner's too. The service's own users get their rights on it as on anything else, and are no members.
"""

import re

from components.schema.fields import identifier
from components.schema.problem import FieldError
from components.service.args.database import DatabaseArgs, GrantArgs
from components.service.file.database import PRIVILEGES, schema_name


def creation_statements(args: DatabaseArgs) -> list[str]:
    """The statements that create a user: a login that expires, with exactly the declared rights, or those of the owner.

    Raises `ValueError` for an invalid name or privilege, since they become part of the text.
    """
    attributes = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
    statements = [
        *([_owner_block(args)] if args.owner else []),
        f"CREATE ROLE \"{{{{name}}}}\" WITH {attributes} PASSWORD '{{{{password}}}}' VALID UNTIL '{{{{expiration}}}}';",
    ]
    connect = f"CONNECT ON DATABASE {_quoted(args.database)}"
    if args.as_owner:
        owner = _owner(args)
        membership = [f'GRANT {owner} TO "{{{{name}}}}";', f'ALTER ROLE "{{{{name}}}}" SET role TO {owner};']
        return [*statements, f'GRANT {connect} TO "{{{{name}}}}";', *membership]
    rights = [connect, *(right for grant in args.grants for right in _rights(grant))]
    statements += [f'GRANT {right} TO "{{{{name}}}}";' for right in rights]
    return [*statements, *(statement for grant in args.grants for statement in _later_rights(args, grant))]


def _owner(args: DatabaseArgs) -> str:
    if not _OWNER_NAME.fullmatch(args.owner):
        raise FieldError("owner", "not a name of an owner's role", args.owner)
    return f'"{args.owner}"'


def _owner_block(args: DatabaseArgs) -> str:
    """What every user needs first: the owner's role, the administrator in it, and its schemas."""
    owner = _owner(args)
    schemas = "".join(
        _SCHEMA.format(owner=owner, role=args.owner, schema=schema_name(schema)) for schema in args.schemas
    )
    return _OWNER_BLOCK.format(owner=owner, role=args.owner, schemas=schemas)


def _later_rights(args: DatabaseArgs, grant: GrantArgs) -> list[str]:
    """The rights on what the owner creates while the user is there."""
    if grant.schema not in args.schemas:
        return []
    kinds = [(", ".join(grant.privileges), "TABLES", grant.all_tables), ("USAGE", "SEQUENCES", grant.all_sequences)]
    created = f"ALTER DEFAULT PRIVILEGES FOR ROLE {_owner(args)} IN SCHEMA {_quoted(grant.schema)}"
    return [
        f'{created} GRANT {rights} ON {kind} TO "{{{{name}}}}";' for rights, kind, everything in kinds if everything
    ]


def _rights(grant: GrantArgs) -> list[str]:
    schema = _quoted(schema_name(grant.schema))
    if foreign := sorted({*grant.privileges} - {*PRIVILEGES}):
        raise FieldError("privileges", "not a privilege", foreign[0], PRIVILEGES)
    rights = [f"USAGE ON SCHEMA {schema}"]
    objects = [
        (", ".join(grant.privileges), "TABLE", grant.all_tables, grant.tables),
        ("USAGE", "SEQUENCE", grant.all_sequences, grant.sequences),
    ]
    for privileges, kind, everything, names in objects:
        if everything:
            rights.append(f"{privileges} ON ALL {kind}S IN SCHEMA {schema}")
        elif names:
            listed = ", ".join(f"{schema}.{_quoted(name)}" for name in names)
            rights.append(f"{privileges} ON {kind} {listed}")
    return rights


def _quoted(name: str) -> str:
    return f'"{identifier(name)}"'


def revocation_statements(args: DatabaseArgs) -> list[str]:
    """The statements that remove a user with all its rights and objects. They need PostgreSQL 14.

    It is one block, so that a missing user is no error. The rights are read from the catalogue, since the role's grants
    may have changed after the user was created. Each is revoked by name, because `REVOKE ALL` fails for an
    administrator that has only some rights on a relation. `DROP OWNED` removes temporary tables and large objects,
    which every user may create and which would block `DROP ROLE`. The administrator first becomes a member of the user,
    which its creator may, in order to end the user's sessions. What an owner's user created as itself goes to the
    owner, and is not dropped. The search path is the server's alone, since a schema of an owner may hold operators.
    """
    kept = f'    REASSIGN OWNED BY "{{{{name}}}}" TO {_owner(args)};\n' if args.as_owner else ""
    return [_REVOCATION.replace(_KEPT, kept)]


_OWNER_NAME = re.compile(r"owner\.[A-Za-z0-9_.-]{1,57}")
_KEPT = "    -- kept\n"
_OWNER_BLOCK = """\
DO $$
BEGIN
  PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = '{role}') THEN
    CREATE ROLE {owner} NOLOGIN;
  END IF;
  IF NOT pg_catalog.pg_has_role('{role}', 'USAGE') THEN
    GRANT {owner} TO CURRENT_USER;
  END IF;
{schemas}END
$$"""
_SCHEMA = """\
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = '{schema}') THEN
    CREATE SCHEMA "{schema}" AUTHORIZATION {owner};
  END IF;
  IF NOT pg_catalog.has_schema_privilege('{role}', '{schema}', 'CREATE') THEN
    RAISE EXCEPTION 'schema {schema} is not that of the role {role}, with % in it: see docs/how-to/secrets.md', user;
  END IF;
"""

_REVOCATION = """\
DO $$
DECLARE
  held text;
BEGIN
  PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
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
    -- kept
    DROP OWNED BY "{{name}}";
    DROP ROLE "{{name}}";
  END IF;
END
$$"""
