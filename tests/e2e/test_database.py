"""A service's own database users, end to end: real Vault API, real databases, one stack with one of each engine."""

import json
import stat
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import hvac
import hvac.exceptions
import pytest
import yaml
from typer.testing import CliRunner

from tests.e2e.database_shop import (
    ADMIN,
    CACHE,
    CREDS,
    DATABASE,
    FIRST,
    LEDGER,
    MARIADB_PREPARED,
    OWN,
    OWNER,
    OWNERS,
    STACK,
    WANTED,
    Places,
    Shop,
    User,
    prepared_postgres,
    write_stack,
)
from tests.e2e.plane import Plane, copy_program
from tests.e2e.vault_agent import Agent, running_agent
from tests.support.database_servers import MariaDB, Redis, running_mariadb, running_redis
from tests.support.postgres import DENIED, REFUSED
from tests.support.waiting import eventually
from zt.cli import app

pytestmark = pytest.mark.e2e

TTL_SECONDS = 20


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_program(tmp_path_factory.mktemp("checkout"))


@pytest.fixture(scope="module")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDB]:
    with running_mariadb(tmp_path_factory.mktemp("mariadb")) as server:
        assert server.sql(*MARIADB_PREPARED) == ""
        yield server


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        server.run("set", "cards:1", "4111")
        yield server


@pytest.fixture(scope="module")
def shop(plane: Plane, checkout: Path, mariadb: MariaDB, redis: Redis) -> Shop:
    own = Plane(plane.state, checkout)
    postgres = prepared_postgres(own)
    assert postgres.psql("SELECT 1", user=ADMIN, password=FIRST) == "1"
    first = checkout.parent / "first-password"
    first.write_text(FIRST)
    places = Places(postgres.port, mariadb, redis, first)
    write_stack(checkout, places, WANTED)
    own.run("up", "--stack", STACK)
    return Shop(own, postgres, places)


class TestUsers:
    def test_two_pods_get_different_users(self, shop: Shop) -> None:
        one, other = shop.user(), shop.user()
        assert one.name != other.name
        assert one.password != other.password
        for user in (one, other):
            assert shop.psql(user, "SELECT current_user") == user.name
            assert user.seconds == 3600

    @pytest.mark.parametrize(
        "statement",
        ["SELECT count(*) FROM orders.items", "INSERT INTO orders.items (name) VALUES ('tea') RETURNING name"],
    )
    def test_a_user_can_do_what_its_service_declares(self, shop: Shop, statement: str) -> None:
        assert "ERROR" not in shop.psql(shop.user(), statement)

    @pytest.mark.parametrize(
        "statement",
        [
            "DELETE FROM orders.items",
            "UPDATE orders.items SET name = 'x'",
            "TRUNCATE orders.items",
            "CREATE TABLE orders.more (id int)",
            "CREATE TABLE public.more (id int)",
            "CREATE SCHEMA more",
            "CREATE ROLE more",
            "SELECT * FROM billing.cards",
            "SELECT rolpassword FROM pg_authid",
            f"SET ROLE {ADMIN}",
        ],
    )
    def test_a_user_can_do_nothing_else(self, shop: Shop, statement: str) -> None:
        assert DENIED in shop.psql(shop.user(), statement)

    @pytest.mark.parametrize("statement", ["ALTER TABLE orders.items ADD x int", "DROP TABLE orders.items"])
    def test_a_user_changes_no_table(self, shop: Shop, statement: str) -> None:
        assert "must be owner" in shop.psql(shop.user(), statement)

    def test_no_password_reaches_the_server_in_the_clear(self, shop: Shop) -> None:
        user = shop.user()
        found = shop.postgres.psql("SELECT rolname, rolpassword FROM pg_authid").splitlines()
        (stored,) = [line for line in found if line.startswith(f"{user.name}|")]
        assert "|SCRAM-SHA-256$" in stored


