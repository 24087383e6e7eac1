"""The whole program against the recording monitor: each stack file, its order, and wrong files that create nothing."""

import json
import runpy
from dataclasses import replace
from typing import Any

import pulumi
import pytest

from components.kube.manifest import pod_security
from components.kyverno.library import load_library
from components.package.args import PackageArgs
from components.package.rendered.objects import Rendered, RenderedObject
from components.program.plan import Plan, plan
from components.service.args.storage import VolumeArgs
from tests.support.monitor import Recording, record
from tests.support.stacks import ENVIRONMENTS, ROOT, pulumi_config, values


def run(environment: str, recording: Recording | None = None, /, **changes: object) -> Recording:
    config = pulumi_config({**values(environment), **changes})
    # As Pulumi's language host runs it.
    program = str(ROOT / "__main__.py")
    return record(lambda: runpy.run_path(program, run_name="__main__") and None, environment, config, recording)


@pytest.fixture(scope="module")
def production() -> Recording:
    return run("production")


@pytest.mark.parametrize(
    ("environment", "present", "absent"),
    [
        ("production", ["Release", "ValidatingPolicy", "GeneratingPolicy", "Gateway", "NetworkPolicy"], []),
        ("staging", ["Release", "ValidatingPolicy", "GeneratingPolicy", "Gateway", "NetworkPolicy"], []),
        ("dev", ["Release", "ValidatingPolicy", "Gateway"], ["GeneratingPolicy"]),
        ("local", ["Deployment"], ["Release", "ValidatingPolicy", "Gateway", "NetworkPolicy", "Mount", "HTTPRoute"]),
    ],
)
def test_each_stack_has_its_layers(environment: str, present: list[str], absent: list[str]) -> None:
    made = run(environment)
    assert all(made.of(kind) for kind in present)
    assert not any(made.of(kind) for kind in absent)
    assert {resource.name for resource in made.of("Deployment")} == {"shop.api", "shop.postgres", "shop.redis"}


def test_dev_closes_what_holds_vault_and_no_service() -> None:
    assert [policy.name for policy in run("dev").of("NetworkPolicy")] == ["vault-snapshots"]


def test_namespaces_wait_for_the_platform_and_services_for_them(production: Recording) -> None:
    behind = production.behind(production.one("Namespace", "shop"))
    platform = [
        resource.name
        for resource in production.resources
        if resource.custom
        and resource.type.split(":")[-1] in ("Release", "GeneratingPolicy", "ValidatingPolicy", "Gateway")
    ]
    assert len(platform) > 5
    assert set(platform) <= behind
    assert "shop" in production.behind(production.one("Deployment", "shop.api"))


