"""The sections `database` and `databases` of a service file: the service's users in databases."""

import re
from collections.abc import Iterator
from typing import Annotated, Literal, Self, cast

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool, StrictStr, model_validator

from components.config.engines import Engine
from components.schema.fields import DAY_SECONDS, Duration, FileName, Label, identifier, seconds
from components.schema.problem import UNREPEATED, Key
from components.schema.typed_file import TypedFile, misplaced
from components.service.file.template import parse

Privilege = Literal["SELECT", "INSERT", "UPDATE", "DELETE"]
PRIVILEGES: tuple[str, ...] = ("SELECT", "INSERT", "UPDATE", "DELETE")
KeyPrivilege = Literal["READ", "WRITE"]
KEY_PRIVILEGES: tuple[str, ...] = ("READ", "WRITE")

_CREDENTIALS_DATA, _CREDENTIALS = ".Data", ("username", "password")
SECRET_NAME = "database"  # noqa: S105 - the name that the injector's annotations give the file
"""The name of the database under `database`; those under `databases` have names of their own."""
# None of the characters that make a pattern of it: https://redis.io/docs/latest/commands/keys
_KEY_PREFIX = re.compile(r"[A-Za-z0-9:._/{}@#+-]{1,64}")
OWNER = "owner"
Access = Literal[True, False, "owner"]
"""The users that a job gets: none, those of the service, or those of the owner of the service's schemas."""


def schema_name(value: str) -> str:
    """A valid schema name. Raises `ValueError`, also for the system schemas of the server."""
    if value.lower().startswith("pg_") or value.lower() == "information_schema":
        raise ValueError("a schema of the server itself: name one of the application's")
    return identifier(value)


def key_prefix(value: str) -> str:
    """The beginning of the names of keys or channels. Raises `ValueError` for a pattern, and for an empty one."""
    if not _KEY_PREFIX.fullmatch(value):
        raise ValueError("not the beginning of a name: 1 to 64 letters, digits and :._/{}@#+-")
    return value


def _relations(value: object) -> object:
    if value == "all":
        return value
    if not isinstance(value, list | tuple) or not all(isinstance(name, str) for name in cast("list[object]", value)):
        raise ValueError("write all, or a list of names")
    return tuple(identifier(name) for name in cast("list[str]", value))


KeyPrefix = Annotated[StrictStr, AfterValidator(key_prefix)]
Schema = Annotated[StrictStr, AfterValidator(schema_name)]
Relations = Annotated[Literal["all"] | tuple[StrictStr, ...], BeforeValidator(_relations)]


class GrantSpec(TypedFile):
    """What the service's users may do in one schema of the database."""

    schema_: Schema = Field(alias="schema")
    """The schema; system schemas are not allowed."""
    privileges: tuple[Privilege, ...] = Field(min_length=1)
    """Privileges on the tables. None of them changes the schema: a job with `database: owner` does."""
    tables: Relations
    """`all` that exist when a user is created, and those that an owner creates later; or the names of tables and
    views."""
    sequences: Relations = ()
    """Sequences that may be used, which an INSERT into a table with a `serial` column needs."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.tables:
            raise ValueError("tables is empty: write all, or the names of tables")
        return self


class KeyGrantSpec(TypedFile):
    """What the service's users may do with the keys of a Redis server whose names begin alike."""

    prefix: KeyPrefix
    """The beginning of the names, such as `orders:`. There is no word for all keys of a server."""
    privileges: tuple[KeyPrivilege, ...] = Field(min_length=1)
    """What the users may do with them. No command without a key is among it, such as those that list or remove the keys
    of everybody."""


