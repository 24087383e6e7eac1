"""What the generating rules make, held against the services and the rules that have to live with it."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from kubernetes.utils.quantity import parse_quantity

from components.config.action import Action
from components.kube.cluster_dns import ClusterDns
from components.kyverno.library import load_library, manifest
from components.kyverno.policy_set import kyverno_values
from components.service.args.service import SecretArgs, SecureServiceArgs
from components.service.manifests.network_policy import network_policy_spec
from components.service.manifests.workload import deployment_spec
from tests.policy.cases import BASELINE
from tests.policy.kyverno_cli import generated
from tests.support.stacks import platform

pytestmark = pytest.mark.policy

Manifest = dict[str, Any]

LIBRARY = load_library()
PLATFORM_NAMESPACES = ("kyverno", "vault")
RESOURCES = {
    "LimitRange": ("", "limitranges"),
    "NetworkPolicy": ("networking.k8s.io", "networkpolicies"),
    "ResourceQuota": ("", "resourcequotas"),
    "ServiceAccount": ("", "serviceaccounts"),
}
SERVICES, REPLICAS = 100, 2
# A rolling update adds one pod to each service.
PODS = SERVICES * (REPLICAS + 1)


def namespace(name: str) -> Manifest:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def service(**terms: Any) -> SecureServiceArgs:
    """A service that uses all of the platform's own services and none of another's."""
    return SecureServiceArgs(
        name="api",
        namespace="shop",
        team="commerce",
        image="registry.example.org/shop/api:v1.2.3",
        port=8080,
        platform=platform(route="", issuer="", **terms),
        secrets=[SecretArgs("database", "database", {}, ["password"], "")],
    )


def made_by(folder: Path, **parameters: dict[str, object]) -> dict[str, Manifest]:
    """By its kind and name, what all generating rules together make for one namespace."""
    rules = [
        manifest(rule, Action.AUDIT, PLATFORM_NAMESPACES, parameters.get(rule.name.replace("-", "_")))
        for rule in LIBRARY.tier("generate")
    ]
    made = generated(folder, rules, [namespace("shop"), *map(namespace, PLATFORM_NAMESPACES)])
    assert {found["metadata"]["namespace"] for found in made} == {"shop"}
    return {f"{found['kind']}/{found['metadata']['name']}": found for found in made}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Manifest]:
    return made_by(tmp_path_factory.mktemp("shop"))


def test_a_namespace_gets_one_object_from_each_rule(made: dict[str, Manifest]) -> None:
    assert sorted(made) == [
        "LimitRange/default-limits",
        "NetworkPolicy/allow-platform",
        "NetworkPolicy/default-deny",
        "ResourceQuota/default-quota",
        "ServiceAccount/workload",
    ]


def test_the_platform_is_as_open_to_every_pod_as_to_a_service(made: dict[str, Manifest]) -> None:
    spec = made["NetworkPolicy/allow-platform"]["spec"]
    assert spec["egress"] == network_policy_spec(service())["egress"]
    # Nothing of the platform calls a pod, and a pod of another policy stays closed.
    assert (spec["podSelector"], spec["policyTypes"], "ingress" in spec) == ({}, ["Egress"], False)


def test_an_external_vault_is_reached_at_its_networks(tmp_path: Path) -> None:
    networks = ["192.0.2.0/28", "198.51.100.7/32"]
    made = made_by(tmp_path, allow_platform={"vaultPort": 8443, "vaultNetworks": networks})
    expected = network_policy_spec(service(vault_port=8443, vault_networks=networks))
    assert made["NetworkPolicy/allow-platform"]["spec"]["egress"] == expected["egress"]


def test_a_wide_network_of_vault_is_opened_without_metadata_services(tmp_path: Path) -> None:
    networks = ["192.0.2.0/28", "100.64.0.0/10"]
    exceptions = {"100.64.0.0/10": ["100.100.100.200/32"]}
    parameters = {"vaultPort": 8443, "vaultNetworks": networks, "vaultExceptions": exceptions}
    made = made_by(tmp_path, allow_platform=parameters)
    expected = network_policy_spec(service(vault_port=8443, vault_networks=networks))
    assert made["NetworkPolicy/allow-platform"]["spec"]["egress"] == expected["egress"]
    assert exceptions["100.64.0.0/10"] in [
        peer["ipBlock"].get("except") for rule in expected["egress"] for peer in rule["to"] if "ipBlock" in peer
    ]


def test_where_the_nodes_carry_the_mesh_no_pod_reaches_istiod(tmp_path: Path) -> None:
    made = made_by(tmp_path, allow_platform={"podsReachIstiod": False})
    assert (
        made["NetworkPolicy/allow-platform"]["spec"]["egress"] == network_policy_spec(service(ambient=True))["egress"]
    )


@pytest.mark.parametrize(
    "dns",
    [
        ClusterDns(networks=("169.254.20.10/32",)),
        ClusterDns(labels={}, networks=("169.254.169.254/32",)),
        ClusterDns("openshift-dns", {"dns.operator.openshift.io/daemonset-dns": "default"}),
    ],
)
def test_names_are_answered_where_the_cluster_does(tmp_path: Path, dns: ClusterDns) -> None:
    parameters = {"dnsNamespace": dns.namespace, "dnsLabels": dict(dns.labels), "dnsNetworks": list(dns.networks)}
    made = made_by(tmp_path, allow_platform=parameters)
    own = service()
    expected = network_policy_spec(replace(own, platform=replace(own.platform, dns=dns)))
    assert made["NetworkPolicy/allow-platform"]["spec"]["egress"] == expected["egress"]


def injected(resource: str, group: str) -> Decimal:
    """What the platform's own containers of a pod ask for together: each counts as if it ran all the time."""
    containers = BASELINE["injected"]["initContainers"]
    return sum((parse_quantity(container["resources"][group][resource]) for container in containers), Decimal(0))


