"""States as the CLI writes them after a killed update: what is pending, and the state in which nothing is."""

import ast
from pathlib import Path
from typing import Any

import pytest

from pending_operations.releases import Release, releases
from pending_operations.state import MADE_ONCE, UNREAD, operations, settle, unread
from tests.support.stacks import ROOT

pytestmark = pytest.mark.unit

URN = "urn:pulumi:production::zero-trust::zero-trust:platform:VaultPlatform$"
CIPHER = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "v1:abc"}
# Written over, made anew or read: each by the provider's source, vault/ and internal/ of
# https://github.com/hashicorp/terraform-provider-vault
WRITTEN_OVER = {
    "Policy": "an existing one is overwritten without allow_overwrite",
    "AuthBackendConfig": "a configuration",
    "AuthBackendRole": "a role",
    "SecretBackendV2": "a configuration",
    "SecretBackendConnection": "a connection",
    "SecretBackendRole": "a role",
    "Endpoint": "a write",
    "SecretBackendIntermediateCertRequest": "a new key",
    "SecretBackendIntermediateSetSigned": "a write",
    "SecretBackendConfigUrls": "a configuration",
    "SecretBackendConfigIssuers": "a configuration",
    "SecretBackendIssuer": "an issuer that is there",
}


def resource(token: str, called: str, /, **inputs: Any) -> dict[str, Any]:
    return {"urn": f"{URN}{token}::{called}", "custom": True, "type": token, "inputs": {"__defaults": [], **inputs}}


def creating(*resources: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"type": "creating", "resource": each} for each in resources]


MOUNT = resource("vault:index/mount:Mount", "secret", path="secret", type="kv-v2")
LOGIN = resource("vault:index/authBackend:AuthBackend", "kubernetes", type="kubernetes")
AUDIT = resource("vault:index/audit:Audit", "audit-1", path="audit-1/", type="file")
SECRET = resource("vault:kv/secretV2:SecretV2", "api.db", mount="secret", name="shop/api/db", dataJson=CIPHER)
POLICY = resource("vault:index/policy:Policy", "shop.api", name="shop.api")
SPACE = resource("kubernetes:core/v1:Namespace", "shop", metadata={"name": "shop"})


@pytest.mark.parametrize(
    ("made", "object_id"),
    [
        (MOUNT, "secret"),
        (LOGIN, "kubernetes"),
        (AUDIT, "audit-1"),
        (SECRET, "secret/data/shop/api/db"),
        (POLICY, ""),
        (SPACE, ""),
        (resource("vault:index/mount:Mount", "m"), ""),
        (resource("vault:index/mount:Mount", "m", path=CIPHER), ""),
    ],
    ids=lambda each: each["type"].rpartition(":")[2] if isinstance(each, dict) else "",
)
def test_what_vault_makes_once_is_known_by_its_inputs(made: dict[str, Any], object_id: str) -> None:
    [operation] = operations({"pending_operations": creating(made)})
    assert operation.vault_id == object_id


def test_what_vault_makes_once_becomes_a_resource_and_the_rest_is_forgotten() -> None:
    deployment = {"resources": [], "pending_operations": creating(MOUNT, SECRET, POLICY, SPACE)}
    settle(deployment, lambda secret: secret == "secret/data/shop/api/db")
    mount, secret = deployment["resources"]
    assert mount == {**MOUNT, "id": "secret", "outputs": {"path": "secret", "type": "kv-v2"}, "initErrors": [UNREAD]}
    assert "initErrors" not in secret
    assert secret["outputs"] == {"mount": "secret", "name": "shop/api/db", "dataJson": CIPHER}
    assert deployment["pending_operations"] == []
    assert unread(deployment) == (MOUNT["urn"],)


def test_a_secret_that_vault_does_not_have_is_made_by_the_next_update() -> None:
    deployment = {"resources": [], "pending_operations": creating(SECRET)}
    settle(deployment, lambda _secret: False)
    assert deployment == {"resources": [], "pending_operations": []}


def test_a_resource_that_replaces_one_of_the_state_is_forgotten() -> None:
    stands = {**MOUNT, "id": "old", "outputs": {"path": "old"}}
    deployment = {"resources": [stands], "pending_operations": creating(MOUNT)}
    settle(deployment, lambda _secret: True)
    assert deployment == {"resources": [stands], "pending_operations": []}


def test_one_that_was_cut_off_twice_is_one_resource() -> None:
    deployment = {"pending_operations": creating(MOUNT, MOUNT)}
    settle(deployment, lambda _secret: True)
    assert [each["urn"] for each in deployment["resources"]] == [MOUNT["urn"]]


def test_a_state_without_anything_pending_stays_as_it_is() -> None:
    deployment = {"resources": [{**MOUNT, "id": "secret", "outputs": {"path": "secret"}}]}
    assert operations(deployment) == unread(deployment) == ()


class TestReleases:
    ISTIOD = resource("kubernetes:helm.sh/v3:Release", "istiod", name="istiod", namespace="istio-system")

    def test_one_that_was_being_installed_is_blocked_by_any_record(self) -> None:
        [release] = releases(operations({"pending_operations": creating(self.ISTIOD)}))
        assert release == Release("istio-system", "istiod", True, self.ISTIOD["urn"])
        assert release.is_blocked_by({"status": "deployed"})
        assert release.selector == "owner=helm,name=istiod"

    @pytest.mark.parametrize(
        ("status", "blocked"),
        [("pending-upgrade", True), ("pending-rollback", True), ("deployed", False), ("superseded", False)],
    )
    def test_one_that_was_being_upgraded_keeps_what_is_finished(self, status: str, blocked: bool) -> None:
        updating = [{"type": "updating", "resource": self.ISTIOD}]
        deployment = {"resources": [{**self.ISTIOD, "id": "x"}], "pending_operations": updating}
        [release] = releases(operations(deployment))
        assert release.is_blocked_by({"status": status}) is blocked

    def test_one_that_was_being_removed_is_left_to_the_next_run(self) -> None:
        deleting = [{"type": "deleting", "resource": self.ISTIOD}]
        assert releases(operations({"resources": [self.ISTIOD], "pending_operations": deleting})) == ()


def test_of_all_that_the_program_makes_in_vault_it_is_known_whether_vault_makes_it_once() -> None:
    """A type that is neither is a resource that a killed update may leave refused for good."""
    once = {token.rpartition(":")[2] for token in MADE_ONCE}
    used = {name for file in (ROOT / "components").rglob("*.py") for name in vault_classes(file)}
    assert {"Mount", "Audit", "AuthBackend", "SecretV2", "Policy"} <= used
    assert used <= once | set(WRITTEN_OVER)


def vault_classes(file: Path) -> set[str]:
    """The resources of Vault's provider that a module imports; its arguments and the provider are none."""
    return {
        alias.name
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "pulumi_vault"
        for alias in node.names
        if alias.name[0].isupper() and not alias.name.endswith("Args")
    }