class DatabaseSpec(TypedFile):
    """The service's users in a database: each pod gets one, which ends when its time is over or the pod is gone."""

    connection: Label
    """The database, by its name under `databases` in the stack file."""
    grants: tuple[GrantSpec, ...] = ()
    """What they may do, by schema; a schema of MariaDB is a database."""
    keys: tuple[KeyGrantSpec, ...] = ()
    """What they may do in Redis, in place of `grants`."""
    channels: tuple[KeyPrefix, ...] = ()
    """The beginnings of the names of Redis channels that they may publish to and subscribe to; by default none."""
    scripts: StrictBool = False
    """Whether they may run Lua scripts in Redis, which then have their rights. A script blocks the server while it
    runs."""
    owns: tuple[Schema, ...] = ()
    """The schemas that its jobs with `owner` change; by default that of the only grant."""
    ttl: Duration = "1h"
    """How long a user lives unless the agent renews it."""
    max_ttl: Duration = "24h"
    """How long a user lives at most; at most 24h."""
    file: FileName | None = None
    """The file `/vault/secrets/<file>` with the credentials, which is rewritten for each new user; by default
    `database`, or its name under `databases`."""
    template: StrictStr | None = None
    """The file's text, with `{{ .Data.username }}` and `{{ .Data.password }}`; by default `DB_HOST`, `DB_PORT`,
    `DB_NAME`, `DB_USER` and `DB_PASS`, a line each; Redis has no `DB_NAME`."""
    files: dict[FileName, StrictStr] = Field(default_factory=dict)
    """Further files with the same credentials, by name, each with its text as under `template`: such as one with the
    user and one with the password."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if seconds(self.max_ttl) > DAY_SECONDS:
            raise ValueError(f"maxTtl {self.max_ttl} is more than 24h")
        if seconds(self.ttl) > seconds(self.max_ttl):
            raise ValueError(f"ttl {self.ttl} is more than maxTtl {self.max_ttl}")
        self._one_kind_of_rights()
        schemas = [grant.schema_ for grant in self.grants]
        if twice := sorted({name for name in schemas if schemas.count(name) > 1}):
            raise ValueError(f"two grants for the schema {', '.join(twice)}: keep one")
        for key, template in self.templates.items():
            try:
                parse(template, _CREDENTIALS_DATA, _CREDENTIALS)
            except ValueError as error:
                raise misplaced(key, str(error), UNREPEATED) from error
        return self

    @property
    def templates(self) -> dict[Key, str]:
        """The key of each text of a file in this section, with the text."""
        return {("template",): self.template or "", **{("files", name): text for name, text in self.files.items()}}

    def file_names(self, name: str) -> tuple[str, ...]:
        """The files with the credentials, of a database of that name."""
        return (self.file or name, *self.files)

    def _one_kind_of_rights(self) -> None:
        if not self.grants and not (self.keys or self.channels):
            raise misplaced(["grants"], "required, or keys for Redis", UNREPEATED)
        of_redis = next((key for key in ("keys", "channels", "scripts") if getattr(self, key)), "")
        if self.grants and of_redis:
            raise misplaced([of_redis], "grants is there, too, which Redis has none of: keep one", UNREPEATED)
        prefixes = [grant.prefix for grant in self.keys]
        if twice := sorted({name for name in prefixes if prefixes.count(name) > 1}):
            raise misplaced(["keys"], "two of them for one prefix: keep one", ", ".join(twice))

    def problems(self, engine: str, kind: Engine) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """What a database of this engine can't do, each with the path of the key below this section."""
        if kind.schemas != bool(self.grants):
            wanted, written = ("grants", "keys") if kind.schemas else ("keys", "grants")
            present = written if getattr(self, written) else "channels"
            yield (present,), f"the database {self.connection} is {engine}: write {wanted}"
        for number, grant in enumerate(self.grants):
            if grant.schema_.lower() in kind.own_schemas:
                yield ("grants", number, "schema"), f"a schema of {engine} itself: name one of the application's"
            if kind.whole_schemas and grant.tables != "all":
                yield ("grants", number, "tables"), f"{engine} has rights on all of a schema alone: write all"
            if kind.whole_schemas and {*grant.privileges} not in ({"SELECT"}, {*PRIVILEGES}):
                yield ("grants", number, "privileges"), f"in {engine} they are SELECT alone, or all four"
            if grant.sequences and kind.schemas and not kind.sequences:
                message = f"in {engine} whoever may INSERT needs no right on any: leave it out"
                yield ("grants", number, "sequences"), message

    @property
    def schemas(self) -> tuple[str, ...]:
        """The schemas that belong to the service, if it has an owner; empty when the file does not say which."""
        return self.owns or (tuple(grant.schema_ for grant in self.grants) if len(self.grants) == 1 else ())
