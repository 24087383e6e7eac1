"""The SQL statements with which Vault creates and removes a service's users in a database.

https://developer.hashicorp.com/vault/api-docs/secret/databases/postgresql#statements
"""

from components.schema.fields import identifier
from components.schema.problem import FieldError
from components.service.args.database import DatabaseArgs, GrantArgs
from components.service.file.database import PRIVILEGES, schema_name


def creation_statements(args: DatabaseArgs) -> list[str]:
    """The statements that create a user: a login that expires, with exactly the declared rights.

    Raises `ValueError` for an invalid name or privilege, since they become part of the text.
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


def revocation_statements() -> list[str]:
    """The statements that remove a user with all its rights and objects. They need PostgreSQL 14.

    It is one block, so that a missing user is no error. The rights are read from the catalogue, since the role's grants
    may have changed after the user was created. Each is revoked by name, because `REVOKE ALL` fails for an
    administrator that has only some rights on a relation. `DROP OWNED` removes temporary tables and large objects,
    which every user may create and which would block `DROP ROLE`. The administrator first becomes a member of the user,
    which its creator may, in order to end the user's sessions.
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
