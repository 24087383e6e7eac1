"""Which namespace may name which host: the list, and what the policy looks at. E2e tests ask the API server."""

import pulumi
import pytest
from pulumi_kubernetes import Provider

from components.config.action import Action
from components.ingress.public_hosts import (
    JUDGED,
    PublicHosts,
    PublicHostsArgs,
    binding_spec,
    covers,
    policy_spec,
)
from components.kube.names import PLATFORM_NAMESPACES
from components.schema.problem import ConfigError
from tests.support.monitor import record
from tests.support.stacks import ENVIRONMENTS, plan_of

pytestmark = pytest.mark.unit

ACTIONS = {"production": ["Deny"], "staging": ["Warn", "Audit"], "dev": ["Audit"], "local": None}


def args(**hosts: list[str]) -> PublicHostsArgs:
    return PublicHostsArgs(Action.DENY, hosts, PLATFORM_NAMESPACES)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_it_acts_as_the_critical_rules_do(environment: str) -> None:
    planned = plan_of(environment).hosts
    assert (binding_spec(planned)["validationActions"] if planned else None) == ACTIONS[environment]


def test_it_holds_in_every_namespace_but_the_platforms() -> None:
    planned = plan_of("production", ingress={"acmeEmail": "ops@example.org", "gatewayNamespace": "edge"}).hosts
    assert planned
    [selected] = binding_spec(planned)["matchResources"]["namespaceSelector"]["matchExpressions"]
    assert (selected["key"], selected["operator"]) == ("kubernetes.io/metadata.name", "NotIn")
    assert set(selected["values"]) == {*PLATFORM_NAMESPACES, "edge"}


def hosts_in(planned: PublicHostsArgs) -> str:
    """The expression with the hosts of each namespace."""
    return next(each["expression"] for each in policy_spec(planned)["variables"] if each["name"] == "hosts")


def test_it_knows_the_hosts_of_the_services_and_those_of_the_stack_file() -> None:
    ingress = {"acmeEmail": "ops@example.org", "hosts": {"team": ["*.team.example.org"], "shop": ["www.example.net"]}}
    planned = plan_of("production", ingress=ingress).hosts
    assert planned
    assert hosts_in(planned) == "{'shop': ['api.example.org', 'www.example.net'], 'team': ['*.team.example.org']}"
    assert hosts_in(args(shop=[])) == "{'': ['']}"


def test_it_fails_closed_and_needs_no_parameter() -> None:
    """A parameter that an API server does not read refuses everything: the module says when that happens."""
    spec = policy_spec(args())
    assert spec["failurePolicy"] == "Fail"
    assert "paramKind" not in spec
    assert "paramRef" not in binding_spec(args())


@pytest.mark.parametrize(
    ("pattern", "host", "covered"),
    [
        ("www.example.org", "www.example.org", True),
        ("www.example.org", "a.www.example.org", False),
        ("*.example.org", "www.example.org", True),
        ("*.example.org", "a.b.example.org", True),
        ("*.example.org", "*.b.example.org", True),
        ("*.example.org", "example.org", False),
        ("*.example.org", "www.badexample.org", False),
        ("*", "www.example.org", True),
        ("*", "*", True),
    ],
)
def test_a_pattern_covers(pattern: str, host: str, covered: bool) -> None:
    assert covers(pattern, host) is covered


@pytest.mark.parametrize(
    ("hosts", "message"),
    [
        ({"team": ["*.example.org"]}, r"ingress\.hosts\.team: it covers api\.example\.org of namespace shop"),
        ({"team": ["*"]}, r"ingress\.hosts\.team: it covers api\.example\.org of namespace shop"),
        ({"a": ["x.b.org"], "b": ["*.b.org"]}, r"ingress\.hosts\.b: it covers x\.b\.org of namespace a"),
        ({"a": ["x.b.org"], "b": ["x.b.org"]}, r"ingress\.hosts\.a: it covers x\.b\.org of namespace b"),
        ({"kube-system": ["x.b.org"]}, r"ingress\.hosts\.kube-system: a namespace of the platform"),
        ({"team": ["*.*.org"]}, r"ingress\.hosts\.team\[0\]: not a host such as www\.example\.org"),
        ({"team": ["https://x.org"]}, r"ingress\.hosts\.team\[0\]: not a host such as www\.example\.org"),
        ({"Team": ["x.b.org"]}, "not a DNS label"),
    ],
)
def test_a_host_belongs_to_one_namespace(hosts: dict[str, list[str]], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        plan_of("production", ingress={"acmeEmail": "ops@example.org", "hosts": hosts})


def test_every_update_of_a_name_is_looked_at() -> None:
    rules = policy_spec(args())["matchConstraints"]["resourceRules"]
    assert all(rule["operations"] == ["CREATE", "UPDATE"] and rule["apiVersions"] == ["*"] for rule in rules)
    assert {rule["apiGroups"][0]: tuple(rule["resources"]) for rule in rules} == dict(JUDGED)


def test_the_binding_comes_after_its_policy() -> None:
    def program() -> None:
        PublicHosts("hosts", args(shop=["a.org"]), pulumi.ResourceOptions(providers=[Provider("cluster")]))

    made = record(program)
    policy, binding = made.one("ValidatingAdmissionPolicy"), made.one("ValidatingAdmissionPolicyBinding")
    assert policy.urn in binding.dependencies
    assert binding.inputs["spec"]["policyName"] == policy.inputs["metadata"]["name"]


def test_off_is_no_policy() -> None:
    with pytest.raises(ValueError, match="action"):
        PublicHostsArgs(Action.OFF, {}, ())
