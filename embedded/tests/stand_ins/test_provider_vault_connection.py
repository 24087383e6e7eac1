"""How the vault stand-in connects, logs in, and what it says when it can't."""

import time
from pathlib import Path

import grpc
import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID
from pulumi.runtime.proto import provider_pb2

from tests.support.provider_plugin import UNKNOWN, Managed, Plugin, as_json, failure, running_plugin, secret
from tests.support.vault_server import Bao, bao, running_bao, vault

__all__ = ["bao", "vault"]


MOUNT, POLICY = "vault:index/mount:Mount", "vault:index/policy:Policy"


def test_a_preview_needs_no_vault(tmp_path: Path) -> None:
    nowhere = {"address": "https://127.0.0.1:1", "caCertFile": str(tmp_path / "not-there-yet.pem")}
    with running_plugin("vault", nowhere) as plugin:
        shown = Managed(plugin, MOUNT).preview({"path": "apps", "type": "kv-v2", "description": UNKNOWN})
    assert (shown["path"], shown["accessor"], shown["description"]) == ("apps", UNKNOWN, UNKNOWN)


def test_a_setting_only_known_later_is_no_error_until_vault_is_needed() -> None:
    with running_plugin("vault", {"address": UNKNOWN}) as plugin:
        assert "address isn't known yet" in failure(lambda: Managed(plugin, MOUNT).up({"path": "a", "type": "kv"}))


def test_a_wrong_token_is_told_from_a_missing_right(bao: Bao) -> None:
    with running_plugin("vault", bao.settings(token=secret("nonsense"))) as plugin:
        told = failure(lambda: Managed(plugin, POLICY).up({"name": "a", "policy": ""}))
    assert "doesn't accept the token" in told
    weak = bao.client.auth.token.create(policies=["default"])["auth"]["client_token"]
    with running_plugin("vault", bao.settings(token=secret(weak))) as plugin:
        told = failure(lambda: Managed(plugin, POLICY).up({"name": "a", "policy": ""}))
    assert "permission denied: read sys/policies/acl/a" in told
    assert weak not in told


def test_an_unreachable_vault_is_named(bao: Bao) -> None:
    with running_plugin("vault", bao.settings(address="https://127.0.0.1:1")) as plugin:
        told = failure(lambda: Managed(plugin, MOUNT).up({"path": "a", "type": "kv"}))
    assert "https://127.0.0.1:1 can't be reached" in told
    assert "refused" in told


def test_a_certificate_of_another_authority_is_refused(bao: Bao, tmp_path: Path) -> None:
    other = type(bao.authority)(tmp_path).certificate
    with running_plugin("vault", bao.settings(caCertFile=str(other))) as plugin:
        told = failure(lambda: Managed(plugin, MOUNT).up({"path": "a", "type": "kv"}))
    assert "caCertFile" in told
    assert "no trusted connection" in told


def test_a_vault_that_cannot_answer_says_why(tmp_path: Path) -> None:
    with (
        running_bao(tmp_path, initialised=False) as server,
        running_plugin("vault", server.settings(token="x")) as plugin,
    ):
        mount = Managed(plugin, MOUNT)
        assert "isn't initialised" in failure(lambda: mount.up({"path": "a", "type": "kv"}))
        server.initialise()
        plugin.configure(server.settings())
        mount.up({"path": "a", "type": "kv"})
        server.client.sys.seal()
        assert "is sealed" in failure(mount.refresh)


def test_a_missing_login_says_where_one_may_come_from(bao: Bao) -> None:
    with running_plugin("vault", {"address": bao.address, "caCertFile": bao.ca_file}) as plugin:
        assert "VAULT_TOKEN" in failure(lambda: Managed(plugin, MOUNT).up({"path": "a", "type": "kv"}))


def test_the_environment_stands_in_for_the_configuration(bao: Bao) -> None:
    environment = {"VAULT_ADDR": bao.address, "VAULT_CACERT": bao.ca_file, "VAULT_TOKEN": bao.token}
    with running_plugin("vault", {}, environment) as plugin:
        policy = Managed(plugin, POLICY)
        policy.up({"name": "env", "policy": 'path "a" { capabilities = ["read"] }'})
        policy.destroy()


