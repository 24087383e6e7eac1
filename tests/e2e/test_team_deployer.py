"""What a team's deployer may do in a real OpenBao with databases of each kind, and what it may not."""

from dataclasses import dataclass
from typing import Any

import pytest
import requests

from components.config.engines import ENGINES
from components.service.args.database import DatabaseArgs, GrantArgs, KeyGrantArgs
from components.service.manifests.databases.statements import creation_statements, revocation_statements
from components.teams.vault_rights import deployer_policy
from tests.support.vault_server import Bao, bao

__all__ = ["bao"]

pytestmark = pytest.mark.e2e

OWN, FOREIGN = "orders-{}", "billing-{}"
KINDS = tuple(sorted(ENGINES))
ROLE = {"default_ttl": 600, "max_ttl": 600}


@dataclass(frozen=True)
class Deployer:
    """Requests with the deployer's token."""

    bao: Bao
    token: str

    def asks(self, method: str, path: str, **fields: object) -> int:
        """The status of a request."""
        client: Any = self.bao.client
        client.token = self.token
        answer = client.adapter.request(method, f"/v1/{path}", json=fields or None, raise_exception=False)
        assert not isinstance(answer, dict) or "errors" not in answer, answer
        return answer.status_code if isinstance(answer, requests.Response) else 200


@pytest.fixture(scope="module")
def engine(bao: Bao) -> Bao:
    bao.client.sys.enable_secrets_engine("database")
    bao.client.sys.enable_secrets_engine("kv", path="secret", options={"version": "2"})
    # As the platform makes them: a service of each team with its users and its secrets.
    for kind in KINDS:
        bao.write(f"database/roles/ledger.book-{kind}", db_name=FOREIGN.format(kind), **ROLE)
    bao.write("secret/data/ledger/book/signing", data={"key": "of another team"})
    return bao


def deployer_of(bao: Bao, name: str, databases: list[str]) -> Deployer:
    client: Any = bao.client
    client.sys.create_or_update_policy(name, deployer_policy(["payments", "refunds"], databases))
    made = client.auth.token.create(policies=[name], no_default_policy=True, ttl="10m")
    return Deployer(bao, made["auth"]["client_token"])


@pytest.fixture(scope="module")
def deployer(engine: Bao) -> Deployer:
    return deployer_of(engine, "team_deployer_payments", [OWN.format(kind) for kind in KINDS])


def users(kind: str, connection: str) -> dict[str, object]:
    """The role of a service's users, as the program makes it."""
    args = DatabaseArgs(
        connection,
        "orders",
        engine=kind,
        grants=[GrantArgs("orders", ["SELECT"], all_tables=True)],
        keys=[KeyGrantArgs("orders:", ["READ"])],
    )
    made = {"creation_statements": creation_statements(args), "revocation_statements": revocation_statements(args)}
    return {"db_name": connection, **ROLE, **made}


@pytest.mark.parametrize("kind", KINDS)
class TestUsersOfItsDatabases:
    def test_it_makes_changes_and_removes_them(self, deployer: Deployer, kind: str) -> None:
        path = f"database/roles/payments.checkout-{kind}"
        wanted = users(kind, OWN.format(kind))
        assert deployer.asks("post", path, **wanted) < 300
        assert deployer.asks("post", path, **wanted | {"max_ttl": 1200}) < 300
        assert deployer.asks("get", path) == 200
        assert deployer.asks("delete", path) < 300
        assert deployer.asks("post", f"database/roles/refunds.desk-{kind}", **wanted) < 300

    @pytest.mark.parametrize("more", [{}, {"DB_NAME": "orders"}])
    def test_none_in_the_database_of_another(self, deployer: Deployer, kind: str, more: dict[str, str]) -> None:
        wanted = users(kind, FOREIGN.format(kind)) | more
        assert deployer.asks("post", f"database/roles/payments.thief-{kind}", **wanted) == 403

    def test_none_moves_to_the_database_of_another(self, deployer: Deployer, kind: str) -> None:
        path = f"database/roles/payments.mover-{kind}"
        assert deployer.asks("post", path, **users(kind, OWN.format(kind))) < 300
        assert deployer.asks("post", path, db_name=FOREIGN.format(kind)) == 403
        assert deployer.asks("post", path, db_name=[FOREIGN.format(kind)]) in (400, 403)
        assert deployer.bao.read(path)["db_name"] == OWN.format(kind)

    def test_none_without_a_database(self, deployer: Deployer, kind: str) -> None:
        assert deployer.asks("post", f"database/roles/payments.nowhere-{kind}", **ROLE) == 400

    @pytest.mark.parametrize("service", ["ledger.book", "payments-two.api", "ledger.new", "refund.desk"])
    @pytest.mark.parametrize("method", ["post", "get", "delete"])
    def test_none_of_another_namespace(self, deployer: Deployer, kind: str, service: str, method: str) -> None:
        wanted = users(kind, OWN.format(kind)) if method == "post" else {}
        assert deployer.asks(method, f"database/roles/{service}-{kind}", **wanted) == 403

    @pytest.mark.parametrize("path", ["config", "rotate-root", "reset", "creds", "static-roles", "static-creds"])
    def test_neither_the_administrator_nor_a_user(self, deployer: Deployer, kind: str, path: str) -> None:
        for name in (OWN.format(kind), f"payments.checkout-{kind}"):
            assert {deployer.asks(method, f"database/{path}/{name}") for method in ("get", "post")} == {403}


def test_without_a_database_it_makes_no_users(engine: Bao) -> None:
    none = deployer_of(engine, "team_deployer_bare", [])
    assert none.asks("post", "database/roles/payments.checkout", db_name=OWN.format(KINDS[0])) == 403


class TestSecrets:
    def test_it_writes_first_values_and_reads_none(self, deployer: Deployer) -> None:
        path = "secret/data/payments/checkout/signing"
        assert deployer.asks("post", path, data={"key": "new"}) == 200
        assert deployer.asks("get", path) == 403

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("post", "secret/data/ledger/book/signing"),
            ("get", "secret/data/ledger/book/signing"),
            ("delete", "secret/data/ledger/book/signing"),
            ("post", "secret/data/payments-two/checkout/signing"),
            ("post", "secret/data/payments/signing"),
            ("post", "secret/data/payments/../ledger/book/signing"),
            ("get", "secret/metadata/payments?list=true"),
            ("delete", "secret/metadata/payments/checkout/signing"),
            ("post", "secret/destroy/payments/checkout/signing"),
            ("post", "sys/policies/acl/team_deployer_payments"),
            ("post", "auth/kubernetes/role/team_payments"),
            ("post", "auth/token/create"),
            ("get", "sys/mounts"),
        ],
    )
    def test_it_does_nothing_else(self, deployer: Deployer, method: str, path: str) -> None:
        assert deployer.asks(method, path, **({"data": {"key": "mine"}} if method == "post" else {})) in (403, 404)
