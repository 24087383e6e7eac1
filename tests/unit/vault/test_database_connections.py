"""Vault's connections to the databases of a stack, by engine."""

from pathlib import Path
from typing import Any

import pytest
import trustme

from components.config.stack_file import parse_settings
from components.schema.problem import ConfigError, Problem
from components.vault.database_connection import DatabaseConnectionArgs, connection_url
from tests.support.stacks import plan_of, values
from tests.unit.vault.test_platform import run

pytestmark = pytest.mark.unit

STACK_SHOP = {"host": "db.example.org", "database": "shop", "adminUser": "vault"}
MARIADB = {"engine": "mariadb", "host": "10.0.0.9", "database": "shop", "adminUser": "vault"}
REDIS = {"engine": "redis", "host": "10.0.0.8", "adminUser": "vault"}


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(path)
    return path


@pytest.fixture
def first(tmp_path: Path) -> Path:
    path = tmp_path / "first"
    path.write_text("hunter2\n")
    return path


def connections(**databases: dict[str, Any]) -> dict[str, DatabaseConnectionArgs]:
    planned = plan_of("production", databases=databases).vault
    assert planned
    return {args.name: args for args in planned.databases}


class TestMariaDB:
    def test_vault_verifies_the_server_by_the_authority_that_the_stack_names(self, authority: Path) -> None:
        made = connections(shop={**MARIADB, "authorityFile": str(authority)}, books={**MARIADB, "adminUser": "books"})
        # With an authority of its own the plugin makes the TLS settings; without one they are the driver's.
        assert connection_url(made["shop"]) == "{{username}}:{{password}}@tcp(10.0.0.9:3306)/"
        assert made["shop"].authority == authority.read_text()
        assert connection_url(made["books"]) == "{{username}}:{{password}}@tcp(10.0.0.9:3306)/?tls=true"
        local = connections(shop={**MARIADB, "host": "::1", "tls": False})["shop"]
        assert connection_url(local) == "{{username}}:{{password}}@tcp([::1]:3306)/"

    def test_the_connection_is_tested_and_its_password_replaced(self, authority: Path, first: Path) -> None:
        keys = {"authorityFile": str(authority), "adminPasswordFile": str(first), "port": 3307}
        recorded = run(databases=[connections(shop={**MARIADB, **keys})["shop"]])
        made = recorded.one("SecretBackendConnection").inputs
        assert (made["pluginName"], made["verifyConnection"]) == ("mysql-database-plugin", True)
        block = made["mysql"]
        assert block["tlsCa"] == authority.read_text()
        assert (block["passwordWo"], block["passwordWoVersion"]) == ("hunter2", 1)
        assert ".DisplayName" not in block["usernameTemplate"]
        assert {"postgresql", "redis"}.isdisjoint(made)
        assert recorded.one("Endpoint").inputs["path"] == "database/rotate-root/shop"


class TestMongoDB:
    def test_the_connection_has_tls_and_its_password_is_replaced(self, authority: Path, first: Path) -> None:
        keys = {"engine": "mongodb", "authorityFile": str(authority), "adminPasswordFile": str(first)}
        recorded = run(databases=[connections(shop={**MARIADB, **keys})["shop"]])
        made = recorded.one("SecretBackendConnection").inputs
        assert made["pluginName"] == "mongodb-database-plugin"
        block = made["mongodb"]
        assert block["connectionUrl"] == "mongodb://{{username}}:{{password}}@10.0.0.9:27017/admin?tls=true"
        assert (block["tlsCa"], block["passwordWo"]) == (authority.read_text(), "hunter2")
        assert recorded.of("Endpoint")

    def test_openbao_has_no_plugin_for_it(self) -> None:
        wanted = {"distribution": "openbao", "address": "https://vault.example.org:8200"}
        message = r"databases\.shop\.engine: OpenBao has no plugin.*legal: mariadb, postgresql, redis"
        with pytest.raises(ConfigError, match=message):
            plan_of("staging", databases={"shop": {**MARIADB, "engine": "mongodb"}}, vault=wanted)


