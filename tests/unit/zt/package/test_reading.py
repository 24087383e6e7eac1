"""A rule is asked again about what it may judge in another way: each of its own cases is such a change."""

from typing import Any

import pytest

from components.kyverno.library import load_library
from tests.policy import cases
from zt.package.reading import changed_fields, names_in

pytestmark = pytest.mark.unit

RULES = {rule.name: rule for rule in load_library().rules.values() if rule.tier in ("critical", "important")}


def baseline(made: dict[str, Any]) -> dict[str, Any]:
    """What the rule admits, as an object of the same kind."""
    kind = made["kind"]
    return cases.wrap(kind, made["metadata"]["name"], cases.pod_spec({}, kind), cases.BASELINE["labels"])


@pytest.mark.parametrize("name", sorted(RULES))
def test_each_case_changes_what_its_rule_reads(name: str) -> None:
    tried = 0
    for case in cases.expand(RULES[name]):
        if name not in case.refused_by or case.manifest["kind"] not in cases.KINDS:
            continue
        tried += 1
        fields = changed_fields(baseline(case.manifest), case.manifest)
        assert fields & names_in(RULES[name].document), (case.id, fields)
    assert tried or name in OF_OTHER_KINDS


# What they judge is no workload.
OF_OTHER_KINDS = {"disallow-external-ips", "require-tls", "restrict-service-types"}


def test_a_field_that_leads_to_others_is_none_of_them() -> None:
    before = cases.wrap("Deployment", "a", cases.pod_spec({}), {"app": "a"})
    for pod, container, fields in (
        ({"nodeSelector": {"securityContext": "x"}}, {}, {"nodeSelector"}),
        ({}, {"env": [{"name": "a", "value": "b"}]}, {"env"}),
        ({}, {"securityContext": {"runAsUser": 5}}, {"securityContext"}),
        ({}, {}, set()),
    ):
        changed = cases.wrap("Deployment", "a", cases.pod_spec({"pod": pod, "container": container}), {"app": "a"})
        assert changed_fields(before, changed) == fields
    second = cases.wrap("Deployment", "a", cases.pod_spec({"initContainer": {}}), {"app": "a"})
    assert changed_fields(before, second) == {"initContainers"}
