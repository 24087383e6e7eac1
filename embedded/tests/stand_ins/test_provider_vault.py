"""The vault stand-in against a real OpenBao: every type is created, changed, refreshed, imported and deleted."""

from pathlib import Path

import pytest

from tests.support.provider_plugin import CheckError, Managed, Plugin, as_json, failure, plain, secret, secret_names
from tests.support.vault_server import Bao, bao, vault

__all__ = ["bao", "vault"]


MOUNT, POLICY, AUDIT = "vault:index/mount:Mount", "vault:index/policy:Policy", "vault:index/audit:Audit"
AUTH, KV_CONFIG = "vault:index/authBackend:AuthBackend", "vault:kv/secretBackendV2:SecretBackendV2"
CONFIG, ROLE = (
    "vault:kubernetes/authBackendConfig:AuthBackendConfig",
    "vault:kubernetes/authBackendRole:AuthBackendRole",
)
SECRET_V2 = "vault:kv/secretV2:SecretV2"


def imported_is_stable(resource: Managed, inputs: dict[str, object]) -> None:
    """An import of the object describes it so that the program that made it finds nothing to change."""
    taken = resource.take_over(resource.id)
    assert taken.id == resource.id
    assert taken.up(inputs) == "same"


def test_a_mount_lives_changes_and_goes(vault: Plugin, bao: Bao) -> None:
    mount = Managed(vault, MOUNT)
    inputs: dict[str, object] = {
        "path": "apps",
        "type": "kv",
        "options": {"version": "2"},
        "description": "application secrets",
    }
    assert mount.up(inputs) == "create"
    assert mount.id == "apps"
    assert str(mount.state["accessor"]).startswith("kv_")
    assert mount.up(inputs) == "same"
    imported_is_stable(mount, inputs)

    assert mount.up({**inputs, "description": "secrets of applications", "maxLeaseTtlSeconds": 3600}) == "update"
    found = bao.client.sys.list_mounted_secrets_engines()["data"]["apps/"]
    assert (found["description"], found["config"]["max_lease_ttl"]) == ("secrets of applications", 3600)

    bao.client.sys.tune_mount_configuration("apps", description="changed by hand")
    assert mount.refresh() == "changed"
    assert mount.state["description"] == "changed by hand"
    assert mount.up(inputs) == "update"
    assert bao.client.sys.list_mounted_secrets_engines()["data"]["apps/"]["description"] == "application secrets"

    mount.destroy()
    assert "apps/" not in bao.client.sys.list_mounted_secrets_engines()["data"]


def test_a_description_left_out_of_the_program_is_removed(vault: Plugin, bao: Bao) -> None:
    mount = Managed(vault, MOUNT)
    mount.up({"path": "plain", "type": "kv-v2", "description": "for now"})
    assert mount.up({"path": "plain", "type": "kv-v2"}) == "update"
    assert bao.client.sys.list_mounted_secrets_engines()["data"]["plain/"]["description"] == ""
    mount.destroy()


def test_a_kv_v2_alias_is_no_drift(vault: Plugin) -> None:
    mount = Managed(vault, MOUNT)
    mount.up({"path": "alias", "type": "kv-v2"})
    assert mount.refresh() == "same"
    assert mount.up({"path": "alias", "type": "kv-v2"}) == "same"
    mount.destroy()


def test_a_moved_mount_keeps_its_secrets(vault: Plugin, bao: Bao) -> None:
    mount = Managed(vault, MOUNT)
    mount.up({"path": "before", "type": "kv-v2"})
    bao.client.secrets.kv.v2.create_or_update_secret("kept", {"k": "v"}, mount_point="before")
    assert mount.up({"path": "after", "type": "kv-v2"}) == "update"
    kept = bao.client.secrets.kv.v2.read_secret_version("kept", mount_point="after", raise_on_deleted_version=True)
    assert kept["data"]["data"] == {"k": "v"}
    assert mount.refresh() == "same"
    mount.destroy()
    assert "after/" not in bao.client.sys.list_mounted_secrets_engines()["data"]


