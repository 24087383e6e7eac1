"""What is older than the rules: an object of each kind that violates each rule, made before the rules were in force.

It may be scaled, suspended, labelled and cleaned up, and a rollout mends it. It is not made anew as it was.
"""

from collections.abc import Iterator
from copy import deepcopy
from http import HTTPStatus
from typing import Any

import pytest

from components.kyverno.library import VALIDATING_TIERS, Rule, load_library
from tests.e2e import pods
from tests.e2e.admission import Admission, Outcome, RefusedError
from tests.e2e.plane import Plane
from tests.policy import cases
from tests.policy.cases import KINDS, Case, Manifest, merge
from tests.support.waiting import eventually

OLDER = "older"
"""Has what violates the rules, and none of the objects that the cases have beside them."""
KEPT = "older-kept"
"""Has what keeps to the rules."""
_FINALIZER = "example.org/older"
_VALIDATING = [rule for rule in load_library().rules.values() if rule.tier in VALIDATING_TIERS]
# No scheduler has this name: the pods of what is only looked at stay where they are.
_WAITING = {"schedulerName": "nobody"}
_REPLICATED = ("Deployment", "StatefulSet", "ReplicaSet", "ReplicationController")
# These look at no template: another one is no new violation.
_BESIDE_TEMPLATES = {"require-replicas", "require-rolling-update"}
# The kinds of these are not yet known where the older objects are made.
_LATER = ("Gateway",)
_RUNNING = {
    "Deployment": {"replicas": 2},
    "StatefulSet": {"replicas": 2, "serviceName": "running"},
    "DaemonSet": {},
    "ReplicaSet": {"replicas": 2},
    "ReplicationController": {"replicas": 2},
    "Job": {},
    "CronJob": {"schedule": "0 4 1 1 *"},
}
_SNAKE = {
    "Deployment": "deployment",
    "StatefulSet": "stateful_set",
    "ReplicaSet": "replica_set",
    "ReplicationController": "replication_controller",
}
_BUDGET = {
    "apiVersion": "policy/v1",
    "kind": "PodDisruptionBudget",
    "metadata": {"name": "running"},
    "spec": {
        "maxUnavailable": 1,
        "selector": {
            "matchExpressions": [{"key": "app", "operator": "In", "values": [f"running-{k.lower()}" for k in _RUNNING]}]
        },
    },
}
_MENDED = ("Deployment", "StatefulSet", "DaemonSet")


def violating(rule: Rule) -> Iterator[Case]:
    """The first bad case of a rule as each kind, of those that the API server stores."""
    seen: set[str] = set()
    for case in cases.expand(rule):
        kind = case.manifest["kind"]
        storable = not case.invalid and "ephemeralContainers" not in case.manifest["spec"] and kind not in _LATER
        if case.refused_by and storable and kind not in seen:
            seen.add(kind)
            yield case


def _template(manifest: Manifest) -> Manifest:
    """The pod in an object: itself, or the template of a controller."""
    if manifest["kind"] == "Pod":
        return manifest
    spec = manifest["spec"]["jobTemplate"]["spec"] if manifest["kind"] == "CronJob" else manifest["spec"]
    return spec["template"]


def _idle(manifest: Manifest, name: str) -> Manifest:
    """The object with a finalizer, with pods that wait, and with a label by which no other controller adopts them."""
    idle = merge(manifest, {"metadata": {"name": name, "finalizers": [_FINALIZER]}})
    if idle["kind"] not in KINDS:
        return idle
    own = {"example.org/object": name}
    _template(idle)["spec"] |= _WAITING
    if idle["kind"] == "DaemonSet":
        _template(idle)["spec"]["nodeSelector"] = {"example.org/no": "node"}
    if "selector" in idle["spec"]:
        _template(idle)["metadata"]["labels"] |= own
        selector = own if idle["kind"] == "ReplicationController" else {"matchLabels": own}
        idle["spec"] = merge(idle["spec"], {"selector": selector})
    return idle


def _running(kind: str) -> Manifest:
    """A controller of privileged pods that run."""
    labels = {**cases.BASELINE["labels"], "app": f"running-{kind.lower()}"}
    running = cases.wrap(kind, "running", pods.privileged("running")["spec"], labels)
    running["spec"] |= deepcopy(_RUNNING[kind])
    if "selector" in running["spec"]:
        by_app = {"app": labels["app"]}
        running["spec"]["selector"] = by_app if kind == "ReplicationController" else {"matchLabels": by_app}
    return running


