"""Users in MariaDB and Redis: what a service file may say of them, and the statements that follow."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.config.engines import ENGINES, MARIADB, MONGODB, REDIS
from components.kube.service_ref import ServiceRef
from components.schema.problem import ConfigError
from components.service.args.database import DatabaseArgs, GrantArgs, KeyGrantArgs
from components.service.args.resolve import services_args
from components.service.file.database import KEY_PRIVILEGES, PRIVILEGES
from components.service.file.directory import parse_service, read_services
from components.service.manifests.databases.statements import creation_statements, revocation_statements
from components.vault.terms import DatabaseServer
from tests.support.stacks import platform, service
from tests.unit.service.test_database import GRANT, admission
from tests.unit.service.test_directory import SMALL, write
from tests.unit.service.test_secure_service import run

pytestmark = pytest.mark.unit

KEYS = "keys: [{prefix: 'orders:', privileges: [READ, WRITE]}]"
ORDERS = DatabaseServer("shop", "10.0.0.9", 3306, "shop", ["10.0.0.9/32"], engine=MARIADB)
CACHE = DatabaseServer("shop", "10.0.0.9", 6379, "", ["10.0.0.9/32"], engine=REDIS)


def args_of(text: str, server: DatabaseServer) -> DatabaseArgs:
    spec = parse_service(SMALL + f"database: {{connection: shop, {text}}}\n", "services/x.yaml").spec
    (made,) = services_args([spec], platform(databases=[server]), 1)
    (database,) = made.databases
    return database


def with_job(text: str, job: str = "{database: owner}") -> str:
    return SMALL + f"database: {{connection: shop, {text}}}\njobs: {{m: {job}}}\n"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (f"{KEYS}, {GRANT}", r"5: database\.keys: grants is there, too"),
        (f"scripts: true, {GRANT}", r"database\.scripts: grants is there, too"),
        ("scripts: true", r"database\.grants: required, or keys for Redis"),
        ("keys: [{prefix: '*', privileges: [READ]}]", r"keys\[0\]\.prefix: not the beginning of a name"),
        ("keys: [{prefix: 'a[bc]', privileges: [READ]}]", "not the beginning of a name"),
        ("keys: [{prefix: '', privileges: [READ]}]", "not the beginning of a name"),
        ("keys: [{prefix: 'a b', privileges: [READ]}]", "not the beginning of a name"),
        ("keys: [{prefix: a, privileges: [SELECT]}]", "legal: READ, WRITE"),
        ("keys: [{prefix: a, privileges: [READ, READ]}]", r"privileges\[1\]: it stands there twice"),
        ("keys: [{prefix: a, privileges: [READ]}, {prefix: a, privileges: [WRITE]}]", "two of them for one prefix"),
        ("channels: ['*']", r"channels\[0\]: not the beginning of a name"),
    ],
)
def test_wrong_rights_are_refused(text: str, error: str) -> None:
    with pytest.raises(ConfigError, match=error):
        parse_service(SMALL + f"database: {{connection: shop, {text}}}", "services/x.yaml")


def test_keys_have_no_owner() -> None:
    with pytest.raises(ConfigError, match=r"jobs\.m\.database: keys have no owner"):
        parse_service(with_job(KEYS), "services/x.yaml")
    assert parse_service(with_job(KEYS, "{database: true}"), "services/x.yaml")


@pytest.mark.parametrize(
    ("text", "engine", "error"),
    [
        (GRANT, REDIS, r"a\.yaml:5: database\.grants: the database shop is redis: write keys"),
        (KEYS, MARIADB, r"a\.yaml:5: database\.keys: the database shop is mariadb: write grants"),
        (KEYS, "postgresql", r"database\.keys: the database shop is postgresql: write grants"),
        ("channels: [a]", "postgresql", r"database\.channels: the database shop is postgresql: write grants"),
        (GRANT.replace("all}", "all, sequences: all}"), MARIADB, r"grants\[0\]\.sequences: in mariadb whoever may INS"),
        (GRANT.replace("all}", "[a]}"), MONGODB, r"grants\[0\]\.tables: mongodb has rights on all of a schema alone"),
        (GRANT.replace("[SELECT]", "[INSERT]"), MONGODB, r"grants\[0\]\.privileges: in mongodb they are SELECT alone"),
        (GRANT.replace("orders", "admin"), MONGODB, r"grants\[0\]\.schema: a schema of mongodb itself"),
        (GRANT.replace("orders", "mysql"), MARIADB, r"grants\[0\]\.schema: a schema of mariadb itself"),
    ],
)
def test_what_the_engine_has_not_is_refused_with_its_line(tmp_path: Path, text: str, engine: str, error: str) -> None:
    file = SMALL + f"database: {{connection: shop, {text}}}\n"
    with pytest.raises(ConfigError, match=error):
        read_services(write(tmp_path, a=file), admission(engine=engine))


@pytest.mark.parametrize(
    ("text", "engine"),
    [
        (GRANT, MARIADB),
        (GRANT, MONGODB),
        (KEYS, REDIS),
        ("channels: [a]", REDIS),
        (GRANT.replace("orders", "mysql"), "postgresql"),
    ],
)
def test_what_the_engine_has_is_accepted(tmp_path: Path, text: str, engine: str) -> None:
    file = SMALL + f"database: {{connection: shop, {text}}}\n"
    assert read_services(write(tmp_path, a=file), admission(engine=engine))


class TestMariaDB:
    def test_a_user_logs_in_by_tls_when_it_has_all_its_rights(self) -> None:
        grants = (
            "grants: [{schema: shop_orders, privileges: [SELECT, INSERT], tables: all},"
            " {schema: stock_a, privileges: [DELETE], tables: [old_items, more]}]"
        )
        assert creation_statements(args_of(grants, ORDERS)) == [
            "CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}' REQUIRE SSL ACCOUNT LOCK;",
            r"GRANT SELECT, INSERT ON `shop\_orders`.* TO '{{name}}'@'%';",
            "GRANT DELETE ON `stock_a`.`old_items` TO '{{name}}'@'%';",
            "GRANT DELETE ON `stock_a`.`more` TO '{{name}}'@'%';",
            "ALTER USER '{{name}}'@'%' ACCOUNT UNLOCK;",
        ]

    @pytest.mark.parametrize(
        "server",
        [
            DatabaseServer("shop", "pg.shop.svc", 3306, "shop", service=ServiceRef("shop", "pg"), engine=MARIADB),
            DatabaseServer("shop", "127.0.0.1", 3306, "shop", engine=MARIADB, tls=False),
        ],
    )
    def test_in_the_mesh_and_on_loopback_it_needs_no_tls_of_its_own(self, server: DatabaseServer) -> None:
        assert "REQUIRE" not in creation_statements(args_of(GRANT, server))[0]

    def test_an_owner_changes_tables_and_makes_nothing_that_acts_as_it(self) -> None:
        spec = parse_service(with_job(GRANT), "services/x.yaml").spec
        made = run(services_args([spec], platform(databases=[ORDERS]), 1)[0])
        roles = {role.inputs["name"]: role.inputs for role in made.of("SecretBackendRole")}
        assert set(roles) == {"shop.x", "shop.x.database.owner"}
        owner = roles["shop.x.database.owner"]["creationStatements"]
        assert owner[1] == "CREATE DATABASE IF NOT EXISTS `orders`;"
        assert owner[2] == (
            "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, REFERENCES ON `orders`.* "
            "TO '{{name}}'@'%';"
        )
        assert "CREATE" not in "".join(roles["shop.x"]["creationStatements"][1:])

    def test_a_removal_shuts_it_out_ends_its_sessions_and_drops_it(self) -> None:
        verbs = [statement.split(" '")[0] for statement in revocation_statements(args_of(GRANT, ORDERS))]
        assert verbs == ["ALTER USER IF EXISTS", "KILL HARD CONNECTION USER", "DROP USER IF EXISTS"]

    @given(
        st.text(max_size=70),
        st.lists(st.text(max_size=70), max_size=3),
        st.lists(st.sampled_from(PRIVILEGES), min_size=1, unique=True),
        st.booleans(),
    )
    def test_no_name_leaves_its_quotes(self, schema: str, tables: list[str], rights: list[str], owner: bool) -> None:
        grant = GrantArgs(schema, rights, tables=tables, all_tables=not tables)
        args = DatabaseArgs("shop", "shop", [grant], schemas=[schema], as_owner=owner, engine=MARIADB)
        try:
            statements = creation_statements(args)[1:-1]
        except ValueError:
            return
        name, whole = r"`[A-Za-z_][A-Za-z0-9_]*`", r"`(\\_|[A-Za-z])(\\_|[A-Za-z0-9])*`\.\*"
        granted = rf"GRANT [A-Z, ]+ ON ({name}\.{name}|{whole}) TO '{{{{name}}}}'@'%';"
        assert all(re.fullmatch(rf"{granted}|CREATE DATABASE IF NOT EXISTS {name};", each) for each in statements)

    @pytest.mark.parametrize(
        "changes", [{"schema": "x`"}, {"schema": "information_schema"}, {"tables": ["x; y"]}, {"privileges": ["ALL"]}]
    )
    def test_the_builder_trusts_no_caller(self, changes: dict[str, Any]) -> None:
        grant = GrantArgs(**{"schema": "orders", "privileges": ["SELECT"], "tables": ["a"], **changes})
        with pytest.raises(ValueError, match=r"not a name|not a privilege|server itself"):
            creation_statements(DatabaseArgs("shop", "shop", [grant], engine=MARIADB))


class TestMongoDB:
    """Planned by HashiCorp's documentation: no server has seen it."""

    SERVER = DatabaseServer("shop", "10.0.0.9", 27017, "shop", ["10.0.0.9/32"], engine=MONGODB)

    def test_a_user_has_a_role_in_each_schema(self) -> None:
        grants = (
            "grants: [{schema: orders, privileges: [SELECT], tables: all},"
            " {schema: stock, privileges: [SELECT, INSERT, UPDATE, DELETE], tables: all}]"
        )
        (users,) = creation_statements(args_of(grants, self.SERVER))
        roles = [{"role": "read", "db": "orders"}, {"role": "readWrite", "db": "stock"}]
        assert json.loads(users) == {"db": "shop", "roles": roles}
        assert [json.loads(each) for each in revocation_statements(args_of(grants, self.SERVER))] == [{"db": "shop"}]

    def test_an_owner_changes_collections_and_no_users(self) -> None:
        args = DatabaseArgs("shop", "shop", schemas=["orders"], as_owner=True, engine=MONGODB)
        roles = [{"role": role, "db": "orders"} for role in ("readWrite", "dbAdmin")]
        assert json.loads(creation_statements(args)[0]) == {"db": "shop", "roles": roles}

    @pytest.mark.parametrize("changes", [{"privileges": ["INSERT"]}, {"all_tables": False}, {"schema": "a.b"}])
    def test_the_builder_trusts_no_caller(self, changes: dict[str, Any]) -> None:
        grant = GrantArgs(**{"schema": "orders", "privileges": ["SELECT"], "all_tables": True, **changes})
        with pytest.raises(ValueError, match=r"no role|all of a schema|not a name"):
            creation_statements(DatabaseArgs("shop", "shop", [grant], engine=MONGODB))


