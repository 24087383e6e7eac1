"""The vault stand-in's database types against a real OpenBao and real databases."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from embedded.paths import State
from embedded.supervisor.layout import Layout
from embedded.supervisor.pki import Pki
from embedded.supervisor.postgres import password_file, postgres_program
from tests.support.database_servers import ADMIN, running_mariadb, running_redis
from tests.support.database_servers import FIRST as PASSWORD
from tests.support.postgres import REFUSED, Postgres
from tests.support.provider_plugin import CheckError, Managed, Plugin, as_json, failure, secret, secret_names
from tests.support.vault_server import Bao, bao, free_port, vault
from tests.support.waiting import eventually

__all__ = ["bao", "vault"]


CONNECTION = "vault:database/secretBackendConnection:SecretBackendConnection"
ROLE = "vault:database/secretBackendRole:SecretBackendRole"
ENDPOINT = "vault:generic/endpoint:Endpoint"
FIRST = "first-password"
CREATION = ["CREATE ROLE \"{{name}}\" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    state = State(tmp_path_factory.mktemp("postgres"))
    state.create()
    layout = Layout(state, Path(), {"postgres": free_port()}, Pki(state.pki))
    program = postgres_program(layout)
    process = subprocess.Popen(program.arguments, cwd=program.directory, env=program.environment)
    try:
        eventually(lambda: program.ready(0.0), "PostgreSQL accepts connections")
        yield Postgres(layout.ports["postgres"], password_file(layout).read_text())
    finally:
        process.send_signal(program.stop_signal)
        process.wait(timeout=600)


@pytest.fixture
def admin(server: Postgres) -> Iterator[str]:
    """An administrator that may create roles, with its first password."""
    server.psql(f"CREATE ROLE vault LOGIN CREATEROLE PASSWORD '{FIRST}'")
    yield "vault"
    server.psql("DROP ROLE vault")


@pytest.fixture
def engine(bao: Bao) -> Iterator[str]:
    bao.client.sys.enable_secrets_engine("database")
    yield "database"
    bao.client.sys.disable_secrets_engine("database")


def inputs(server: Postgres, admin: str, **more: object) -> dict[str, object]:
    where = f"127.0.0.1:{server.port}/postgres?sslmode=disable"
    postgresql: dict[str, object] = {
        "connectionUrl": f"postgresql://{{{{username}}}}:{{{{password}}}}@{where}",
        "username": admin,
        "passwordWo": secret(FIRST),
        "passwordWoVersion": 1,
        "passwordAuthentication": "scram-sha-256",
        "maxOpenConnections": 4,
    }
    return {
        "backend": "database",
        "name": "shop",
        "allowedRoles": ["shop.api"],
        "verifyConnection": True,
        "postgresql": {**postgresql, **more},
    }


def test_a_connection_lives_changes_and_goes(
    vault: Plugin, bao: Bao, server: Postgres, admin: str, engine: str
) -> None:
    connection, wanted = Managed(vault, CONNECTION), inputs(server, admin)
    assert connection.up(wanted) == "create"
    assert connection.id == "database/config/shop"
    assert FIRST not in str(connection.outputs)
    assert "postgresql" in secret_names(connection.outputs) & secret_names(connection.inputs)
    assert connection.up(wanted) == "same"
    assert connection.refresh() == "same"
    assert connection.up(wanted) == "same"

    assert connection.up({**wanted, "allowedRoles": ["shop.api", "shop.web"]}) == "update"
    assert bao.read("database/config/shop")["allowed_roles"] == ["shop.api", "shop.web"]
    assert connection.up(inputs(server, admin, maxOpenConnections=2)) == "update"
    assert bao.read("database/config/shop")["connection_details"]["max_open_connections"] == 2

    bao.write("database/config/shop", allowed_roles=["*"], plugin_name="postgresql-database-plugin")
    assert connection.refresh() == "changed"
    assert connection.up(inputs(server, admin, maxOpenConnections=2)) == "update"
    assert bao.read("database/config/shop")["allowed_roles"] == ["shop.api"]
    assert list(connection.diff({**wanted, "name": "other"}).replaces) == ["name"]

    bao.client.adapter.request("delete", "/v1/database/config/shop")
    assert connection.refresh() == "gone"
    connection.up(wanted)
    connection.destroy()
    assert not bao.read("database/config/shop")


def test_an_imported_connection_is_described_but_for_its_password(
    vault: Plugin, server: Postgres, admin: str, engine: str
) -> None:
    connection, wanted = Managed(vault, CONNECTION), inputs(server, admin)
    connection.up(wanted)
    taken = connection.take_over("database/config/shop")
    assert taken.state["allowedRoles"] == ["shop.api"]
    assert list(taken.diff(wanted).diffs) == ["postgresql"], "the version of the password is the program's alone"
    assert taken.up(wanted) == "update"
    assert taken.up(wanted) == "same"


def test_a_rotated_password_is_not_undone_by_another_change(
    vault: Plugin, server: Postgres, admin: str, engine: str
) -> None:
    connection, rotation = Managed(vault, CONNECTION), Managed(vault, ENDPOINT)
    wanted = inputs(server, admin)
    connection.up(wanted)
    due: dict[str, object] = {
        "path": "database/rotate-root/shop",
        "dataJson": as_json({"password_version": 1}),
        "disableRead": True,
        "disableDelete": True,
    }
    assert server.psql("SELECT 1", user=admin, password=FIRST) == "1"
    assert rotation.up(due) == "create"
    assert REFUSED in server.psql("SELECT 1", user=admin, password=FIRST)
    assert (rotation.refresh(), rotation.up(due)) == ("same", "same")

    assert connection.up({**wanted, "allowedRoles": ["shop.web"]}) == "update"
    assert connection.up(inputs(server, admin, passwordWo=secret("other"))) == "update", "the roles are back"
    server.psql(f"ALTER ROLE vault PASSWORD '{FIRST}'")
    assert connection.up(inputs(server, admin, passwordWoVersion=2)) == "update"
    assert rotation.up({**due, "dataJson": as_json({"password_version": 2})}) == "update"
    assert REFUSED in server.psql("SELECT 1", user=admin, password=FIRST)
    rotation.destroy()
    assert connection.refresh() == "same"


def test_a_password_in_the_state_is_sent_when_it_changes_alone(
    vault: Plugin, bao: Bao, server: Postgres, admin: str, engine: str
) -> None:
    connection, wanted = Managed(vault, CONNECTION), inputs(server, admin, password=secret(FIRST))
    postgresql = wanted["postgresql"]
    assert isinstance(postgresql, dict)
    del postgresql["passwordWo"], postgresql["passwordWoVersion"]
    connection.up(wanted)
    bao.write("database/rotate-root/shop")
    assert connection.refresh() == "same"
    assert connection.up({**wanted, "allowedRoles": []}) == "update"
    told = failure(lambda: connection.up({**wanted, "postgresql": {**postgresql, "password": secret("wrong")}}))
    assert "password authentication failed" in told


def test_a_connection_that_does_not_work_is_refused(vault: Plugin, server: Postgres, admin: str, engine: str) -> None:
    told = failure(lambda: Managed(vault, CONNECTION).up(inputs(server, admin, passwordWo=secret("wrong"))))
    assert "password authentication failed" in told
    assert "wrong" not in told


def test_a_connection_to_another_engine_lives_changes_and_goes(
    vault: Plugin, bao: Bao, engine: str, tmp_path: Path
) -> None:
    for name in ("mariadb", "redis"):
        (tmp_path / name).mkdir()
    with running_mariadb(tmp_path / "mariadb") as mariadb, running_redis(tmp_path / "redis") as redis:
        assert mariadb.sql(f"CREATE USER vault@'%' IDENTIFIED BY '{FIRST}'") == ""
        sql: dict[str, object] = {
            "connectionUrl": f"{{{{username}}}}:{{{{password}}}}@tcp(127.0.0.1:{mariadb.port})/",
            "username": "vault",
            "passwordWo": secret(FIRST),
            "passwordWoVersion": 1,
            "tlsCa": mariadb.authority.read_text(),
        }
        cache: dict[str, object] = {
            "host": "127.0.0.1",
            "port": redis.port,
            "username": ADMIN,
            "password": secret(PASSWORD),
            "tls": True,
            "caCert": redis.authority.read_text(),
        }
        for kind, block in (("mysql", sql), ("redis", cache)):
            wanted = {"backend": "database", "name": kind, "pluginName": f"{kind}-database-plugin", kind: block}
            connection = Managed(vault, CONNECTION)
            assert connection.up(wanted) == "create"
            assert (connection.up(wanted), connection.refresh(), connection.up(wanted)) == ("same", "same", "same")
            assert [name for name in ("postgresql", "mysql", "redis") if connection.state[name]] == [kind]
            assert connection.up({**wanted, "allowedRoles": ["shop.api"]}) == "update"
            assert bao.read(f"database/config/{kind}")["allowed_roles"] == ["shop.api"]
            connection.destroy()
            assert not bao.read(f"database/config/{kind}")


def test_a_role_makes_users_changes_and_goes(
    vault: Plugin, bao: Bao, server: Postgres, admin: str, engine: str
) -> None:
    Managed(vault, CONNECTION).up(inputs(server, admin))
    role = Managed(vault, ROLE)
    wanted: dict[str, object] = {
        "backend": "database",
        "name": "shop.api",
        "dbName": "shop",
        "creationStatements": CREATION,
        "revocationStatements": ['DROP ROLE "{{name}}";'],
        "defaultTtl": 600,
        "maxTtl": 3600,
    }
    assert role.up(wanted) == "create"
    assert (role.id, role.state["credentialType"]) == ("database/roles/shop.api", "password")
    assert (role.up(wanted), role.refresh()) == ("same", "same")
    assert role.take_over(role.id).up(wanted) == "same"
    user = bao.read("database/creds/shop.api")
    assert server.psql("SELECT current_user", user=user["username"], password=user["password"]) == user["username"]

    assert role.up({**wanted, "maxTtl": 1800}) == "update"
    bao.write("database/roles/shop.api", db_name="shop", creation_statements=['CREATE ROLE "{{name}}" SUPERUSER'])
    assert role.refresh() == "changed"
    assert role.up(wanted) == "update"
    assert bao.read("database/roles/shop.api")["creation_statements"] == CREATION
    less = {name: value for name, value in wanted.items() if name not in ("revocationStatements", "defaultTtl")}
    assert role.up(less) == "update"
    found = bao.read("database/roles/shop.api")
    assert (found["revocation_statements"], found["default_ttl"]) == ([], 0)
    assert list(role.diff({**less, "dbName": "other"}).replaces) == ["dbName"]
    role.destroy()
    assert not bao.read("database/roles/shop.api")


def test_an_unknown_property_is_named(vault: Plugin, server: Postgres) -> None:
    with pytest.raises(CheckError, match="postgresql has no property 'conectionUrl'"):
        Managed(vault, CONNECTION).checked(inputs(server, "vault", conectionUrl="x"))
    with pytest.raises(CheckError, match="revocationStatement"):
        Managed(vault, ROLE).checked({"backend": "database", "dbName": "a", "revocationStatement": []})
    with pytest.raises(CheckError, match="PostgreSQL, MariaDB and Redis alone"):
        Managed(vault, CONNECTION).checked({**inputs(server, "vault"), "cassandra": {"hosts": ["x"]}})
    with pytest.raises(CheckError, match="exclude each other"):
        Managed(vault, CONNECTION).checked({**inputs(server, "vault"), "mysql": {"connectionUrl": "x"}})
    with pytest.raises(CheckError, match="set disableRead and disableDelete"):
        Managed(vault, ENDPOINT).checked({"path": "sys/x", "dataJson": "{}"})