def test_a_namespace_is_protected_when_it_holds_data(production: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = production.one("Namespace", "shop")
    assert not shop.protect
    assert not shop.retain_on_delete

    def of_a_service(wanted: Plan) -> Plan:
        wanted.services[0] = replace(wanted.services[0], volumes=[VolumeArgs("data", "/data", "1Gi")])
        return wanted

    def of_a_package(wanted: Plan) -> Plan:
        metadata = {"name": "data", "namespace": "shop"}
        claim = RenderedObject({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata})
        terms = wanted.services[0].platform
        package = PackageArgs("store", "shop", "commerce", terms, Rendered((claim,)))
        return replace(wanted, packages=[package])

    for with_data in (of_a_service, of_a_package):
        monkeypatch.setattr("components.program.plan.plan", lambda stack, change=with_data: change(plan(stack)))
        made = run("production")
        shop = made.one("Namespace", "shop")
        assert shop.protect
        assert shop.retain_on_delete
        # It stays, so what is in it is deleted by itself.
        assert not any(resource.deleted_with == shop.urn for resource in made.resources)


def test_what_needs_no_care_goes_with_its_namespace_and_pods_before_it(production: Recording) -> None:
    shop = production.one("Namespace", "shop")
    inside = [
        each
        for each in production.resources
        if isinstance(metadata := each.inputs.get("metadata"), dict) and metadata.get("namespace") == "shop"
    ]
    alone = {each.type.split(":")[-1] for each in inside if not each.deleted_with}
    assert alone == {"Deployment", "StatefulSet", "HTTPRoute"} & {each.type.split(":")[-1] for each in inside}
    assert {"ServiceAccount", "Service", "NetworkPolicy", "AuthorizationPolicy", "DestinationRule"} <= {
        each.type.split(":")[-1] for each in inside if each.deleted_with == shop.urn
    }


def test_a_namespace_names_its_team_and_whether_its_pods_join_the_mesh(production: Recording) -> None:
    labels = {"team": "commerce", **pod_security("restricted", "warn", "audit")}
    assert production.one("Namespace", "shop").inputs["metadata"]["labels"] == labels | {"istio-injection": "enabled"}
    assert run("local").one("Namespace", "shop").inputs["metadata"]["labels"] == labels


def test_a_postures_change_replaces_nothing_of_a_deployment() -> None:
    selectors = {
        environment: json.dumps(run(environment).one("Deployment", "shop.api").inputs["spec"]["selector"])
        for environment in ("dev", "production")
    }
    assert selectors["dev"] == selectors["production"]


def test_the_program_plans_the_same_twice(production: Recording) -> None:
    again = run("production")
    assert {r.urn: r.inputs for r in again.resources} == {r.urn: r.inputs for r in production.resources}


def test_no_two_resources_share_a_name(production: Recording) -> None:
    urns = [resource.urn for resource in production.resources]
    assert len(urns) == len(set(urns))


def test_no_resource_relies_on_a_default_provider_of_the_cluster_or_vault(production: Recording) -> None:
    for resource in production.resources:
        if resource.type.startswith(("kubernetes:", "vault:")):
            assert resource.provider, resource.urn


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_outputs_are_for_people_and_pipelines(environment: str) -> None:
    outputs: dict[str, Any] = run(environment).outputs
    # Known to the cluster alone.
    assert isinstance(outputs.pop("vaultAuthority", None), pulumi.Output if environment != "local" else type(None))
    assert isinstance(outputs.pop("platform"), pulumi.Output)
    assert json.loads(json.dumps(outputs)) == outputs
    assert outputs["summary"]["environment"] == environment
    assert [row["name"] for row in outputs["services"]] == ["api", "postgres", "redis"]
    assert len(outputs["summary"]["layers"]) == 11
    vault = outputs["summary"]["layers"][0]
    assert set(vault) == {"layer", "state", "enforced"}
    assert (vault["state"] == "3 replicas, TLS, 2 audit devices") == (environment == "production")
    api = outputs["summary"]["services"][0]
    assert api["calls"] == ["shop/postgres:5432", "shop/redis:6379"]
    assert (api["url"] == "https://api.example.org") == (environment != "local")
    assert (api["vault_role"] == "shop.api") == (environment != "local")


def test_production_enforces_every_layer_that_can_be(production: Recording) -> None:
    rows = {row["layer"]: row["enforced"] for row in production.outputs["summary"]["layers"]}
    tiers = {"critical rules": "critical", "important rules": "important", "mutate": "mutate", "generate": "generate"}
    without_rules = {layer for layer, tier in tiers.items() if not load_library().tier(tier)}
    assert {layer for layer, enforced in rows.items() if not enforced} == {"best practice", *without_rules}
    local = run("local").outputs["summary"]["layers"]
    assert not any(row["enforced"] for row in local)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"envronment": "x"}, "zero-trust:envronment: unknown key"),
        ({"kyverno": {"replicas": 0}}, "zero-trust:kyverno.replicas"),
        ({"phases": {"no-such-rule": "warn"}}, "no-such-rule"),
        ({"kyverno": {"parameters": {"no-such-rule": {}}}}, "no-such-rule"),
        ({"registries": ["other.example.org"]}, r"services/api\.yaml:5: image: not from an approved registry"),
    ],
)
def test_a_wrong_file_creates_nothing(changes: dict[str, object], error: str) -> None:
    recording = Recording()
    with pytest.raises(pulumi.RunError, match=error):
        run("production", recording, **changes)
    assert not recording.resources