def test_another_type_of_mount_replaces_the_old_one_first(vault: Plugin) -> None:
    mount = Managed(vault, MOUNT)
    mount.up({"path": "swap", "type": "kv-v2"})
    with_its_path_taken = {"path": "swap", "type": "transit"}
    assert "already in use" in failure(lambda: mount.up(with_its_path_taken)), "only the program can have it go first"
    assert mount.up(with_its_path_taken, delete_first=True) == "replace"
    assert mount.state["type"] == "transit"
    mount.destroy()


def test_a_mount_that_exists_is_refused_with_the_way_to_import_it(vault: Plugin, bao: Bao) -> None:
    bao.client.sys.enable_secrets_engine("kv", path="taken")
    told = failure(lambda: Managed(vault, MOUNT).up({"path": "taken", "type": "kv"}))
    assert "already in use" in told
    assert f"pulumi import {MOUNT} NAME taken" in told


def test_a_policy_lives_changes_and_goes(vault: Plugin, bao: Bao) -> None:
    policy = Managed(vault, POLICY)
    rules = 'path "apps/data/api" {\n  capabilities = ["read"]\n}\n'
    assert policy.up({"name": "api", "policy": rules}) == "create"
    assert (policy.id, policy.state["policy"]) == ("api", rules)
    imported_is_stable(policy, {"name": "api", "policy": rules})

    bao.client.sys.create_or_update_acl_policy("api", 'path "*" { capabilities = ["sudo"] }')
    assert policy.refresh() == "changed"
    assert policy.up({"name": "api", "policy": rules}) == "update"
    assert bao.client.sys.read_acl_policy("api")["data"]["policy"] == rules

    bao.client.sys.delete_acl_policy("api")
    assert policy.refresh() == "changed", "upstream takes one that is gone for an empty one"
    assert policy.up({"name": "api", "policy": rules}) == "update"
    assert bao.client.sys.read_acl_policy("api")["data"]["policy"] == rules
    policy.destroy()
    assert "api" not in bao.client.sys.list_acl_policies()["data"]["keys"]


def test_a_policy_without_a_name_gets_one_and_keeps_it(vault: Plugin) -> None:
    policy = Managed(vault, POLICY, name="readers")
    policy.up({"policy": 'path "a" { capabilities = ["read"] }'})
    assert policy.id.startswith("readers-")
    assert policy.up({"policy": 'path "b" { capabilities = ["read"] }'}) == "update"
    policy.destroy()


def test_a_policy_that_may_not_be_overwritten_is_refused(vault: Plugin, bao: Bao) -> None:
    bao.client.sys.create_or_update_acl_policy("theirs", 'path "a" { capabilities = ["read"] }')
    inputs: dict[str, object] = {"name": "theirs", "policy": "", "allowOverwrite": False}
    assert "exists already" in failure(lambda: Managed(vault, POLICY).up(inputs))


def test_an_audit_device_lives_and_goes(vault: Plugin, bao: Bao, tmp_path: Path) -> None:
    audit = Managed(vault, AUDIT)
    inputs: dict[str, object] = {
        "type": "file",
        "options": {"file_path": str(tmp_path / "audit.log")},
        "description": "all",
    }
    assert audit.up(inputs) == "create"
    assert (audit.id, audit.state["path"]) == ("file", "file")
    assert (tmp_path / "audit.log").exists()
    assert audit.up(inputs) == "same"
    imported_is_stable(audit, inputs)
    assert audit.up({**inputs, "description": "everything"}, delete_first=True) == "replace"
    bao.client.sys.disable_audit_device("file")
    assert audit.refresh() == "gone"
    audit.up(inputs)
    audit.destroy()
    assert bao.client.sys.list_enabled_audit_devices()["data"] == {}


