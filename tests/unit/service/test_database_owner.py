"""Jobs that own what a service keeps in a database, and services with users in several databases."""

import re
from dataclasses import replace
from typing import Any

import pytest

from components.program.plans.vault import vault_args
from components.service.args.database import DatabaseArgs, GrantArgs, owner_role
from components.service.args.jobs import JobArgs
from components.service.args.resolve import services_args
from components.service.args.service import SecureServiceArgs
from components.service.file.directory import check_services, parse_service
from components.service.manifests.databases.statements import creation_statements, database_roles, revocation_statements
from components.service.manifests.job import workload_of
from components.service.manifests.vault import injector_annotations, vault_policy
from components.vault.terms import DatabaseServer
from tests.support.stacks import platform, service, stack
from tests.unit.service.test_database import admission
from tests.unit.service.test_directory import SMALL
from tests.unit.service.test_secure_service import run

pytestmark = pytest.mark.unit

GRANT = "grants: [{schema: orders, privileges: [SELECT], tables: all, sequences: all}]"
OWNED = (
    SMALL
    + f"database: {{connection: shop, {GRANT}}}\njobs: {{migrate: {{database: owner, timeout: 2h}}, bare: {{}}}}\n"
)
SERVERS = [
    DatabaseServer("shop", "10.0.0.9", 5432, "shop", ["10.0.0.9/32"]),
    DatabaseServer("log", "10.0.0.8", 5432, "log", ["10.0.0.8/32"]),
]
OWNER = "owner.shop.shop.x"


def resolved(text: str, **more: Any) -> SecureServiceArgs:
    (made,) = services_args([parse_service(text, "services/x.yaml").spec], platform(databases=SERVERS, **more), 1)
    return made


def paths(args: SecureServiceArgs) -> list[str]:
    return re.findall(r'path "([^"]+)"', vault_policy(args))


