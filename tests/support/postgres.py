"""PostgreSQL as its own client sees it."""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from embedded.supervisor.postgres import SUPERUSER, postgres_binaries

DENIED = "permission denied"
REFUSED = "password authentication failed"


@dataclass(frozen=True)
class Postgres:
    """A server on loopback and the password of its superuser."""

    port: int
    password: str

    def psql(
        self, *statements: str, user: str = SUPERUSER, password: str | None = None, database: str = "postgres"
    ) -> str:
        """What psql prints, and an empty text for nothing; the server's error when one statement fails."""
        done = subprocess.run(
            self.command(*statements, user=user, database=database),
            env={"PGPASSWORD": self.password if password is None else password},
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        return done.stdout.strip() if done.returncode == 0 else done.stderr.strip()

    def logs_in(self, credentials: Mapping[str, str], database: str) -> bool:
        """Whether the user in the fields of a service's file gets in."""
        user, password = credentials["DB_USER"], credentials["DB_PASS"]
        return self.psql("SELECT current_user", user=user, password=password, database=database) == user

    def command(self, *statements: str, user: str, database: str) -> list[str]:
        """The command line of psql; the password comes in its environment."""
        words = [word for statement in statements for word in ("-c", statement)]
        client = str(postgres_binaries() / "psql")
        where = ["-h", "127.0.0.1", "-p", str(self.port), "-U", user, "-d", database]
        return [client, *where, "--no-psqlrc", "-At", "-v", "ON_ERROR_STOP=1", *words]

    def roles(self) -> set[str]:
        """Every role but the server's own."""
        return set(self.psql(r"SELECT rolname FROM pg_roles WHERE rolname !~ '^pg_'").splitlines())
