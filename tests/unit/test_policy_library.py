"""The rule library as files, and the manifests that are made of them."""

import json
from pathlib import Path
from typing import Any

import pytest

from components.policy_library import (
    LIBRARY,
    TIERS,
    VALIDATING_TIERS,
    Library,
    PolicyLibraryError,
    Rule,
    load_library,
    manifest,
)
from components.posture import Action

pytestmark = pytest.mark.unit

RULES: Library = load_library()
VALIDATING = [rule for rule in RULES.rules.values() if rule.tier in VALIDATING_TIERS]


def matched(rule: Rule) -> set[str]:
    spec: Any = rule.document["spec"]
    return {resource for matching in spec["matchConstraints"]["resourceRules"] for resource in matching["resources"]}


ON_PODS = [rule for rule in VALIDATING if "pods" in matched(rule)]
ON = [Action.AUDIT, Action.WARN, Action.DENY]


def by_name(rule: Rule) -> str:
    return rule.name


def test_the_library_holds_the_critical_rules_of_the_model() -> None:
    assert {rule.name for rule in RULES.tier("critical")} >= {
        "disallow-privileged",
        "disallow-host-namespaces",
        "require-run-as-non-root",
        "restrict-image-registries",
        "require-read-only-root-filesystem",
        "disallow-privilege-escalation",
    }
    assert "default-deny" in [rule.name for rule in RULES.tier("generate")]


@pytest.mark.parametrize("rule", ON_PODS, ids=by_name)
def test_a_rule_on_pods_reads_every_kind_in_the_same_way(rule: Rule) -> None:
    """The part that all rules share is written in each file, since a file is valid as it stands: it must not drift."""
    first: Any = RULES.rule("disallow-privileged").document["spec"]
    spec: Any = rule.document["spec"]
    for key in ("autogen", "matchConstraints", "matchConditions", "failurePolicy", "validationActions"):
        assert spec[key] == first[key], key
    shared = {v["name"]: v["expression"] for v in first["variables"] if v["name"] in ("podSpec", "allContainers")}
    assert {v["name"]: v["expression"] for v in spec["variables"] if v["name"] in shared} == shared
    assert matched(rule) == {
        *("pods", "pods/ephemeralcontainers", "replicationcontrollers", "deployments", "statefulsets", "daemonsets"),
        *("replicasets", "jobs", "cronjobs"),
    }


@pytest.mark.parametrize("rule", VALIDATING, ids=by_name)
def test_every_message_says_what_is_wrong_and_what_to_do(rule: Rule) -> None:
    spec: Any = rule.document["spec"]
    for validation in spec["validations"]:
        sentences = validation["message"].rstrip(".").split(". ")
        assert len(sentences) >= 2 or ": " in validation["message"], validation["message"]
        last = sentences[-1].split()[0]
        assert last in {"Add", "Remove", "Set", "Use", "Push"}, validation["message"]


@pytest.mark.parametrize("rule", VALIDATING, ids=by_name)
@pytest.mark.parametrize("action", ON)
def test_the_action_decides_what_blocks_and_where_the_rule_runs(rule: Rule, action: Action) -> None:
    spec: Any = manifest(rule, action)["spec"]
    denies = action is Action.DENY
    expected = {Action.AUDIT: ["Audit"], Action.WARN: ["Warn", "Audit"], Action.DENY: ["Deny"]}
    assert spec["validationActions"] == expected[action]
    assert spec["failurePolicy"] == ("Fail" if denies else "Ignore")
    assert spec["autogen"] == {
        "podControllers": {"controllers": []},
        "validatingAdmissionPolicy": {"enabled": denies},
    }
    assert spec.get("evaluation") == ({"admission": {"enabled": False}} if action is Action.AUDIT else None)
    written: Any = rule.document["spec"]
    assert spec["validations"] == written["validations"]
    if denies:
        changed, violated = spec["matchConditions"]
        assert changed == written["matchConditions"][0]
        assert violated["name"] == "violated"
    else:
        assert "matchConditions" not in spec


@pytest.mark.parametrize("rule", VALIDATING, ids=by_name)
def test_conditions_know_no_variables(rule: Rule) -> None:
    spec: Any = manifest(rule, Action.DENY)["spec"]
    assert not any("variables." in condition["expression"] for condition in spec["matchConditions"])


def test_a_rule_that_denies_is_asked_only_where_a_validation_fails() -> None:
    rule = Rule(
        "critical",
        "few-names",
        LIBRARY / "critical" / "few-names" / "policy.yaml",
        {
            "kind": "ValidatingPolicy",
            "spec": {
                "validationActions": ["Audit"],
                "variables": [
                    {"name": "most", "expression": "2"},
                    {"name": "names", "expression": " object.names "},
                    {"name": "namesake", "expression": "variables.names.filter(name, name in variables.names)"},
                ],
                "validations": [
                    {"expression": "variables.names.size() <= variables.most"},
                    {"expression": "variables.namesake == []"},
                ],
            },
        },
    )
    spec: Any = manifest(rule, Action.DENY, parameters={"most": 3})["spec"]
    namesake = "((object.names).filter(name, name in (object.names)))"
    assert spec["matchConditions"] == [
        {"name": "violated", "expression": f"!(((object.names).size() <= (3)) && ({namesake} == []))"}
    ]
    assert spec["validations"][0] == {"expression": "variables.names.size() <= variables.most"}


