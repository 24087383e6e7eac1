"""Every mutating rule, through the Kyverno CLI: it fills in what is absent and changes nothing else."""

import random
from collections.abc import Iterable
from copy import deepcopy
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from kubernetes.utils.quantity import parse_quantity

from components.config.action import Action
from components.kyverno.library import Rule, load_library, manifest
from components.service.args.service import SecureServiceArgs
from components.service.manifests.metadata import metadata
from components.service.manifests.workload import deployment_spec
from tests.policy import cases, mutation_cases
from tests.policy.kyverno_cli import mutated as after_mutation
from tests.policy.kyverno_cli import verdicts
from tests.policy.mutation_cases import MutationCase, asks_for_root, lost, template
from tests.support.stacks import platform

pytestmark = pytest.mark.policy

Manifest = dict[str, Any]
Key = tuple[str, str]

LIBRARY = load_library()
MUTATING = LIBRARY.tier("mutate")
RULES = [rule.document for rule in MUTATING]
UPDATED = ("Pod", "Deployment", "ReplicaSet", "Job", "CronJob")
CONTAINER_LISTS = ("containers", "initContainers", "ephemeralContainers")
MINIMAL = {
    "serviceAccountName": "api",
    "automountServiceAccountToken": False,
    "containers": [
        {
            "name": "app",
            "image": "registry.example.org/shop/api:v1.2.3",
            "securityContext": {"readOnlyRootFilesystem": True},
        }
    ],
}


def chosen(rule: Rule) -> list[MutationCase]:
    """Every case as a Pod, and the first in each place where a kind has its pod: the CLI takes 45 ms for an object."""
    expanded = list(mutation_cases.expand(rule))
    first = expanded[0].id.rpartition(".")[0]
    return [
        case
        for case in expanded
        if case.before["kind"] == "Pod"
        or case.id.count(".") == 1
        or case.id in (f"{first}.deployment", f"{first}.cronjob")
    ]


CASES = {rule.name: chosen(rule) for rule in MUTATING}


def key(made: Manifest) -> Key:
    return made["kind"], made["metadata"]["name"]


def mutated(
    folder: Path, rules: Iterable[Manifest], objects: Iterable[Manifest], values: Manifest | None = None
) -> dict[Key, Manifest]:
    """Each object after all of these rules, by its kind and name."""
    return {key(document): document for document in after_mutation(folder, rules, objects, values)}


@pytest.fixture(scope="module", params=MUTATING, ids=lambda rule: rule.name)
def rule(request: pytest.FixtureRequest) -> Rule:
    return request.param


@pytest.fixture(scope="module")
def after(rule: Rule, tmp_path_factory: pytest.TempPathFactory) -> dict[Key, Manifest]:
    """What one rule makes of all its cases."""
    objects = [case.before for case in CASES[rule.name]]
    return mutated(tmp_path_factory.mktemp(rule.name), [rule.document], objects)


def test_a_rule_fills_in_what_its_cases_say_and_nothing_else(rule: Rule, after: dict[Key, Manifest]) -> None:
    assert {case.id: after[key(case.before)] for case in CASES[rule.name]} == {
        case.id: case.after for case in CASES[rule.name]
    }


def test_a_rule_leaves_its_own_result_alone(rule: Rule, after: dict[Key, Manifest], tmp_path: Path) -> None:
    assert mutated(tmp_path, [rule.document], after.values()) == after


def test_a_case_fills_something_in_or_is_left_and_loses_nothing(rule: Rule) -> None:
    groups = mutation_cases.read(rule)
    names = [case["name"] for group in groups.values() for case in group]
    assert len(names) == len(set(names))
    for case in groups["mutates"]:
        assert case["fills"]
    for case in groups["leaves"]:
        assert "fills" not in case
    for case in CASES[rule.name]:
        assert not list(lost(case.before, case.after)), case.id


