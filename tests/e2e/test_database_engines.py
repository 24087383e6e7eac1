"""The users that the program's own connections and statements make in MariaDB and Redis, by a real OpenBao.

What a whole stack makes of them is in `test_database.py`.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import hvac.exceptions
import pulumi
import pytest

from components.config.engines import MARIADB, REDIS
from components.service.args.database import DatabaseArgs, GrantArgs, KeyGrantArgs
from components.service.manifests.databases.statements import creation_statements, revocation_statements
from components.vault.database import database_engine
from components.vault.database_connection import DatabaseConnectionArgs
from tests.support.database_servers import ADMIN, FIRST, MariaDB, Redis, running_mariadb, running_redis
from tests.support.monitor import record
from tests.support.provider_plugin import Managed, Plugin, failure
from tests.support.vault_server import Bao, bao, vault
from tests.support.waiting import eventually

__all__ = ["bao", "vault"]

pytestmark = pytest.mark.e2e

CONNECTION = "vault:database/secretBackendConnection:SecretBackendConnection"
ENDPOINT = "vault:generic/endpoint:Endpoint"
PREPARED = (
    "CREATE DATABASE shop_orders",
    "CREATE DATABASE shopXorders",
    "CREATE DATABASE billing",
    "CREATE TABLE shop_orders.items (id int AUTO_INCREMENT PRIMARY KEY, name text)",
    "CREATE TABLE shop_orders.prices (cents int)",
    "CREATE TABLE shopXorders.items (name text)",
    "CREATE TABLE billing.cards (number text)",
    f"CREATE USER '{ADMIN}'@'%' IDENTIFIED BY '{FIRST}' REQUIRE SSL",
    f"GRANT CREATE USER, CONNECTION ADMIN ON *.* TO '{ADMIN}'@'%'",
    *(
        f"GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, REFERENCES ON `{schema}`.* TO '{ADMIN}'@'%'"
        " WITH GRANT OPTION"
        for schema in (r"shop\_orders", r"shop\_stock")
    ),
)
TABLES = DatabaseArgs(
    "orders",
    "shop_orders",
    engine=MARIADB,
    encrypted=True,
    grants=[GrantArgs("shop_orders", ["SELECT", "INSERT"], all_tables=True)],
    schemas=["shop_stock"],
)
KEYS = DatabaseArgs(
    "cache",
    engine=REDIS,
    keys=[KeyGrantArgs("orders:", ["READ", "WRITE"]), KeyGrantArgs("prices:", ["READ"])],
    channels=["orders."],
)


class User:
    """What Vault hands out."""

    def __init__(self, bao: Bao, role: str) -> None:
        self._bao = bao
        answer: Any = bao.client.read(f"database/creds/{role}")
        self.name, self.password, self._lease = (
            answer["data"]["username"],
            answer["data"]["password"],
            answer["lease_id"],
        )

    def revoke(self) -> None:
        self._bao.write("sys/leases/revoke", lease_id=self._lease, sync=True)


def make_role(bao: Bao, name: str, args: DatabaseArgs) -> None:
    statements = {
        "creation_statements": creation_statements(args),
        "revocation_statements": revocation_statements(args),
    }
    bao.write(f"database/roles/{name}", db_name=args.connection, default_ttl=600, max_ttl=600, **statements)


@pytest.fixture(scope="module")
def engine(bao: Bao) -> Bao:
    bao.client.sys.enable_secrets_engine("database")
    return bao


@pytest.fixture(scope="module")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDB]:
    with running_mariadb(tmp_path_factory.mktemp("mariadb")) as server:
        assert server.sql(*PREPARED) == ""
        yield server


def connect(vault: Plugin, args: DatabaseConnectionArgs, password: Path) -> None:
    """Make what the program registers for a connection, by the plugin of its provider."""
    args = replace(args, password_file=str(password))
    made = record(lambda: database_engine("database", [args], lambda _: pulumi.ResourceOptions(), keep=None))
    # The password is replaced when Vault is connected.
    for kind in (CONNECTION, ENDPOINT):
        for resource in (each for each in made.resources if each.type == kind):
            Managed(vault, kind).up(resource.inputs)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("first") / "password"
    path.write_text(FIRST)
    return path


@pytest.fixture(scope="module")
def orders(engine: Bao, vault: Plugin, mariadb: MariaDB, first: Path) -> Bao:
    roles = ["shop.api", "shop.one", "shop.two", "shop.api.orders.owner"]
    args = DatabaseConnectionArgs("orders", "127.0.0.1", mariadb.port, "orders", ADMIN, roles, MARIADB)
    # Without the authority of the server's certificate there is no connection.
    for other in ("", Path(engine.ca_file).read_text()):
        assert "certificate" in failure(lambda pem=other: connect(vault, replace(args, authority=pem), first))
    connect(vault, replace(args, authority=mariadb.authority.read_text()), first)
    make_role(engine, "shop.api", TABLES)
    make_role(engine, "shop.api.orders.owner", replace(TABLES, as_owner=True))
    return engine


class TestMariaDB:
    @pytest.mark.usefixtures("orders")
    def test_the_administrators_password_is_vaults_alone(self, mariadb: MariaDB) -> None:
        assert "Access denied" in mariadb.sql("SELECT 1", user=ADMIN, password=FIRST)

    def test_a_user_does_what_it_may_and_nothing_else(self, orders: Bao, mariadb: MariaDB) -> None:
        user = User(orders, "shop.api")
        assert mariadb.sql("SELECT current_user()", user=user.name, password=user.password) == f"{user.name}@%"
        allowed = ("INSERT INTO shop_orders.items (name) VALUES ('tea')", "SELECT name FROM shop_orders.items")
        assert mariadb.sql(*allowed, user=user.name, password=user.password) == "tea"
        for statement in (
            "DELETE FROM shop_orders.items",
            "UPDATE shop_orders.items SET name = 'x'",
            "TRUNCATE shop_orders.items",
            "ALTER TABLE shop_orders.items ADD x int",
            "DROP TABLE shop_orders.items",
            "CREATE TABLE shop_orders.more (id int)",
            "CREATE DATABASE more",
            # An underscore in the name of a schema stands for itself.
            "SELECT * FROM shopXorders.items",
            "SELECT * FROM billing.cards",
            "SELECT * FROM mysql.user",
            "CREATE USER more",
            f"SET PASSWORD FOR '{ADMIN}'@'%' = PASSWORD('x')",
            "SELECT * FROM shop_orders.items INTO OUTFILE '/tmp/out'",
        ):
            assert "denied" in mariadb.sql(statement, user=user.name, password=user.password), statement
        user.revoke()

    def test_it_logs_in_by_tls_alone(self, orders: Bao, mariadb: MariaDB) -> None:
        user = User(orders, "shop.api")
        assert "Access denied" in mariadb.sql("SELECT 1", user=user.name, password=user.password, tls=False)

    def test_named_tables_are_all_it_sees(self, orders: Bao, mariadb: MariaDB) -> None:
        grant = GrantArgs("shop_orders", ["SELECT"], tables=["items"])
        make_role(orders, "shop.one", DatabaseArgs("orders", engine=MARIADB, grants=[grant]))
        user = User(orders, "shop.one")
        assert "denied" in mariadb.sql("SELECT * FROM shop_orders.prices", user=user.name, password=user.password)
        assert "ERROR" not in mariadb.sql("SELECT * FROM shop_orders.items", user=user.name, password=user.password)

    def test_an_owner_changes_tables_in_its_schema_and_no_other(self, orders: Bao, mariadb: MariaDB) -> None:
        owner = User(orders, "shop.api.orders.owner")
        migration = ("CREATE TABLE shop_stock.boxes (id int)", "ALTER TABLE shop_stock.boxes ADD size int")
        assert mariadb.sql(*migration, user=owner.name, password=owner.password) == ""
        for statement in ("DROP TABLE shop_orders.items", "CREATE TABLE shopXorders.x (id int)", "CREATE USER more"):
            assert "denied" in mariadb.sql(statement, user=owner.name, password=owner.password), statement
        owner.revoke()
        assert mariadb.sql("SHOW TABLES IN shop_stock") == "boxes"

    def test_a_revoked_user_is_gone_with_its_sessions(self, orders: Bao, mariadb: MariaDB) -> None:
        user = User(orders, "shop.api")
        session = mariadb.session("SELECT SLEEP(600)", user.name, user.password)
        sleeping = "SELECT user FROM information_schema.processlist"
        eventually(lambda: user.name in mariadb.sql(sleeping).splitlines(), "the session of the user")
        user.revoke()
        assert session.wait(timeout=60) != 0
        assert user.name not in mariadb.users()
        assert "Access denied" in mariadb.sql("SELECT 1", user=user.name, password=user.password)

    def test_a_user_whose_rights_fail_can_not_log_in(self, orders: Bao, mariadb: MariaDB) -> None:
        grant = GrantArgs("shop_orders", ["SELECT"], tables=["missing"])
        make_role(orders, "shop.two", DatabaseArgs("orders", engine=MARIADB, grants=[grant]))
        before = mariadb.users()
        with pytest.raises(hvac.exceptions.VaultError):
            orders.client.read("database/creds/shop.two")
        (left,) = mariadb.users() - before
        locked = "SELECT user FROM mysql.global_priv WHERE JSON_VALUE(priv, '$.account_locked')"
        assert left in mariadb.sql(locked).splitlines()


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        server.run("set", "orders:1", "tea")
        server.run("set", "prices:1", "300")
        server.run("set", "cards:1", "4111")
        yield server


@pytest.fixture(scope="module")
def cache(engine: Bao, vault: Plugin, redis: Redis, first: Path) -> Bao:
    roles = ["shop.cache", "shop.scripts"]
    place = ("cache", "127.0.0.1", redis.port, "", ADMIN, roles, REDIS)
    args = DatabaseConnectionArgs(*place, authority=Path(engine.ca_file).read_text(), password_file=str(first))
    assert "certificate" in failure(lambda: connect(vault, args, first))
    connect(vault, replace(args, authority=redis.authority.read_text()), first)
    make_role(engine, "shop.cache", KEYS)
    return engine


class TestRedis:
    @pytest.fixture
    def user(self, cache: Bao) -> Iterator[User]:
        user = User(cache, "shop.cache")
        yield user
        user.revoke()

    def test_a_user_does_what_it_may_and_nothing_else(self, user: User, redis: Redis) -> None:
        def run(*words: str) -> str:
            return redis.run(*words, user=user.name, password=user.password)

        assert run("get", "orders:1") == "tea"
        assert run("set", "orders:2", "milk") == "OK"
        assert run("get", "prices:1") == "300"
        assert run("publish", "orders.new", "1") == "0"
        for words in (
            ("set", "prices:1", "1"),
            ("get", "cards:1"),
            ("rename", "orders:2", "cards:2"),
            ("copy", "cards:1", "orders:3"),
            ("publish", "cards.new", "1"),
            ("psubscribe", "*"),
            ("keys", "*"),
            ("scan", "0"),
            ("flushall",),
            ("flushdb",),
            ("swapdb", "0", "1"),
            ("config", "get", "*"),
            ("acl", "list"),
            ("client", "list"),
            ("client", "tracking", "on", "bcast"),
            ("monitor",),
            ("eval", "return 1", "0"),
            ("function", "flush"),
            ("shutdown",),
        ):
            assert "NOPERM" in run(*words), words

    def test_it_may_run_no_command_that_no_key_bounds(self, user: User, redis: Redis) -> None:
        """Every command of this server is asked for, so that one of a later version is noticed."""
        harmless = {"auth", "hello", "ping", "echo", "quit", "reset", "select", "multi", "exec", "discard", "unwatch"}
        harmless |= {"asking", "readonly", "readwrite", "unsubscribe", "punsubscribe", "sunsubscribe", "lolwut"}
        # Their channels are bounded.
        harmless |= {"publish", "subscribe"}
        own = {"client", "command", "object", "memory", "xgroup", "xinfo", "pubsub"}
        allowed = {name for name in _without_keys(redis) if self._may(redis, user, name)}
        beyond = {name for name in allowed - harmless if name.partition("|")[0] not in own}
        assert beyond == set()
        about_others = {"client|list", "client|kill", "client|pause", "client|tracking", "client|unblock"}
        about_others |= {"client|no-evict", "pubsub|channels", "pubsub|shardchannels"}
        assert not allowed & about_others

    @staticmethod
    def _may(redis: Redis, user: User, name: str) -> bool:
        words = name.split("|")
        arity = int(json.loads(redis.run("--json", "-3", "command", "info", name))[0][1])
        filler = ["orders.1"] * max(abs(arity) - len(words), 0)
        answer = redis.run("acl", "dryrun", user.name, *words, *filler)
        assert "wrong number" not in answer, (name, answer)
        return "no permissions" not in answer

    def test_scripts_have_the_rights_of_the_user(self, cache: Bao, redis: Redis) -> None:
        make_role(cache, "shop.scripts", replace(KEYS, scripts=True))
        user = User(cache, "shop.scripts")
        mine = ("eval", "return redis.call('get', KEYS[1])", "1")
        assert redis.run(*mine, "orders:1", user=user.name, password=user.password) == "tea"
        assert "NOPERM" in redis.run(*mine, "cards:1", user=user.name, password=user.password)
        for words in (("script", "flush"), ("function", "list"), ("eval", "return redis.call('flushall')", "0")):
            refused = redis.run(*words, user=user.name, password=user.password)
            assert "NOPERM" in refused or "can't run this command" in refused
        assert redis.run("get", "cards:1") == "4111"

    def test_a_revoked_user_is_gone_with_its_connections(self, cache: Bao, redis: Redis) -> None:
        user = User(cache, "shop.cache")
        waiting = redis.session(user.name, user.password, "blpop", "orders:none", "0")
        eventually(lambda: f"user={user.name}" in redis.run("client", "list"), "the connection of the user")
        user.revoke()
        waiting.wait(timeout=60)
        assert user.name not in redis.users()
        assert "WRONGPASS" in redis.run("ping", user=user.name, password=user.password)

    def test_a_server_that_forgot_a_user_can_be_asked_to_remove_it(self, cache: Bao, redis: Redis) -> None:
        user = User(cache, "shop.cache")
        redis.run("acl", "deluser", user.name)
        user.revoke()


def _without_keys(redis: Redis) -> Iterator[str]:
    """The commands of the server, those below others included, that name no key."""
    pending: list[Any] = json.loads(redis.run("--json", "-3", "command"))
    while pending:
        name, _, flags, first, *_, specs, below = pending.pop()
        if below:
            pending += below
        elif not (specs or first or "movablekeys" in flags):
            yield name