@pytest.mark.parametrize("rule", VALIDATING, ids=by_name)
def test_the_platforms_namespaces_are_left_alone_by_their_immutable_name(rule: Rule) -> None:
    spec: Any = manifest(rule, Action.DENY, ("kyverno", "vault"))["spec"]
    assert spec["matchConstraints"]["namespaceSelector"] == {
        "matchExpressions": [
            {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kyverno", "vault"]}
        ]
    }
    assert "namespaceSelector" not in manifest(rule, Action.DENY)["spec"]["matchConstraints"]  # type: ignore[index]  # as above


def test_a_generating_rule_leaves_the_platforms_namespaces_by_their_name() -> None:
    spec: Any = manifest(RULES.rule("default-deny"), Action.AUDIT, ("kyverno", "vault"))["spec"]
    assert spec["matchConditions"][-1]["expression"] == '!(object.metadata.name in ["kyverno", "vault"])'
    assert "validationActions" not in spec


def test_making_a_manifest_does_not_touch_the_library() -> None:
    rule = RULES.rule("restrict-image-registries")
    before = json.dumps(rule.document)
    manifest(rule, Action.DENY, ("kyverno",), {"registries": ["images.example.com"]})
    assert json.dumps(rule.document) == before


def test_a_parameter_takes_the_place_of_its_default_as_a_cel_literal() -> None:
    spec: Any = manifest(
        RULES.rule("restrict-image-registries"), Action.DENY, (), {"registries": ["a.example", 'q"é']}
    )["spec"]
    assert spec["variables"][0] == {"name": "registries", "expression": '["a.example", "q\\"é"]'}


def test_an_empty_list_is_a_value_of_a_list() -> None:
    spec: Any = manifest(RULES.rule("drop-all-capabilities"), Action.DENY, (), {"allowedCapabilities": ()})["spec"]
    assert spec["variables"][0]["expression"] == "[]"


@pytest.mark.parametrize("name", ["podSpec", "allContainers", "violators", "registry"])
def test_an_unknown_parameter_is_refused_with_the_file_and_the_legal_names(name: str) -> None:
    with pytest.raises(PolicyLibraryError) as refused:
        manifest(RULES.rule("restrict-image-registries"), Action.DENY, (), {name: ["x"]})
    assert "policies/critical/restrict-image-registries/policy.yaml" in str(refused.value)
    assert name in str(refused.value)
    assert "registries, platformImages" in str(refused.value)


@pytest.mark.parametrize("value", ["registry.example.org", 5, [1], [["a"]], True, None])
def test_a_parameter_of_another_type_is_refused(value: object) -> None:
    with pytest.raises(PolicyLibraryError, match="has to be like its default"):
        manifest(RULES.rule("restrict-image-registries"), Action.DENY, (), {"registries": value})


def test_an_unknown_rule_is_refused_with_the_legal_names() -> None:
    with pytest.raises(PolicyLibraryError, match="disallow-privileged"):
        RULES.rule("disallow-priviledged")


def test_a_rule_that_is_off_has_no_manifest() -> None:
    with pytest.raises(PolicyLibraryError, match="off"):
        manifest(RULES.rule("disallow-privileged"), Action.OFF)


def write(root: Path, tier: str, name: str, text: str) -> None:
    folder = root / tier / name
    folder.mkdir(parents=True)
    (folder / "policy.yaml").write_text(text)


@pytest.mark.parametrize(
    ("tier", "change", "message"),
    [
        ("urgent", ("", ""), "policies/urgent is no tier"),
        ("critical", ("policies.kyverno.io/v1", "kyverno.io/v1"), "is one policies.kyverno.io/v1 ValidatingPolicy"),
        ("generate", ("", ""), "GeneratingPolicy"),
        ("critical", ("name: disallow-privileged", "name: other"), "name it like its folder"),
        ("critical", ("policies.kyverno.io/severity", "severity"), "lacks policies.kyverno.io/severity"),
    ],
)
def test_a_file_that_is_no_rule_is_refused(tmp_path: Path, tier: str, change: tuple[str, str], message: str) -> None:
    text = (LIBRARY / "critical/disallow-privileged/policy.yaml").read_text()
    write(tmp_path, tier, "disallow-privileged", text.replace(*change))
    with pytest.raises(PolicyLibraryError, match=message):
        load_library(tmp_path)


def test_two_rules_of_one_name_are_refused(tmp_path: Path) -> None:
    text = (LIBRARY / "critical/disallow-privileged/policy.yaml").read_text()
    for tier in ("critical", "important"):
        write(tmp_path, tier, "disallow-privileged", text)
    with pytest.raises(PolicyLibraryError, match="already has this name"):
        load_library(tmp_path)


def test_every_folder_of_the_library_is_a_tier_and_every_rule_has_cases() -> None:
    assert {path.name for path in LIBRARY.iterdir() if path.is_dir()} <= set(TIERS)
    for rule in RULES.rules.values():
        assert rule.path.with_name("cases.yaml").is_file(), rule.file
