"""The production stack with a database of each engine, whose users a service and its migration have."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import hvac
import yaml

from tests.e2e.plane import Plane
from tests.support.database_servers import MariaDB, Redis
from tests.support.postgres import Postgres

STACK = "production"
ADMIN, FIRST, DATABASE = "vault", "bootstrap-password", "shop"
CREDS = "database/creds/shop.api"
# Those of its second database, and those of the job that owns what is there.
OWN, OWNERS = f"{CREDS}.stock", f"{CREDS}.stock.owner"
OWNER = "owner.shop.shop.api"
PREPARED = (
    f"CREATE ROLE {ADMIN} WITH LOGIN CREATEROLE PASSWORD '{FIRST}'",
    f"CREATE DATABASE {DATABASE}",
)
SCHEMA = (
    "CREATE SCHEMA orders",
    "CREATE TABLE orders.items (id serial, name text)",
    "CREATE TABLE orders.prices (cents int)",
    "CREATE SCHEMA billing",
    "CREATE TABLE billing.cards (number text)",
    f"GRANT CREATE ON DATABASE {DATABASE} TO {ADMIN}",
    f"GRANT USAGE ON SCHEMA orders TO {ADMIN} WITH GRANT OPTION",
    f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA orders TO {ADMIN} WITH GRANT OPTION",
    f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA orders TO {ADMIN} WITH GRANT OPTION",
)
WANTED = {
    "connection": "shop",
    "grants": [
        {"schema": "orders", "privileges": ["SELECT", "INSERT"], "tables": "all", "sequences": "all"},
    ],
}

# The schema is not there yet.
STOCK = {
    "connection": "shop",
    "grants": [{"schema": "stock", "privileges": ["SELECT", "INSERT"], "tables": "all", "sequences": "all"}],
}
MIGRATE = {"databases": {"stock": "owner"}, "timeout": "10m"}

_TODAY = datetime.now(UTC).date() - timedelta(1)
# As if the image of redis read no files.
IN_ENVIRONMENT = {
    "command": ["/usr/bin/env"],
    "secretEnv": {
        "variables": {"AUTH": "auth/password"},
        "reason": "the test reads no file",
        "owner": "commerce",
        "granted": _TODAY.isoformat(),
        "expires": (_TODAY + timedelta(30)).isoformat(),
    },
}

LEDGER, CACHE = f"{CREDS}.ledger", f"{CREDS}.cache"
OTHERS = {
    "ledger": {
        "connection": "ledger",
        "grants": [{"schema": "shop_ledger", "privileges": ["SELECT", "INSERT"], "tables": "all"}],
        "files": {"ledger-user": "{{ .Data.username }}", "ledger-password": "{{ .Data.password }}"},
    },
    "cache": {"connection": "cache", "keys": [{"prefix": "orders:", "privileges": ["READ", "WRITE"]}]},
}
MARIADB_PREPARED = (
    "CREATE DATABASE shop_ledger",
    "CREATE TABLE shop_ledger.lines (cents int)",
    f"CREATE USER '{ADMIN}'@'%' IDENTIFIED BY '{FIRST}' REQUIRE SSL",
    f"GRANT CREATE USER, CONNECTION ADMIN ON *.* TO '{ADMIN}'@'%'",
    rf"GRANT SELECT, INSERT ON `shop\_ledger`.* TO '{ADMIN}'@'%' WITH GRANT OPTION",
)


@dataclass(frozen=True)
class Places:
    """The servers, and the file with the first password of each one's administrator."""

    postgres: int
    mariadb: MariaDB
    redis: Redis
    password_file: Path


@dataclass(frozen=True)
class User:
    """What Vault hands out."""

    name: str
    password: str
    lease: str
    seconds: int


@dataclass(frozen=True)
class Shop:
    """The stack, its services and its databases."""

    plane: Plane
    postgres: Postgres
    places: Places

    def api(self) -> hvac.Client:
        return self.plane.vault_as_service("shop", "api", "shop.api")

    def migration(self) -> hvac.Client:
        return self.plane.vault_as_service("shop", "api-migrate", "shop.api-migrate")

    def user(self, vault: hvac.Client | None = None, path: str = CREDS) -> User:
        found: Any = (vault or self.api()).read(path)
        data = found["data"]
        return User(data["username"], data["password"], found["lease_id"], found["lease_duration"])

    def psql(self, user: User, *statements: str) -> str:
        return self.postgres.psql(*statements, user=user.name, password=user.password, database=DATABASE)


def write_stack(checkout: Path, places: Places, database: dict[str, Any]) -> None:
    """The production stack with databases, and the service `api` with users in them in place of a fixed password."""
    path = checkout / f"Pulumi.{STACK}.yaml"
    stack = yaml.safe_load(path.read_text())
    each = {"host": "127.0.0.1", "adminUser": ADMIN, "adminPasswordFile": str(places.password_file)}
    mariadb, redis = places.mariadb, places.redis
    stack["config"]["zero-trust:databases"] = {
        "shop": {**each, "port": places.postgres, "database": DATABASE, "tls": False},
        "ledger": {
            **each,
            "engine": "mariadb",
            "port": mariadb.port,
            "database": "shop_ledger",
            "authorityFile": str(mariadb.authority),
        },
        "cache": {**each, "engine": "redis", "port": redis.port, "authorityFile": str(redis.authority)},
    }
    stack["config"]["zero-trust:vault"]["secrets"] = {"refresh": "1s"}
    stack["config"]["zero-trust:asOf"] = _TODAY.isoformat()
    path.write_text(yaml.safe_dump(stack))
    # Its database makes its users, so that it shares no password with it, nor reads one of redis.
    for name, secret, key in (("postgres", "api", None), ("redis", "auth", "readers")):
        other = checkout / "services" / f"{name}.yaml"
        kept = yaml.safe_load(other.read_text())
        (kept["secrets"][secret] if key else kept["secrets"]).pop(key or secret, None)
        other.write_text(yaml.safe_dump(kept))
    redis = checkout / "services" / "redis.yaml"
    redis.write_text(yaml.safe_dump({**yaml.safe_load(redis.read_text()), **IN_ENVIRONMENT}))
    service = checkout / "services" / "api.yaml"
    api = yaml.safe_load(service.read_text())
    api.pop("secrets", None)
    api |= {"database": database, "databases": {"stock": STOCK, **OTHERS}, "jobs": {"migrate": MIGRATE}}
    service.write_text(yaml.safe_dump(api))


def prepared_postgres(plane: Plane) -> Postgres:
    """The PostgreSQL of a plane with the shop's database in it, and Vault's administrator with a first password."""
    plane.run("up", "--no-stack", "--postgres", timeout=3600)
    port = json.loads((plane.state / "ports.json").read_text())["postgres"]
    postgres = Postgres(port, (plane.state / "postgres" / "password").read_text())
    for statements, database in ((PREPARED, "postgres"), (SCHEMA, DATABASE)):
        for statement in statements:
            assert "ERROR" not in postgres.psql(statement, database=database)
    return postgres
