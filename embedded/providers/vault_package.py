"""The vault package: its table, its configuration and its backend."""

from .rows import Values
from .server import Backend, Package
from .vault_backend import VaultBackend
from .vault_config import CONFIG, complete_config, connection, decode_config
from .vault_database_rows import ROWS as DATABASE_ROWS
from .vault_pki_rows import ROWS as PKI_ROWS
from .vault_rows import ROWS
from .vault_session import Session


def _connect(settings: Values) -> Backend:
    return VaultBackend(Session(lambda: connection(settings)))


VAULT = Package(
    "pulumi_vault",
    (*ROWS, *DATABASE_ROWS, *PKI_ROWS),
    CONFIG,
    _connect,
    decode_config,
    complete_config,
    fills_defaults=True,
)
