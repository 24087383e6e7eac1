"""The deployer's login: what each kind writes, how the provider logs in by it, and how keys of PGP are read."""

import base64
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme

from components.kube.names import DEPLOYER, TOKEN_AUDIENCE
from components.schema.pgp_key import public_key
from components.schema.problem import ConfigError
from components.vault.bootstrap_resources import BootstrapArgs
from components.vault.deployer import (
    MOUNTS,
    CertLogin,
    DeployerLogin,
    JwtLogin,
    KubernetesLogin,
    deployer_policy,
    login_plan,
)
from components.vault.pki import PkiArgs
from components.vault.platform import VaultPlatformArgs
from tests.support.stacks import plan_of, values
from tests.support.vault_chart import sealed
from tests.unit.vault.test_platform import run

CERT = CertLogin("PEM", DEPLOYER)
JWT = JwtLogin("https://ci.example.org", "vault", "repo:example/platform")
ACCOUNT = KubernetesLogin("pipelines", "deployer", "https://kubernetes.default.svc")
PACKETS = b"\x98\x33\x04\x00"


@pytest.mark.parametrize("login", [CERT, JWT, ACCOUNT])
def test_every_login_gives_the_deployers_policy_alone_and_ends(login: DeployerLogin) -> None:
    role: Any = list(login_plan(login, "role").writes.values())[-1]
    assert (role["token_policies"], role["token_no_default_policy"]) == ([DEPLOYER], True)
    assert 0 < role["token_ttl"] <= role["token_max_ttl"] <= 3600


@pytest.mark.parametrize(
    ("login", "mount", "paths", "bound"),
    [
        (CERT, "cert", ["auth/cert/certs/role"], {"allowed_common_names": [DEPLOYER], "certificate": "PEM"}),
        (
            JWT,
            "jwt",
            ["auth/jwt/config", "auth/jwt/role/role"],
            {"bound_audiences": ["vault"], "bound_subject": "repo:example/platform", "role_type": "jwt"},
        ),
        (
            ACCOUNT,
            "kubernetes-deployer",
            ["auth/kubernetes-deployer/config", "auth/kubernetes-deployer/role/role"],
            {
                "bound_service_account_names": ["deployer"],
                "bound_service_account_namespaces": ["pipelines"],
                "audience": TOKEN_AUDIENCE,
            },
        ),
    ],
)
def test_a_login_is_bound_to_one_identity(
    login: DeployerLogin, mount: str, paths: list[str], bound: dict[str, object]
) -> None:
    plan = login_plan(login, "role")
    assert (plan.mount, list(plan.writes)) == (mount, paths)
    assert bound.items() <= plan.writes[paths[-1]].items()


def test_the_deployer_cannot_change_how_it_logs_in() -> None:
    for mount in MOUNTS.values():
        assert f"auth/{mount}/" not in deployer_policy()


def test_an_authority_of_its_own_is_told_to_vault() -> None:
    issuer = login_plan(JwtLogin(JWT.issuer, JWT.audience, JWT.subject, "PEM"), "role").writes["auth/jwt/config"]
    assert issuer["oidc_discovery_ca_pem"] == "PEM"


# What the program registers


KEY = base64.b64encode(b"\x99\x01 a key").decode()
"""The packet of a public key."""


def test_everything_in_vault_waits_for_the_deployers_login() -> None:
    made = run(server=sealed(3), login_jwt_mount="jwt", bootstrap=BootstrapArgs(JWT, 1, 1, [KEY]))
    first, login = made.one("Initialisation"), made.one("DeployerLogin")
    assert made.one("Release").urn in first.dependencies
    assert (first.protect, first.retain_on_delete) == (True, True)
    assert (first.inputs["shares"], first.inputs["threshold"], first.inputs["pgp_keys"]) == (1, 1, [KEY])
    assert "root_token" in login.secret_inputs
    assert login.inputs["policy"] == deployer_policy()
    with_pki = run(login_jwt_mount="jwt", bootstrap=BootstrapArgs(JWT, 1, 1, [KEY]), pki=PkiArgs("ca", ["a.org"]))
    assert with_pki.one("DeployerLogin").inputs["policy"] == deployer_policy(pki=True)
    in_vault = [resource for resource in made.resources if resource.type.startswith("vault:")]
    assert all(login.name in made.behind(resource) for resource in (*in_vault, made.one("pulumi:providers:vault")))
    assert made.one("pulumi:providers:vault").inputs["authLoginJwt"]


