"""A service's database: what its file may say, the statements that follow, and where each of them ends up."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.kube.service_ref import ServiceRef
from components.schema.fields import seconds
from components.schema.problem import ConfigError
from components.service.args.containers import ContainerArgs
from components.service.args.database import DatabaseArgs, GrantArgs
from components.service.args.resolve import services_args
from components.service.file.checks import KnownDatabase
from components.service.file.database import PRIVILEGES
from components.service.file.directory import Admission, parse_service, read_services
from components.service.file.secret_paths import secret_path_findings
from components.service.file.service import ServiceSpec
from components.service.manifests.databases.statements import creation_statements, revocation_statements
from components.service.manifests.network_policy import network_policy_spec
from components.service.manifests.vault import injector_annotations, mesh_annotations, vault_policy
from components.vault.database_connection import DatabaseConnectionArgs
from components.vault.terms import DatabaseServer
from tests.support.consents import agreeing
from tests.support.stacks import platform, service
from tests.unit.service.test_directory import SMALL, write
from tests.unit.service.test_secure_service import run

GRANT = "grants: [{schema: orders, privileges: [SELECT], tables: all}]"
FULL = SMALL + f"database: {{connection: shop, {GRANT}}}\n"
SHOP = DatabaseServer("shop", "postgres.shop.svc", 5432, "shop")
ORDERS = GrantArgs("orders", ["SELECT", "INSERT"], all_tables=True)
CONNECTED = DatabaseArgs("shop", "shop", [ORDERS], template="U={{ .Data.username }}\n")


def grant(*, times: int = 1, **changes: object) -> str:
    one = {"schema": "orders", "privileges": ["SELECT"], "tables": "all", **changes}
    return json.dumps({"database": {"connection": "shop", "grants": [one] * times}})[1:-1]


WRONG = [
    (f"database: {{{GRANT}}}", r"database\.connection: missing"),
    ("database: {connection: shop}", r"5: database\.grants: required, or keys for Redis"),
    ("database: {connection: shop, grants: []}", r"database\.grants: required, or keys for Redis"),
    (f"database: {{connection: Shop, {GRANT}}}", r"database\.connection: not a DNS label"),
    (
        f"database: {{connection: shop, role: admin, {GRANT}}}",
        r"database\.role: unknown key.*legal: connection, grants",
    ),
    (grant(schema='o"; DROP ROLE x; --'), r"grants\[0\]\.schema: not a name of a database"),
    (grant(schema="pg_catalog"), "a schema of the server itself"),
    (grant(schema="information_schema"), "a schema of the server itself"),
    (grant(privileges=[]), r"privileges: .*fewer than 1"),
    (grant(privileges=["ALL"]), r"privileges\[0\]: not a legal value, found 'ALL'; legal: SELECT, INSERT"),
    (grant(privileges=["TRUNCATE"]), "legal: SELECT, INSERT, UPDATE, DELETE"),
    (grant(privileges=["SELECT", "SELECT"]), r"privileges\[1\]: it stands there twice"),
    (grant(tables="orders"), "write all, or a list of names"),
    (grant(tables=[]), "tables is empty"),
    (grant(tables=["a.b"]), r"tables: not a name of a database"),
    (grant(tables=[1]), "write all, or a list of names"),
    (grant(sequences="some"), "write all, or a list of names"),
    (grant(table="all"), r"grants\[0\]\.table: unknown key.*did you mean tables\?"),
    (f"database: {{connection: shop, ttl: 1d, {GRANT}}}", r"x\.yaml:5: database\.ttl: not a time such as 1h"),
    (f"database: {{connection: shop, ttl: 0s, {GRANT}}}", "not a time"),
    (f"database: {{connection: shop, ttl: 60, {GRANT}}}", r"database\.ttl"),
    (f"database: {{connection: shop, maxTtl: 25h, {GRANT}}}", "maxTtl 25h is more than 24h"),
    (f"database: {{connection: shop, ttl: 2h, maxTtl: 1h, {GRANT}}}", "ttl 2h is more than maxTtl 1h"),
    (f"database: {{connection: shop, file: ../x, {GRANT}}}", "not a file name"),
    (f"database: {{connection: shop, template: '{{{{ .Data.data.password }}}}', {GRANT}}}", "the template has"),
    (f"database: {{connection: shop, template: '{{{{ secret \"x\" }}}}', {GRANT}}}", r"legal: \{\{ \.Data\.username"),
    (grant(times=2), r"database\.grants\[1\]: it stands there twice"),
    (
        f"database: {{connection: shop, {GRANT[:-1]}, {{schema: orders, privileges: [INSERT], tables: all}}]}}",
        "two grants for the schema orders",
    ),
    (f"secrets: {{database: {{generate: [x]}}}}\ndatabase: {{connection: shop, {GRANT}}}", "rename the secret"),
    (
        f"secrets: {{a: {{generate: [x], file: database}}}}\ndatabase: {{connection: shop, {GRANT}}}",
        "secrets: two of them write the file database",
    ),
]


JOBS = f"database: {{connection: shop, {GRANT}}}\ndatabases: {{audit: {{connection: audit, {GRANT}}}}}\njobs: {{m: %s}}"
TWO = GRANT.replace("[{", "[{schema: stock, privileges: [SELECT], tables: all}, {")
WRONG += [
    (JOBS % "{database: admin}", r"jobs\.m\.database: not a legal value, found 'admin'; legal: true, false, owner"),
    (
        JOBS % "{databases: {log: true}}",
        r"jobs\.m\.databases\.log: no database of this service.*legal: audit, database",
    ),
    (JOBS % "{databases: {audit: all}}", r"jobs\.m\.databases\.audit: not a legal value, found 'all'"),
    (JOBS % "{database: true, databases: {database: owner}}", "it stands under database too: keep one"),
    (JOBS % "{database: owner, timeout: 25h}", r"jobs\.m\.timeout: longer than 24h"),
    (
        f"database: {{connection: shop, {TWO}}}\njobs: {{m: {{database: owner}}}}",
        r"6: jobs\.m\.database: which schemas it owns is not said.*legal: stock, orders",
    ),
    (f"database: {{connection: shop, owns: [orders], {GRANT}}}", r"database\.owns: no job owns anything there"),
    (f"database: {{connection: shop, owns: [a, a], {GRANT}}}", r"database\.owns\[1\]: it stands there twice"),
    (f"database: {{connection: shop, owns: [pg_temp], {GRANT}}}", "a schema of the server itself"),
    (f"databases: {{Audit: {{connection: shop, {GRANT}}}}}", "not a DNS label"),
    (
        f"database: {{connection: shop, {GRANT}}}\ndatabases: {{database: {{connection: shop, {GRANT}}}}}",
        r"databases\.database: the name of what stands under database",
    ),
    (
        f"databases: {{a: {{connection: x, {GRANT}}}, b: {{connection: x, file: a, {GRANT}}}}}",
        "two of them write the file a",
    ),
    (JOBS % "{}" + "\nsidecars: {s: {port: 1, databases: [log]}}", r"sidecars\.s\.databases\[0\]: no database of this"),
    (
        f"secrets: {{a: {{generate: [x]}}}}\ndatabases: {{a: {{connection: x, {GRANT}}}}}",
        r"secrets\.a: the name of the credentials of a database: rename the secret",
    ),
]


@pytest.mark.parametrize(("text", "error"), WRONG)
def test_a_wrong_database_is_refused(text: str, error: str) -> None:
    with pytest.raises(ConfigError, match=error):
        parse_service(SMALL + text, "services/x.yaml")


def parsed(text: str) -> ServiceSpec:
    return parse_service(SMALL + text, "services/x.yaml").spec


def args_of(text: str) -> DatabaseArgs:
    (made,) = services_args([parsed(text)], platform(databases=[SHOP]), 1)
    (database,) = made.databases
    return database


def test_the_defaults_are_an_hour_a_day_and_a_file_that_says_where() -> None:
    found = args_of(f"database: {{connection: shop, {GRANT}}}")
    assert (found.ttl, found.max_ttl, found.file) == (3600, 86400, "database")
    assert found.template == (
        "DB_HOST=postgres.shop.svc\nDB_PORT=5432\nDB_NAME=shop\n"
        "DB_USER={{ .Data.username }}\nDB_PASS={{ .Data.password }}\n"
    )
    (without,) = services_args([parsed("")], platform(databases=[SHOP]), 1)
    assert without.databases == []


def test_everything_can_be_set() -> None:
    text = (
        "database: {connection: shop, ttl: 30m, maxTtl: 90s, file: db.env, template: 'U={{ .Data.username }}',"
        " grants: [{schema: orders, privileges: [SELECT, DELETE], tables: [items, Old_1], sequences: [items_id_seq]},"
        " {schema: stock, privileges: [INSERT], tables: all, sequences: all}]}"
    ).replace("maxTtl: 90s", "maxTtl: 2h")
    found = args_of(text)
    assert (found.ttl, found.max_ttl, found.file, found.template) == (1800, 7200, "db.env", "U={{ .Data.username }}")
    assert creation_statements(found)[1:] == [
        'GRANT CONNECT ON DATABASE "shop" TO "{{name}}";',
        'GRANT USAGE ON SCHEMA "orders" TO "{{name}}";',
        'GRANT SELECT, DELETE ON TABLE "orders"."items", "orders"."Old_1" TO "{{name}}";',
        'GRANT USAGE ON SEQUENCE "orders"."items_id_seq" TO "{{name}}";',
        'GRANT USAGE ON SCHEMA "stock" TO "{{name}}";',
        'GRANT INSERT ON ALL TABLES IN SCHEMA "stock" TO "{{name}}";',
        'GRANT USAGE ON ALL SEQUENCES IN SCHEMA "stock" TO "{{name}}";',
    ]


def test_a_user_ends_by_itself_and_has_no_attribute_of_power() -> None:
    create = creation_statements(CONNECTED)[0]
    assert "VALID UNTIL '{{expiration}}'" in create
    assert "PASSWORD '{{password}}'" in create
    for power in ("SUPERUSER", "CREATEDB", "CREATEROLE", "REPLICATION", "BYPASSRLS"):
        assert f" NO{power}" in create
        assert f" {power}" not in create


@given(
    st.text(max_size=70),
    st.lists(st.text(max_size=70), min_size=1, max_size=3),
    st.lists(st.sampled_from(PRIVILEGES), min_size=1, unique=True),
)
def test_no_name_leaves_its_quotes(schema: str, tables: list[str], privileges: list[str]) -> None:
    args = DatabaseArgs("shop", "shop", [GrantArgs(schema, privileges, tables=tables)])
    try:
        statements = creation_statements(args)
    except ValueError:
        return
    name = r'"[A-Za-z_][A-Za-z0-9_]*"'
    assert re.fullmatch(rf'GRANT USAGE ON SCHEMA {name} TO "{{{{name}}}}";', statements[2])
    assert re.fullmatch(rf'GRANT [A-Z, ]+ ON TABLE ({name}\.{name}(, )?)+ TO "{{{{name}}}}";', statements[3])


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": 'x"'},
        {"schema": "pg_temp"},
        {"tables": ["x; y"]},
        {"sequences": ["x y"]},
        {"privileges": ["ALL"]},
        {"privileges": ["SELECT; DROP TABLE x"]},
    ],
)
def test_the_builder_trusts_no_caller(changes: dict[str, Any]) -> None:
    grants = [GrantArgs(**{"schema": "orders", "privileges": ["SELECT"], "tables": ["a"], **changes})]
    with pytest.raises(ValueError, match=r"not a name|not a privilege|server itself"):
        creation_statements(DatabaseArgs("shop", "shop", grants))
    with pytest.raises(ValueError, match="not a name"):
        creation_statements(DatabaseArgs("shop", 'shop"', [ORDERS]))


def test_a_removal_is_one_block_that_ends_sessions_takes_rights_and_drops() -> None:
    (block,) = revocation_statements(CONNECTED)
    places = [block.index(word) for word in ("pg_terminate_backend", "REVOKE", "DROP OWNED BY", "DROP ROLE")]
    assert places == sorted(places)
    assert block.startswith("DO $$")
    assert "IF EXISTS" in block


@pytest.mark.parametrize(("text", "number"), [("1h", 3600), ("90s", 90), ("15m", 900)])
def test_times_are_seconds(text: str, number: int) -> None:
    assert seconds(text) == number


def test_the_role_and_the_policy_are_the_service_s_own() -> None:
    args = service(databases=[CONNECTED])
    made = run(args)
    role = made.one("SecretBackendRole").inputs
    assert (role["backend"], role["name"], role["dbName"]) == ("database", "shop.api", "shop")
    assert (role["defaultTtl"], role["maxTtl"]) == (3600, 86400)
    assert role["creationStatements"] == creation_statements(CONNECTED)
    assert role["revocationStatements"] == revocation_statements(CONNECTED)
    assert re.findall(r'path "([^"]+)"', vault_policy(args)) == [
        "database/creds/shop.api",
        "secret/data/shop/api/database",
    ]
    assert "shop.api" in made.behind(made.one("Deployment"))
    assert made.one("SecretBackendRole").deleted_with == made.one("Namespace").urn
    assert not run(service()).of("SecretBackendRole")


def test_a_service_with_a_database_alone_logs_in_to_vault() -> None:
    args = service(secrets=[], databases=[CONNECTED])
    made = run(args)
    assert made.one("AuthBackendRole").inputs["tokenPolicies"] == ["shop.api"]
    assert vault_policy(args) == 'path "database/creds/shop.api" {\n  capabilities = ["read"]\n}\n'
    assert not made.of("SecretV2")
    assert 8200 in [port["port"] for rule in network_policy_spec(args)["egress"] for port in rule["ports"]]
    assert mesh_annotations(args)


def test_the_annotations_bring_the_credentials_as_one_more_file() -> None:
    notes = injector_annotations(service(secrets=[], databases=[CONNECTED]))
    prefix = "vault.hashicorp.com/agent-inject"
    assert notes[f"{prefix}-secret-database"] == "database/creds/shop.api"
    assert notes[f"{prefix}-file-database"] == "database"
    assert notes[f"{prefix}-perms-database"] == "0400"
    assert notes[f"{prefix}-template-database"] == (
        '{{- with secret "database/creds/shop.api" -}}\nU={{ .Data.username }}\n{{- end }}\n'
    )


def test_further_files_have_the_credentials_of_the_same_path() -> None:
    files = {"db-user": "{{ .Data.username }}", "db-password": "{{ .Data.password }}"}
    audit = replace(CONNECTED, name="audit", file="audit", files={"audit-user": "{{ .Data.username }}"})
    reader = ContainerArgs("reader", "registry.example.org/shop/reader:v1", 1000, port=9187, databases=["database"])
    args = service(secrets=[], databases=[replace(CONNECTED, files=files), audit], sidecars=[reader])
    notes = injector_annotations(args)
    prefix = "vault.hashicorp.com/agent-inject"
    written: dict[str, tuple[str, str]] = {
        notes[key.replace("-secret-", "-file-")]: (path, notes[key.replace("-secret-", "-template-")])
        for key, path in notes.items()
        if key.startswith(f"{prefix}-secret-")
    }
    own, other = "database/creds/shop.api", "database/creds/shop.api.audit"
    assert {file: path for file, (path, _) in written.items()} == {
        **dict.fromkeys(("database", "db-user", "db-password"), own),
        **dict.fromkeys(("audit", "audit-user"), other),
        **dict.fromkeys((".reader/database", ".reader/db-user", ".reader/db-password"), own),
    }
    assert written["db-password"][1] == f'{{{{- with secret "{own}" -}}}}\n{{{{ .Data.password }}}}\n{{{{- end }}}}\n'
    assert all(notes[f"{prefix}-perms-file.{number}"] == "0400" for number in range(3))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("files: {a: '{{ .Data.secret }}'}", r"database\.files\.a: "),
        ("files: {a/b: x}", r"database\.files\.a/b: "),
        ("files: {database: x}", "two of them write the file database"),
        ("file: a, files: {a: x}", "two of them write the file a"),
    ],
)
def test_further_files_that_could_not_be_are_refused(text: str, message: str) -> None:
    grants = "grants: [{schema: public, privileges: [SELECT], tables: all}]"
    with pytest.raises(ConfigError, match=message):
        parse_service(f"{SMALL}database: {{connection: main, {grants}, {text}}}\n", "x.yaml")


def test_a_file_that_a_container_names_may_be_a_further_one(tmp_path: Path) -> None:
    grants = "grants: [{schema: public, privileges: [SELECT], tables: all}]"
    database = f"database: {{connection: main, {grants}, files: {{db-user: '{{{{ .Data.username }}}}'}}}}\n"
    for name, found in (("db-user", True), ("db-name", False)):
        spec = parse_service(f"{SMALL}{database}env: {{DB_USER_FILE: /vault/secrets/{name}}}\n", "x.yaml").spec
        assert (not list(secret_path_findings([spec]))) is found


def test_a_stack_without_vault_makes_nothing_of_it() -> None:
    made = run(service(secrets=[], databases=[CONNECTED], platform=platform(vault=False, injection=False)))
    assert not made.of("SecretBackendRole")
    assert not made.of("kubernetes:core/v1:Secret")


def admission(host: str = "db.example.org", engine: str = "postgresql", **more: Any) -> Admission:
    return Admission((), api_server_reachable=True, **{"databases": {"shop": KnownDatabase(host, engine)}, **more})


@pytest.mark.parametrize(
    ("admitted", "error"),
    [
        (
            admission(databases=dict.fromkeys(("stock", "books"), KnownDatabase("h"))),
            r"services/a\.yaml:5: database\.connection: no such database .*, found 'shop'; legal: books, stock",
        ),
        (admission(databases={}), r"database\.connection: no such database"),
        (admission(vault=False), r"services/a\.yaml:5: database: this stack has no Vault"),
        (
            admission("postgres.shop.svc"),
            r"services/a\.yaml:5: calls: the database shop is the service postgres.*found \[\]; legal: postgres",
        ),
        (admission("postgres.shop.svc.cluster.local"), "the database shop is the service postgres"),
    ],
)
def test_what_the_stack_does_not_admit(tmp_path: Path, admitted: Admission, error: str) -> None:
    with pytest.raises(ConfigError, match=error):
        read_services(write(tmp_path, a=FULL, postgres=SMALL), admitted)


@pytest.mark.parametrize(
    ("text", "admitted"),
    [
        (FULL, admission()),
        (FULL, admission("10.0.0.9")),
        (FULL, admission("other.shop.svc")),
        (FULL, Admission((), api_server_reachable=True)),
        (FULL + "calls: [postgres]\n", admission("postgres.shop.svc")),
    ],
)
def test_what_the_stack_admits(tmp_path: Path, text: str, admitted: Admission) -> None:
    assert len(read_services(write(tmp_path, **agreeing({"a": text, "postgres": SMALL})), admitted)) == 2


def test_a_host_of_the_cluster_is_a_service() -> None:
    postgres = ServiceRef("shop", "postgres")
    assert ServiceRef.of_host("postgres.shop.svc") == ServiceRef.of_host("postgres.shop.svc.cluster.local") == postgres
    assert ServiceRef.of_host("postgres.shop.example.org") is ServiceRef.of_host("10.0.0.9") is None


def test_an_unknown_database_is_no_argument() -> None:
    with pytest.raises(ValueError, match=r"^databases: shop/x has users in a database that is not there, found"):
        services_args([parsed(f"database: {{connection: shop, {GRANT}}}")], platform(), 1)


@pytest.mark.parametrize("role", ["*", "shop.*", "shop", "shop.api.*", "a.b.c.d", "shop.api.x.owner.y", ""])
def test_a_connection_lets_in_services_alone(role: str) -> None:
    with pytest.raises(ValueError, match=r"^roles: .* more than one service"):
        DatabaseConnectionArgs("shop", "db.example.org", 5432, "shop", "vault", [role])