class TestTheOwner:
    """A migration, and the service that uses what it makes."""

    @pytest.fixture(scope="class")
    def before(self, shop: Shop) -> User:
        """A user of the service that was there before the migration ran."""
        return shop.user(path=OWN)

    @pytest.fixture(scope="class")
    def migrated(self, shop: Shop, before: User) -> Shop:
        assert DENIED in shop.psql(before, "CREATE TABLE stock.boxes (id int)")
        vault = shop.migration()
        user = shop.user(vault, OWNERS)
        assert user.seconds == 600
        made = "CREATE TABLE stock.boxes (id serial, name text)"
        assert shop.psql(user, made, "ALTER TABLE stock.boxes ADD size int", "SELECT current_user").endswith(OWNER)
        # As itself, which a client may choose to be.
        assert "ERROR" not in shop.psql(user, "SET ROLE none", "CREATE TABLE stock.lids (id int)")
        vault.auth.token.revoke_self()
        eventually(lambda: user.name not in shop.postgres.roles(), "the user of the migration is gone")
        return shop

    def test_what_it_makes_outlives_it_and_is_the_owners(self, migrated: Shop) -> None:
        tables = "SELECT tablename, tableowner FROM pg_tables WHERE schemaname = 'stock' ORDER BY 1"
        assert migrated.postgres.psql(tables, database=DATABASE).splitlines() == [f"boxes|{OWNER}", f"lids|{OWNER}"]
        logins = migrated.postgres.psql("SELECT rolname FROM pg_roles WHERE rolcanlogin").splitlines()
        assert ADMIN in logins
        assert OWNER not in logins

    @pytest.mark.parametrize("when", ["before", "after"])
    def test_the_services_users_use_it_and_do_not_change_it(self, migrated: Shop, before: User, when: str) -> None:
        user = before if when == "before" else migrated.user(path=OWN)
        assert "ERROR" not in migrated.psql(user, "INSERT INTO stock.boxes (name) VALUES ('full')")
        assert "full" in migrated.psql(user, "SELECT name FROM stock.boxes")
        for statement in ("ALTER TABLE stock.boxes ADD x int", "DROP TABLE stock.boxes"):
            assert "must be owner" in migrated.psql(user, statement)
        for statement in ("DELETE FROM stock.boxes", "CREATE TABLE stock.more (id int)", f'SET ROLE "{OWNER}"'):
            assert DENIED in migrated.psql(user, statement)

    def test_it_reaches_no_other_schema(self, shop: Shop) -> None:
        user = shop.user(shop.migration(), OWNERS)
        for statement in ("SELECT * FROM orders.items", "CREATE TABLE public.more (id int)", "CREATE SCHEMA more"):
            assert DENIED in shop.psql(user, statement)

    def test_the_services_identity_gets_no_user_of_the_owner(self, shop: Shop) -> None:
        with pytest.raises(hvac.exceptions.Forbidden):
            shop.api().read(OWNERS)
        with pytest.raises(hvac.exceptions.Forbidden):
            shop.plane.vault_as_service("shop", "api", "shop.api-migrate")
        for path in (CREDS, OWN):
            with pytest.raises(hvac.exceptions.Forbidden):
                shop.migration().read(path)

    def test_the_attack_on_the_owner_is_refused(self, shop: Shop) -> None:
        arguments = ["attack", "--stack", STACK, "--embedded", "--format", "json", "--only", "vault-owner"]
        where = ["--service", "shop/api", "--project", str(shop.plane.checkout)]
        environment = {"ZERO_TRUST_EMBEDDED_DIR": str(shop.plane.state)}
        done = CliRunner(env=environment).invoke(app, [*arguments, *where], catch_exceptions=False)
        (attempt,) = (row for attack in json.loads(done.stdout)["attacks"] for row in attack["attempts"])
        assert (done.exit_code, attempt["result"]) == (0, "blocked"), attempt