class TestRedis:
    def test_the_connection_has_tls_and_keeps_its_password(self, authority: Path, first: Path) -> None:
        keys = {"authorityFile": str(authority), "adminPasswordFile": str(first)}
        recorded = run(databases=[connections(cache={**REDIS, **keys})["cache"]])
        made = recorded.one("SecretBackendConnection").inputs
        assert (made["pluginName"], made["verifyConnection"]) == ("redis-database-plugin", True)
        assert made["redis"] == {
            "host": "10.0.0.8",
            "port": 6379,
            "username": "vault",
            "password": "hunter2",
            "tls": True,
            "caCert": authority.read_text(),
        }
        # Redis forgets a new password when it starts again, and Vault would be locked out.
        assert not recorded.of("Endpoint")

    def test_a_missing_password_file_is_no_file_to_leave_out(self, authority: Path, tmp_path: Path) -> None:
        keys = {"authorityFile": str(authority), "adminPasswordFile": str(tmp_path / "none")}
        with pytest.raises(ConfigError, match=r"databases\.cache\.adminPasswordFile: no such file, found"):
            plan_of("production", databases={"cache": {**REDIS, **keys}})

    def test_a_connection_built_in_code_needs_one_too(self) -> None:
        with pytest.raises(ValueError, match=r"^password_file: required for redis"):
            DatabaseConnectionArgs("cache", "10.0.0.9", 6379, "", "vault", ["shop.api"], engine="redis")


def test_the_old_name_of_the_engine_is_told() -> None:
    warnings: list[Problem] = []
    given = {**values("production"), "databases": {"shop": {**STACK_SHOP, "plugin": "postgresql"}}}
    assert parse_settings(given, "f", warn=warnings.append).databases["shop"].engine == "postgresql"
    assert [warning.key for warning in warnings] == ["zero-trust:databases.shop.plugin"]


def test_an_authority_that_is_none_is_named(first: Path) -> None:
    keys = {"authorityFile": str(first), "adminPasswordFile": str(first)}
    with pytest.raises(ConfigError, match=r"databases\.shop\.authorityFile: .*holds no certificate"):
        plan_of("production", databases={"shop": {**MARIADB, **keys}})


def test_vaults_servers_reach_the_port_of_the_engine() -> None:
    planned = plan_of("production", databases={"shop": MARIADB}).vault
    assert planned
    (servers,) = [one for one in planned.network_policies if one["metadata"]["name"] == "servers"]
    (rule,) = [rule for rule in servers["spec"]["egress"] if {"ipBlock": {"cidr": "10.0.0.9/32"}} in rule["to"]]
    assert [port["port"] for port in rule["ports"]] == [3306]


def test_the_databases_of_the_stack_reach_the_arguments(tmp_path: Path) -> None:
    password = tmp_path / "first"
    password.write_text("hunter2")
    given = {
        "port": 6432,
        "adminPasswordFile": str(password),
        "adminPasswordVersion": 3,
        "caCertFile": "/vault/tls/ca.crt",
        "maxOpenConnections": 9,
    }
    args = plan_of(
        "production", databases={"shop": {**STACK_SHOP, **given}, "books": STACK_SHOP | {"host": "::1"}}
    ).vault
    assert args is not None
    books, shop = args.databases
    assert shop == DatabaseConnectionArgs(
        "shop",
        "db.example.org",
        6432,
        "shop",
        "vault",
        [],
        ca_cert_file="/vault/tls/ca.crt",
        max_open_connections=9,
        password_file=str(password),
        password_version=3,
    )
    assert (books.host, books.password_file, books.password_secret) == ("::1", "", "")
    secret = plan_of("production", databases={"shop": {**STACK_SHOP, "adminSecret": "shop"}}).vault
    assert secret is not None
    assert secret.databases[0].password_secret == "zero-trust-secrets:shop"


def test_a_missing_password_file_is_named_before_anything_is_created(tmp_path: Path) -> None:
    database = {**STACK_SHOP, "adminPasswordFile": str(tmp_path / "none")}
    with pytest.raises(ConfigError, match=r"zero-trust:databases\.shop\.adminPasswordFile: no such file.*none"):
        plan_of("production", databases={"shop": database})