def test_an_auth_method_lives_changes_and_goes(vault: Plugin, bao: Bao) -> None:
    auth = Managed(vault, AUTH)
    inputs: dict[str, object] = {
        "type": "kubernetes",
        "path": "k8s",
        "tune": {"defaultLeaseTtl": "1h", "maxLeaseTtl": "24h"},
    }
    assert auth.up(inputs) == "create"
    assert auth.id == "k8s"
    assert auth.up(inputs) == "same"
    imported_is_stable(auth, inputs)

    assert auth.up({**inputs, "tune": {"defaultLeaseTtl": "30m"}, "description": "pods"}) == "update"
    found = bao.client.sys.list_auth_methods()["data"]["k8s/"]
    assert found["description"] == "pods"
    assert (found["config"]["default_lease_ttl"], found["config"]["max_lease_ttl"]) == (1800, 0)

    bao.client.sys.tune_auth_method("k8s", default_lease_ttl="2h")
    assert auth.refresh() == "same", "upstream does not compare the times of a block that the state has"
    bao.client.sys.tune_auth_method("k8s", description="by hand")
    assert auth.refresh() == "changed"
    assert auth.up({**inputs, "tune": {"defaultLeaseTtl": "30m"}, "description": "pods"}) == "update"

    assert auth.up({**inputs, "path": "pods"}) == "update"
    assert "pods/" in bao.client.sys.list_auth_methods()["data"]
    stays = auth.diff({**inputs, "path": "elsewhere", "disableRemount": True})
    assert list(stays.replaces) == ["path"]
    auth.destroy()
    assert "pods/" not in bao.client.sys.list_auth_methods()["data"]


def test_kubernetes_auth_is_configured_and_has_roles(vault: Plugin, bao: Bao) -> None:
    auth, config, role = Managed(vault, AUTH), Managed(vault, CONFIG), Managed(vault, ROLE)
    auth.up({"type": "kubernetes"})
    ca = Path(bao.ca_file).read_text(encoding="utf-8")
    reviewer = "eyJhbGciOiJub25lIn0.e30.x"
    inputs: dict[str, object] = {
        "kubernetesHost": "https://127.0.0.1:6443",
        "kubernetesCaCert": ca,
        "tokenReviewerJwt": secret(reviewer),
        "disableLocalCaJwt": True,
    }
    assert config.up(inputs) == "create"
    assert config.id == "auth/kubernetes/config"
    assert "tokenReviewerJwt" in secret_names(config.outputs) & secret_names(config.inputs)
    assert config.state["tokenReviewerJwt"] == reviewer
    assert config.up(inputs) == "same"
    taken = config.take_over(config.id)
    assert taken.state["kubernetesHost"] == "https://127.0.0.1:6443"
    assert list(taken.diff(inputs).diffs) == ["tokenReviewerJwt"], "the API never gives the token back"

    bao.write(
        "auth/kubernetes/config", kubernetes_host="https://evil", kubernetes_ca_cert=ca, disable_local_ca_jwt=True
    )
    assert config.refresh() == "changed"
    assert config.up(inputs) == "update"
    assert bao.read("auth/kubernetes/config")["kubernetes_host"] == "https://127.0.0.1:6443"

    wanted: dict[str, object] = {
        "roleName": "api",
        "boundServiceAccountNames": ["api"],
        "boundServiceAccountNamespaces": ["shop", "web"],
        "tokenPolicies": ["api"],
        "tokenTtl": 600,
        "tokenBoundCidrs": ["10.0.0.1/32"],
        "audience": "vault",
    }
    assert role.up(wanted) == "create"
    assert role.id == "auth/kubernetes/role/api"
    assert role.up({**wanted, "boundServiceAccountNamespaces": ["web", "shop"]}) == "same", "a set has no order"
    imported_is_stable(role, wanted)
    assert role.up({**wanted, "tokenTtl": 900}) == "update"
    less = {name: value for name, value in wanted.items() if name not in ("tokenTtl", "audience", "tokenBoundCidrs")}
    assert role.up(less) == "update"
    found = bao.read("auth/kubernetes/role/api")
    assert (found["token_ttl"], found.get("audience", ""), found["token_bound_cidrs"]) == (0, "", [])
    assert role.refresh() == "same"

    bao.write("auth/kubernetes/role/api", bound_service_account_names=["*"])
    assert role.refresh() == "changed"
    assert role.up(less) == "update"
    assert bao.read("auth/kubernetes/role/api")["bound_service_account_names"] == ["api"]
    assert list(role.diff({**less, "roleName": "web"}).replaces) == ["roleName"]
    role.destroy()
    assert role.take_over("auth/kubernetes/role/api").id == ""
    config.destroy()
    auth.destroy()