def certificate_login(bao: Bao, name: str, ttl: str) -> dict[str, object]:
    """Trust a client certificate for the administrator's policy, and the provider's settings that log in with it."""
    client = bao.client
    if "cert/" not in client.sys.list_auth_methods()["data"]:
        client.sys.enable_auth_method("cert")
    client.sys.create_or_update_acl_policy(
        "all", 'path "*" { capabilities = ["create","read","update","delete","list","sudo"] }'
    )
    certificate, key = bao.authority.issue(name, ExtendedKeyUsageOID.CLIENT_AUTH)
    text = certificate.read_text(encoding="utf-8")
    bao.write(f"auth/cert/certs/{name}", certificate=text, token_policies=["all"], token_ttl=ttl)
    login = as_json({"certFile": str(certificate), "keyFile": str(key), "name": name})
    return {"address": bao.address, "caCertFile": bao.ca_file, "authLoginCert": login}


def accessors(bao: Bao) -> set[str]:
    """One name for each token that lives."""
    return set(bao.read("auth/token/accessors?list=true")["keys"])


def test_one_certificate_login_serves_the_run_and_is_given_back(bao: Bao) -> None:
    settings = certificate_login(bao, "deployer", "10m")
    before = accessors(bao)
    with running_plugin("vault", settings) as plugin:
        assert accessors(bao) <= before, "nothing is asked of Vault before it is needed"
        policies = [Managed(plugin, POLICY) for _ in range(3)]
        for number, policy in enumerate(policies):
            policy.up({"name": f"p{number}", "policy": 'path "a" { capabilities = ["read"] }'})
        made = accessors(bao) - before
        assert len(made) == 1
        for policy in policies:
            policy.destroy()
    assert not accessors(bao) & made, "the token is revoked at the end"


def test_an_expired_login_is_renewed(bao: Bao) -> None:
    with running_plugin("vault", certificate_login(bao, "brief", "10m")) as plugin:
        policy = Managed(plugin, POLICY)
        policy.up({"name": "renewed", "policy": 'path "a" { capabilities = ["read"] }'})
        bao.client.sys.revoke_prefix("auth/cert/login")
        assert policy.refresh() == "same", "revoked by someone else"
        policy.destroy()


def test_a_short_login_is_made_again_before_it_ends(bao: Bao) -> None:
    with running_plugin("vault", certificate_login(bao, "short", "3s")) as plugin:
        policy = Managed(plugin, POLICY)
        policy.up({"name": "short", "policy": 'path "a" { capabilities = ["read"] }'})
        first = accessors(bao)
        time.sleep(2.5)
        assert policy.refresh() == "same"
        assert accessors(bao) - first
        policy.destroy()


def test_a_certificate_without_a_role_is_refused_by_name(bao: Bao) -> None:
    settings = certificate_login(bao, "known", "10m")
    stranger, key = bao.authority.issue("stranger", ExtendedKeyUsageOID.CLIENT_AUTH)
    settings["authLoginCert"] = as_json({"certFile": str(stranger), "keyFile": str(key), "name": "known"})
    with running_plugin("vault", settings) as plugin:
        told = failure(lambda: Managed(plugin, MOUNT).up({"path": "a", "type": "kv"}))
    assert "auth/cert/login (role known)" in told


def test_a_child_token_is_used_unless_it_is_declined(bao: Bao) -> None:
    settings = {**bao.settings(), "skipChildToken": "false", "maxLeaseTtlSeconds": "600", "tokenName": "zero-trust"}
    before = accessors(bao)
    with running_plugin("vault", settings) as plugin:
        policy = Managed(plugin, POLICY)
        policy.up({"name": "child", "policy": 'path "a" { capabilities = ["read"] }'})
        made = accessors(bao) - before
        assert len(made) == 1
        policy.destroy()
    assert not accessors(bao) & made


def test_a_function_is_refused_by_name(vault: Plugin) -> None:
    request = provider_pb2.InvokeRequest(tok="vault:index/getNamespace:getNamespace")
    assert "getNamespace" in failure(lambda: vault.stub.Invoke(request))


def test_every_error_is_one_the_engine_shows(vault: Plugin) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        Managed(vault, "vault:kv/secretV2:SecretV2").up({"mount": "nowhere", "name": "a", "dataJson": "{}"})
    assert "nowhere/data/a" in str(caught.value.details())
    assert caught.value.code() is grpc.StatusCode.UNKNOWN
