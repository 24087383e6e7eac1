"""`vault.bootstrap` in the stack file: each key set and wrong, and what it needs of others."""

import base64
from pathlib import Path
from typing import Any

import pytest

from components.config.overlay import Overlay
from components.schema.problem import ConfigError
from tests.support.stacks import settings

VAULT = {"address": "https://v.example.org"}
GCP = {"project": "p", "region": "r", "keyRing": "k", "cryptoKey": "c"}
CERT = {"cert": {"caCertFile": "/etc/deployers.pem"}}
JWT = {"jwt": {"issuer": "https://ci.example.org", "audience": "vault", "subject": "repo:example/platform"}}
ACCOUNT = {"kubernetes": {"namespace": "pipelines", "serviceAccount": "deployer"}}
# Only the first packet is looked at: a public key, in the old format.
PUBLIC = base64.b64encode(b"\x98\x33\x04").decode()


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({}, "required"),
        ({"login": {}}, "write one of cert, jwt, kubernetes"),
        ({"login": {"cert": CERT["cert"], "jwt": JWT["jwt"]}}, "write one of"),
        ({"login": {"cert": {"caCertFile": "ca.pem"}}}, "absolute path"),
        ({"login": {"jwt": {**JWT["jwt"], "issuer": "http://ci"}}}, "TLS only"),
        ({"login": {"token": "x"}}, "cert, jwt, kubernetes"),
        ({"login": CERT, "recoveryShares": 0}, "less than 1"),
        ({"login": CERT, "recoveryShares": 2}, "recoveryThreshold: more than"),
        ({"login": CERT, "recoveryThreshold": 1}, "no single one may be enough"),
        ({"login": CERT, "pgpKeys": ["hunter2"]}, "no PGP public key"),
        ({"login": CERT, "pgpKeys": [PUBLIC]}, "pgpKeys: one for each of recoveryShares is due: 5, found 1"),
        ({"login": CERT, "rootToken": "s.x"}, "recoveryShares, recoveryThreshold, pgpKeys"),
    ],
)
def test_a_wrong_value_is_refused(wrong: dict[str, Any], error: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings("production", vault={**VAULT, "bootstrap": wrong})
    assert error in str(caught.value)


@pytest.mark.parametrize(
    ("environment", "vault", "key"),
    [
        ("production", {"bootstrap": {"login": CERT}}, "vault.login.method"),
        ("production", {"bootstrap": {"login": CERT}}, "vault.bootstrap.pgpKeys"),
        ("dev", {"login": {"method": "jwt"}, "bootstrap": {"login": JWT}}, "vault.seal"),
        ("dev", {"mode": "external", "bootstrap": {"login": ACCOUNT}}, "vault.bootstrap.login.kubernetes"),
    ],
)
def test_keys_that_need_each_other(environment: str, vault: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(environment, vault={**VAULT, **vault})
    assert f"zero-trust:{key}" in {problem.key for problem in caught.value.problems}


SEALED = {**VAULT, "seal": {"gcpckms": GCP}, "login": {"method": "jwt"}}


@pytest.mark.parametrize(
    ("environment", "keys"),
    [
        ("production", {"plainKeysReason": "the state's key is in a vault of three people"}),
        ("production", {"recoveryShares": 1, "recoveryThreshold": 1, "pgpKeys": [PUBLIC]}),
        ("staging", {}),
    ],
)
def test_production_alone_asks_who_holds_the_recovery_keys(environment: str, keys: dict[str, Any]) -> None:
    settings(environment, vault={**SEALED, "bootstrap": {"login": JWT, **keys}})


def test_a_private_key_is_no_public_key() -> None:
    private = base64.b64encode(b"\x95\x03\x98\x04").decode()
    with pytest.raises(ConfigError, match="no PGP public key"):
        settings("staging", vault={**SEALED, "bootstrap": {"login": JWT, "pgpKeys": [private]}})


def test_an_overlay_says_with_whose_certificates_the_stacks_own_bootstrap_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "overlay.yaml"
    login = "{method: cert, certFile: /c.pem, keyFile: /k.pem, role: platform-deployer}"
    file.write_text(f"vault:\n  address: https://127.0.0.1:1\n  login: {login}\n  deployersCaCertFile: /ca.pem\n")
    overlay = Overlay.read(file)
    bare = settings("production", overlay).vault.bootstrap
    assert bare is not None
    assert (bare.login.kind, bare.recovery_shares, bare.recovery_threshold) == ("cert", 5, 3)
    wanted = {"login": JWT, "recoveryShares": 1, "recoveryThreshold": 1, "pgpKeys": [PUBLIC]}
    placed = settings("production", overlay, vault={**SEALED, "bootstrap": wanted}).vault.bootstrap
    assert placed is not None
    assert (placed.login.kind, placed.pgp_keys, placed.plain_keys_reason) == ("cert", (PUBLIC,), None)
    with pytest.raises(ConfigError, match=r"vault\.bootstrap\.pgpKeys"):
        settings("production", overlay, vault={**SEALED, "bootstrap": {"login": JWT}})
