"""The rule library as files, and the manifests that are made of them."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from components.config.action import Action
from components.config.settings import Settings
from components.kyverno.library import (
    LIBRARY,
    TIERS,
    VALIDATING_TIERS,
    Library,
    PolicyLibraryError,
    Rule,
    load_library,
    manifest,
)
from components.kyverno.platform_images import images_by_parameter
from components.schema.problem import FieldError

pytestmark = pytest.mark.unit

RULES: Library = load_library()
VALIDATING = [rule for rule in RULES.rules.values() if rule.tier in VALIDATING_TIERS]


def matched(rule: Rule) -> set[str]:
    spec: Any = rule.document["spec"]
    return {resource for matching in spec["matchConstraints"]["resourceRules"] for resource in matching["resources"]}


ON_CONTROLLERS = [rule for rule in RULES.rules.values() if matched(rule) & {"deployments", "jobs"}]
DEFAULT_IMAGES: tuple[str, ...] = Settings.model_fields["platform_images"].default
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
    for key in ("autogen", "matchConstraints", "failurePolicy", "validationActions"):
        assert spec[key] == first[key], key
    if rule.name != "restrict-apparmor-profiles":
        assert spec["matchConditions"] == first["matchConditions"]
    shared = {v["name"]: v["expression"] for v in first["variables"] if v["name"] in ("podSpec", "allContainers")}
    assert {v["name"]: v["expression"] for v in spec["variables"] if v["name"] in shared} == shared
    assert matched(rule) == {
        *("pods", "pods/ephemeralcontainers", "replicationcontrollers", "deployments", "statefulsets", "daemonsets"),
        *("replicasets", "jobs", "cronjobs"),
    }


def test_a_rule_that_reads_annotations_is_asked_when_one_of_them_changes_too() -> None:
    shared, own = (
        RULES.rule(name).document["spec"]["matchConditions"][0]["expression"]  # type: ignore[index]  # a policy's spec is a mapping
        for name in ("disallow-privileged", "restrict-apparmor-profiles")
    )
    before, after = shared.split(" : object.kind == 'CronJob'")
    assert own.startswith(before)
    assert own.endswith(f" : object.kind == 'CronJob'{after}")
    assert "container.apparmor.security.beta.kubernetes.io/" in own


@pytest.mark.parametrize("rule", ON_CONTROLLERS, ids=by_name)
def test_a_rule_is_not_asked_when_a_workload_is_scaled_suspended_or_cleaned_up(rule: Rule) -> None:
    """The whole matrix, with its refusals, goes through admission in `tests/e2e/older_objects.py`."""
    spec: Any = rule.document["spec"]
    changed = [c for c in spec["matchConditions"] if c["name"].endswith("-changed")]
    assert len(changed) == 1
    read = set(re.findall(r"\bobject\.spec(?:\.[?]?\w+)*", changed[0]["expression"]))
    assert "object.spec" not in read, "it compares the whole spec"
    assert not {field for field in read if re.search("suspend|paused|schedule|parallelism", field)}


WITH_PLATFORM_CONTAINERS = [rule for rule in VALIDATING if "variables.platformContainers" in rule.path.read_text()]


@pytest.mark.parametrize("rule", WITH_PLATFORM_CONTAINERS, ids=by_name)
def test_the_platforms_containers_are_known_alike_in_every_rule(rule: Rule) -> None:
    """By image, name and how they are run; the images are those of the stack file's defaults."""
    whole: Any = RULES.rule("restrict-image-registries").document["spec"]
    spec: Any = rule.document["spec"]
    of_all, own = ({v["name"]: " ".join(v["expression"].split()) for v in each["variables"]} for each in (whole, spec))
    assert own["platformContainers"] == of_all["platformContainers"]
    entries = re.findall(r"\{'name'.*?'hooks': '[^']*'\}", own["injected"])
    assert entries
    assert [entry for entry in entries if entry not in of_all["injected"]] == []
    images = images_by_parameter((*DEFAULT_IMAGES, "quay.io/jetstack/cert-manager-acmesolver"))
    for name, default in rule.parameters.items():
        if name in images:
            assert default == list(images[name])


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
    with pytest.raises(FieldError) as refused:
        manifest(RULES.rule("restrict-image-registries"), Action.DENY, (), {name: ["x"]})
    assert "policies/critical/restrict-image-registries/policy.yaml" in str(refused.value)
    assert name in str(refused.value)
    assert "registries, meshImages, agentImages, solverImages" in str(refused.value)


@pytest.mark.parametrize("value", ["registry.example.org", 5, [1], [["a"]], True, None])
def test_a_parameter_of_another_type_is_refused(value: object) -> None:
    with pytest.raises(FieldError, match="has to be like its default"):
        manifest(RULES.rule("restrict-image-registries"), Action.DENY, (), {"registries": value})


def test_an_unknown_rule_is_refused_with_the_legal_names() -> None:
    with pytest.raises(PolicyLibraryError, match="disallow-privileged"):
        RULES.rule("disallow-priviledged")


def test_a_rule_that_is_off_has_no_manifest() -> None:
    with pytest.raises(ValueError, match="off"):
        manifest(RULES.rule("disallow-privileged"), Action.OFF)


def write(root: Path, tier: str, name: str, text: str) -> None:
    folder = root / tier / name
    folder.mkdir(parents=True)
    (folder / "policy.yaml").write_text(text)


@pytest.mark.parametrize(
    ("tier", "change", "message"),
    [
        ("urgent", ("", ""), "policies: urgent: no tier has this name; legal: critical"),
        (
            "critical",
            ("policies.kyverno.io/v1", "kyverno.io/v1"),
            r"apiVersion: .*; legal: policies",
        ),
        ("generate", ("", ""), "kind: .*found 'ValidatingPolicy'; legal: GeneratingPolicy$"),
        (
            "critical",
            ("name: disallow-privileged", "name: other"),
            r"metadata\.name: .*found 'other'; legal: disallow",
        ),
        (
            "critical",
            ("policies.kyverno.io/severity", "severity"),
            r"annotations\.policies\.kyverno\.io/severity: missing",
        ),
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
    with pytest.raises(PolicyLibraryError, match=r"metadata\.name: .*policy\.yaml already has it"):
        load_library(tmp_path)


def test_every_folder_of_the_library_is_a_tier_and_every_rule_has_cases() -> None:
    assert {path.name for path in LIBRARY.iterdir() if path.is_dir()} <= set(TIERS)
    for rule in RULES.rules.values():
        assert rule.path.with_name("cases.yaml").is_file(), rule.file