def make_older(plane: Plane) -> None:
    """Create both namespaces with their objects: no rule is in force yet."""
    asked = Admission(plane, (rule.name for rule in _VALIDATING))
    for namespace in (OLDER, KEPT):
        plane.core.create_namespace({"metadata": {"name": namespace}})
        asked.furnish(namespace)
    for rule in _VALIDATING:
        for case in violating(rule):
            asked.request("POST", _idle(case.manifest, _name(rule, case)), OLDER)
    for kind in KINDS:
        asked.request("POST", _idle(_keeping(kind), f"keeping-{kind.lower()}"), KEPT)
    asked.request("POST", _BUDGET, OLDER)
    for kind in _RUNNING:
        asked.request("POST", _running(kind), OLDER)
    for manifest in cases.BASELINE["beside"]:
        asked.request("POST", manifest, KEPT)


def delete_older(plane: Plane) -> None:
    """Remove the finalizers, which no rule may refuse, and delete both namespaces."""
    asked = Admission(plane, (rule.name for rule in _VALIDATING))
    for rule in _VALIDATING:
        for case in violating(rule):
            _release(asked, merge(case.manifest, {"metadata": {"name": _name(rule, case)}}), OLDER)
    for kind in KINDS:
        _release(asked, merge(_keeping(kind), {"metadata": {"name": f"keeping-{kind.lower()}"}}), KEPT)
    for namespace in (OLDER, KEPT):
        plane.core.delete_namespace(namespace)


def _name(rule: Rule, case: Case) -> str:
    return f"{rule.name}-{case.manifest['kind'].lower()}"


def _keeping(kind: str) -> Manifest:
    return cases.wrap(kind, "keeping", cases.pod_spec({}), cases.BASELINE["labels"])


def _read(admission: Admission, manifest: Manifest, namespace: str) -> Manifest:
    """The object as it is stored, to be sent back whatever a controller wrote in between."""
    stored = admission.request("GET", manifest, namespace)
    del stored["metadata"]["resourceVersion"]
    return stored


def _release(admission: Admission, manifest: Manifest, namespace: str) -> None:
    stored = _read(admission, manifest, namespace)
    stored["metadata"]["finalizers"] = []
    admission.request("PUT", stored, namespace)


def _care(stored: Manifest) -> Iterator[tuple[str, Manifest]]:
    """What is done to an object to look after it, by a name: each leaves alone what a rule judges."""
    note = {"example.org/note": "to-be-replaced"}
    metadata = {"finalizers": [], "labels": note, "annotations": note}
    yield "metadata and status", merge(stored, {"metadata": metadata, "status": {"observedGeneration": 1}})
    match stored["kind"]:
        case "Pod":
            toleration = {"key": "example.org/drain", "operator": "Exists"}
            tolerations = [*stored["spec"].get("tolerations", []), toleration]
            yield "tolerations", merge(stored, {"spec": {"tolerations": tolerations}})
            yield "deadline", merge(stored, {"spec": {"activeDeadlineSeconds": 60}})
        case "Job" | "CronJob":
            yield "suspend", merge(stored, {"spec": {"suspend": True}})
        case "DaemonSet":
            yield "history", merge(stored, {"spec": {"revisionHistoryLimit": 3, "minReadySeconds": 5}})
        case "Deployment":
            yield "replicas", merge(stored, {"spec": {"replicas": 0}})
            yield "paused", merge(stored, {"spec": {"paused": True, "revisionHistoryLimit": 3}})
        case "StatefulSet" | "ReplicaSet" | "ReplicationController":
            yield "replicas", merge(stored, {"spec": {"replicas": 0}})
        case _:
            return


def _anew(stored: Manifest) -> Manifest | None:
    """The object with another template that violates the rule as well; a Job and a Pod cannot have one."""
    if stored["kind"] in ("Pod", "Job"):
        return None
    changed = deepcopy(stored)
    template = _template(changed)
    template["metadata"]["annotations"] = {
        **template["metadata"].get("annotations", {}),
        "example.org/restarted": "today",
    }
    return changed


