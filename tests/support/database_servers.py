"""MariaDB and Redis on loopback, with TLS and an administrator for Vault, as Debian packages them.

The packages are in the cache, fetched by apt, which verifies the archive's signature. Nothing is installed.
"""

import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cryptography.x509.oid import ExtendedKeyUsageOID

from embedded.supervisor.private_files import write_private
from embedded.toolchain.debian import unpacked
from tests.support.vault_server import Authority, free_port
from tests.support.waiting import eventually

ADMIN, FIRST = "vault", "bootstrap-password"
_MARIADB = (
    *("mariadb-server-core", "mariadb-client-core"),
    *("libaio1", "libedit2", "libmariadb3", "libnuma1", "liburing2"),
)
_REDIS = ("redis-server", "redis-tools", "libatomic1", "libjemalloc2", "liblzf1")
_SECONDS = 600


@cache
def _root(name: str, packages: tuple[str, ...]) -> Path:
    return unpacked(name, packages)


def _environment(root: Path, **more: str) -> dict[str, str]:
    libraries = next(path for path in root.glob("usr/lib/*-linux-gnu"))
    return {"LD_LIBRARY_PATH": str(libraries), "PATH": os.defpath, "HOME": "/nonexistent", **more}


@dataclass(frozen=True)
class MariaDB:
    """A server, and the password of its own administrator."""

    root: Path
    port: int
    authority: Path
    password: str
    administrator: str = "root"

    def sql(self, *statements: str, user: str = "", password: str = "", tls: bool = True) -> str:
        """What the client prints for the statements, its error when one fails."""
        done = subprocess.run(
            [*self.client(user, tls=tls), "-e", ";".join(statements)],
            env=_environment(self.root, MYSQL_PWD=password or self.password),
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
        )
        return done.stdout.strip() if done.returncode == 0 else done.stderr.strip()

    def client(self, user: str = "", *, tls: bool = True) -> list[str]:
        """The command line of the client; the password comes in its environment."""
        verified = [f"--ssl-ca={self.authority}", "--ssl-verify-server-cert"] if tls else ["--skip-ssl"]
        where = ["--no-defaults", "--batch", "--skip-column-names", "-h127.0.0.1", f"-P{self.port}"]
        return [str(self.root / "usr" / "bin" / "mariadb"), *where, *verified, f"-u{user or self.administrator}"]

    def session(self, statement: str, user: str, password: str) -> subprocess.Popen[str]:
        """A client that goes on with a statement."""
        return subprocess.Popen(
            [*self.client(user), "-e", statement],
            env=_environment(self.root, MYSQL_PWD=password),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def users(self) -> set[str]:
        return set(self.sql("SELECT user FROM mysql.user").splitlines())


@dataclass(frozen=True)
class Redis:
    """A server that speaks TLS alone, and the administrator that Vault becomes."""

    root: Path
    port: int
    authority: Path

    def run(self, *words: str, user: str = ADMIN, password: str = FIRST) -> str:
        """What the client prints for one command."""
        done = subprocess.run(
            [*self.client(user), *words],
            env=_environment(self.root, REDISCLI_AUTH=password),
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
        )
        return (done.stdout + done.stderr).strip()

    def client(self, user: str) -> list[str]:
        """The command line of the client; the password comes in its environment."""
        where = ["-h", "127.0.0.1", "-p", str(self.port), "--tls", "--cacert", str(self.authority)]
        return [str(self.root / "usr" / "bin" / "redis-cli"), *where, "--user", user, "--no-auth-warning"]

    def session(self, user: str, password: str, *words: str) -> subprocess.Popen[str]:
        """A client that stays connected while a command waits."""
        environment = _environment(self.root, REDISCLI_AUTH=password)
        return subprocess.Popen(
            [*self.client(user), *words],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def users(self) -> set[str]:
        return {line.split()[1] for line in self.run("acl", "list").splitlines()}


@contextmanager
def running_mariadb(directory: Path) -> Iterator[MariaDB]:
    """A server with an administrator of its own, until the end of the block."""
    root, port, authority = _root("mariadb", _MARIADB), free_port(), Authority(directory)
    certificate, key = authority.issue("mariadb", ExtendedKeyUsageOID.SERVER_AUTH)
    server = MariaDB(root, port, authority.certificate, secrets.token_urlsafe(16), "owner")
    shared, data = root / "usr" / "share" / "mysql", directory / "data"
    places = [f"--datadir={data}", f"--basedir={root / 'usr'}", f"--lc-messages-dir={shared}"]
    # It refuses to be root unless it is told to be.
    command = [
        str(root / "usr" / "sbin" / "mariadbd"),
        "--no-defaults",
        *(["--user=root"] if os.geteuid() == 0 else []),
    ]
    command += [*places, f"--character-sets-dir={shared / 'charsets'}"]
    data.mkdir()
    tables = ["CREATE DATABASE mysql;", "USE mysql;"]
    tables += [(shared / f"mysql_{name}.sql").read_text() for name in ("system_tables", "performance_tables")]
    with (directory / "mariadb.log").open("ab") as log:
        bootstrap = "\n".join(tables).encode()
        subprocess.run(
            [*command, "--bootstrap"],
            env=_environment(root),
            input=bootstrap,
            stdout=log,
            stderr=log,
            check=True,
            timeout=_SECONDS,
        )
        first = directory / "first.sql"
        write_private(
            first,
            f"CREATE USER 'owner'@'%' IDENTIFIED BY '{server.password}' REQUIRE SSL;\n"
            "GRANT ALL ON *.* TO 'owner'@'%' WITH GRANT OPTION;\n",
        )
        listening = ["--bind-address=127.0.0.1", f"--port={port}", f"--socket={directory / 'socket'}"]
        listening += ["--skip-name-resolve", f"--ssl-cert={certificate}", f"--ssl-key={key}", f"--init-file={first}"]
        process = subprocess.Popen([*command, *listening], env=_environment(root), stdout=log, stderr=log)
    try:
        eventually(lambda: server.sql("SELECT 1") == "1", "MariaDB accepts connections")
        yield server
    finally:
        process.terminate()
        process.wait(timeout=_SECONDS)


@contextmanager
def running_redis(directory: Path) -> Iterator[Redis]:
    """A server that knows the administrator and nobody else, until the end of the block."""
    root, port, authority = _root("redis", _REDIS), free_port(), Authority(directory)
    certificate, key = authority.issue("redis", ExtendedKeyUsageOID.SERVER_AUTH)
    rules = directory / "users.acl"
    write_private(rules, f"user default off\nuser {ADMIN} on >{FIRST} ~* &* +@all\n")
    tls = ["--tls-port", str(port), "--tls-cert-file", str(certificate), "--tls-key-file", str(key)]
    tls += ["--tls-ca-cert-file", str(authority.certificate), "--tls-auth-clients", "no"]
    command = [str(root / "usr" / "bin" / "redis-server"), "--port", "0", "--bind", "127.0.0.1", *tls]
    command += ["--dir", str(directory), "--save", "", "--aclfile", str(rules)]
    with (directory / "redis.log").open("ab") as log:
        process = subprocess.Popen(command, env=_environment(root), stdout=log, stderr=log)
    server = Redis(root, port, authority.certificate)
    try:
        eventually(lambda: server.run("ping") == "PONG", "Redis accepts connections")
        yield server
    finally:
        process.terminate()
        process.wait(timeout=_SECONDS)
