"""The policy on what the rules rest on: what it looks at and what it does. E2e tests ask the API server."""

import pytest

from components.config.action import Action
from components.kyverno.policy_set import KyvernoPolicySet
from components.kyverno.rule_integrity import EXCEPTIONS, POLICIES, REPORTS, binding_spec, policy_spec
from tests.support.monitor import record
from tests.unit.kyverno.test_policy_set import OFF, args, of_environment

pytestmark = pytest.mark.unit

ACTIONS = {"production": ["Deny"], "staging": ["Warn", "Audit"], "dev": ["Audit"]}


@pytest.mark.parametrize("environment", ACTIONS)
def test_it_acts_as_the_critical_rules_do(environment: str) -> None:
    recording = record(lambda: KyvernoPolicySet("policies", of_environment(environment)))
    binding = recording.one("ValidatingAdmissionPolicyBinding")
    assert binding.inputs["spec"]["validationActions"] == ACTIONS[environment]


def test_without_critical_rules_there_is_none() -> None:
    recording = record(lambda: KyvernoPolicySet("policies", args(critical=Action.OFF)))
    assert not recording.of("ValidatingAdmissionPolicy")
    assert not record(lambda: KyvernoPolicySet("policies", OFF)).of("ValidatingAdmissionPolicy")


def test_it_fails_closed_and_holds_everywhere() -> None:
    assert policy_spec("kyverno")["failurePolicy"] == "Fail"
    assert "matchResources" not in binding_spec(Action.DENY)
    assert "namespaceSelector" not in policy_spec("kyverno")["matchConstraints"]


def test_it_looks_at_each_kind_and_its_status_and_at_deletions_of_all_but_exceptions() -> None:
    looked_at = {
        (group, name): rule["operations"]
        for rule in policy_spec("kyverno")["matchConstraints"]["resourceRules"]
        for group in rule["apiGroups"]
        for name in rule["resources"]
    }
    for group, names in EXCEPTIONS.items():
        assert all(looked_at[group, name] == ["CREATE", "UPDATE"] for name in names)
    for kinds in (POLICIES, REPORTS):
        for group, names in kinds.items():
            for name in names:
                assert looked_at[group, name] == looked_at[group, f"{name}/*"] == ["CREATE", "UPDATE", "DELETE"]


def test_the_binding_comes_after_its_policy() -> None:
    recording = record(lambda: KyvernoPolicySet("policies", args()))
    policy, binding = recording.one("ValidatingAdmissionPolicy"), recording.one("ValidatingAdmissionPolicyBinding")
    assert policy.urn in binding.dependencies
    assert binding.inputs["spec"]["policyName"] == policy.inputs["metadata"]["name"]
