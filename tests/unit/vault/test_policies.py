"""What the Vault policies of services, operator and deployer allow, judged by Vault's own rules for paths.

https://developer.hashicorp.com/vault/docs/concepts/policies: `+` is one segment, `*` at the end is a prefix.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.service.args.database import DatabaseArgs
from components.service.args.service import SecretArgs, SecureServiceArgs
from components.service.manifests.vault import vault_policy
from components.vault.deployer import deployer_policy
from components.vault.operator import operator_policy
from components.vault.pki import issuer_policy
from tests.support.stacks import platform

Policy = Mapping[str, frozenset[str]]

PLATFORM = platform()
ROOTS = ("", "secret", "secret/data", "secret/metadata", "database", "database/creds", "sys", "auth", "identity")
ADMINISTRATION = (
    *("sys/mounts", "sys/policies/acl/any", "sys/audit", "sys/seal", "sys/leases/lookup/database/creds"),
    *("auth/token/create", "auth/token/accessors", "auth/kubernetes/config", "auth/kubernetes/role/any"),
    *("database/config/any", "database/roles/any", "database/rotate-root/any", "identity/entity"),
)


def parse(text: str) -> Policy:
    found = re.findall(r'path "([^"]+)" \{\s*capabilities = \[([^]]*)\]\s*\}', text)
    assert len(found) == text.count("path "), "a policy that this test does not read whole proves nothing"
    return {path: frozenset(re.findall(r"\w+", capabilities)) for path, capabilities in found}


def allowed(policy: Policy, path: str) -> frozenset[str]:
    """Every capability that some rule gives at a path: more than Vault, which takes the closest rule alone."""
    return frozenset().union(*(capabilities for rule, capabilities in policy.items() if _matches(rule, path)))


def _matches(rule: str, path: str) -> bool:
    pattern = "[^/]+".join(re.escape(part) for part in rule.removesuffix("*").split("+"))
    return re.fullmatch(pattern + (".*" if rule.endswith("*") else ""), path) is not None


def own_paths(args: SecureServiceArgs) -> set[str]:
    secrets = {f"secret/data/{args.secret_path(secret)}" for secret in args.secrets}
    return secrets | {args.database_path(database) for database in args.databases}


# Few letters, so that many names begin like another one or are another one's namespace.
names = st.from_regex(r"[ab](-?[ab]){0,2}", fullmatch=True)


@st.composite
def services(draw: st.DrawFn) -> list[SecureServiceArgs]:
    keys = draw(st.lists(st.tuples(names, names), min_size=2, max_size=6, unique=True))
    return [draw(service(namespace, name)) for namespace, name in keys]


@st.composite
def service(draw: st.DrawFn, namespace: str, name: str) -> SecureServiceArgs:
    secrets = [SecretArgs(secret, secret, {}, ["x"], "") for secret in draw(st.lists(names, max_size=3, unique=True))]
    bare: dict[str, Any] = {"team": "t", "image": "r.example.org/x:v1", "port": 8000, "secrets": secrets}
    args = SecureServiceArgs(name=name, namespace=namespace, platform=PLATFORM, **bare)
    names_of_databases = draw(st.lists(st.one_of(st.just("database"), names), max_size=3, unique=True))
    databases = [DatabaseArgs("orders", name=name, as_owner=draw(st.booleans())) for name in names_of_databases]
    return replace(args, databases=databases)


@settings(max_examples=30, deadline=None)
@given(services())
def test_a_service_reads_its_own_paths_and_nothing_of_another(made: list[SecureServiceArgs]) -> None:
    policies = {args.key: parse(vault_policy(args)) for args in made}
    for args in made:
        for path in own_paths(args):
            granted = {key: allowed(policy, path) for key, policy in policies.items()}
            assert granted.pop(args.key) == {"read"}
            assert not any(granted.values())
            metadata = path.replace("secret/data/", "secret/metadata/")
            assert metadata == path or not any(allowed(policy, metadata) for policy in policies.values())


@settings(max_examples=30, deadline=None)
@given(services())
def test_none_has_sudo_a_list_or_a_wildcard(made: list[SecureServiceArgs]) -> None:
    for args in made:
        policy = parse(vault_policy(args))
        assert set(policy) == own_paths(args)
        assert not [rule for rule in policy if "*" in rule or "+" in rule]
        assert set().union(*policy.values()) <= {"read"}
        assert not [path for path in (*ROOTS, *ADMINISTRATION) if allowed(policy, path) or allowed(policy, f"{path}/")]


def test_the_judge_knows_a_rule_that_is_too_broad() -> None:
    for rule in ("*", "secret/*", "secret/data/+/api/*", "secret/data/a/+/db", "secret/data/a/b*"):
        assert allowed({rule: frozenset({"read"})}, "secret/data/a/b/db") == ({"read"} if "api" not in rule else set())


# The deployer

DEPLOYER = parse(deployer_policy())
SECRETS = (
    *("secret/data/shop/api/database", "secret/metadata/shop/api/database", "secret/metadata/shop", "secret/subkeys/a"),
    *("database/creds/shop.api", "database/static-creds/shop.api", "sys/raw/core", "sys/storage/raft/snapshot"),
    *("cubbyhole/any", "identity/entity/id", "auth/token/accessors", "auth/token/create", "transit/export/key"),
)


def test_the_deployer_reads_no_secret() -> None:
    for path in SECRETS:
        assert not {"read", "list", "sudo"} & allowed(DEPLOYER, path), path


def test_what_the_deployer_reads_is_configuration_alone() -> None:
    assert {path for path, capabilities in DEPLOYER.items() if capabilities & {"read", "list"}} == {
        *("sys/mounts", "sys/mounts/secret", "sys/mounts/secret/tune", "sys/mounts/database"),
        *("sys/mounts/database/tune", "sys/mounts/auth/kubernetes/tune"),
        "sys/mounts/auth/kubernetes",
        *("sys/auth", "sys/auth/kubernetes", "sys/auth/kubernetes/tune", "sys/audit", "sys/audit/audit-*"),
        *("auth/kubernetes/config", "auth/kubernetes/role/+", "sys/policies/acl/+", "secret/config"),
        "sys/policies/acl/platform-deployer",
        *("database/config/+", "database/roles/+", "auth/token/lookup-self"),
    }


def test_the_deployer_writes_what_the_program_has_and_nothing_else() -> None:
    for path in (
        "secret/data/shop/api/database",
        "sys/policies/acl/shop.api",
        "auth/kubernetes/role/platform-operator",
    ):
        assert {"create", "update", "delete"} <= allowed(DEPLOYER, path)
    for path in (
        *("sys/mounts/transit", "sys/mounts/pki", "sys/auth/userpass", "sys/auth/cert", "sys/remount", "sys/seal"),
        *("sys/rotate", "sys/raw/any", "sys/generate-root/attempt", "sys/config/auditing/any", "auth/cert/certs/any"),
        *("auth/kubernetes/login", "auth/other/role/any", "secret/data/shop", "secret/destroy/shop/api/database"),
    ):
        assert not allowed(DEPLOYER, path), path


OFFICIAL_PROVIDER = {
    # hashicorp/terraform-provider-vault v5.9.0, vault/resource_*.go, and hashicorp/vault/api: what each type asks for.
    "GET": (
        *("sys/mounts/secret", "sys/mounts/secret/tune", "sys/mounts/database", "sys/mounts/database/tune"),
        *("sys/mounts/auth/kubernetes", "sys/mounts/auth/kubernetes/tune", "sys/audit"),
        *("auth/kubernetes/config", "auth/kubernetes/role/shop.api", "sys/policies/acl/shop.api", "secret/config"),
        *("database/config/orders", "database/roles/shop.api", "auth/token/lookup-self"),
    ),
    "PUT": (
        *("sys/mounts/secret", "sys/mounts/secret/tune", "sys/mounts/database", "sys/mounts/database/tune"),
        *("sys/auth/kubernetes", "sys/mounts/auth/kubernetes/tune", "sys/audit/audit-1"),
        *("auth/kubernetes/config", "auth/kubernetes/role/shop.api", "sys/policies/acl/shop.api", "secret/config"),
        *("secret/data/shop/api/redis", "database/config/orders", "database/roles/shop.api"),
    ),
    "DELETE": (
        *("sys/mounts/secret", "sys/mounts/database", "sys/auth/kubernetes", "sys/audit/audit-1"),
        *("auth/kubernetes/role/shop.api", "sys/policies/acl/shop.api", "secret/data/shop/api/redis"),
        *("database/config/orders", "database/roles/shop.api"),
    ),
}
_NEEDED = {"GET": {"read"}, "PUT": {"update"}, "DELETE": {"delete"}}


@pytest.mark.parametrize(
    ("method", "path"), [(method, path) for method in _NEEDED for path in OFFICIAL_PROVIDER[method]]
)
def test_the_deployer_may_ask_what_the_official_provider_asks(method: str, path: str) -> None:
    assert _NEEDED[method] <= allowed(DEPLOYER, path)


def test_with_an_intermediate_the_deployer_gets_what_the_program_writes_there_and_cannot_sign() -> None:
    more = parse(deployer_policy(pki=True))
    write = {"create", "read", "update", "delete"}
    assert {path: more[path] for path in more if DEPLOYER.get(path) != more[path]} == {
        "sys/mounts/pki": write,
        "sys/mounts/pki/tune": {"read", "update"},
        "pki/issuers/generate/intermediate/internal": {"update"},
        "pki/intermediate/set-signed": {"update"},
        "pki/roles/public-hosts": write,
    }
    assert set(DEPLOYER) <= set(more)
    for path in (
        *("pki/sign/public-hosts", "pki/issue/public-hosts", "pki/sign-verbatim", "pki/root/generate/internal"),
        *("pki/issuers/generate/intermediate/exported", "pki/root/sign-intermediate", "pki/roles/other", "pki/root"),
        *("pki/config/ca", "pki/config/issuers", "pki/keys", "pki/key/any", "pki/issuer/any", "pki/revoke"),
    ):
        assert not allowed(more, path), path


def test_cert_manager_may_ask_one_role_for_signatures_and_nothing_else() -> None:
    assert parse(issuer_policy()) == {"pki/sign/public-hosts": {"update"}}


def test_the_deployer_cannot_change_its_own_policy() -> None:
    assert DEPLOYER["sys/policies/acl/platform-deployer"] == {"read"}


def test_only_what_is_root_protected_has_sudo() -> None:
    sudo = {path for path, capabilities in DEPLOYER.items() if "sudo" in capabilities}
    assert sudo == {"sys/auth/kubernetes", "sys/auth/kubernetes/tune", "sys/audit", "sys/audit/audit-*"}


# The operator


def test_the_operator_is_no_deployer() -> None:
    operator = parse(operator_policy())
    for path in (*ROOTS, *ADMINISTRATION, "sys/policies/acl/platform-operator", "auth/kubernetes/config"):
        granted = allowed(operator, path)
        assert not {"create", "update", "patch"} & granted, path
