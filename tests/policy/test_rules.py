"""Every rule against every case, through the Kyverno CLI."""

import json
from collections import defaultdict

import pytest

from components.config.action import Action
from components.kube.charts import PUBLISHED
from components.kyverno.library import VALIDATING_TIERS, Rule, load_library, manifest
from components.kyverno.policy_set import KyvernoPolicySetArgs, policies
from tests.policy import cases
from tests.policy.cases import Case
from tests.policy.kyverno_cli import Verdicts, generated, matches, verdicts

pytestmark = pytest.mark.policy

LIBRARY = load_library()
VALIDATING = [rule for rule in LIBRARY.rules.values() if rule.tier in VALIDATING_TIERS]
GENERATING = [rule for rule in LIBRARY.rules.values() if rule.kind == "GeneratingPolicy"]
PLATFORM = ("kyverno", "istio-system")


def chosen(rule: Rule) -> list[Case]:
    """What the CLI judges of a rule's cases, since it compiles every rule again for each object.

    All that are not about a controller, and the first refused pod in each of the places where a rule looks for a pod's
    spec. The whole matrix goes through admission, in `tests/e2e/test_library.py`.
    """
    expanded = list(cases.expand(rule))
    controllers = [case for case in expanded if case.manifest["kind"] in cases.KINDS[1:]]
    bad = next((case.id.rpartition(".")[0] for case in controllers if case.refused_by), "")
    narrow = {case["name"] for group in cases.read(rule).values() for case in group if "kinds" in case}
    return [
        case
        for case in expanded
        if case not in controllers
        or (case.id.rpartition(".")[0] == bad and case.manifest["kind"] in ("Deployment", "CronJob"))
        or case.id.split(".")[1] in narrow
    ]


CASES = [case for rule in VALIDATING for case in chosen(rule)]


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Verdicts:
    """What every rule says of every case. Cases that differ in their name alone are judged once."""
    alike: dict[str, list[Case]] = defaultdict(list)
    for case in CASES:
        nameless = cases.merge(case.manifest, {"metadata": {"name": None}})
        alike[json.dumps([nameless, case.beside], sort_keys=True)].append(case)
    firsts = [members[0] for members in alike.values()]
    rules, made = [rule.document for rule in VALIDATING], [case.manifest for case in firsts]
    found = verdicts(tmp_path_factory.mktemp("cases"), rules, made, [case.beside for case in firsts])
    return {
        (case.manifest["kind"], case.id): found[case.manifest["kind"], members[0].id]
        for members in alike.values()
        for case in members
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_case_is_refused_by_the_rules_it_names_and_by_no_other(judged: Verdicts, case: Case) -> None:
    results = judged[case.manifest["kind"], case.id]
    assert case.id.partition(".")[0] in results, "its own rule did not look at it"
    looking = {rule.name for rule in VALIDATING if matches(rule.document, case.manifest)}
    assert set(results) == looking, "a rule did not look at it"
    assert {rule for rule, result in results.items() if result != "pass"} == case.refused_by
    assert set(results.values()) <= {"pass", "fail"}, "a rule failed to evaluate"


@pytest.mark.parametrize("rule", VALIDATING, ids=lambda rule: rule.name)
def test_a_rule_has_good_and_bad_cases_and_no_name_twice(rule: Rule) -> None:
    groups = cases.read(rule)
    assert set(groups) == {"good", "bad"}
    assert groups["good"]
    assert groups["bad"]
    every = [case["name"] for group in groups.values() for case in group]
    assert len(every) == len(set(every))


def test_a_rule_that_denies_gives_the_same_verdicts_as_the_file(
    tmp_path_factory: pytest.TempPathFactory, judged: Verdicts
) -> None:
    sample = [case for case in CASES if case.id.endswith(".cronjob")]
    rules = [manifest(rule, Action.DENY) for rule in VALIDATING]
    found = verdicts(tmp_path_factory.mktemp("deny"), rules, [case.manifest for case in sample])
    assert {key: _refusals(found[key]) for key in found} == {key: _refusals(judged[key]) for key in found}
    assert len(found) == len(sample)


def _refusals(results: dict[str, str]) -> set[str]:
    return {rule for rule, result in results.items() if result not in ("pass", "skip")}


def test_the_registries_of_a_stack_take_the_place_of_those_in_the_file(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    args = KyvernoPolicySetArgs(
        charts=PUBLISHED,
        critical=Action.DENY,
        important=Action.OFF,
        best_practice=Action.OFF,
        mutate=False,
        generate=False,
        approved_registries=("images.example.com",),
        platform_images=("mirror.example.com/istio/proxyv2",),
        platform_namespaces=(),
    )
    own, default = "images.example.com/shop/api:v1", "registry.example.org/shop/api:v1"
    mirrored, original = "mirror.example.com/istio/proxyv2:1.31.0", "docker.io/istio/proxyv2:1.31.0"
    images = {"own": (own, mirrored), "default": (default, mirrored), "default-proxy": (own, original)}
    pods = [pod_with_a_proxy(name, *each) for name, each in images.items()]
    pods.append(cases.wrap("Pod", "bare-proxy", cases.pod_spec({"container": {"image": mirrored}}), {}))
    found = verdicts(tmp_path_factory.mktemp("registries"), policies(args), pods)
    # A rule that denies is asked only where it is violated.
    assert {name: results["restrict-image-registries"] for (_, name), results in found.items()} == {
        "own": "skip",
        "default": "fail",
        "default-proxy": "fail",
        "bare-proxy": "fail",
    }


def pod_with_a_proxy(name: str, image: str, proxy: str) -> cases.Manifest:
    """A pod that the mesh's proxy was injected into."""
    spec = cases.pod_spec({"injected": True, "container": {"image": image}})
    in_mesh = [{**c, "image": proxy} for c in spec["initContainers"] if c["name"].startswith("istio-")]
    return cases.wrap("Pod", name, {**spec, "containers": spec["containers"][:1], "initContainers": in_mesh}, {})


@pytest.mark.parametrize("rule", GENERATING, ids=lambda rule: rule.name)
def test_a_generating_rule_makes_what_its_cases_say_and_nothing_else(
    rule: Rule, tmp_path_factory: pytest.TempPathFactory
) -> None:
    groups = cases.read(rule)
    assert groups["generates"]
    assert groups["leaves"]
    triggers = [case["trigger"] for group in ("generates", "leaves") for case in groups[group]]
    made = generated(tmp_path_factory.mktemp(rule.name), [manifest(rule, Action.AUDIT, PLATFORM)], triggers)
    expected = [case["expect"] for case in groups["generates"]]
    assert sorted(made, key=str) == sorted(expected, key=str)
