"""What belongs to a service, and the policy on it. E2e tests ask the API server what it does with a request."""

import json
from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_vault
import pytest
from pulumi_kubernetes import Provider

from components.config.action import Action
from components.kube.names import KYVERNO_NAMESPACE
from components.kube.service_ref import ServiceRef
from components.service.args.jobs import JobArgs
from components.service.args.network import EgressArgs, JwtArgs, MetricsArgs, Peer, PlaintextPortArgs
from components.service.args.scaling import AutoscalingArgs
from components.service.args.service import ApiRuleArgs, SecureServiceArgs
from components.service.args.storage import CaBundleArgs, ConfigArgs, VolumeArgs
from components.service.manifests.held import accounts, held_names
from components.service.native_policy import binding_spec
from components.service.objects import ServiceObjects, ServiceObjectsArgs, native_policy, objects_args, policy_spec
from components.service.secure_service import SecureService
from components.vault.terms import StoreTerms
from tests.support.monitor import Recording, record
from tests.support.stacks import ENVIRONMENTS, plan_of, platform, service

pytestmark = pytest.mark.unit

ACTIONS = {"production": ["Deny"], "staging": ["Warn", "Audit"], "dev": ["Audit"], "local": None}
PLATFORMS = {
    "agent": platform(scraper=ServiceRef("monitoring", "prometheus"), api_server_networks=["10.9.0.1/32"]),
    "external secrets": platform(
        store=StoreTerms("https://vault.example.org:8200"),
        route="ingress",
        issuer="letsencrypt-prod",
        rules=["disallow-secrets-in-environment"],
    ),
    "no vault": platform(vault=False, injection=False),
}


def full(name: str) -> SecureServiceArgs:
    """A service with everything that a file can declare and that platform has."""
    return service(
        platform=PLATFORMS[name],
        host="api.example.org",
        called_by=[Peer(ServiceRef("shop", "web"), 8080)],
        calls=[Peer(ServiceRef("shop", "redis"), 6379)],
        egress=[EgressArgs("pay.example.org", 443)],
        jwt=JwtArgs("https://login.example.org", "https://login.example.org/keys", "", ["shop"], {}),
        plaintext_ports=[PlaintextPortArgs(8080, ["10.0.0.0/24"], "no certificate yet", "ann", "2026-02-01")],
        metrics=MetricsArgs(9090, "/metrics"),
        kubernetes_api=[ApiRuleArgs([""], ["configmaps"], ["get"])],
        autoscaling=AutoscalingArgs(2, 4, 80),
        volumes=[VolumeArgs("data", "/data", "1Gi"), VolumeArgs("files", "/files", "1Gi", "", "ReadWriteMany")],
        config=ConfigArgs("/etc/api", {"api.conf": "a"}),
        ca_bundle=CaBundleArgs("authorities", "ca.crt", "/etc/ssl/ca.crt"),
        jobs=[JobArgs("migrate", secrets=["database"], egress=["pay.example.org"]), JobArgs("report", "0 4 * * *")],
    )


def run(args: SecureServiceArgs) -> Recording:
    def program() -> None:
        cluster, vault = Provider("cluster"), pulumi_vault.Provider("vault", address="https://v:8200")
        SecureService(args.key, args, pulumi.ResourceOptions(providers=[cluster, vault]))

    return record(program)


def variables(args: ServiceObjectsArgs) -> Mapping[str, str]:
    return {entry["name"]: entry["expression"] for entry in policy_spec(args)["variables"]}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_it_acts_as_the_critical_rules_do(environment: str) -> None:
    args = plan_of(environment).objects
    assert (binding_spec(native_policy(args))["validationActions"] if args else None) == ACTIONS[environment]


@pytest.mark.parametrize("name", PLATFORMS)
def test_every_object_of_a_service_says_whose_it_is(name: str) -> None:
    """All that the program makes in the namespace has the label that the policy looks at, for jobs and claims too."""
    args = full(name)
    made = [resource for resource in run(args).resources if resource.type.startswith("kubernetes:")]
    own = [dict(resource.inputs) for resource in made if resource.inputs["metadata"].get("namespace") == "shop"]
    assert len(own) > 20
    (groups,) = (
        rule["apiGroups"]
        for rule in policy_spec(objects_args(Action.DENY, [args]))["matchConstraints"]["resourceRules"]
        if "*/*" in rule["resources"]
    )
    assert {_group(entry["apiVersion"]) for entry in own} <= {*groups}
    assert not [entry for entry in own if entry["metadata"].get("labels", {}).get("app") not in accounts(args)]
    assert {entry["metadata"]["labels"]["app"] for entry in own} == {*accounts(args)}
    stamps = {"app.kubernetes.io/managed-by": "pulumi", "app.kubernetes.io/part-of": "shop"}
    assert not [entry for entry in own if not stamps.items() <= entry["metadata"]["labels"].items()]
    assert all(f"'{key}'" in variables(objects_args(Action.DENY, [args]))["stamped"] for key in stamps)
    templates = [made for entry in own for made in _templates(entry)]
    assert len(templates) == 5
    assert not [made for made in templates if made["metadata"]["labels"]["app"] not in accounts(args)]
    copies = [entry["spec"]["target"]["template"] for entry in own if entry["kind"] == "ExternalSecret"]
    assert bool(copies) == (name == "external secrets")
    assert not [copy for copy in copies if copy["metadata"]["labels"]["app"] not in accounts(args)]