class TestTheOwner:
    def test_its_path_is_in_the_policy_of_its_job_alone(self) -> None:
        args = resolved(OWNED)
        bare, migrate = (workload_of(args, job) for job in args.jobs)
        assert paths(args) == ["database/creds/shop.x"]
        assert paths(migrate) == ["database/creds/shop.x.database.owner"]
        assert paths(bare) == []
        notes = injector_annotations(migrate)
        assert notes["vault.hashicorp.com/agent-inject-secret-database"] == "database/creds/shop.x.database.owner"

    def test_it_has_a_role_in_vault_whose_users_live_as_long_as_the_job(self) -> None:
        made = run(resolved(OWNED))
        roles = {role.inputs["name"]: role for role in made.of("SecretBackendRole")}
        assert set(roles) == {"shop.x", "shop.x.database.owner"}
        owner = roles["shop.x.database.owner"].inputs
        assert (owner["defaultTtl"], owner["maxTtl"], owner["dbName"]) == (7200, 7200, "shop")
        assert roles["shop.x"].inputs["maxTtl"] == 86400
        assert {"shop.x.database.owner", "shop.x"} <= made.behind(made.of("kubernetes:batch/v1:Job")[0])

    def test_a_job_with_users_logs_in_for_as_long_as_it_may_take(self) -> None:
        # Its agent has ended, so that nobody renews the login, and the users end with it.
        times = {
            role.inputs["roleName"]: role.inputs["tokenTtl"] for role in run(resolved(OWNED)).of("AuthBackendRole")
        }
        assert times == {"shop.x": 3600, "shop.x-migrate": 7200}
        long = resolved(OWNED.replace("owner, timeout: 2h", "true, timeout: 99h"))
        times = {role.inputs["roleName"]: role.inputs["tokenTtl"] for role in run(long).of("AuthBackendRole")}
        assert times["shop.x-migrate"] == 86400
        itself = SMALL.replace("port: 8080\n", "") + f"run: {{timeout: 2h}}\ndatabase: {{connection: shop, {GRANT}}}\n"
        (role,) = run(resolved(itself)).of("AuthBackendRole")
        assert role.inputs["tokenTtl"] == 7200

    def test_its_users_are_members_and_begin_as_the_owner(self) -> None:
        _, owner = database_roles(resolved(OWNED))
        block, create, connect, *rest = creation_statements(owner)
        assert f'CREATE ROLE "{OWNER}" NOLOGIN' in block
        assert f'CREATE SCHEMA "orders" AUTHORIZATION "{OWNER}"' in block
        assert "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS" in create
        assert connect == 'GRANT CONNECT ON DATABASE "shop" TO "{{name}}";'
        assert rest == [f'GRANT "{OWNER}" TO "{{{{name}}}}";', f'ALTER ROLE "{{{{name}}}}" SET role TO "{OWNER}";']
        (removal,) = revocation_statements(owner)
        places = [removal.index(word) for word in ("pg_terminate_backend", "REASSIGN OWNED BY", "DROP OWNED BY")]
        assert places == sorted(places)

    def test_the_services_users_are_no_members_and_use_what_it_creates_later(self) -> None:
        users, _ = database_roles(resolved(OWNED))
        statements = creation_statements(users)
        assert not [line for line in statements[1:] if re.search(r"GRANT \"|SET role", line)]
        created = f'ALTER DEFAULT PRIVILEGES FOR ROLE "{OWNER}" IN SCHEMA "orders" GRANT'
        assert statements[-2:] == [
            f'{created} SELECT ON TABLES TO "{{{{name}}}}";',
            f'{created} USAGE ON SEQUENCES TO "{{{{name}}}}";',
        ]
        (removal,) = revocation_statements(users)
        assert "REASSIGN" not in removal

    def test_named_tables_stay_all_there_is(self) -> None:
        users, _ = database_roles(resolved(OWNED.replace("tables: all, sequences: all", "tables: [a]")))
        assert not [line for line in creation_statements(users) if "DEFAULT PRIVILEGES" in line]

    def test_a_service_that_owns_nothing_has_neither(self) -> None:
        (users,) = database_roles(resolved(OWNED.replace("database: owner", "database: true")))
        text = "".join([*creation_statements(users), *revocation_statements(users)])
        assert not re.search(r"owner\.|DEFAULT PRIVILEGES|REASSIGN|CREATE SCHEMA", text)

    def test_what_runs_as_the_administrator_looks_in_no_schema_of_a_service(self) -> None:
        # A service that owns the schema public could put an operator there.
        users, owner = database_roles(resolved(OWNED))
        for block in (creation_statements(users)[0], *revocation_statements(users), *revocation_statements(owner)):
            assert block.index("set_config('search_path', 'pg_catalog, pg_temp', true)") < block.index("IF ")

    @pytest.mark.parametrize("name", ["", 'owner."x', "vault", "owner.", "owner." + "a" * 58, "owner.a b"])
    def test_the_builder_trusts_no_name(self, name: str) -> None:
        args = DatabaseArgs("shop", "shop", [GrantArgs("orders", ["SELECT"], all_tables=True)], owner=name)
        with pytest.raises(ValueError, match="not a name of an owner's role"):
            creation_statements(DatabaseArgs("shop", "shop", owner=name, as_owner=True))
        if name:
            with pytest.raises(ValueError, match="not a name of an owner's role"):
                creation_statements(args)

    def test_names_that_postgresql_would_cut_off_stay_apart(self) -> None:
        names = {owner_role(database, f"{'n' * 63}.{end}") for database in ("a", "b") for end in ("x", "y")}
        assert len(names) == 4
        assert {len(name) for name in names} == {63}
        assert owner_role("shop", "shop.x") == OWNER