def test_a_reviewer_token_given_write_only_stays_out_of_the_state(vault: Plugin, bao: Bao) -> None:
    auth, config = Managed(vault, AUTH), Managed(vault, CONFIG)
    auth.up({"type": "kubernetes", "path": "wo"})
    reviewer = "eyJhbGciOiJub25lIn0.e30.x"
    inputs: dict[str, object] = {
        "backend": "wo",
        "kubernetesHost": "https://127.0.0.1:6443",
        "disableLocalCaJwt": True,
        "tokenReviewerJwtWo": secret(reviewer),
        "tokenReviewerJwtWoVersion": 1,
    }
    assert "auth/wo/config" in failure(lambda: config.up(inputs)), "this server asks for a CA certificate"
    inputs["kubernetesCaCert"] = Path(bao.ca_file).read_text(encoding="utf-8")
    assert config.up(inputs) == "create"
    assert reviewer not in str(config.outputs)
    assert config.up({**inputs, "tokenReviewerJwtWoVersion": 2}) == "update"
    auth.destroy()
    assert config.refresh() == "gone"


@pytest.fixture
def kv(vault: Plugin):
    mount = Managed(vault, MOUNT)
    mount.up({"path": "kv", "type": "kv", "options": {"version": "2"}})
    yield "kv"
    mount.destroy()


def test_the_kv_engine_is_configured(vault: Plugin, bao: Bao, kv: str) -> None:
    config = Managed(vault, KV_CONFIG)
    inputs: dict[str, object] = {"mount": kv, "maxVersions": 5, "deleteVersionAfter": 12600, "casRequired": False}
    assert config.up(inputs) == "create"
    assert (config.id, config.state["deleteVersionAfter"]) == ("kv/config", 12600)
    assert config.up(inputs) == "same"
    imported_is_stable(config, inputs)
    assert config.up({**inputs, "maxVersions": 7}) == "update"
    bao.write("kv/config", max_versions=2)
    assert config.refresh() == "changed"
    assert config.up({"mount": kv}) == "update", "an age limit that the program no longer names is lifted"
    assert bao.read("kv/config")["delete_version_after"] == "0s"
    config.destroy()


def test_a_secret_lives_changes_and_goes(vault: Plugin, bao: Bao, kv: str) -> None:
    entry = Managed(vault, SECRET_V2)
    inputs: dict[str, object] = {
        "mount": kv,
        "name": "shop/api",
        "dataJson": secret(as_json({"user": "api", "port": 5432})),
    }
    assert entry.up(inputs) == "create"
    assert (entry.id, entry.state["path"]) == ("kv/data/shop/api", "kv/data/shop/api")
    assert entry.state["data"] == {}, "upstream keeps what was read out of the state"
    assert secret_names(entry.outputs) == {"data", "dataJson"}
    assert "dataJson" in secret_names(entry.inputs)
    assert entry.up({**inputs, "dataJson": secret('{"port":5432,  "user":"api"}')}) == "same", "spelling is no change"
    assert list(entry.take_over(entry.id).diff(inputs).diffs) == ["dataJson"], "the program alone knows it"

    bao.client.secrets.kv.v2.create_or_update_secret("shop/api", {"user": "intruder"}, mount_point=kv)
    assert entry.refresh() == "changed"
    assert entry.state["metadata"]["version"] == "2"  # pyright: ignore[reportIndexIssue]
    assert entry.up(inputs) == "same", "upstream does not compare what others wrote"
    assert entry.up({**inputs, "dataJson": secret(as_json({"user": "api", "port": 5433}))}) == "update"
    read = bao.client.secrets.kv.v2.read_secret_version("shop/api", mount_point=kv, raise_on_deleted_version=True)
    assert read["data"]["data"] == {"user": "api", "port": 5433}

    bao.client.secrets.kv.v2.delete_latest_version_of_secret("shop/api", mount_point=kv)
    assert entry.refresh() == "gone"
    entry.up(inputs)
    entry.destroy()
    assert bao.read("kv/metadata/shop/api"), "only the latest version is deleted"