class TestTheEnd:
    def test_a_revoked_user_is_gone_with_its_sessions_and_what_it_made(self, shop: Shop) -> None:
        vault = shop.api()
        user = shop.user(vault)
        shop.psql(user, "SELECT lo_create(0)")
        session = subprocess.Popen(
            shop.postgres.command(
                "CREATE TEMP TABLE mine (id int)", "SELECT pg_sleep(120)", user=user.name, database=DATABASE
            ),
            env={"PGPASSWORD": user.password},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        sleeping = "SELECT usename FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'"
        eventually(lambda: shop.postgres.psql(sleeping) == user.name, "the session of the user")
        vault.auth.token.revoke_self()
        eventually(lambda: user.name not in shop.postgres.roles(), "the user is gone")
        _, said = session.communicate(timeout=600)
        assert "terminating connection" in said
        assert REFUSED in shop.psql(user, "SELECT 1")


class TestShortLives:
    """A stack whose users live for seconds."""

    @pytest.fixture(scope="class")
    def short(self, shop: Shop, checkout: Path) -> Iterator[Shop]:
        write_stack(checkout, shop.places, {**WANTED, "ttl": f"{TTL_SECONDS}s", "maxTtl": f"{2 * TTL_SECONDS}s"})
        shop.plane.run("up", "--stack", STACK)
        yield shop
        write_stack(checkout, shop.places, WANTED)
        shop.plane.run("up", "--stack", STACK)

    def test_a_user_ends_with_its_time(self, short: Shop) -> None:
        user = short.user()
        assert short.psql(user, "SELECT current_user") == user.name
        time.sleep(TTL_SECONDS)
        eventually(lambda: user.name not in short.postgres.roles(), "the user is gone")
        assert REFUSED in short.psql(user, "SELECT 1")

    def test_the_agent_writes_the_next_user_while_the_old_one_still_works(self, short: Shop, tmp_path: Path) -> None:
        with running_agent(short.plane, "shop", "api", tmp_path) as agent:
            first = agent.fields("database")
            eventually(lambda: agent.fields("database") != first, "the next user")
            assert short.postgres.logs_in(first, DATABASE)
            assert short.postgres.logs_in(agent.fields("database"), DATABASE)


class TestOtherEngines:
    """Users in MariaDB and Redis. What their statements do and don't allow is in `test_database_engines.py`."""

    @pytest.fixture
    def ledger(self, shop: Shop) -> User:
        return shop.user(path=LEDGER)

    @pytest.fixture
    def cache(self, shop: Shop) -> User:
        return shop.user(path=CACHE)

    def test_a_user_in_mariadb_has_its_rights_alone(self, ledger: User, mariadb: MariaDB) -> None:
        sql = partial(mariadb.sql, user=ledger.name, password=ledger.password)
        assert sql("INSERT INTO shop_ledger.lines VALUES (3)") == ""
        assert "denied" in sql("DELETE FROM shop_ledger.lines")
        assert "Access denied" in sql("SELECT 1", tls=False)

    def test_a_user_in_redis_has_its_keys_alone(self, cache: User, redis: Redis) -> None:
        run = partial(redis.run, user=cache.name, password=cache.password)
        assert run("set", "orders:1", "tea") == "OK"
        assert "NOPERM" in run("get", "cards:1")

    def test_the_agent_writes_what_each_client_needs(self, shop: Shop, tmp_path: Path) -> None:
        with running_agent(shop.plane, "shop", "api", tmp_path) as agent:
            ledger, cache = agent.fields("ledger"), agent.fields("cache")
            apart = [agent.text(f"ledger-{field}") for field in ("user", "password")]
        assert (ledger["DB_NAME"], ledger["DB_PORT"]) == ("shop_ledger", str(shop.places.mariadb.port))
        assert shop.places.mariadb.sql("SELECT 1", user=ledger["DB_USER"], password=ledger["DB_PASS"]) == "1"
        # All files of a database are from one lease.
        assert apart == [ledger["DB_USER"], ledger["DB_PASS"]]
        assert set(cache) == {"DB_HOST", "DB_PORT", "DB_USER", "DB_PASS"}
        assert shop.places.redis.run("ping", user=cache["DB_USER"], password=cache["DB_PASS"]) == "PONG"

    def test_a_service_that_is_cut_off_is_out_of_all_of_them(
        self, shop: Shop, ledger: User, cache: User, mariadb: MariaDB, redis: Redis
    ) -> None:
        arguments = ["revoke", "shop/api", "--yes", "--embedded", "--project", str(shop.plane.checkout)]
        environment = {"ZERO_TRUST_EMBEDDED_DIR": str(shop.plane.state)}
        done = CliRunner(env=environment).invoke(app, arguments, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        assert ledger.name not in mariadb.users()
        assert cache.name not in redis.users()

    def test_vault_alone_has_the_password_of_mariadbs_administrator(self, mariadb: MariaDB, redis: Redis) -> None:
        assert "Access denied" in mariadb.sql("SELECT 1", user=ADMIN, password=FIRST)
        # Redis would forget a new one when it starts again.
        assert redis.run("ping") == "PONG"


class TestAccess:
    @pytest.mark.parametrize("service", ["postgres", "redis"])
    def test_another_service_gets_no_user(self, shop: Shop, service: str) -> None:
        other = shop.plane.vault_as_service("shop", service, f"shop.{service}")
        with pytest.raises(hvac.exceptions.Forbidden):
            other.read(CREDS)

    @pytest.mark.parametrize(
        "path", ["database/creds/shop.postgres", "database/config/shop", "database/roles/shop.api", "database/roles"]
    )
    def test_the_service_reads_nothing_else_of_the_engine(self, shop: Shop, path: str) -> None:
        with pytest.raises(hvac.exceptions.Forbidden):
            shop.api().read(path)

    def test_the_deployer_makes_roles_and_gets_no_user(self, shop: Shop) -> None:
        deployer = shop.plane.vault_as_deployer()
        assert deployer.read("database/roles/shop.api")
        with pytest.raises(hvac.exceptions.Forbidden):
            deployer.read(CREDS)

    def test_no_other_role_may_use_the_connection(self, shop: Shop) -> None:
        found: Any = shop.plane.vault_as_deployer().read("database/config/shop")
        assert found["data"]["allowed_roles"] == ["shop.api", "shop.api.stock", "shop.api.stock.owner"]

    def test_the_agent_is_told_to_write_the_credentials(self, shop: Shop) -> None:
        notes = shop.plane.apps.read_namespaced_deployment("api", "shop").spec.template.metadata.annotations
        assert notes["vault.hashicorp.com/agent-inject-secret-database"] == CREDS
        assert "DB_USER={{ .Data.username }}" in notes["vault.hashicorp.com/agent-inject-template-database"]


class TestTheAdministrator:
    def test_the_first_password_is_of_no_use(self, shop: Shop) -> None:
        assert REFUSED in shop.postgres.psql("SELECT 1", user=ADMIN, password=FIRST)

    def test_no_password_is_in_the_state_in_the_clear(self, shop: Shop) -> None:
        assert FIRST not in json.dumps(shop.plane.checkpoint(STACK))

    def test_a_second_up_changes_nothing_and_needs_no_password(self, shop: Shop, checkout: Path) -> None:
        shop.plane.run("pulumi", "preview", "--stack", STACK, "--expect-no-changes", "--diff")
        shop.plane.run("pulumi", "refresh", "--stack", STACK, "--yes", "--expect-no-changes")
        path = checkout / f"Pulumi.{STACK}.yaml"
        written = path.read_text()
        stack = yaml.safe_load(written)
        del stack["config"]["zero-trust:databases"]["shop"]["adminPasswordFile"]
        path.write_text(yaml.safe_dump(stack))
        try:
            shop.plane.run("up", "--stack", STACK)
            assert shop.psql(shop.user(), "SELECT 1") == "1"
        finally:
            path.write_text(written)


class TestWrongFiles:
    def test_an_unknown_database_creates_nothing(self, shop: Shop, checkout: Path) -> None:
        service = checkout / "services" / "api.yaml"
        written = service.read_text()
        service.write_text(written.replace("connection: shop", "connection: shopp"))
        try:
            done = shop.plane.run("pulumi", "preview", "--stack", STACK, check=False)
        finally:
            service.write_text(written)
        assert done.returncode != 0
        assert (
            "database.connection: no such database in the stack file, found 'shopp'; legal: cache, ledger, shop"
            in done.stdout
        )


class TestAgent:
    """Vault's agent in the service's pod, as the annotations of the Deployment configure it."""

    @pytest.fixture
    def api(self, shop: Shop, tmp_path: Path) -> Iterator[Agent]:
        with running_agent(shop.plane, "shop", "api", tmp_path) as agent:
            yield agent

    def test_the_file_holds_a_user_that_logs_in(self, shop: Shop, api: Agent) -> None:
        found = api.fields("database")
        assert set(found) == {"DB_HOST", "DB_PORT", "DB_NAME", "DB_USER", "DB_PASS"}
        assert shop.postgres.logs_in(found, DATABASE)

    def test_only_the_applications_user_reads_it(self, shop: Shop, api: Agent) -> None:
        api.fields("database")
        assert stat.S_IMODE(api.file("database").stat().st_mode) == 0o400
        own = ["cache", "database", "ledger", "ledger-password", "ledger-user", "stock"]
        assert sorted(path.name for path in api.file("").iterdir()) == own
        assert shop.postgres.logs_in(api.fields("stock"), DATABASE)

    def test_a_rotated_secret_is_in_its_file_without_a_restart(self, shop: Shop, tmp_path: Path) -> None:
        deployer = shop.plane.vault_as_deployer()
        with running_agent(shop.plane, "shop", "redis", tmp_path) as agent:
            first = agent.fields("auth")
            assert len(first["PASSWORD"]) >= 32
            deployer.secrets.kv.v2.create_or_update_secret("shop/redis/auth", {"password": "rotated"}, cas=1)
            eventually(lambda: agent.fields("auth") == {"PASSWORD": "rotated"}, "the new password")
            eventually(lambda: agent.file(".env.AUTH").read_text() == "rotated\n", "the file of the variable")
            (pod,) = shop.plane.apps.read_namespaced_deployment("redis", "shop").spec.template.spec.containers
            shell, flag, script, *program = pod.command
            local = script.replace("/vault/secrets", str(agent.file("")))
            assert "AUTH=rotated" in subprocess.check_output([shell, flag, local, *program], text=True).splitlines()


class TestZDestroy:
    """Last in the file: it ends the stack."""

    def test_destroying_the_stack_leaves_no_user_behind(self, shop: Shop) -> None:
        user, ledger, cache = shop.user(), shop.user(path=LEDGER), shop.user(path=CACHE)
        assert user.name in shop.postgres.roles()
        assert ledger.name in shop.places.mariadb.users()
        assert cache.name in shop.places.redis.users()
        shop.plane.run("destroy", "--stack", STACK)
        assert shop.places.mariadb.users() == {"owner", ADMIN, "mariadb.sys"}
        assert shop.places.redis.users() == {"default", ADMIN}
        # What the owner has is data, which outlives the stack.
        assert shop.postgres.roles() == {"postgres", ADMIN, OWNER}
