"""Selects the rules that may apply to each object, so that the Kyverno CLI has less to evaluate.

The CLI compiles every rule again for each object. Only `matchConstraints` are evaluated here; conditions, selectors on
objects and exceptions are left to the engine.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from zt.check.plan import Manifest, PlannedObject, mapping, text

_NAME_LABEL = "kubernetes.io/metadata.name"
# Kyverno also applies a rule on pods to these kinds, unless the rule turns that off.
_CONTROLLERS = (
    ("apps", "deployments"),
    ("apps", "statefulsets"),
    ("apps", "daemonsets"),
    ("apps", "replicasets"),
    ("batch", "jobs"),
    ("batch", "cronjobs"),
    ("", "replicationcontrollers"),
)
# Starting the CLI costs as much as about forty pairs of a rule and an object. More pairs than this are split.
_PAIRS_PER_JOB = 240


@dataclass(frozen=True)
class Job:
    """The work of one process of the CLI: it evaluates each of these policies on each of these objects."""

    policies: tuple[Manifest, ...]
    objects: tuple[PlannedObject, ...]


def jobs(
    policies: Sequence[Manifest],
    objects: Iterable[PlannedObject],
    namespaces: Mapping[str, Mapping[str, str]],
    asked: Callable[[Manifest, PlannedObject], bool] = lambda _policy, _object: True,
) -> list[Job]:
    """The jobs that evaluate, on every object, each policy that may apply to it and is `asked`. None is too long."""
    groups: dict[tuple[int, ...], list[PlannedObject]] = {}
    for planned in objects:
        met = tuple(
            i for i, policy in enumerate(policies) if asked(policy, planned) and meets(policy, planned, namespaces)
        )
        # An object that only mutations apply to cannot be refused.
        if any(text(policies[i], "kind") != "MutatingPolicy" for i in met):
            groups.setdefault(met, []).append(planned)
    work: list[Job] = []
    for met, members in groups.items():
        size = max(1, _PAIRS_PER_JOB // len(met))
        chosen = tuple(policies[i] for i in met)
        work += [Job(chosen, tuple(members[at : at + size])) for at in range(0, len(members), size)]
    # The longest job first, so that it does not run alone at the end.
    return sorted(work, key=lambda job: -len(job.policies) * len(job.objects))


def meets(policy: Manifest, planned: PlannedObject, namespaces: Mapping[str, Mapping[str, str]]) -> bool:
    """Whether the resources and namespaces of a policy include an object; true in doubt."""
    constraints = mapping(mapping(policy, "spec"), "matchConstraints")
    if not _namespace_selected(mapping(constraints, "namespaceSelector"), planned, namespaces):
        return False
    resources = resources_of(policy)
    if ("", "pods") in resources and _expands_pods(policy):
        resources += _CONTROLLERS
    return not resources or any(_is(planned, group, resource) for group, resource in resources)


def resources_of(policy: Manifest) -> list[tuple[str, str]]:
    """Each group and resource that a policy matches; a subresource counts as its resource."""
    constraints = mapping(mapping(policy, "spec"), "matchConstraints")
    rules = cast("list[Manifest]", constraints.get("resourceRules") or [])
    return [resource for rule in rules for resource in _resources(rule)]


def group_of(planned: PlannedObject) -> str:
    """The API group of an object; empty for the core group."""
    group, slash, _ = planned.identity[0].partition("/")
    return group if slash else ""


def _resources(rule: Manifest) -> list[tuple[str, str]]:
    groups = cast("list[str]", rule.get("apiGroups") or ["*"])
    # A subresource is never an object, but a wildcard for all subresources includes the objects.
    names = [name.split("/")[0] for name in cast("list[str]", rule.get("resources") or ["*"])]
    return [(group, name) for group in groups for name in names]


def _expands_pods(policy: Manifest) -> bool:
    return mapping(mapping(mapping(policy, "spec"), "autogen"), "podControllers").get("controllers") != []


def _is(planned: PlannedObject, group: str, resource: str) -> bool:
    return group in ("*", group_of(planned)) and (resource == "*" or resource in _plurals(planned.identity[1]))


def _plurals(kind: str) -> tuple[str, ...]:
    """The resource names that a kind may have."""
    singular = kind.lower()
    return (singular, f"{singular}s", f"{singular}es", f"{singular[:-1]}ies")


def _namespace_selected(
    selector: Manifest, planned: PlannedObject, namespaces: Mapping[str, Mapping[str, str]]
) -> bool:
    _, kind, namespace, name = planned.identity
    if kind == "Namespace":
        namespace = name
    if not selector or not namespace:
        return True
    labels = namespaces.get(namespace, {_NAME_LABEL: namespace})
    expressions = cast("list[Manifest]", selector.get("matchExpressions") or [])
    return all(labels.get(key) == value for key, value in mapping(selector, "matchLabels").items()) and all(
        _holds(expression, labels) for expression in expressions
    )


def _holds(expression: Manifest, labels: Mapping[str, str]) -> bool:
    value = labels.get(text(expression, "key"))
    values = cast("list[str]", expression.get("values") or [])
    match expression.get("operator"):
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case _:
            return True
