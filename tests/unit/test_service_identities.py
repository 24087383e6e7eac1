"""The policy on service accounts: where it holds, what it does, and what it looks at. E2e tests ask the API server."""

import pulumi
import pytest
from pulumi_kubernetes import Provider

from components.posture import Action
from components.service_identities import ServiceIdentities, ServiceIdentitiesArgs, binding_spec, policy_spec
from tests.unit.monitor import record
from tests.unit.stacks import ENVIRONMENTS, plan_of

pytestmark = pytest.mark.unit

ACTIONS = {"production": ["Deny"], "staging": ["Warn", "Audit"], "dev": ["Audit"], "local": None}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_it_acts_as_the_critical_rules_do(environment: str) -> None:
    args = plan_of(environment).identities
    assert (binding_spec(args)["validationActions"] if args else None) == ACTIONS[environment]


def test_it_holds_in_the_namespaces_of_services_alone() -> None:
    selector = binding_spec(ServiceIdentitiesArgs(Action.DENY, ["shop", "bank"]))["matchResources"]["namespaceSelector"]
    assert selector == {
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
    assert looked_at["/pods/exec"] == looked_at["/pods/attach"] == ["CONNECT"]


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
