"""The production stack on a cluster where others installed Kyverno, Istio, cert-manager and the Gateway API.

Nothing of theirs is changed, an update begins only when they have what the stack relies on, and they outlive it.
"""

from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from kubernetes.client.exceptions import ApiException

from components.config.settings import Settings
from components.program.stack_exceptions import platform_namespaces
from tests.e2e import pods
from tests.e2e.installed_by_others import (
    NAMESPACES,
    apply,
    footprint,
    install,
    ready,
    rendered,
    values_of_others,
)
from tests.e2e.plane import Plane, copy_program
from tests.e2e.test_preflight import Lines, preflight
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e

STACK = "production"
RULES = "policies.kyverno.io", "v1", "validatingpolicies"
TENANT = "tenant"


def take_layers(checkout: Path) -> Path:
    """Write the layers of others into the production stack of a checkout."""
    path = checkout / f"Pulumi.{STACK}.yaml"
    file = yaml.safe_load(path.read_text())
    file["config"]["zero-trust:kyverno"] = {"mode": "existing"}
    file["config"]["zero-trust:mesh"] = {"mode": "existing"}
    ingress = {"certManager": {"mode": "existing"}, "gatewayApi": {"mode": "existing"}}
    file["config"]["zero-trust:ingress"] = {"kind": "gateway-api", "acmeEmail": "platform@example.org", **ingress}
    path.write_text(yaml.safe_dump(file))
    return checkout


def unjudged_by(checkout: Path) -> tuple[str, ...]:
    """The namespaces that no rule of the stack looks at."""
    config = yaml.safe_load((checkout / f"Pulumi.{STACK}.yaml").read_text())["config"]
    values = {key.removeprefix("zero-trust:"): value for key, value in config.items()}
    return platform_namespaces(Settings.model_validate(values))


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program with a production stack that takes each layer as it is."""
    return take_layers(copy_program(tmp_path_factory.mktemp("checkout")))


@pytest.fixture(scope="module")
def unjudged(checkout: Path) -> tuple[str, ...]:
    return unjudged_by(checkout)


@pytest.fixture(scope="module")
def others(plane: Plane, checkout: Path, unjudged: tuple[str, ...]) -> Plane:
    """The plane with the layers of others on it, of which one setting is not what the stack relies on."""
    values = values_of_others(unjudged)
    values["kyverno"]["features"]["policyExceptions"]["namespace"] = "*"
    install(plane, values)
    return Plane(plane.state, checkout)


def rules(plane: Plane) -> list[str]:
    return [each["metadata"]["name"] for each in plane.objects.list_cluster_custom_object(*RULES)["items"]]


def asked(plane: Plane) -> Lines:
    """The lines of `zt preflight` about the layers of others."""
    own = ("--embedded", "--project", str(plane.checkout))
    return [line for line in preflight(plane, *own).lines if line["check"].startswith("existing-")]


class TestBefore:
    def test_an_update_is_refused_before_anything_is_created(self, others: Plane) -> None:
        before = footprint(others)
        done = others.run("up", "--stack", STACK, check=False)
        assert done.returncode != 0
        assert "zero-trust:kyverno.mode" in done.stdout
        assert "--exceptionNamespace: *" in done.stdout
        assert "set features.policyExceptions.namespace: kyverno" in done.stdout
        assert not rules(others)
        with pytest.raises(ApiException, match="Not Found"):
            others.core.read_namespace("vault")
        assert footprint(others) == before

    def test_the_preflight_says_the_same(self, others: Plane) -> None:
        failing = [line for line in asked(others) if line["result"] == "fails"]
        assert [line["about"] for line in failing] == ["Kyverno's admission controller: --exceptionNamespace"]


@dataclass(frozen=True)
class Beside:
    """The stack beside the layers, and what these were before it."""

    plane: Plane
    before: dict[str, str]

    def changed(self) -> dict[str, str]:
        """What has become of what was there before, where it is not the same."""
        now = footprint(self.plane)
        return {name: now.get(name, "gone") for name, was in self.before.items() if now.get(name) != was}


@pytest.fixture(scope="module")
def production(others: Plane, unjudged: tuple[str, ...]) -> Beside:
    """The stack, once the owner of the layers has mended what it said."""
    apply(others, list(rendered(others, "kyverno", values_of_others(unjudged)["kyverno"])))
    eventually(lambda: ready(others, "kyverno"), "Kyverno is ready again")
    before = footprint(others)
    others.run("up", "--stack", STACK)
    return Beside(others, before)


class TestBeside:
    def test_nothing_of_theirs_is_changed(self, production: Beside) -> None:
        assert len(production.before) > 8
        assert not production.changed()
        for namespace in NAMESPACES:
            assert not production.plane.networking.list_namespaced_network_policy(namespace).items

    def test_they_lack_nothing(self, production: Beside) -> None:
        lines = asked(production.plane)
        assert {line["check"].removeprefix("existing-") for line in lines} == {
            *("kyverno", "cert-manager", "gateway-api", "istio")
        }
        assert not [line for line in lines if line["result"] != "ok"]

    def test_the_rules_hold(self, production: Beside) -> None:
        core = production.plane.core
        core.create_namespace({"metadata": {"name": TENANT}})
        # The account of the pods: without it the API server refuses them itself.
        core.create_namespaced_service_account(TENANT, {"metadata": {"name": "api"}})
        try:
            for rule, bad in pods.BAD.items():
                with pytest.raises(ApiException, match=rule):
                    core.create_namespaced_pod(TENANT, bad("bad"))
        finally:
            core.delete_namespace(TENANT)

    def test_kyverno_makes_what_every_namespace_gets(self, production: Beside) -> None:
        def policies() -> set[str]:
            listed = production.plane.networking.list_namespaced_network_policy("shop").items
            return {each.metadata.name for each in listed}

        eventually(lambda: "default-deny" in policies(), "the namespace of services is closed")

    def test_an_exception_ends(self, production: Beside) -> None:
        objects, group = production.plane.objects, ("policies.kyverno.io", "v1", "kyverno", "policyexceptions")
        spec = {
            "policyRefs": [{"name": "disallow-privileged", "kind": "ValidatingPolicy"}],
            "expiresAt": "2026-01-01T00:00:00Z",
            "matchConditions": [{"name": "nobody", "expression": "false"}],
        }
        ended = {"apiVersion": "policies.kyverno.io/v1", "kind": "PolicyException", "metadata": {"name": "ended"}}
        objects.create_namespaced_custom_object(*group, {**ended, "spec": spec})

        def gone() -> bool:
            return not objects.list_namespaced_custom_object(*group)["items"]

        eventually(gone, "the cleanup controller of others ends it", interval=2)

    def test_a_second_update_changes_nothing(self, production: Beside) -> None:
        done = production.plane.run("preview", "--stack", STACK)
        assert "to create" not in done.stdout
        assert "to delete" not in done.stdout
        assert not production.changed()


def test_they_outlive_the_stack(production: Beside) -> None:
    production.plane.run("destroy", "--stack", STACK)
    assert not production.changed()
    assert not rules(production.plane)
    names = {each.metadata.name for each in production.plane.core.list_namespace().items}
    assert {*NAMESPACES} <= names
    assert "shop" not in names
    definitions = {each.metadata.name for each in production.plane.extensions.list_custom_resource_definition().items}
    assert {"validatingpolicies.policies.kyverno.io", "gateways.gateway.networking.k8s.io"} <= definitions
