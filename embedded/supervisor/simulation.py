"""What KWOK simulates: three nodes in three zones, and the life of the pods on them.

The stages are those of the KWOK module (``kustomize/stage/{pod,node}/fast``, ``node/heartbeat-with-lease``), with one
difference: a pod of a controller becomes Ready only while the host process behind it is ready, which the supervisor
tells by an annotation. So a release waits for a webhook that works, as on a real cluster.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from embedded.supervisor.controllers import CONTROLLERS, READY_ANNOTATION, Controller
from embedded.supervisor.hook_jobs import HOOK_JOBS, HookJob
from embedded.supervisor.https_api import ApiError
from embedded.supervisor.kubernetes_api import KubernetesApi, Manifest
from embedded.supervisor.private_files import write_private

NODES = ("node-a", "node-b", "node-c")
_CAPACITY = {"cpu": "64", "memory": "256Gi", "ephemeral-storage": "1Ti", "pods": "1000"}
_TEMPLATES = Path(__file__).parent / "stages"
_RBAC = "/apis/rbac.authorization.k8s.io/v1"

Requirement = dict[str, Any]


def write_stages(path: Path) -> None:
    """Write KWOK's configuration file with all stages."""
    write_private(path, yaml.safe_dump_all(stages(), sort_keys=False))


def stages() -> list[dict[str, Any]]:
    """All stages, in KWOK's configuration format."""
    ready, not_ready, completed = _template("pod-ready"), _template("pod-not-ready"), _template("pod-complete")
    return [
        _stage("node-initialize", "Node", [_is_not_ready()], _template("node-initialize")),
        _stage(
            "node-heartbeat-with-lease",
            "Node",
            [_requirement(".status.phase", "In", "Running"), _is_ready()],
            _template("node-heartbeat"),
            # The lease says that the node lives; the status may be as old as a kubelet's (nodeStatusReportFrequency).
            delay={"durationMilliseconds": 600_000, "jitterDurationMilliseconds": 610_000},
        ),
        _pod("pod-ready", [_phase("Pending"), _is_not_ready(), _of_controller("no")], ready),
        _pod("controller-starting", [_phase("Pending"), _of_controller("yes"), _annotated("NotIn")], not_ready),
        _pod("controller-ready", [_is_not_ready(), _of_controller("yes"), _annotated("In")], ready),
        _pod("controller-not-ready", [_is_ready(), _of_controller("yes"), _annotated("NotIn")], not_ready),
        _pod("pod-complete", [_phase("Running"), _owned_by("Job"), _of_hook("no")], completed),
        _pod("hook-complete", [_phase("Running"), _of_hook("yes"), _annotated("In")], completed),
        _stage("pod-delete", "Pod", [_requirement(".metadata.deletionTimestamp", "Exists")], {"delete": True}),
    ]


def controller_expression(controllers: Iterable[Controller]) -> str:
    """A jq expression that answers "yes" for the pods of these controllers, and "no" for every other."""
    return _yes_or_no(_membership(controller) for controller in controllers)


def hook_expression(hooks: Iterable[HookJob]) -> str:
    """A jq expression that answers "yes" for the pods of these hooks, and "no" for every other."""
    return _yes_or_no(
        f'.metadata.namespace == "{hook.namespace}" and (.spec.containers[0].args // [""])[0] == "{hook.argument}"'
        ' and any(.metadata.ownerReferences[]?; .kind == "Job")'
        for hook in hooks
    )


def ensure_cluster_objects(api: KubernetesApi) -> None:
    """Create the nodes, and the role that KWOK's user has (``kustomize/rbac`` of the KWOK module)."""
    api.ensure(f"{_RBAC}/clusterroles", _kwok_role())
    api.ensure(f"{_RBAC}/clusterrolebindings", _kwok_binding())
    for index, name in enumerate(NODES):
        api.ensure("/api/v1/nodes", _node(name, zone=f"zone-{'abc'[index]}"))


