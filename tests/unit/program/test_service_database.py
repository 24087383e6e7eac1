"""A database that is a service of the stack: how Vault reaches it, and in which order both are made."""

import runpy
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.kube.names import VAULT_INBOUND
from components.kube.service_ref import ServiceRef
from components.program.plan import Plan, plan
from components.program.stack import Stack, read_stack
from components.schema.problem import ConfigError
from components.service.args.service import SecureServiceArgs
from components.service.manifests.authorization import authorization_policy, peer_authentication
from components.service.manifests.egress import sidecar
from components.service.manifests.network_policy import network_policy_spec
from components.service.manifests.workload import service_spec
from tests.support.monitor import Recording, record
from tests.support.stacks import ROOT, settings

pytestmark = pytest.mark.unit

OF_STACK: dict[str, Any] = {
    "service": "shop/pg",
    "database": "orders",
    "adminUser": "vault",
    "adminFrom": "vault/password",
}
HEAD = {"namespace": "shop", "team": "commerce", "image": "registry.example.org/shop/x:v1"}
PG: dict[str, Any] = {
    **HEAD,
    "port": 5432,
    "protocol": "tcp",
    "callers": ["api", "vault/vault"],
    "secrets": {"vault": {"generate": ["password"]}},
    "metrics": {"port": 9187},
    "peers": [5433],
}
GRANT = {"schema": "shop", "privileges": ["SELECT"], "tables": "all"}
API: dict[str, Any] = {
    **HEAD,
    "port": 8080,
    "calls": ["pg"],
    "database": {"connection": "orders", "grants": [GRANT]},
}


def loaded(
    root: Path,
    database: dict[str, Any],
    pg: dict[str, Any],
    api: dict[str, Any],
    stack: str = "production",
    **changes: Any,
) -> Stack:
    (root / "services").mkdir(exist_ok=True)
    for name, keys in (("pg", pg), ("api", api)):
        (root / "services" / f"{name}.yaml").write_text(yaml.safe_dump(keys))
    scraper = {"scraper": {"namespace": "monitoring", "serviceAccount": "prometheus"}}
    mesh = {**scraper, **changes.pop("mesh", {})}
    chosen = settings(stack, databases={"orders": database}, mesh=mesh, **changes)
    return read_stack(root, f"Pulumi.{stack}.yaml", chosen)


def planned(root: Path, **changes: Any) -> Plan:
    return plan(loaded(root, OF_STACK, PG, API, **changes))


def pg_of(made: Plan) -> SecureServiceArgs:
    return next(args for args in made.services if args.name == "pg")


