"""The cases beside each rule, as the objects that a team would send to the API server."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import yaml

from components.kyverno.library import LIBRARY, Rule

Manifest = dict[str, Any]

NAMESPACE = "shop"
# A template has no ephemeral containers: they are added to a running pod. So is what injection adds.
_POD_ONLY = "ephemeralContainer"
_GATEWAY = "gateway"
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
_KEYS = {
    *("name", "also", "kinds", "invalid"),
    *("pod", "container", "initContainer", _POD_ONLY, "injected", _GATEWAY, "labels", "annotations", "controller"),
    *("object", "beside"),
}
BASELINE: Manifest = yaml.safe_load((LIBRARY / "baseline.yaml").read_text())


@dataclass(frozen=True)
class Case:
    """One object, what is beside it in its namespace, and the rules that have to refuse it (none: it is admitted).

    `invalid` marks an object that the API server itself refuses, before any rule: it can reach a rule in a pull
    request alone.
    """

    id: str
    manifest: Manifest
    refused_by: frozenset[str]
    beside: tuple[Manifest, ...]
    invalid: bool = False


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
            beside = tuple(case.get("beside", BASELINE["beside"]))
            for name, made in objects(f"{rule.name}.{case['name']}", case):
                yield Case(name, made, refused_by, beside, case.get("invalid", False))


def objects(name: str, case: Manifest) -> Iterator[tuple[str, Manifest]]:
    if "object" in case:
        yield name, merge({"metadata": {"namespace": NAMESPACE}}, merge(case["object"], {"metadata": {"name": name}}))
        return
    every = ("Pod",) if _POD_ONLY in case or case.get("injected") else KINDS
    for kind in case.get("kinds", every):
        own = f"{name}.{kind.lower()}"
        labels = merge(BASELINE["labels"], case.get("labels", {}))
        made = wrap(kind, own, pod_spec(case, kind), labels, case.get("annotations", {}))
        if "controller" in case:
            made["spec"] = merge(made["spec"], case["controller"])
        yield own, made


def pod_spec(case: Mapping[str, Any], kind: str = "Pod") -> Manifest:
    """The baseline's pod with what differs in this case, in an object of this kind."""
    spec = merge(BASELINE["podSpec"], case.get("pod", {}))
    own, beside = BASELINE["container"], list[Manifest]()
    if case.get(_GATEWAY):
        own = BASELINE[_GATEWAY]["pod" if kind == "Pod" else "controller"]
        mounted = {mount["name"] for mount in own.get("volumeMounts", [])}
        volumes = [each for each in BASELINE["injected"]["volumes"] if each["name"] in mounted]
        spec["volumes"] = [*spec.get("volumes", []), *volumes]
    if case.get("injected"):
        injected = deepcopy(BASELINE["injected"])
        own, beside = merge(own, injected["container"]), injected["containers"]
        spec["initContainers"] = injected["initContainers"]
        spec["volumes"] = [*spec.get("volumes", []), *injected["volumes"]]
    spec["containers"] = [merge(own, case.get("container", {})), *beside]
    for key, field in (("initContainer", "initContainers"), (_POD_ONLY, "ephemeralContainers")):
        if key in case:
            # Neither runs beside the application for long: probes are refused there, resources in the second.
            without = {"name": "second", "livenessProbe": None, "readinessProbe": None}
            without |= {"resources": None} if key == _POD_ONLY else {}
            spec[field] = [*spec.get(field, []), merge(merge(BASELINE["container"], without), case[key])]
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


def wrap(kind: str, name: str, spec: Manifest, labels: Manifest, annotations: Manifest | None = None) -> Manifest:
    """A pod spec as an object of this kind, with the annotations on the pod alone."""
    metadata = {"name": name, "namespace": NAMESPACE, "labels": labels}
    of_pod = {"annotations": annotations} if annotations else {}
    if kind == "Pod":
        return {"apiVersion": "v1", "kind": kind, "metadata": metadata | of_pod, "spec": spec}
    runs_once = kind in ("Job", "CronJob")
    template = {
        "metadata": {"labels": labels} | of_pod,
        "spec": {**spec, "restartPolicy": "Never"} if runs_once else spec,
    }
    made: Manifest = {"template": template}
    if kind == "CronJob":
        made = {"jobTemplate": {"spec": made}}
    elif kind == "ReplicationController":
        made["selector"] = {"app": "case"}
    elif not runs_once:
        made["selector"] = {"matchLabels": {"app": "case"}}
    made |= deepcopy(BASELINE["controllers"].get(kind, {}))
    return {"apiVersion": _CONTROLLERS[kind], "kind": kind, "metadata": metadata, "spec": made}
