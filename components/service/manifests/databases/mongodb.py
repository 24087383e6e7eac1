"""The roles with which Vault creates a service's users in MongoDB; planned by the documentation alone, and not tried.

A schema is a database. A user belongs to the one that its connection names, and authenticates there.
https://developer.hashicorp.com/vault/api-docs/secret/databases/mongodb and
https://www.mongodb.com/docs/manual/reference/built-in-roles/
"""

import json

from components.schema.fields import identifier
from components.schema.problem import FieldError
from components.service.args.database import DatabaseArgs, GrantArgs
from components.service.file.database import PRIVILEGES, schema_name

# To change collections and indexes, and no users, as `dbOwner` may.
_OF_AN_OWNER = ("readWrite", "dbAdmin")


def creation_statements(args: DatabaseArgs) -> list[str]:
    """The database and the roles of a user as one JSON object.

    Raises `ValueError` for an invalid name, and for rights that no built-in role has.
    """
    if args.as_owner:
        roles = [(role, schema_name(schema)) for schema in args.schemas for role in _OF_AN_OWNER]
    else:
        roles = [(_role(grant), schema_name(grant.schema)) for grant in args.grants]
    named = [{"role": role, "db": schema} for role, schema in roles]
    return [json.dumps({"db": identifier(args.database), "roles": named})]


def revocation_statements(args: DatabaseArgs) -> list[str]:
    """The database that the user is removed from; what is connected as it may do nothing from then on."""
    return [json.dumps({"db": identifier(args.database)})]


def _role(grant: GrantArgs) -> str:
    if not grant.all_tables:
        raise FieldError("privileges", "MongoDB has rights on all of a schema alone", grant.schema)
    if {*grant.privileges} == {"SELECT"}:
        return "read"
    if {*grant.privileges} != {*PRIVILEGES}:
        raise FieldError("privileges", "no role of MongoDB", ", ".join(grant.privileges), ["SELECT", "all four"])
    return "readWrite"