def test_a_secret_with_metadata_and_all_its_versions_goes(vault: Plugin, bao: Bao, kv: str) -> None:
    entry = Managed(vault, SECRET_V2)
    metadata = {"maxVersions": 3, "data": {"owner": "shop"}}
    inputs: dict[str, object] = {
        "mount": kv,
        "name": "api",
        "dataJson": as_json({"a": "b"}),
        "deleteAllVersions": True,
        "customMetadata": metadata,
        "options": {"cas": "0"},
    }
    assert entry.up(inputs) == "create"
    found = bao.read("kv/metadata/api")
    assert (found["max_versions"], found["custom_metadata"]) == (3, {"owner": "shop"})
    assert entry.up(inputs) == "same"
    assert "check-and-set" in failure(lambda: entry.up({**inputs, "dataJson": as_json({"a": "c"})}))
    changed = {**inputs, "options": {"cas": "1"}, "customMetadata": {"data": {"owner": "web"}}}
    assert entry.up(changed) == "update"
    found = bao.read("kv/metadata/api")
    assert found["custom_metadata"] == {"owner": "web"}
    assert found["max_versions"] == 3, "upstream sends no zero, and so resets nothing"
    entry.destroy()
    assert not bao.read("kv/metadata/api")


def test_a_secret_given_write_only_stays_out_of_the_state(vault: Plugin, bao: Bao, kv: str) -> None:
    entry = Managed(vault, SECRET_V2)
    inputs: dict[str, object] = {
        "mount": kv,
        "name": "wo",
        "dataJsonWo": secret(as_json({"p": "hush"})),
        "dataJsonWoVersion": 1,
    }
    entry.up(inputs)
    assert "hush" not in str(entry.outputs)
    assert entry.refresh() == "same"
    assert entry.up({**inputs, "dataJsonWo": secret(as_json({"p": "new"}))}) == "same", (
        "the version says when it changed"
    )
    assert entry.up({**inputs, "dataJsonWo": secret(as_json({"p": "new"})), "dataJsonWoVersion": 2}) == "update"
    read = bao.client.secrets.kv.v2.read_secret_version("wo", mount_point=kv, raise_on_deleted_version=True)
    assert read["data"]["data"] == {"p": "new"}
    entry.destroy()


def test_a_secret_that_is_not_to_be_read_is_only_written(vault: Plugin, bao: Bao, kv: str) -> None:
    entry = Managed(vault, SECRET_V2)
    inputs: dict[str, object] = {"mount": kv, "name": "blind", "disableRead": True}
    given = {**inputs, "dataJsonWo": secret(as_json({"p": "hush"})), "dataJsonWoVersion": 1}
    entry.up(given)
    assert "hush" not in str(entry.outputs)
    assert entry.state["path"] == "kv/data/blind"
    bao.client.secrets.kv.v2.create_or_update_secret("blind", {"p": "other"}, mount_point=kv)
    assert entry.refresh() == "same"
    assert entry.up(given) == "same"
    entry.destroy()


def test_what_the_table_does_not_have_is_named(vault: Plugin) -> None:
    with pytest.raises(CheckError, match="descripton"):
        Managed(vault, MOUNT).checked({"path": "a", "type": "kv", "descripton": "typo"})
    assert "vault:index/token:Token" in failure(lambda: Managed(vault, "vault:index/token:Token").checked({}))


def test_an_id_of_another_form_is_no_import(vault: Plugin) -> None:
    told = failure(lambda: Managed(vault, ROLE).take_over("api"))
    assert "auth/{backend}/role/{roleName}" in told


def test_a_missing_object_is_no_import(vault: Plugin) -> None:
    assert Managed(vault, MOUNT).take_over("nowhere").id == ""
    assert plain(Managed(vault, ROLE).take_over("auth/kubernetes/role/nobody").outputs) == {}
