"""The files that keys of the stack file name in Vault's pods are there."""

from typing import Any

import pytest

from components.config.overlay import Overlay
from components.config.settings import Settings
from components.schema.problem import ConfigError
from tests.support.stacks import settings, values

pytestmark = pytest.mark.unit

TRANSIT = {"address": "https://keys.example.org", "keyName": "unseal", "tokenSecret": "seal"}
DATABASE = {"host": "10.0.0.9", "database": "orders", "adminUser": "vault"}


def of(seal_file: str = "", database_file: str = "", /, overlay: Overlay | None = None, **vault: Any) -> Settings:
    seal = {"transit": {**TRANSIT, **({"tlsCaCert": seal_file} if seal_file else {})}}
    database = {**DATABASE, **({"caCertFile": database_file} if database_file else {})}
    changed = {**values("production")["vault"], "seal": seal, **vault}
    return settings("production", overlay, vault=changed, databases={"orders": database})


@pytest.mark.parametrize(
    ("file", "vault"),
    [
        ("/vault/authorities/keys.crt", {"authorities": "further"}),
        ("/vault/tls/keys.crt", {"tlsSecret": "own"}),
        ("/vault/tls/ca.crt", {}),
        ("/etc/ssl/certs/ca-certificates.crt", {}),
    ],
)
def test_what_the_pods_mount_or_the_image_has_is_accepted(file: str, vault: dict[str, Any]) -> None:
    assert of(file, file, **vault)


@pytest.mark.parametrize(
    ("file", "vault", "message", "legal"),
    [
        (
            "/vault/authorities/keys.crt",
            {"tlsSecret": "own"},
            "Vault's pods have no such file without vault.authorities",
            "/vault/authorities/keys.crt with a ConfigMap in vault.authorities",
        ),
        (
            "/vault/tls/keys.crt",
            {"authorities": "further"},
            "the program's own certificate has no such file beside it",
            "/vault/tls/keys.crt with a Secret in vault.tlsSecret",
        ),
    ],
)
@pytest.mark.parametrize(
    ("place", "key"), [*enumerate(["vault.seal.transit.tlsCaCert", "databases.orders.caCertFile"])]
)
def test_a_file_that_no_pod_has_is_refused(
    file: str, vault: dict[str, Any], message: str, legal: str, place: int, key: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        of(file if place == 0 else "", file if place == 1 else "", **vault)
    (problem,) = refused.value.problems
    assert problem.key.endswith(key)
    assert message in str(problem)
    assert repr(file) in str(problem)
    assert legal in str(problem)


def test_an_external_vault_has_its_own_files() -> None:
    external = {"mode": "external", "cidrs": ["10.0.0.0/8"], "seal": None}
    assert of("", "/etc/vault/db.crt", **external)
    with pytest.raises(ConfigError, match=r"vault\.authorities: an external Vault has its own files"):
        of(authorities="further", **external)


@pytest.mark.parametrize("key", ["tlsSecret", "authorities"])
def test_the_overlay_of_a_control_plane_takes_the_stack_file_as_it_is(key: str) -> None:
    overlay = Overlay.model_validate({"vault": {"address": "https://127.0.0.1:1"}})
    assert of(overlay=overlay, **{key: "own"}).vault.mode == "external"
