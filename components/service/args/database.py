"""The arguments of a service's database: what its users may do, and the file that shows their credentials."""

from collections.abc import Sequence
from dataclasses import dataclass

from components.schema.fields import DAY_SECONDS
from components.service.file.database import SECRET_NAME
from components.vault.terms import DatabaseServer

_TEMPLATE = """\
DB_HOST={host}
DB_PORT={port}
DB_NAME={database}
DB_USER={{{{ .Data.username }}}}
DB_PASS={{{{ .Data.password }}}}
"""


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
class DatabaseArgs:
    """The database of a service; without a `connection` it has none. Times are seconds."""

    connection: str = ""
    database: str = ""
    grants: Sequence[GrantArgs] = ()
    ttl: int = 3600
    max_ttl: int = DAY_SECONDS
    file: str = SECRET_NAME
    template: str = ""


def default_template(server: DatabaseServer) -> str:
    """The default template of the credentials' file: a line for each of host, port, database, user and password."""
    return _TEMPLATE.format(host=server.host, port=server.port, database=server.database)
