"""Which rules each workload keeps: the stack's own, evaluated by the Kyverno CLI, as `zt check` does for a plan."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from components.kube.parts import Manifest
from components.kyverno.library import load_library
from zt.adopt.living import Living
from zt.adopt.model import Violation
from zt.adopt.workloads import Template
from zt.check.kyverno_result import Result
from zt.check.plan import Manifest as PlanManifest
from zt.check.plan import Plan, PlannedObject

Judge = Callable[[Plan], Sequence[Result]]
"""Evaluates the policies of a plan on its objects."""

# A policy that generates refuses nothing, and one that verifies signatures asks a registry.
_JUDGING = ("MutatingPolicy", "ValidatingPolicy")
# What the rules judge beside workloads, and what they look up.
_BESIDE = ("Service", "Ingress", "PodDisruptionBudget", "HorizontalPodAutoscaler")
_SERVER_SIDE = ("managedFields", "resourceVersion", "uid", "generation", "creationTimestamp")


@dataclass(frozen=True)
class Judged:
    """The violations of each workload by kind and `namespace/name`, and those of objects beside them."""

    workloads: Mapping[tuple[str, str], tuple[Violation, ...]]
    others: Mapping[tuple[str, str], tuple[Violation, ...]]


def judged(
    living: Living, templates: Sequence[Template], policies: Sequence[Manifest], stack: str, judge: Judge
) -> Judged:
    """The violations of every workload, and of the Services and Ingresses beside them."""
    objects = [*(template.manifest for template in templates), *living.of(*_BESIDE)]
    spaces = [each for each in living.everywhere("Namespace") if each["metadata"]["name"] in living.namespaces]
    planned = tuple(PlannedObject(_as_written(each), "", "") for each in (*spaces, *objects))
    rules = tuple(cast("PlanManifest", each) for each in policies if each["kind"] in _JUDGING)
    tiers = {rule.name: rule.tier for rule in load_library().rules.values()}
    found: dict[tuple[str, str], set[Violation]] = defaultdict(set)
    for result in judge(Plan(stack, planned, rules)):
        if result.result == "fail" and result.policy in tiers:
            _, kind, namespace, name = result.identity
            message = " ".join(result.message.split())
            found[kind, f"{namespace}/{name}"].add(Violation(result.policy, tiers[result.policy], message))
    own = {(template.kind, template.key) for template in templates}
    ordered = {key: tuple(sorted(each)) for key, each in found.items()}
    return Judged(
        {key: each for key, each in ordered.items() if key in own},
        {key: each for key, each in ordered.items() if key not in own},
    )


def _as_written(manifest: Manifest) -> PlanManifest:
    """An object without what the API server added, so that it is judged as if it were applied now."""
    metadata = {key: value for key, value in manifest["metadata"].items() if key not in _SERVER_SIDE}
    written = {key: value for key, value in manifest.items() if key != "status"}
    return {**written, "metadata": metadata}
