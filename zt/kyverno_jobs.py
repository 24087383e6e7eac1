"""Which object meets which rule, so that the Kyverno CLI is asked nothing whose answer is known to be silence.

The CLI compiles every rule again for each object. What is left out here is only what a rule's own `matchConstraints`
rule out; conditions, selectors on objects and exceptions stay the engine's.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from zt.plan import Manifest, PlannedObject, mapping, text

_NAME_LABEL = "kubernetes.io/metadata.name"
# Kyverno turns a rule on pods into one on these as well, unless the rule says otherwise.
_CONTROLLERS = (
    ("apps", "deployments"),
    ("apps", "statefulsets"),
    ("apps", "daemonsets"),
    ("apps", "replicasets"),
    ("batch", "jobs"),
    ("batch", "cronjobs"),
    ("", "replicationcontrollers"),
)
# Starting the CLI costs as much as some forty pairs of a rule and an object; a process beyond this is worth its start.
_PAIRS_PER_JOB = 240


@dataclass(frozen=True)
class Job:
    """What one process of the CLI judges: each of these objects by each of these policies."""

    policies: tuple[Manifest, ...]
    objects: tuple[PlannedObject, ...]


def jobs(
    policies: Sequence[Manifest],
    objects: Iterable[PlannedObject],
    namespaces: Mapping[str, Mapping[str, str]],
) -> list[Job]:
    """The jobs that judge every object by every policy that may have a say, none of them too long."""
    groups: dict[tuple[int, ...], list[PlannedObject]] = {}
    for planned in objects:
        met = tuple(i for i, policy in enumerate(policies) if meets(policy, planned, namespaces))
        # A mutation alone refuses nothing.
        if any(text(policies[i], "kind") != "MutatingPolicy" for i in met):
            groups.setdefault(met, []).append(planned)
    made: list[Job] = []
    for met, members in groups.items():
        size = max(1, _PAIRS_PER_JOB // len(met))
        chosen = tuple(policies[i] for i in met)
        made += [Job(chosen, tuple(members[at : at + size])) for at in range(0, len(members), size)]
    # The longest first, so that no core waits for it alone at the end.
    return sorted(made, key=lambda job: -len(job.policies) * len(job.objects))


def meets(policy: Manifest, planned: PlannedObject, namespaces: Mapping[str, Mapping[str, str]]) -> bool:
    """Whether the resources and namespaces of a policy include an object; in doubt they do."""
    constraints = mapping(mapping(policy, "spec"), "matchConstraints")
    if not _namespace_selected(mapping(constraints, "namespaceSelector"), planned, namespaces):
        return False
    wanted = resources_of(policy)
    if ("", "pods") in wanted and _expands_pods(policy):
        wanted += _CONTROLLERS
    return not wanted or any(_is(planned, group, resource) for group, resource in wanted)


def resources_of(policy: Manifest) -> list[tuple[str, str]]:
    """Each group and resource that a policy matches; a subresource counts as its resource."""
    constraints = mapping(mapping(policy, "spec"), "matchConstraints")
    rules = cast("list[Manifest]", constraints.get("resourceRules") or [])
    return [found for rule in rules for found in _resources(rule)]


def group_of(planned: PlannedObject) -> str:
    """The API group of an object; empty for the core group."""
    group, slash, _ = planned.identity[0].partition("/")
    return group if slash else ""


def _resources(rule: Manifest) -> list[tuple[str, str]]:
    groups = cast("list[str]", rule.get("apiGroups") or ["*"])
    # A subresource is never an object of its own, but the wildcard of all of them stands for the objects too.
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