class TestTheDoor:
    @pytest.fixture
    def made(self, tmp_path: Path) -> Plan:
        return planned(tmp_path)

    def test_vault_comes_at_a_port_of_its_own_and_services_at_the_usual_one(self, made: Plan) -> None:
        assert made.vault
        (connection,) = made.vault.databases
        assert (connection.host, connection.port) == ("pg.shop.svc", VAULT_INBOUND)
        api = next(args for args in made.services if args.name == "api")
        assert "DB_PORT=5432" in api.databases[0].template
        assert list(api.egress) == []
        assert {port["port"] for port in service_spec(pg_of(made))["ports"]} == {5432, 9187, VAULT_INBOUND}

    def test_only_vaults_servers_reach_it_and_it_alone(self, made: Plan) -> None:
        rules = network_policy_spec(pg_of(made))["ingress"]
        (rule,) = [rule for rule in rules if VAULT_INBOUND in [port["port"] for port in rule["ports"]]]
        (peer,) = rule["from"]
        assert peer["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "vault"}
        assert peer["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": "vault", "component": "server"}
        assert rule["ports"] == [{"port": VAULT_INBOUND, "protocol": "TCP"}]
        assert made.vault
        (servers,) = [one for one in made.vault.network_policies if one["metadata"]["name"] == "servers"]
        out = [rule for rule in servers["spec"]["egress"] if VAULT_INBOUND in [port["port"] for port in rule["ports"]]]
        labels = {"matchLabels": {"app": "pg"}}
        (to,) = out[0]["to"]
        assert (to["podSelector"], to["namespaceSelector"]["matchLabels"]) == (
            labels,
            {"kubernetes.io/metadata.name": "shop"},
        )

    def test_the_mesh_leaves_that_port_alone_and_no_other(self, made: Plan) -> None:
        authentication = peer_authentication(pg_of(made))
        assert authentication
        assert authentication["spec"]["portLevelMtls"] == {str(VAULT_INBOUND): {"mode": "DISABLE"}}
        policy = authorization_policy(pg_of(made))
        assert policy
        nobody = [r for r in policy["spec"]["rules"] if "notPrincipals" in r["from"][0]["source"]]
        assert [rule["to"] for rule in nobody] == [[{"operation": {"ports": [str(VAULT_INBOUND)]}}]]

    def test_the_proxy_passes_it_on_and_keeps_its_other_listeners(self, made: Plan) -> None:
        found = sidecar(pg_of(made))
        assert found
        listeners = {
            one["port"]["number"]: (one["port"]["protocol"], one["defaultEndpoint"]) for one in found["spec"]["ingress"]
        }
        assert listeners == {
            5432: ("TCP", "0.0.0.0:5432"),
            5433: ("TCP", "0.0.0.0:5433"),
            9187: ("HTTP", "0.0.0.0:9187"),
            VAULT_INBOUND: ("TCP", "0.0.0.0:5432"),
        }

    def test_another_service_has_none(self, made: Plan) -> None:
        api = next(args for args in made.services if args.name == "api")
        found = sidecar(api)
        assert found
        assert "ingress" not in found["spec"]
        assert peer_authentication(api) is None
        assert str(VAULT_INBOUND) not in str((network_policy_spec(api), authorization_policy(api), service_spec(api)))

    def test_where_the_mesh_takes_plaintext_vault_comes_at_the_usual_port(self, tmp_path: Path) -> None:
        made = planned(tmp_path, stack="dev")
        assert made.vault
        assert made.vault.databases[0].port == 5432
        assert peer_authentication(pg_of(made)) is None
        assert sidecar(pg_of(made)) is None


class TestTheOrder:
    @pytest.fixture
    def made(self, tmp_path: Path) -> Recording:
        stack = loaded(tmp_path, OF_STACK, PG, API)
        main = runpy.run_path(str(ROOT / "__main__.py"), run_name="program")

        def create() -> None:
            main["create"](stack, plan(stack))

        return record(create)

    def test_vault_connects_when_the_server_runs_and_the_users_come_after(self, made: Recording) -> None:
        connection = made.one("SecretBackendConnection")
        behind = made.behind(connection)
        assert "shop.pg" in behind
        assert "shop.api" not in behind
        assert "database.orders" in made.behind(made.one("SecretBackendRole"))
        assert "database.orders.rotation" in made.behind(made.one("SecretBackendRole"))

    def test_the_first_password_is_the_one_that_the_service_generates(self, made: Recording) -> None:
        given = made.one("SecretBackendConnection").inputs["postgresql"]
        assert given["passwordWo"] == "generated-shop.pg.vault.password"
        assert given["connectionUrl"].startswith("postgresql://{{username}}:{{password}}@pg.shop.svc:18200/orders?")
        assert "sslmode=verify-full" in given["connectionUrl"]


CASES = [
    (
        {"service": "shop/pgg"},
        {},
        r"databases\.orders\.service: no such service, found 'shop/pgg'; legal: shop/api, shop/pg",
    ),
    ({"service": "pg"}, {}, "not a service of the stack: write namespace/name"),
    ({"host": "10.0.0.9"}, {}, r"databases\.orders\.host: service is there, too: keep one"),
    ({"port": 5433}, {}, r"databases\.orders\.port: service says it: leave it out"),
    ({"cidrs": ["10.0.0.0/24"]}, {}, r"databases\.orders\.cidrs: service says it"),
    ({"tls": False}, {}, "it would send credentials over a network in plaintext"),
    ({"adminFrom": "vault"}, {}, "write secret/field"),
    (
        {"adminFrom": "vault/pass"},
        {},
        r"adminFrom: shop/pg generates no field pass in a secret vault.*legal: vault/password",
    ),
    ({"adminSecret": "pg"}, {}, r"adminFrom: the first password is there twice"),
    ({}, {"protocol": "http"}, "shop/pg speaks http: a database speaks tcp"),
    ({}, {"callers": ["api"]}, "shop/pg does not let Vault in: add vault/vault to its callers"),
    ({}, {"peers": [VAULT_INBOUND]}, "listens on 18200, at which Vault comes"),
    (
        {},
        {"secrets": {"vault": {"generate": ["password"]}, "x": {"from": "api/x"}}},
        r"each of these waits for the next one.*shop/(api|pg) -> shop/(pg|api)",
    ),
]


@pytest.mark.parametrize(("database", "pg", "error"), CASES)
def test_what_cannot_work_is_refused(tmp_path: Path, database: dict[str, Any], pg: dict[str, Any], error: str) -> None:
    shared = {"secrets": {"x": {"generate": ["y"], "readers": ["pg"]}}} if "secrets" in pg else {}
    with pytest.raises(ConfigError, match=error):
        loaded(tmp_path, {**OF_STACK, **database}, {**PG, **pg}, {**API, **shared})


def test_a_database_is_somewhere() -> None:
    with pytest.raises(ConfigError, match=r"databases\.orders\.host: required, or service"):
        settings("production", databases={"orders": {"database": "orders", "adminUser": "vault"}})
    elsewhere = {"host": "10.0.0.9", "database": "orders", "adminUser": "vault", "adminFrom": "vault/password"}
    with pytest.raises(ConfigError, match=r"databases\.orders\.adminFrom: it needs service"):
        settings("production", databases={"orders": elsewhere})


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"mesh": {"dataPlane": "ambient"}}, "the ambient mode has none"),
        (
            {"vault": {"mode": "external", "address": "https://v.example.org", "cidrs": ["10.0.0.0/24"]}},
            "external Vault",
        ),
    ],
)
def test_where_vault_cannot_come_it_is_refused(tmp_path: Path, changes: dict[str, Any], error: str) -> None:
    pg = {key: value for key, value in PG.items() if key != "metrics"}
    with pytest.raises(ConfigError, match=error):
        loaded(tmp_path, OF_STACK, pg, API, **changes)


def test_a_service_is_written_as_dns_knows_it() -> None:
    database = settings("production", databases={"orders": OF_STACK}).databases["orders"]
    assert ServiceRef.of_host(database.address) == database.server == ServiceRef("shop", "pg")
