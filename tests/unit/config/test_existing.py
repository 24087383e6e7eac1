"""The mode `existing` of a layer in the stack file: what goes with it, and what does not."""

from typing import Any

import pytest

from components.config.stack_file import parse_settings
from components.schema.problem import ConfigError
from tests.support.stacks import values

pytestmark = pytest.mark.unit


def refusal(**changes: Any) -> str:
    try:
        parse_settings({**values("production"), **changes}, "Pulumi.production.yaml")
    except ConfigError as error:
        return str(error)
    return ""


COPIED = {
    "delivery": "external-secrets",
    "deliveryReason": "no injector here yet",
    "tlsSecret": "own-tls",
    "caCertFile": "/etc/vault/ca.pem",
}
INGRESS = {"acmeEmail": "ann@corp.example"}


@pytest.mark.parametrize(
    ("section", "value"),
    [
        ("kyverno", {}),
        ("mesh", {}),
        ("mesh", {"revision": "asm-1-31", "otherNamespaces": ["legacy"]}),
        ("mesh", {"revision": "prod-stable", "namespace": "mesh", "rootNamespace": "istio-config"}),
        ("ingress", {**INGRESS, "certManager": {"mode": "existing"}}),
        ("ingress", {**INGRESS, "gatewayApi": {"mode": "existing"}, "replicas": 2}),
    ],
)
def test_a_layer_of_others_is_taken(section: str, value: dict[str, Any]) -> None:
    mode = {} if section == "ingress" else {"mode": "existing"}
    assert not refusal(**{section: {**value, **mode}})


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("kyverno", "replicas", 3),
        ("mesh", "replicas", 2),
        ("mesh", "autoscaling", {"min": 2, "max": 4}),
        ("mesh", "hub", "mirror.example.org/istio"),
        ("mesh", "platform", "gke"),
        ("kyverno", "hub", "mirror.example.org/kyverno"),
    ],
)
def test_what_the_program_would_not_change_is_refused(section: str, key: str, value: Any) -> None:
    said = refusal(**{section: {"mode": "existing", key: value}})
    assert f"zero-trust:{section}.{key}" in said
    assert "others installed it" in said
    assert not refusal(**{section: {key: value}})


def test_a_mirror_for_a_layer_of_others_is_refused() -> None:
    own = {"hub": "mirror.example.org/x"}
    said = refusal(ingress={**INGRESS, "certManager": {**own, "mode": "existing"}})
    assert "zero-trust:ingress.certManager.hub" in said
    assert not refusal(ingress={**INGRESS, "certManager": own})
    copied = {**values("production")["vault"], **COPIED}
    said = refusal(vault={**copied, "externalSecrets": {**own, "mode": "existing"}})
    assert "zero-trust:vault.externalSecrets.hub" in said
    assert not refusal(vault={**copied, "externalSecrets": own})


def test_replicas_of_a_cert_manager_of_others_are_refused() -> None:
    said = refusal(ingress={**INGRESS, "certManager": {"mode": "existing"}, "replicas": 2})
    assert "zero-trust:ingress.replicas" in said


def test_the_root_of_a_mesh_that_the_program_installs_is_its_own() -> None:
    assert "zero-trust:mesh.rootNamespace" in refusal(mesh={"rootNamespace": "istio-config"})
    assert "it is Vault's" in refusal(mesh={"mode": "existing", "rootNamespace": "vault"})


def test_others_in_a_mesh_that_the_program_installs_are_refused() -> None:
    assert "zero-trust:mesh.otherNamespaces" in refusal(mesh={"otherNamespaces": ["legacy"]})


def test_an_operator_that_delivers_nothing_is_refused() -> None:
    vault = {**values("production")["vault"], "externalSecrets": {"mode": "existing"}}
    assert "zero-trust:vault.externalSecrets.mode" in refusal(vault=vault)


@pytest.mark.parametrize("mode", ["external", "Existing", "", None, True])
def test_another_word_is_refused_with_what_is_legal(mode: object) -> None:
    said = refusal(kyverno={"mode": mode})
    assert "zero-trust:kyverno.mode" in said
    assert "existing" in said