class OlderObjects:
    """Tests of a plane on which `make_older` ran before its first `up`, with every rule denying."""

    @pytest.mark.parametrize("rule", _VALIDATING, ids=lambda rule: rule.name)
    def test_what_violates_a_rule_is_looked_after(self, admission: Admission, rule: Rule) -> None:
        refused: dict[str, Outcome] = {}
        for case in violating(rule):
            stored = _read(admission, merge(case.manifest, {"metadata": {"name": _name(rule, case)}}), OLDER)
            for care, changed in _care(stored):
                outcome = admission.dry_run("PUT", changed, OLDER)
                if outcome != Outcome():
                    refused[f"{_name(rule, case)}: {care}"] = outcome
        assert not refused

    @pytest.mark.parametrize("rule", _VALIDATING, ids=lambda rule: rule.name)
    def test_what_violates_a_rule_gets_no_new_template(self, admission: Admission, rule: Rule) -> None:
        if rule.name in _BESIDE_TEMPLATES:
            return
        for case in violating(rule):
            if case.manifest["kind"] not in KINDS:
                continue
            stored = _read(admission, merge(case.manifest, {"metadata": {"name": _name(rule, case)}}), OLDER)
            if changed := _anew(stored):
                rules = admission.dry_run("PUT", changed, OLDER).rules
                assert rules, case.id
                assert rules <= case.refused_by | {"require-pod-disruption-budget"}, case.id

    @pytest.mark.parametrize("rule", _VALIDATING, ids=lambda rule: rule.name)
    def test_what_keeps_to_a_rule_cannot_be_changed_to_violate_it(self, admission: Admission, rule: Rule) -> None:
        for case in violating(rule):
            kind = case.manifest["kind"]
            if kind not in KINDS or kind in ("Pod", "Job") or case.beside != tuple(cases.BASELINE["beside"]):
                continue
            changed = _idle(case.manifest, f"keeping-{kind.lower()}")
            rules = admission.dry_run("PUT", changed, KEPT).rules
            assert rules, case.id
            assert rules <= case.refused_by, case.id

    def test_a_pod_gets_no_other_image_while_it_violates_a_rule(self, admission: Admission) -> None:
        pod = cases.wrap("Pod", "disallow-privileged-pod", {}, {})
        stored = _read(admission, pod, OLDER)
        stored["spec"]["containers"][0]["image"] = "registry.example.org/shop/api:v1.2.4"
        assert admission.dry_run("PUT", stored, OLDER).rules == {"disallow-privileged"}

    @pytest.mark.parametrize("kind", _MENDED)
    def test_a_rollout_mends_what_violates_a_rule(self, production: Plane, admission: Admission, kind: str) -> None:
        assert admission
        stored = _read(admission, _running(kind), OLDER)
        mended = pods.pod("running")["spec"]["containers"]
        _template(stored)["spec"]["containers"] = mended
        admission.request("PUT", stored, OLDER)
        eventually(lambda: _privileged_pods(production, kind) == [False] * _due(kind, production), f"{kind} is mended")
        if kind == "Deployment":
            sets = production.apps.list_namespaced_replica_set(OLDER, label_selector=f"app=running-{kind.lower()}")
            assert sorted(each.spec.replicas for each in sets.items) == [0, 2]

    @pytest.mark.parametrize("kind", _REPLICATED)
    def test_a_workload_is_scaled_to_zero(self, production: Plane, admission: Admission, kind: str) -> None:
        assert admission
        api = production.core if kind == "ReplicationController" else production.apps
        scale = getattr(api, f"patch_namespaced_{_SNAKE[kind]}_scale")
        scale("running", OLDER, {"spec": {"replicas": 0}})
        eventually(lambda: _privileged_pods(production, kind) == [], f"no pod of the {kind} is left")

    @pytest.mark.parametrize("kind", ["Job", "CronJob"])
    def test_a_job_is_suspended(self, production: Plane, admission: Admission, kind: str) -> None:
        stored = _read(admission, _running(kind), OLDER)
        stored["spec"]["suspend"] = True
        assert admission.request("PUT", stored, OLDER)["spec"]["suspend"]
        eventually(lambda: _privileged_pods(production, kind) == [], f"no pod of the {kind} is left")

    @pytest.mark.parametrize("kind", _RUNNING)
    def test_a_workload_is_deleted(self, admission: Admission, kind: str) -> None:
        admission.request("DELETE", _running(kind), OLDER)

        def gone() -> bool:
            try:
                admission.request("GET", _running(kind), OLDER)
            except RefusedError as refused:
                return refused.status == HTTPStatus.NOT_FOUND
            return False

        eventually(gone, f"the {kind} is gone")


def _privileged_pods(plane: Plane, kind: str) -> list[bool]:
    """Of each pod of the running controller of that kind, whether it is privileged."""
    found = plane.core.list_namespaced_pod(OLDER, label_selector=f"app=running-{kind.lower()}").items
    return [bool(pod.spec.containers[0].security_context.privileged) for pod in found if not _ended(pod)]


def _ended(pod: Any) -> bool:
    return pod.metadata.deletion_timestamp is not None or pod.status.phase in ("Succeeded", "Failed")


def _due(kind: str, plane: Plane) -> int:
    return len(plane.core.list_node().items) if kind == "DaemonSet" else 2