class TestRedis:
    def test_a_user_has_its_keys_and_the_commands_that_they_bound(self) -> None:
        text = (
            "keys: [{prefix: 'orders:', privileges: [WRITE, READ]}, {prefix: 'prices:', privileges: [READ]},"
            " {prefix: log, privileges: [WRITE]}], channels: [orders.]"
        )
        (rules,) = creation_statements(args_of(text, CACHE))
        found = json.loads(rules)
        assert found[:7] == [
            *("resetkeys", "resetchannels", "-@all"),
            *("~orders:*", "%R~prices:*", "%W~log*", "&orders.*"),
        ]
        # What is taken away comes after what is given.
        assert found.index("+@pubsub") < found.index("-pubsub|channels")
        assert found.index("+@write") < found.index("-@dangerous")
        assert not any("eval" in rule for rule in found)

    def test_only_what_is_declared_is_given(self) -> None:
        (rules,) = creation_statements(args_of("keys: [{prefix: a, privileges: [READ]}]", CACHE))
        assert "+@write" not in rules
        assert "+@pubsub" not in rules
        (rules,) = creation_statements(args_of("keys: [{prefix: a, privileges: [READ]}], scripts: true", CACHE))
        found = json.loads(rules)
        assert found.index("-@scripting") < found.index("+eval")

    def test_the_file_has_no_database(self) -> None:
        assert args_of(KEYS, CACHE).template == (
            "DB_HOST=10.0.0.9\nDB_PORT=6379\nDB_USER={{ .Data.username }}\nDB_PASS={{ .Data.password }}\n"
        )

    def test_the_plugin_removes_users_in_its_own_way(self) -> None:
        users = DatabaseArgs("shop", keys=[KeyGrantArgs("a", ["READ"])], engine=REDIS)
        role = run(service(databases=[users])).one("SecretBackendRole").inputs
        assert role["creationStatements"] == creation_statements(users)
        assert "revocationStatements" not in role

    @given(st.text(max_size=70), st.lists(st.sampled_from(KEY_PRIVILEGES), min_size=1, unique=True))
    def test_no_prefix_is_a_pattern(self, prefix: str, privileges: list[str]) -> None:
        try:
            (rules,) = creation_statements(
                DatabaseArgs("shop", keys=[KeyGrantArgs(prefix, privileges)], channels=[prefix], engine=REDIS)
            )
        except ValueError:
            return
        keys, channel = json.loads(rules)[3:5]
        assert re.fullmatch(r"(~|%R~|%W~)[A-Za-z0-9:._/{}@#+-]+\*", keys)
        assert re.fullmatch(r"&[A-Za-z0-9:._/{}@#+-]+\*", channel)

    def test_the_builder_trusts_no_caller(self) -> None:
        for grant in (KeyGrantArgs("*", ["READ"]), KeyGrantArgs("a", ["ADMIN"])):
            with pytest.raises(ValueError, match=r"not the beginning|not a privilege"):
                creation_statements(DatabaseArgs("shop", keys=[grant], engine=REDIS))


def test_every_engine_has_statements_and_a_plugin() -> None:
    for engine in ENGINES:
        keys = [] if ENGINES[engine].schemas else [KeyGrantArgs("a", ["READ"])]
        assert creation_statements(DatabaseArgs("shop", "shop", keys=keys, engine=engine))
        assert ENGINES[engine].plugin.endswith("-database-plugin")