def nodes_ready(api: KubernetesApi) -> bool:
    """Whether every simulated node is Ready."""
    try:
        nodes = api.list("/api/v1/nodes")
    except ApiError:
        return False
    ready = [node for node in nodes if _has_ready_condition(node)]
    return len(ready) >= len(NODES)


def _has_ready_condition(node: Manifest) -> bool:
    conditions = node.get("status", {}).get("conditions") or []
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def _yes_or_no(cases: Iterable[str]) -> str:
    any_case = " or ".join(f"({case})" for case in cases)
    return f'if {any_case} then "yes" else "no" end'


def _membership(controller: Controller) -> str:
    labels = [f'.metadata.labels["{key}"] == "{value}"' for key, value in sorted(controller.labels.items())]
    owner = 'any(.metadata.ownerReferences[]?; .kind == "ReplicaSet")'
    return " and ".join([f'.metadata.namespace == "{controller.namespace}"', *labels, owner])


def _template(name: str) -> dict[str, Any]:
    return {"statusTemplate": (_TEMPLATES / f"{name}.gotmpl").read_text()}


def _stage(
    name: str, kind: str, requirements: list[Requirement], after: dict[str, Any], delay: dict[str, int] | None = None
) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "resourceRef": {"apiGroup": "v1", "kind": kind},
        "selector": {"matchExpressions": requirements},
        "next": after,
    }
    if delay:
        spec["delay"] = delay
    return {"apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": "Stage", "metadata": {"name": name}, "spec": spec}


def _pod(name: str, requirements: list[Requirement], after: dict[str, Any]) -> dict[str, Any]:
    alive = _requirement(".metadata.deletionTimestamp", "DoesNotExist")
    return _stage(name, "Pod", [alive, *requirements], after)


def _requirement(key: str, operator: str, *values: str) -> Requirement:
    return {"key": key, "operator": operator} | ({"values": list(values)} if values else {})


def _phase(phase: str) -> Requirement:
    return _requirement(".status.phase", "In", phase)


def _is_ready() -> Requirement:
    return _requirement('.status.conditions.[] | select( .type == "Ready" ) | .status', "In", "True")


def _is_not_ready() -> Requirement:
    return _requirement('.status.conditions.[] | select( .type == "Ready" ) | .status', "NotIn", "True")


def _owned_by(kind: str) -> Requirement:
    return _requirement(".metadata.ownerReferences.[].kind", "In", kind)


def _of_controller(answer: str) -> Requirement:
    return _requirement(controller_expression(CONTROLLERS), "In", answer)


def _of_hook(answer: str) -> Requirement:
    return _requirement(hook_expression(HOOK_JOBS), "In", answer)


def _annotated(operator: str) -> Requirement:
    return _requirement(f'.metadata.annotations["{READY_ANNOTATION}"]', operator, "true")


def _node(name: str, zone: str) -> dict[str, Any]:
    labels = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "topology.kubernetes.io/region": "local",
        "topology.kubernetes.io/zone": zone,
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "status": {"allocatable": _CAPACITY, "capacity": _CAPACITY},
    }


def _kwok_role() -> dict[str, Any]:
    read = ["get", "list", "watch"]
    rules = [
        {"apiGroups": [""], "resources": ["events"], "verbs": [*read, "create", "delete", "patch", "update"]},
        {"apiGroups": [""], "resources": ["nodes"], "verbs": read},
        {"apiGroups": [""], "resources": ["nodes/status", "pods/status"], "verbs": ["patch", "update"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": [*read, "delete", "patch", "update"]},
        {
            "apiGroups": ["coordination.k8s.io"],
            "resources": ["leases"],
            "verbs": [*read, "create", "patch", "update"],
        },
    ]
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "embedded:kwok"},
        "rules": rules,
    }


def _kwok_binding() -> dict[str, Any]:
    group = "rbac.authorization.k8s.io"
    return {
        "apiVersion": f"{group}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "embedded:kwok"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "embedded:kwok"},
        "subjects": [{"apiGroup": group, "kind": "User", "name": "system:kwok"}],
    }