def _group(api_version: str) -> str:
    return api_version.rpartition("/")[0]


def _templates(entry: dict[str, Any]) -> list[dict[str, Any]]:
    """The objects that a controller makes of this one."""
    spec = entry.get("spec", {})
    made = [spec[key] for key in ("template", "jobTemplate") if key in spec]
    made += [template["spec"]["template"] for template in made if "jobTemplate" in spec]
    return [*made, *spec.get("volumeClaimTemplates", [])]


def test_data_and_configuration_are_known_by_name() -> None:
    assert held_names([full("agent")])["shop"] == {
        "persistentvolumeclaims/volume-data-api-#": ["api"],
        "persistentvolumeclaims/api-files": ["api"],
        "configmaps/api-config": ["api"],
        "configmaps/authorities": ["api"],
        "hosts/api.example.org": ["api"],
    }
    assert {name for name in held_names([full("no vault")])["shop"] if "secret" in name} == {"secrets/api"}


def test_a_number_in_the_name_of_a_claim_may_be_that_of_somebody_elses_replica() -> None:
    volumes = [VolumeArgs("data", "/data", "1Gi"), VolumeArgs("files-1", "/files", "1Gi", "", "ReadWriteMany")]
    assert held_names([service(name="api-0", volumes=volumes)])["shop"] == {
        "persistentvolumeclaims/volume-data-api-0-#": ["api-0"],
        "persistentvolumeclaims/api-0-files-1": ["api-0"],
        "numbered-claims/volume-data-api-#-#": ["api-0"],
        "numbered-claims/api-#-files-1": ["api-0"],
        "numbered-claims/api-0-files-#": ["api-0"],
    }


def test_a_copy_is_of_the_account_that_its_writer_may_use() -> None:
    """External Secrets has the verb on one account for each workload."""
    secrets = {name: own for name, own in held_names([full("external secrets")])["shop"].items() if "secret" in name}
    assert secrets == {
        "secrets/api.database": ["api"],
        "secrets/api-tls": ["api"],
        "secrets/api-migrate.database": ["api-migrate"],
    }


def test_what_two_services_have_is_of_both() -> None:
    bundle = CaBundleArgs("authorities", "ca.crt", "/etc/ssl/ca.crt")
    services = [service(name=name, ca_bundle=bundle) for name in ("api", "web")]
    assert held_names(services)["shop"] == {"configmaps/authorities": ["api", "web"]}
    held = variables(objects_args(Action.DENY, services))["held"]
    assert json.loads(held.partition("[?")[0]) == {"shop": {"configmaps/authorities": "api web"}}


def test_services_and_jobs_of_each_namespace_are_known() -> None:
    services = [full("agent"), service(name="till", namespace="bank")]
    names = variables(objects_args(Action.DENY, services))["names"]
    known = json.loads(names.partition("[?")[0])
    assert {namespace: sorted(own) for namespace, own in known.items()} == {
        "bank": ["till"],
        "shop": ["api", "api-migrate", "api-report"],
    }


def test_it_holds_in_the_namespaces_of_services_and_fails_closed() -> None:
    policy = native_policy(objects_args(Action.DENY, [service(), service(name="till", namespace="bank")]))
    (names,) = binding_spec(policy)["matchResources"]["namespaceSelector"]["matchExpressions"]
    assert names["values"] == ["bank", "shop"]
    assert policy.spec["failurePolicy"] == "Fail"
    rule, policies = policy.spec["matchConstraints"]["resourceRules"]
    assert rule["operations"] == policies["operations"] == ["CREATE", "UPDATE", "DELETE"]
    assert rule["resources"] == ["*/*"]
    assert policies["apiGroups"] == ["*"]


def test_nobody_that_a_tenant_can_act_as_is_let_through() -> None:
    """A tenant may impersonate the service accounts of its own namespace."""
    (condition,) = (
        entry["expression"]
        for entry in policy_spec(objects_args(Action.DENY, [service()]))["matchConditions"]
        if entry["name"] == "not-the-cluster"
    )
    assert "'system:serviceaccounts'" not in condition
    assert "shop" not in condition
    assert f"'system:serviceaccounts:{KYVERNO_NAMESPACE}'" in condition
    # The gateway's proxy is what the internet reaches.
    assert "istio-ingress" not in condition


@pytest.mark.parametrize(("action", "names"), [(Action.OFF, {"shop": ["api"]}), (Action.DENY, {})])
def test_nothing_to_do_is_no_policy(action: Action, names: dict[str, list[str]]) -> None:
    with pytest.raises(ValueError, match=r"action|namespaces"):
        ServiceObjectsArgs(action, names, {})


def test_the_binding_comes_after_its_policy() -> None:
    def program() -> None:
        opts = pulumi.ResourceOptions(providers=[Provider("cluster")])
        ServiceObjects("objects", objects_args(Action.DENY, [service()]), opts)

    made = record(program)
    policy, binding = made.one("ValidatingAdmissionPolicy"), made.one("ValidatingAdmissionPolicyBinding")
    assert policy.urn in binding.dependencies
    assert binding.inputs["spec"]["policyName"] == policy.inputs["metadata"]["name"]