def test_the_quota_has_room_for_a_hundred_services_with_their_sidecars(made: dict[str, Manifest]) -> None:
    hard = made["ResourceQuota/default-quota"]["spec"]["hard"]
    spec: Any = deployment_spec(service())
    resources = spec["template"]["spec"]["containers"][0]["resources"]
    for group, resource in (("requests", "cpu"), ("requests", "memory"), ("limits", "memory")):
        needed = parse_quantity(resources[group][resource]) + injected(resource, group)
        assert needed * PODS <= parse_quantity(hard[f"{group}.{resource}"]), (group, resource)
    assert int(hard["pods"]) >= PODS
    assert (hard["services.loadbalancers"], hard["services.nodeports"]) == ("0", "0")


def test_the_limit_range_fills_in_what_the_quota_asks_for_as_the_mutation_does(made: dict[str, Manifest]) -> None:
    (limits,) = made["LimitRange/default-limits"]["spec"]["limits"]
    defaults = LIBRARY.rule("default-resources").parameters
    assert limits["defaultRequest"] == {"cpu": defaults["cpuRequest"], "memory": defaults["memoryRequest"]}
    assert limits["default"] == {"cpu": defaults["cpuLimit"], "memory": defaults["memoryLimit"]}
    counted = {key.partition(".")[::2] for key in made["ResourceQuota/default-quota"]["spec"]["hard"]}
    for group, resource in counted:
        filled = {"requests": limits["defaultRequest"], "limits": limits["default"]}.get(group)
        assert filled is None or resource in filled


def test_no_container_of_the_platform_is_above_the_limit_range(made: dict[str, Manifest]) -> None:
    (limits,) = made["LimitRange/default-limits"]["spec"]["limits"]
    for container in BASELINE["injected"]["initContainers"]:
        for resource, most in limits["max"].items():
            assert parse_quantity(container["resources"]["limits"][resource]) <= parse_quantity(most)


def test_the_account_of_a_workload_mounts_no_token(made: dict[str, Manifest]) -> None:
    assert made["ServiceAccount/workload"]["automountServiceAccountToken"] is False


def test_the_background_controller_may_write_what_the_rules_make_and_nothing_else(made: dict[str, Manifest]) -> None:
    granted = kyverno_values(1, ())["backgroundController"]["rbac"]["coreClusterRole"]["extraResources"]
    needed = {RESOURCES[found["kind"]] for found in made.values()}
    assert {(g, r) for rights in granted for g in rights["apiGroups"] for r in rights["resources"]} == needed
    for rights in granted:
        assert {"create", "update", "delete"} <= set(rights["verbs"])