class TestTwoServices:
    def test_a_schema_has_one_owner(self) -> None:
        files = [parse_service(OWNED + f"name: {name}\n", f"services/{name}.yaml") for name in ("x", "y")]
        (problem,) = check_services(files, admission("10.0.0.9"))
        assert str(problem) == (
            "services/y.yaml:5: database.grants: the schema orders of database shop is owned by shop/x already, "
            "found orders"
        )

    def test_another_may_have_rights_in_it(self) -> None:
        other = OWNED.replace("database: owner", "database: true") + "name: y\n"
        files = [parse_service(OWNED, "services/x.yaml"), parse_service(other, "services/y.yaml")]
        assert check_services(files, admission("10.0.0.9")) == []


BOTH = SMALL + (
    f"database: {{connection: shop, {GRANT}}}\ndatabases: {{audit: {{connection: log, {GRANT}, ttl: 30m}}}}\n"
    "jobs: {m: {databases: {audit: owner}}, n: {database: true}}\n"
)


class TestSeveral:
    def test_each_has_its_own_role_file_and_egress(self) -> None:
        args = resolved(BOTH)
        assert paths(args) == ["database/creds/shop.x", "database/creds/shop.x.audit"]
        notes = injector_annotations(args)
        assert notes["vault.hashicorp.com/agent-inject-secret-audit"] == "database/creds/shop.x.audit"
        assert notes["vault.hashicorp.com/agent-inject-file-audit"] == "audit"
        assert "DB_HOST=10.0.0.8" in notes["vault.hashicorp.com/agent-inject-template-audit"]
        assert [outside.host for outside in args.egress] == ["shop.invalid", "log.invalid"]
        made = run(args)
        roles = {role.inputs["name"]: role.inputs for role in made.of("SecretBackendRole")}
        assert set(roles) == {"shop.x", "shop.x.audit", "shop.x.audit.owner"}
        assert (roles["shop.x.audit"]["dbName"], roles["shop.x.audit"]["defaultTtl"]) == ("log", 1800)

    def test_a_job_reaches_those_that_it_names(self) -> None:
        args = resolved(BOTH)
        owns, uses = (workload_of(args, job) for job in args.jobs)
        assert (paths(owns), paths(uses)) == (["database/creds/shop.x.audit.owner"], ["database/creds/shop.x"])
        assert [outside.host for outside in owns.egress] == ["log.invalid"]
        assert [outside.host for outside in uses.egress] == ["shop.invalid"]

    def test_a_container_reads_those_that_it_names(self) -> None:
        args = resolved(BOTH + "sidecars: {s: {port: 9000, databases: [audit]}}\n")
        notes = injector_annotations(args)
        assert notes["vault.hashicorp.com/agent-inject-secret-0.0"] == "database/creds/shop.x.audit"
        assert "vault.hashicorp.com/agent-inject-secret-0.1" not in notes

    def test_two_in_one_connection_open_it_once(self) -> None:
        args = resolved(BOTH.replace("connection: log", "connection: shop"))
        assert [outside.host for outside in args.egress] == ["shop.invalid"]

    def test_one_alone_may_stand_under_databases(self) -> None:
        args = resolved(SMALL + f"databases: {{audit: {{connection: log, {GRANT}}}}}\n")
        assert paths(args) == ["database/creds/shop.x.audit"]

    def test_each_connection_names_the_roles_that_use_it(self) -> None:
        text = {"host": "10.0.0.9", "database": "shop", "adminUser": "vault"}
        spec = parse_service(BOTH, "services/x.yaml").spec
        production = stack("production", databases={"shop": text, "log": {**text, "host": "10.0.0.8"}})
        made = vault_args(replace(production, services=(spec,)))
        roles = {database.name: database.roles for database in made.databases}
        assert roles == {"shop": ["shop.x"], "log": ["shop.x.audit", "shop.x.audit.owner"]}

    def test_a_job_of_a_service_in_code_gets_what_it_names(self) -> None:
        databases = [DatabaseArgs("shop", "shop"), DatabaseArgs("log", "log", name="audit")]
        args = service(databases=databases, jobs=[JobArgs("m", databases=["audit"])])
        assert [one.name for one in workload_of(args, args.jobs[0]).databases] == ["audit"]