def test_what_all_rules_share_is_the_same_in_each() -> None:
    """A file is valid as it stands, so what they share is written in each: it must not drift."""
    first: Any = LIBRARY.rule("default-pod-security-context").document["spec"]
    judged: Any = LIBRARY.rule("disallow-privileged").document["spec"]
    for rule in MUTATING:
        spec: Any = rule.document["spec"]
        resources = spec["matchConstraints"]["resourceRules"]
        assert [r for r in resources if r["resources"] != ["pods/ephemeralcontainers"]] == (
            first["matchConstraints"]["resourceRules"]
        )
        assert spec["failurePolicy"] == "Ignore"
        assert spec["matchConditions"][0] == first["matchConditions"][0] == judged["matchConditions"][0]
        assert {v["name"]: v["expression"] for v in spec["variables"] if v["name"] == "podSpec"}.items() <= {
            v["name"]: v["expression"] for v in judged["variables"]
        }.items()


def judges_pods(policy: Manifest) -> bool:
    """Whether a rule looks at pods; one looks at Services alone."""
    return any("pods" in rule["resources"] for rule in policy["spec"]["matchConstraints"]["resourceRules"])


def test_a_minimal_pod_passes_the_critical_rules_once_it_is_filled_in(tmp_path: Path) -> None:
    critical = [rule.document for rule in LIBRARY.tier("critical") if judges_pods(rule.document)]
    before = [cases.wrap(kind, f"minimal-{kind.lower()}", MINIMAL, {"app": "case"}) for kind in cases.KINDS]
    after = mutated(tmp_path, RULES, before)
    found = verdicts(tmp_path, critical, [*after.values(), cases.merge(before[0], {"metadata": {"name": "bare"}})])
    for made in before:
        assert {name: result for name, result in found[key(made)].items() if result != "pass"} == {}, key(made)
        assert len(found[key(made)]) == len(critical)
    refused = {name for name, result in found["Pod", "bare"].items() if result == "fail"}
    assert refused == {
        "disallow-privilege-escalation",
        "drop-all-capabilities",
        "require-run-as-non-root",
        "require-seccomp-profile",
    }


def test_root_and_privilege_are_kept_for_the_critical_rules_to_refuse(tmp_path: Path) -> None:
    container = {**MINIMAL["containers"][0], "securityContext": {"privileged": True}}
    pods = {
        "root": {**MINIMAL, "securityContext": {"runAsUser": 0}},
        "privileged": {**MINIMAL, "containers": [container]},
    }
    before = [cases.wrap("Pod", name, spec, {"app": "case"}) for name, spec in pods.items()]
    judges = [LIBRARY.rule(name).document for name in ("require-run-as-non-root", "disallow-privileged")]
    found = verdicts(tmp_path, judges, mutated(tmp_path, RULES, before).values())
    assert found["Pod", "root"]["require-run-as-non-root"] == "fail"
    assert found["Pod", "privileged"]["disallow-privileged"] == "fail"


def partial_pods() -> list[Manifest]:
    """Pods with every field set, absent or odd by chance; the seed makes each run the same."""
    chance = random.Random(20260401)  # noqa: S311 - the choice of test data

    def some(**fields: list[Any]) -> Manifest:
        return {name: chance.choice(values) for name, values in fields.items() if chance.random() < 0.5}

    def container(name: str, number: int) -> Manifest:
        capabilities = some(add=[["NET_BIND_SERVICE"], ["CAP_SYS_ADMIN"]], drop=[["ALL"], ["NET_RAW"]])
        context = some(
            allowPrivilegeEscalation=[True, False],
            privileged=[True, False],
            runAsUser=[0, 101],
            runAsNonRoot=[True, False],
            capabilities=[capabilities],
        )
        requests = some(cpu=["50m", "2", 1], memory=["64Mi", "1Gi"])
        limits = some(cpu=["2", 4, "2500m"], memory=["1Gi", "2G"])
        resources = some(requests=[requests], limits=[limits])
        return {"name": f"{name}-{number}", "image": "registry.example.org/shop/api:v1.2.3"} | some(
            securityContext=[context], resources=[resources]
        )

    pods: list[Manifest] = []
    for number in range(12):
        context = some(
            runAsUser=[0, 1001], runAsNonRoot=[True, False], fsGroup=[0, 3000], seccompProfile=[{"type": "Unconfined"}]
        )
        labels = some(app=["api"]) | some(
            **{"app.kubernetes.io/name": ["other"], "app.kubernetes.io/part-of": ["suite"]}
        )
        spec = {
            "containers": [container("c", n) for n in range(chance.randint(1, 3))],
            **some(initContainers=[[container("i", n) for n in range(2)]]),
            **some(securityContext=[context]),
        }
        kind = chance.choice(cases.KINDS)
        made = cases.wrap(kind, f"partial-{number}", spec, labels)
        pods.append(made if labels else cases.merge(made, {"metadata": {"labels": None}}))
    return pods


