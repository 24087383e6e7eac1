"""The cases beside each mutating rule: an object, and what the rule fills in."""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import yaml

from components.kyverno.library import Rule
from tests.policy import cases

Manifest = dict[str, Any]

_FILLED = {"pod", "container", "initContainer", "ephemeralContainer", "labels", "controller", "object"}
_KEYS = {*_FILLED, "name", "kinds", "injected", "fills"}
_LISTS = {"container": "containers", "initContainer": "initContainers", "ephemeralContainer": "ephemeralContainers"}


@dataclass(frozen=True)
class MutationCase:
    """One object before and after a mutating rule; the same when the rule leaves it."""

    id: str
    before: Manifest
    after: Manifest


def read(rule: Rule) -> dict[str, list[Manifest]]:
    """The `cases.yaml` of a mutating rule, with its unknown keys refused."""
    groups: dict[str, list[Manifest]] = yaml.safe_load(rule.path.with_name("cases.yaml").read_text())
    for case in (*groups["mutates"], *groups["leaves"]):
        unknown = (set(case) - _KEYS) | (set(case.get("fills", {})) - _FILLED)
        if unknown:
            raise ValueError(f"{rule.file}: case {case.get('name')!r} has unknown keys {sorted(unknown)}")
    return groups


def expand(rule: Rule) -> Iterator[MutationCase]:
    """Every case of a mutating rule, as every kind that it can be."""
    groups = read(rule)
    for case in (*groups["mutates"], *groups["leaves"]):
        own = {key: value for key, value in case.items() if key != "fills"}
        for name, before in cases.objects(f"{rule.name}.{case['name']}", own):
            yield MutationCase(name, before, _filled(before, case.get("fills", {})))


def template(manifest: Manifest) -> Manifest:
    """The pod in an object: itself, or a controller's template."""
    match manifest["kind"]:
        case "Pod":
            return manifest
        case "CronJob":
            return manifest["spec"]["jobTemplate"]["spec"]["template"]
        case _:
            return manifest["spec"]["template"]


def asks_for_root(pod: Manifest, container: Manifest) -> bool:
    """Whether a container asks to run as root, by what it says and else by what its pod says."""
    context = {**(pod.get("securityContext") or {}), **(container.get("securityContext") or {})}
    return context.get("runAsUser", 1) == 0 or ("runAsUser" not in context and context.get("runAsNonRoot") is False)


def lost(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """Where a field or a list of the first is missing from, or other in, the second."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name, value in before.items():
            if name in after:
                yield from lost(value, after[name], f"{path}/{name}")
            else:
                yield f"{path}/{name}"
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, pair in enumerate(zip(before, after, strict=True)):
            yield from lost(*pair, f"{path}/{number}")
    elif before != after:
        yield path


def _filled(before: Manifest, fills: Manifest) -> Manifest:
    after = deepcopy(before)
    pod = template(after)
    pod["spec"] = cases.merge(pod["spec"], fills.get("pod", {}))
    for key, field in _LISTS.items():
        if key in fills:
            pod["spec"][field] = [cases.merge(pod["spec"][field][0], fills[key]), *pod["spec"][field][1:]]
    if "labels" in fills:
        for carrier in (after, pod):
            carrier["metadata"] = cases.merge(carrier.get("metadata"), {"labels": fills["labels"]})
    if "controller" in fills:
        after["spec"] = cases.merge(after["spec"], fills["controller"])
    return cases.merge(after, fills.get("object", {}))
