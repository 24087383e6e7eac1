"""The dev stack enforces only what its posture says, and becomes production in place."""

import json
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client.exceptions import ApiException

from tests.e2e import pods
from tests.e2e.plane import Plane, copy_program
from tests.e2e.waiting import eventually

pytestmark = pytest.mark.e2e

STACK = "dev"
SHOP = "shop"
SERVICES = ("api", "postgres", "redis")


@pytest.fixture(scope="module")
def dev(plane: Plane, tmp_path_factory: pytest.TempPathFactory) -> Plane:
    """The stack of a checkout of its own, whose stack file the last test edits."""
    own = Plane(plane.state, copy_program(tmp_path_factory.mktemp("checkout")))
    own.run("up", "--stack", STACK)
    return own


def uids(plane: Plane) -> dict[str, str]:
    return {name: plane.apps.read_namespaced_deployment(name, SHOP).metadata.uid for name in SERVICES}


def password(plane: Plane) -> str:
    vault = plane.vault_as_service(SHOP, "api", "shop.api")
    answer = vault.secrets.kv.v2.read_secret_version("shop/api/database", raise_on_deleted_version=True)
    return answer["data"]["data"]["password"]


@pytest.mark.parametrize("rule", pods.BAD)
def test_bad_pods_are_admitted(dev: Plane, rule: str) -> None:
    name = f"bad-{rule}"
    dev.core.create_namespaced_pod(SHOP, pods.BAD[rule](name))
    dev.core.delete_namespaced_pod(name, SHOP)


def test_there_is_no_network_policy_and_no_authorization_policy(dev: Plane) -> None:
    assert not dev.networking.list_network_policy_for_all_namespaces().items
    found = dev.objects.list_cluster_custom_object("security.istio.io", "v1", "authorizationpolicies")
    assert not found["items"]


def test_mutual_tls_is_permissive(dev: Plane) -> None:
    found = dev.objects.get_namespaced_custom_object(
        "security.istio.io", "v1", "istio-system", "peerauthentications", "default"
    )
    assert found["spec"]["mtls"]["mode"] == "PERMISSIVE"


def test_secrets_come_from_vault_here_too(dev: Plane) -> None:
    assert password(dev)
    assert not [item for item in dev.core.list_namespaced_secret(SHOP).items if item.type == "Opaque"]


@pytest.fixture(scope="module")
def before(dev: Plane) -> dict[str, Any]:
    return {"uids": uids(dev), "password": password(dev)}


@pytest.fixture(scope="module")
def hardened(dev: Plane, before: dict[str, Any]) -> Plane:
    assert before
    checkout: Path = dev.checkout
    (checkout / "Pulumi.dev.yaml").write_text((checkout / "Pulumi.production.yaml").read_text())
    dev.run("up", "--stack", STACK)
    return dev


class TestBecomesProduction:
    """The stack file takes the posture of production, on a living stack."""

    def test_no_deployment_was_replaced(self, hardened: Plane, before: dict[str, Any]) -> None:
        assert uids(hardened) == before["uids"]

    def test_no_secret_was_lost(self, hardened: Plane, before: dict[str, Any]) -> None:
        assert password(hardened) == before["password"]

    @pytest.mark.parametrize("rule", pods.BAD)
    def test_bad_pods_are_refused_now(self, hardened: Plane, rule: str) -> None:
        def refusal() -> str:
            try:
                hardened.core.create_namespaced_pod(SHOP, pods.BAD[rule](f"bad-{rule}"))
            except ApiException as refused:
                return json.loads(str(refused.body))["message"]
            hardened.core.delete_namespaced_pod(f"bad-{rule}", SHOP)
            return ""

        assert rule in eventually(refusal, f"{rule} refuses", timeout=60)
