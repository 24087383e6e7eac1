"""The cases beside each rule, as the objects that a team would send to the API server."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import yaml

from components.policy_library import LIBRARY, Rule

NAMESPACE = "shop"
# A template has no ephemeral containers: they are added to a running pod.
_POD_ONLY = "ephemeralContainer"
_CONTROLLERS = {
    "Deployment": "apps/v1",
    "StatefulSet": "apps/v1",
    "DaemonSet": "apps/v1",
    "ReplicaSet": "apps/v1",
    "ReplicationController": "v1",
    "Job": "batch/v1",
    "CronJob": "batch/v1",
}
KINDS = ("Pod", *_CONTROLLERS)
_KEYS = {"name", "pod", "container", "initContainer", _POD_ONLY, "injected", "also"}
_BASELINE = yaml.safe_load((LIBRARY / "baseline.yaml").read_text())

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """One object, and the rules that have to refuse it (none: it has to be admitted)."""

    id: str
    manifest: Manifest
    refused_by: frozenset[str]


def read(rule: Rule) -> dict[str, list[Manifest]]:
    """The `cases.yaml` of a rule, with its unknown keys refused."""
    path = rule.path.with_name("cases.yaml")
    groups: dict[str, list[Manifest]] = yaml.safe_load(path.read_text())
    for case in (*groups.get("good", []), *groups.get("bad", [])):
        unknown = set(case) - _KEYS
        if unknown:
            raise ValueError(f"{rule.file}: case {case.get('name')!r} has unknown keys {sorted(unknown)}")
    return groups


def expand(rule: Rule) -> Iterator[Case]:
    """Every case of a validating rule, as every kind that it can be."""
    groups = read(rule)
    for group in ("good", "bad"):
        for case in groups[group]:
            refused_by = frozenset({rule.name, *case.get("also", [])}) if group == "bad" else frozenset[str]()
            for kind in ("Pod",) if _POD_ONLY in case else KINDS:
                name = f"{rule.name}.{case['name']}.{kind.lower()}"
                yield Case(name, wrap(kind, name, _pod_spec(case)), refused_by)


def _pod_spec(case: Mapping[str, Any]) -> Manifest:
    spec = merge(_BASELINE["podSpec"], case.get("pod", {}))
    spec["containers"] = [merge(_BASELINE["container"], case.get("container", {}))]
    if case.get("injected"):
        spec["initContainers"] = deepcopy(_BASELINE["injected"]["initContainers"])
    for key, field in (("initContainer", "initContainers"), (_POD_ONLY, "ephemeralContainers")):
        if key in case:
            spec[field] = [merge(_BASELINE["container"] | {"name": "second"}, case[key])]
    return spec


def merge(base: Any, patch: Any) -> Any:
    """A JSON merge patch (RFC 7386)."""
    if not isinstance(patch, dict):
        return deepcopy(patch)
    merged = deepcopy(base) if isinstance(base, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), value)
    return merged


def wrap(kind: str, name: str, pod_spec: Manifest) -> Manifest:
    """A pod spec as an object of this kind."""
    labels = {"app": "case"}
    metadata = {"name": name, "namespace": NAMESPACE, "labels": labels}
    if kind == "Pod":
        return {"apiVersion": "v1", "kind": kind, "metadata": metadata, "spec": pod_spec}
    runs_once = kind in ("Job", "CronJob")
    template = {
        "metadata": {"labels": labels},
        "spec": {**pod_spec, "restartPolicy": "Never"} if runs_once else pod_spec,
    }
    spec: Manifest = {"template": template}
    if kind == "CronJob":
        spec = {"schedule": "0 4 * * *", "jobTemplate": {"spec": spec}}
    elif kind == "ReplicationController":
        spec["selector"] = labels
    elif not runs_once:
        spec["selector"] = {"matchLabels": labels}
    if kind == "StatefulSet":
        spec["serviceName"] = "case"
    return {"apiVersion": _CONTROLLERS[kind], "kind": kind, "metadata": metadata, "spec": spec}