def test_without_a_bootstrap_there_is_none() -> None:
    made = run()
    assert not made.of("Initialisation")
    assert not made.of("DeployerLogin")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"bootstrap": BootstrapArgs(CERT)}, "bootstrap: no login of the deployer"),
        ({"login_cert_file": "/c", "login_key_file": "/k", "login_jwt_mount": "jwt"}, "keep one"),
    ],
)
def test_a_bootstrap_goes_on_with_its_own_login(changes: dict[str, Any], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        VaultPlatformArgs(**{"address": "https://v", "audit_paths": (), **changes})


# From the stack file


@pytest.mark.parametrize(
    ("method", "login", "wanted"),
    [
        ("jwt", {"issuer": JWT.issuer, "audience": JWT.audience, "subject": JWT.subject}, JWT),
        ("kubernetes", {"namespace": "pipelines", "serviceAccount": "deployer"}, ACCOUNT),
    ],
)
def test_the_stack_says_who_deploys(method: str, login: dict[str, str], wanted: DeployerLogin) -> None:
    section = {"login": {method: login}, "plainKeysReason": "two people"}
    vault = {**values("production")["vault"], "login": {"method": method}, "bootstrap": section}
    args = plan_of("production", vault=vault).vault
    assert args is not None
    assert args.bootstrap == BootstrapArgs(wanted, 5, 3, ())
    assert args.login_jwt_mount == MOUNTS[method]


def test_the_authority_of_certificates_is_read_and_a_missing_one_named(tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    bootstrap = {"login": {"cert": {"caCertFile": str(authority)}}, "plainKeysReason": "two people"}
    login = {"method": "cert", "certFile": "/c", "keyFile": "/k"}
    vault = {**values("production")["vault"], "login": login, "bootstrap": bootstrap}
    with pytest.raises(ConfigError, match=r"zero-trust:vault\.bootstrap\.login\.cert\.caCertFile: .*No such file"):
        plan_of("production", vault=vault)
    authority.write_bytes(trustme.CA().cert_pem.bytes())
    args = plan_of("production", vault=vault).vault
    assert args is not None
    assert args.bootstrap == BootstrapArgs(replace(CERT, authority=authority.read_text()), 5, 3, ())


# PGP


def armored(body: str, kind: str = "PUBLIC", headers: str = "") -> str:
    return f"-----BEGIN PGP {kind} KEY BLOCK-----\n{headers}\n{body}\n=aaaa\n-----END PGP {kind} KEY BLOCK-----\n"


@pytest.mark.parametrize("headers", ["", "Version: GnuPG v2\nComment: ours\n"])
def test_a_public_key_armored_and_bare_is_the_same(headers: str) -> None:
    bare = base64.b64encode(PACKETS).decode()
    assert public_key(armored(bare, headers=headers)) == public_key(bare) == bare


@pytest.mark.parametrize("first", [0x98, 0x99, 0xC6])
def test_both_formats_of_packets_are_known(first: int) -> None:
    assert public_key(base64.b64encode(bytes([first, 3, 4])).decode())


@pytest.mark.parametrize(
    "wrong",
    [
        *("", "x", "keybase:somebody", "/etc/key.asc", base64.b64encode(b"plain").decode()),
        base64.b64encode(b"\x95\x03\x98").decode(),
        armored(base64.b64encode(PACKETS).decode(), "PRIVATE"),
    ],
)
def test_anything_else_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="no PGP public key"):
        public_key(wrong)
