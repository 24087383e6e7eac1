"""What an operator does with a running Vault: ask who read a secret, rotate it, cut a service off."""

import base64
import json
import resource
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import hvac.exceptions
import pytest

from components.kube.names import OPERATOR
from components.vault.bootstrap import JWT_VARIABLE, BootstrapError
from components.vault.deployer import KubernetesLogin
from components.vault.operator import operator_policy
from tests.e2e.operator_commands import embedded, zt
from tests.e2e.plane import Plane
from tests.e2e.sealing import kept_sealed
from tests.e2e.test_vault_bootstrap import properties
from tests.support.postgres import Postgres
from tests.support.vault_server import Bao, running_bao
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e

STACK = "production"
SHOP = "shop"
SECRET = "shop/api/database"
REFUSED = (hvac.exceptions.Forbidden, hvac.exceptions.InvalidRequest)


@pytest.fixture(scope="module")
def production(plane: Plane) -> Plane:
    plane.run("up", "--stack", STACK, "--postgres")
    return plane


def read(plane: Plane, service: str = "api", path: str = SECRET) -> dict[str, Any]:
    """A secret as the service's own agent reads it: its fields and its version."""
    vault = plane.vault_as_service(SHOP, service, f"{SHOP}.{service}")
    return vault.secrets.kv.v2.read_secret_version(path, raise_on_deleted_version=True)["data"]


def works(vault: hvac.Client) -> bool:
    try:
        vault.auth.token.lookup_self()
    except hvac.exceptions.Forbidden:
        return False
    return True


