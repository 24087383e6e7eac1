"""A stack with the published applications that have a database: the embedded PostgreSQL in place of theirs."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hvac
import yaml

from tests.e2e.database_shop import User
from tests.e2e.plane import Plane
from tests.support.postgres import Postgres
from tests.support.stacks import ROOT

STACK = "production"
ADMIN, FIRST = "vault", "bootstrap-password"
EXAMPLES = ("airflow", "keycloak")
"""Each has a database of its own name, in which its schema has that name too."""


@dataclass(frozen=True)
class Applications:
    """The stack and its database server."""

    plane: Plane
    postgres: Postgres

    def user(self, namespace: str, account: str, path: str) -> User:
        """A user that Vault makes for a service account, which logs in with its own role."""
        vault: hvac.Client = self.plane.vault_as_service(namespace, account, f"{namespace}.{account}")
        answer: Any = vault.read(f"database/creds/{path}")
        data = answer["data"]
        return User(data["username"], data["password"], answer["lease_id"], answer["lease_duration"])

    def psql(self, database: str, user: User, *statements: str) -> str:
        return self.postgres.psql(*statements, user=user.name, password=user.password, database=database)


def brought_up(plane: Plane, checkout: Path) -> Applications:
    """The stack, with an administrator of the databases who may create schemas and users and nothing else."""
    own = Plane(plane.state, checkout)
    own.run("up", "--no-stack", "--postgres", timeout=3600)
    port = json.loads((own.state / "ports.json").read_text())["postgres"]
    postgres = Postgres(port, (own.state / "postgres" / "password").read_text())
    for name in EXAMPLES:
        # One for each database, since Vault changes the password of each connection's.
        admin = f"{ADMIN}_{name}"
        for statement in (
            f"CREATE ROLE {admin} WITH LOGIN CREATEROLE PASSWORD '{FIRST}'",
            f"CREATE DATABASE {name}",
            f"GRANT CREATE ON DATABASE {name} TO {admin}",
        ):
            assert "ERROR" not in postgres.psql(statement)
    _write_stack(checkout, port)
    own.run("up", "--stack", STACK, timeout=3600)
    return Applications(own, postgres)


def _write_stack(checkout: Path, port: int) -> None:
    first = checkout.parent / "first-password"
    first.write_text(FIRST)
    path = checkout / f"Pulumi.{STACK}.yaml"
    stack = yaml.safe_load(path.read_text())
    databases: dict[str, Any] = {}
    here = {"host": "127.0.0.1", "port": port, "tls": False, "adminPasswordFile": str(first)}
    for name in EXAMPLES:
        folder = ROOT / "examples" / name
        for service in (folder / "services").iterdir():
            # The name of a file is that of its service, unless it says another.
            named = {"name": service.stem, **yaml.safe_load(service.read_text())}
            (checkout / "services" / f"{name}-{service.name}").write_text(yaml.safe_dump(named))
        for key, database in yaml.safe_load((folder / "stack.yaml").read_text())["zero-trust:databases"].items():
            own = {each: value for each, value in database.items() if each != "cidrs"}
            databases[key] = {**own, **here, "adminUser": f"{ADMIN}_{name}"}
    stack["config"]["zero-trust:databases"] = databases
    path.write_text(yaml.safe_dump(stack))