def effective(container: Manifest, group: str, name: str) -> Decimal:
    return parse_quantity(container["resources"][group][name])


def test_pods_that_are_filled_in_by_chance_lose_nothing_and_settle(tmp_path_factory: pytest.TempPathFactory) -> None:
    before = {key(pod): pod for pod in partial_pods()}
    after = mutated(tmp_path_factory.mktemp("once"), RULES, before.values())
    assert {name: list(lost(pod, after[name])) for name, pod in before.items()} == {name: [] for name in before}
    assert mutated(tmp_path_factory.mktemp("twice"), RULES, after.values()) == after
    # Kyverno runs the rules in an order of its own.
    assert mutated(tmp_path_factory.mktemp("reversed"), reversed(RULES), before.values()) == after
    pairs = [
        (template(pod)["spec"], old, new)
        for name, pod in before.items()
        for group in CONTAINER_LISTS
        for old, new in zip(
            template(pod)["spec"].get(group, []), template(after[name])["spec"].get(group, []), strict=True
        )
    ]
    for pod, old, new in pairs:
        context, given = new.get("securityContext", {}), old.get("securityContext", {})
        powerful = context.get("privileged") or "CAP_SYS_ADMIN" in context.get("capabilities", {}).get("add", [])
        if powerful or asks_for_root(pod, old):
            assert context == given
        else:
            assert context["allowPrivilegeEscalation"] is given.get("allowPrivilegeEscalation", False)
            assert context["capabilities"]["drop"] == given.get("capabilities", {}).get("drop", ["ALL"])
        for name in ("cpu", "memory"):
            assert effective(new, "requests", name) <= effective(new, "limits", name)


def test_an_update_that_leaves_the_spec_alone_is_left_alone(tmp_path: Path) -> None:
    # In the CLI an update has the object itself as the old one.
    values = {
        "apiVersion": "cli.kyverno.io/v1alpha1",
        "kind": "Values",
        "metadata": {"name": "values"},
        "globalValues": {"request.operation": "UPDATE"},
    }
    before = [cases.wrap(kind, f"old-{kind.lower()}", MINIMAL, {"app": "case"}) for kind in UPDATED]
    after = mutated(tmp_path, RULES, before, values)
    assert after == {key(made): made for made in before}


@pytest.mark.parametrize("health", ["/healthz", ""])
def test_a_service_of_the_platform_is_left_as_its_program_wrote_it(tmp_path: Path, health: str) -> None:
    """What a mutation set would show as drift on the next preview."""
    terms = platform()
    args = SecureServiceArgs(
        name="api",
        namespace="shop",
        team="commerce",
        image="registry.example.org/shop/api:v1.2.3",
        port=8080,
        platform=terms,
        health=health,
    )
    spec: Any = deployment_spec(args)
    made = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata(args), "spec": spec}
    assert mutated(tmp_path, RULES, [made]) == {key(made): made}


def test_the_parameters_of_a_stack_take_the_place_of_those_in_the_file(tmp_path: Path) -> None:
    parameters: dict[str, dict[str, object]] = {
        "default-pod-security-context": {"runAsUser": 65532, "fsGroup": 65532},
        "default-resources": {"cpuRequest": "2", "memoryRequest": "1Gi", "cpuLimit": "1", "memoryLimit": "2Gi"},
    }
    rules = [manifest(rule, Action.AUDIT, (), parameters.get(rule.name)) for rule in MUTATING]
    after = mutated(tmp_path, rules, [cases.wrap("Pod", "own", deepcopy(MINIMAL), {"app": "case"})])
    spec = after["Pod", "own"]["spec"]
    assert (spec["securityContext"]["runAsUser"], spec["securityContext"]["fsGroup"]) == (65532, 65532)
    # A default request above the default limit would be refused by the API server: the limit gives way.
    assert spec["containers"][0]["resources"] == {
        "requests": {"cpu": "2", "memory": "1Gi"},
        "limits": {"cpu": "2", "memory": "2Gi"},
    }
