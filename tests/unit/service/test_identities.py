"""The policy on service accounts: where it holds, what it does, and what it looks at. E2e tests ask the API server."""

from typing import Any

import pulumi
import pytest
from pulumi_kubernetes import Provider

from components.config.action import Action
from components.kyverno.library import load_library
from components.service.identities import ServiceIdentities, ServiceIdentitiesArgs, native_policy, policy_spec
from components.service.native_policy import binding_spec
from tests.support.monitor import record
from tests.support.stacks import ENVIRONMENTS, plan_of

pytestmark = pytest.mark.unit

ACTIONS = {"production": ["Deny"], "staging": ["Warn", "Audit"], "dev": ["Audit"], "local": None}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_it_acts_as_the_critical_rules_do(environment: str) -> None:
    args = plan_of(environment).identities
    assert (binding_spec(native_policy(args))["validationActions"] if args else None) == ACTIONS[environment]


def test_it_holds_in_the_namespaces_of_services_alone() -> None:
    policy = native_policy(ServiceIdentitiesArgs(Action.DENY, ["shop", "bank"]))
    assert binding_spec(policy)["matchResources"]["namespaceSelector"] == {
        "matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["bank", "shop"]}]
    }


def test_every_way_to_a_program_with_the_account_is_looked_at() -> None:
    rules = policy_spec()["matchConstraints"]["resourceRules"]
    looked_at = {f"{rule['apiGroups'][0]}/{name}": rule["operations"] for rule in rules for name in rule["resources"]}
    assert {name for name, operations in looked_at.items() if operations == ["CREATE", "UPDATE"]} == {
        *("/pods", "/pods/ephemeralcontainers", "/replicationcontrollers", "/secrets"),
        *("apps/deployments", "apps/statefulsets", "apps/daemonsets", "apps/replicasets"),
        *("batch/jobs", "batch/cronjobs"),
    }
    assert looked_at["/serviceaccounts/token"] == ["CREATE"]
    assert {name for name, operations in looked_at.items() if operations == ["CONNECT"]} == {
        *("/pods/exec", "/pods/attach", "/pods/portforward", "/pods/proxy", "/services/proxy")
    }


def test_an_update_is_looked_at_when_the_program_changes_as_the_rules_say_it() -> None:
    [changed] = [each for each in policy_spec()["matchConditions"] if each["name"] == "program-changed"]
    spec: Any = load_library().rule("disallow-privileged").document["spec"]
    assert changed["expression"] == f"request.operation != 'UPDATE' || {spec['matchConditions'][0]['expression']}"


def test_it_fails_closed() -> None:
    assert policy_spec()["failurePolicy"] == "Fail"


@pytest.mark.parametrize(("action", "namespaces"), [(Action.OFF, ["shop"]), (Action.DENY, [])])
def test_nothing_to_do_is_no_policy(action: Action, namespaces: list[str]) -> None:
    with pytest.raises(ValueError, match=r"action|namespaces"):
        ServiceIdentitiesArgs(action, namespaces)


def test_the_binding_comes_after_its_policy() -> None:
    def program() -> None:
        opts = pulumi.ResourceOptions(providers=[Provider("cluster")])
        ServiceIdentities("identities", ServiceIdentitiesArgs(Action.DENY, ["shop"]), opts)

    made = record(program)
    policy, binding = made.one("ValidatingAdmissionPolicy"), made.one("ValidatingAdmissionPolicyBinding")
    assert policy.urn in binding.dependencies
    assert binding.inputs["spec"]["policyName"] == policy.inputs["metadata"]["name"]
