"""Where a cluster answers names, in the stack file and in every network policy."""

from typing import Any

import pytest

from components.config.stack_file import parse_settings
from components.kube.cluster_dns import ClusterDns
from components.schema.problem import ConfigError
from components.service.manifests.network_policy import network_policy_spec
from tests.support.stacks import plan_of, values

pytestmark = pytest.mark.unit

CACHE = "169.254.20.10/32"


def refusal(**dns: Any) -> str:
    try:
        parse_settings({**values("production"), "dns": dns}, "Pulumi.production.yaml")
    except ConfigError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("dns", "key"),
    [
        ({"servers": ["0.0.0.0/0"]}, "dns.servers[0]"),
        ({"servers": ["169.254.0.0/16"]}, "dns.servers[0]"),
        ({"servers": ["::/0"]}, "dns.servers[0]"),
        ({"servers": ["node-local"]}, "dns.servers[0]"),
        ({"labels": {}}, "dns.servers"),
        ({"namespace": "Kube"}, "dns.namespace"),
    ],
)
def test_what_opens_more_than_names_or_nothing_is_refused(dns: dict[str, Any], key: str) -> None:
    assert f"zero-trust:{key}" in refusal(**dns)


@pytest.mark.parametrize("dns", [{}, {"servers": [CACHE, "fd00::10/128"]}, {"labels": {}, "servers": [CACHE]}])
def test_what_is_accepted(dns: dict[str, Any]) -> None:
    assert not refusal(**dns)


def peers(policies: Any) -> list[Any]:
    rules = [rule for policy in policies for rule in policy["spec"].get("egress", [])]
    return [rule["to"] for rule in rules if {"port": 53, "protocol": "UDP"} in rule.get("ports", [])]


def test_every_policy_leads_to_the_same_place() -> None:
    plan = plan_of("production", dns={"namespace": "dns", "labels": {"app": "dns"}, "servers": [CACHE]})
    expected = ClusterDns("dns", {"app": "dns"}, (CACHE,)).rule()["to"]
    layers = (plan.policies, plan.mesh, plan.certificates, plan.ingress, plan.vault)
    platform = [policy for layer in layers if layer for policy in layer.network_policies]
    services = [{"spec": network_policy_spec(args)} for args in plan.services]
    for policies in (platform, services):
        found = peers(policies)
        assert found
        assert all(each == expected for each in found)
    assert plan.policies
    assert plan.policies.parameters["allow-platform"] == {
        "dnsNamespace": "dns",
        "dnsLabels": {"app": "dns"},
        "dnsNetworks": [CACHE],
    }


def test_the_usual_place_is_the_rules_own_default() -> None:
    plan = plan_of("production")
    assert plan.policies
    assert "allow-platform" not in plan.policies.parameters