def audited(plane: Plane, *arguments: str) -> list[dict[str, Any]]:
    done = zt(plane, "audit", *arguments, "--format", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["accesses"]


def outline(entries: list[dict[str, Any]]) -> list[tuple[str, str, str, str]]:
    return [(entry["account"], entry["operation"], entry["path"], entry["outcome"]) for entry in entries]


def now() -> str:
    return datetime.now(UTC).isoformat()


@pytest.fixture(scope="class")
def began(production: Plane) -> str:
    """The moment before api reads its secret, and redis tries to."""
    moment = now()
    read(production)
    with pytest.raises(hvac.exceptions.Forbidden):
        read(production, "redis")
    return moment


class TestAudit:
    def test_it_shows_what_a_service_read_and_nothing_else(self, production: Plane, began: str) -> None:
        assert outline(audited(production, "shop/api", "--embedded", "--since", began)) == [
            ("shop/api", "read", f"secret/data/{SECRET}", "allowed")
        ]

    def test_a_denied_attempt_is_shown_as_denied(self, production: Plane, began: str) -> None:
        assert outline(audited(production, "shop/redis", "--embedded", "--since", began)) == [
            ("shop/redis", "read", f"secret/data/{SECRET}", "denied")
        ]

    def test_it_shows_who_asked_for_a_secret(self, production: Plane, began: str) -> None:
        found = audited(production, "--secret", SECRET, "--embedded", "--since", began)
        assert [(entry["account"], entry["role"], entry["outcome"]) for entry in found] == [
            ("shop/api", "shop.api", "allowed"),
            ("shop/redis", "shop.redis", "denied"),
        ]
        assert found[0]["version"] == read(production)["metadata"]["version"]

    def test_both_devices_tell_the_same(self, production: Plane, began: str) -> None:
        devices = production.vault_as_deployer().sys.list_enabled_audit_devices()["data"].values()
        files = [device["options"]["file_path"] for device in devices]
        assert len(files) == 2
        logs = [str(production.state / "logs" / "vault.log") if file == "stdout" else file for file in files]
        one, other = (audited(production, "--secret", SECRET, "--file", log, "--since", began) for log in logs)
        assert [entry["request"] for entry in one] == [entry["request"] for entry in other]
        assert outline(one) == outline(other)

    @pytest.mark.usefixtures("began")
    def test_no_value_is_in_it(self, production: Plane) -> None:
        password = read(production)["data"]["password"]
        for arguments in (("shop/api",), ("--secret", SECRET)):
            for output_format in ("text", "json"):
                printed = embedded(production, "audit", *arguments, "--format", output_format)
                assert password not in printed
                assert "hmac-" not in printed


class TestRotate:
    def test_the_service_reads_a_new_version_and_its_other_fields_stay(self, production: Plane) -> None:
        before = read(production)
        told = embedded(production, "rotate", "shop/api", "password")
        after = read(production)
        old, new = before["metadata"]["version"], after["metadata"]["version"]
        assert new == old + 1
        assert f"secret/{SECRET}: password went from version {old} to {new}" in told
        assert after["data"]["password"] != before["data"]["password"]
        assert (len(after["data"]["password"]), after["data"]["password"].isalnum()) == (32, True)
        assert {**after["data"], "password": ""} == {**before["data"], "password": ""}
        assert not {before["data"]["password"], after["data"]["password"]} & set(told.split())

    def test_an_up_leaves_the_new_version_alone(self, production: Plane) -> None:
        rotated = read(production)
        preview = production.run("pulumi", "preview", "--stack", STACK, "--expect-no-changes", "--diff")
        assert "unchanged" in preview.stdout
        production.run("up", "--stack", STACK)
        assert read(production) == rotated

    def test_beside_an_up_both_do_their_work(self, production: Plane) -> None:
        before = read(production)
        up = production.start("up", "--stack", STACK)
        told = [embedded(production, "rotate", "shop/api", "password") for _ in range(2)]
        assert up.wait(timeout=1200) == 0, told
        after = read(production)
        assert after["metadata"]["version"] == before["metadata"]["version"] + len(told)
        assert {**after["data"], "password": ""} == {**before["data"], "password": ""}
        production.run("pulumi", "preview", "--stack", STACK, "--expect-no-changes")

    def test_a_dry_run_writes_nothing(self, production: Plane) -> None:
        before = read(production)
        assert "would go from version" in embedded(production, "rotate", "api", "--all", "--dry-run")
        assert read(production) == before

    def test_a_field_that_is_not_generated(self, production: Plane) -> None:
        done = zt(production, "rotate", "api", "host", "--embedded")
        assert done.returncode == 2
        assert "found 'host'; legal: password" in done.stderr

    def test_a_deleted_version_is_left_deleted(self, production: Plane) -> None:
        store = production.vault_as_deployer().secrets.kv.v2
        version = read(production, "redis", "shop/redis/auth")["metadata"]["version"]
        store.delete_latest_version_of_secret("shop/redis/auth")
        try:
            done = zt(production, "rotate", "redis", "password", "--embedded")
        finally:
            # Vault takes it only while nobody has written another version.
            store.create_or_update_secret("shop/redis/auth", {"password": "another"}, cas=version)
        assert done.returncode == 3
        assert f"version {version}, the latest, is deleted" in done.stderr

    def test_a_service_cannot_do_it(self, production: Plane) -> None:
        where = production.overlay["vault"]
        token = production.vault_as_service(SHOP, "api", "shop.api").token
        done = zt(
            production,
            *("rotate", "api", "password"),
            VAULT_ADDR=where["address"],
            VAULT_CACERT=where["caCertFile"],
            VAULT_TOKEN=str(token),
        )
        assert done.returncode == 3
        assert "permission denied" in done.stderr
        assert str(token) not in done.stderr

    def test_the_operators_login_lasts_ten_minutes_and_knows_its_audience(self, production: Plane) -> None:
        answer = self.login(production, "vault", OPERATOR, "vault")
        assert (answer["token_policies"], answer["lease_duration"]) == ([OPERATOR], 600)
        for namespace, account, audience in ((SHOP, "api", "vault"), ("vault", OPERATOR, None)):
            with pytest.raises(REFUSED):
                self.login(production, namespace, account, audience)

    def login(self, plane: Plane, namespace: str, account: str, audience: str | None) -> dict[str, Any]:
        jwt = plane.token(namespace, account, audience)
        return plane.vault().auth.kubernetes.login(role=OPERATOR, jwt=jwt)["auth"]

    @pytest.mark.parametrize("path", [f"secret/data/{SECRET}", "secret/metadata/shop", "sys/policies/acl/shop.api"])
    def test_the_operator_reads_no_secret(self, production: Plane, path: str) -> None:
        operator = production.vault_as_service("vault", OPERATOR, OPERATOR)
        for attempt in (operator.read, operator.list):
            with pytest.raises(hvac.exceptions.Forbidden):
                attempt(path)

    def test_the_operator_writes_no_whole_secret(self, production: Plane) -> None:
        operator = production.vault_as_service("vault", OPERATOR, OPERATOR)
        with pytest.raises(hvac.exceptions.Forbidden):
            operator.secrets.kv.v2.create_or_update_secret(SECRET, {"password": "mine"})


class TestRevoke:
    def test_every_token_of_the_service_is_refused_and_no_other(self, production: Plane) -> None:
        mine = [production.vault_as_service(SHOP, "api", "shop.api") for _ in range(3)]
        others = [production.vault_as_service(SHOP, "redis", "shop.redis"), production.vault_as_deployer()]
        assert all(works(vault) for vault in (*mine, *others))
        told = embedded(production, "revoke", "shop/api", "--yes")
        eventually(lambda: not any(works(vault) for vault in mine), "api's tokens are refused")
        assert all(works(vault) for vault in others)
        assert int(told.split("revoked ")[1].split()[0]) >= len(mine)
        assert read(production), "the role stays: a pod that runs logs in again"

    def test_its_own_login_ends_with_the_command(self, production: Plane) -> None:
        deployer = production.vault_as_deployer()
        embedded(production, "revoke", "shop/redis", "--yes")
        moment = now()
        embedded(production, "revoke", "shop/redis", "--yes")
        found = audited(
            production, f"vault/{OPERATOR}", "--embedded", "--path-prefix", "auth/token/", "--since", moment
        )
        assert found[-1]["path"] == "auth/token/revoke-self"
        assert works(deployer)

    def test_it_asks_first(self, production: Plane) -> None:
        mine = production.vault_as_service(SHOP, "api", "shop.api")
        assert zt(production, "revoke", "shop/api", "--embedded").returncode == 2
        assert works(mine)

    def test_a_service_that_vault_does_not_know(self, production: Plane) -> None:
        assert zt(production, "revoke", "shop/none", "--embedded", "--yes").returncode == 1

    def test_with_a_lock_nobody_logs_in_until_the_program_says_so(self, production: Plane) -> None:
        mine = production.vault_as_service(SHOP, "api", "shop.api")
        embedded(production, "revoke", "shop/api", "--yes", "--lock")
        assert not works(mine)
        with pytest.raises(REFUSED):
            production.vault_as_service(SHOP, "api", "shop.api")
        assert read(production, "redis", "shop/redis/auth")
        production.run("pulumi", "up", "--stack", STACK, "--refresh", "--yes", "--skip-preview")
        assert read(production)


@pytest.fixture
def own_bao(tmp_path: Path) -> Iterator[Bao]:
    """A Vault that a test may break: two audit devices, the first one's log the longer one."""
    with running_bao(tmp_path) as bao:
        bao.client.sys.enable_secrets_engine("kv", path="secret", options={"version": "2"})
        for number in (1, 2):
            options = {"file_path": str(tmp_path / f"audit-{number}.log")}
            bao.client.sys.enable_audit_device("file", options=options, path=f"audit-{number}")
        eventually(lambda: bao.client.secrets.kv.v2.create_or_update_secret(SECRET, {"password": "first"}), "KV v2")
        yield bao


def postgres(plane: Plane) -> Postgres:
    """The control plane's database, as its superuser."""
    port = json.loads((plane.state / "ports.json").read_text())["postgres"]
    return Postgres(port, (plane.state / "postgres" / "password").read_text())


def operator_of(bao: Bao) -> str:
    """A token with the operator's policy and nothing else."""
    bao.write(f"sys/policies/acl/{OPERATOR}", policy=operator_policy())
    made = bao.client.auth.token.create_orphan(policies=[OPERATOR], no_default_policy=True)
    return made["auth"]["client_token"]


@pytest.fixture
def pipeline(production: Plane) -> Iterator[str]:
    """The service account of a deploy pipeline, in the namespace `default`."""
    name = "pipeline"
    production.core.create_namespaced_service_account("default", {"metadata": {"name": name}})
    yield name
    production.core.delete_namespaced_service_account(name, "default")


def test_a_service_account_of_the_cluster_deploys(
    production: Plane, pipeline: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The login of `vault.bootstrap.login.kubernetes`, with the reviewer that Vault's own pod would be."""
    api = production.api.configuration
    host, authority = str(api.host), Path(str(api.ssl_ca_cert)).read_text()
    secret = production.core.read_namespaced_secret("vault-token-reviewer", "vault")
    reviewer = {"token_reviewer_jwt": base64.b64decode(secret.data["token"]).decode(), "kubernetes_ca_cert": authority}
    others = (("default", pipeline, None), ("default", "default", "vault"), ("kube-system", "default", "vault"))
    with running_bao(tmp_path, initialised=False) as bao:
        setup = properties(bao, KubernetesLogin("default", pipeline, host))
        writes = json.loads(setup.login["writes"])
        writes["auth/kubernetes-deployer/config"] |= reviewer
        root_token = setup.initialise()["root_token"]
        for other in others:
            monkeypatch.setenv(JWT_VARIABLE, production.token(*other))
            with pytest.raises(BootstrapError, match="cannot log in at auth/kubernetes-deployer"):
                setup.make_login(root_token, writes=json.dumps(writes))
        monkeypatch.setenv(JWT_VARIABLE, production.token("default", pipeline, "vault"))
        setup.make_login(root_token, writes=json.dumps(writes))
        assert not setup.lives(root_token)


class TestOwnVault:
    def run(self, production: Plane, bao: Bao, token: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {"VAULT_ADDR": bao.address, "VAULT_CACERT": bao.ca_file, "VAULT_TOKEN": token}
        return zt(production, *arguments, **environment)

    def rotate(self, production: Plane, bao: Bao, token: str) -> subprocess.CompletedProcess[str]:
        return self.run(production, bao, token, "rotate", "api", "password")

    def test_the_database_users_of_a_service_end_with_its_tokens(self, production: Plane, own_bao: Bao) -> None:
        database = postgres(production)
        self.make_credentials(own_bao, database)
        account = {"service_account_namespace": SHOP, "service_account_name": "api"}
        token = own_bao.client.auth.token.create_orphan(policies=["api"], meta=account)["auth"]["client_token"]
        pod = hvac.Client(url=own_bao.address, token=token, verify=own_bao.ca_file)
        # One under the service's token, one that outlives its token, and one of a service with a similar name.
        mine: list[Any] = [pod.read("database/creds/shop.api"), own_bao.client.read("database/creds/shop.api")]
        other: Any = own_bao.client.read("database/creds/shop.api2")
        logins = [(made["data"]["username"], made["data"]["password"]) for made in (*mine, other)]
        assert [database.psql("SELECT 1", user=user, password=password) for user, password in logins] == ["1"] * 3
        done = self.run(production, own_bao, operator_of(own_bao), "revoke", "shop/api", "--yes")
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("shop/api: revoked 1 token and 2 leases.")
        answers = [database.psql("SELECT 1", user=user, password=password) for user, password in logins]
        assert [answer == "1" for answer in answers] == [False, False, True]
        assert database.roles() & {user for user, _ in logins} == {logins[2][0]}
        assert not works(pod)

    def make_credentials(self, bao: Bao, database: Postgres) -> None:
        bao.client.sys.enable_secrets_engine("database")
        bao.write(
            "database/config/shop",
            plugin_name="postgresql-database-plugin",
            allowed_roles="*",
            connection_url=f"postgresql://{{{{username}}}}:{{{{password}}}}@127.0.0.1:{database.port}/postgres?sslmode=disable",
            username="postgres",
            password=database.password,
        )
        made = "CREATE ROLE \"{{name}}\" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'"
        for role in ("shop.api", "shop.api2"):
            bao.write(f"database/roles/{role}", db_name="shop", creation_statements=[made], default_ttl="1h")
        bao.write("sys/policies/acl/api", policy='path "database/creds/shop.api" { capabilities = ["read"] }')

    def test_a_request_is_refused_when_no_device_can_log_it(self, own_bao: Bao) -> None:
        vault, pid = own_bao.client, own_bao.process.pid
        first, second = (own_bao.directory / f"audit-{number}.log" for number in (1, 2))
        unlimited = resource.prlimit(pid, resource.RLIMIT_FSIZE)

        def no_file_grows_beyond(size: int) -> None:
            # As a full volume does to a log: the write fails, and nothing else of this server is on disk.
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, unlimited[1]))

        def secret() -> str:
            return vault.secrets.kv.v2.read_secret_version(SECRET, raise_on_deleted_version=True)["data"]["data"]

        assert first.stat().st_size > second.stat().st_size + 100
        kept = first.stat().st_size
        no_file_grows_beyond(kept)
        assert secret() == {"password": "first"}, "one device that can write is enough"
        assert first.stat().st_size == kept
        no_file_grows_beyond(0)
        for attempt in (secret, lambda: vault.secrets.kv.v2.create_or_update_secret(SECRET, {"password": "unseen"})):
            with pytest.raises(hvac.exceptions.InternalServerError):
                attempt()
        no_file_grows_beyond(unlimited[0])
        assert secret() == {"password": "first"}, "what nobody could log was not done"

    def test_a_sealed_and_an_absent_vault_are_told_in_one_line(self, production: Plane, own_bao: Bao) -> None:
        token = operator_of(own_bao)
        assert self.rotate(production, own_bao, token).returncode == 0
        with kept_sealed(own_bao):
            sealed = self.rotate(production, own_bao, token)
        assert (sealed.returncode, sealed.stderr.count("\n")) == (3, 1)
        assert "is sealed: unseal it first" in sealed.stderr
        own_bao.stop()
        absent = self.rotate(production, own_bao, token)
        assert (absent.returncode, absent.stderr.count("\n")) == (3, 1)
        assert "cannot be reached" in absent.stderr

    def test_a_token_that_is_none(self, production: Plane, own_bao: Bao) -> None:
        refused = self.rotate(production, own_bao, "nonsense")
        assert (refused.returncode, refused.stderr.count("\n")) == (3, 1)
        assert "permission denied" in refused.stderr
