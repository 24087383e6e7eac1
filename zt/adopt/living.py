"""The objects of a living cluster that the report reads, by kind: one list each, and nothing is ever written.

`role_rules` are the rights for it. Secrets are not among them: which ones a workload has in its environment stands in
its own manifest.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, cast

from components.kube.cluster import Call, Cluster, UnreadableError
from components.kube.parts import Manifest, part, parts
from components.kube.resources import resource_of
from zt.cluster import plugin_policies

ROLE = "platform-adopt"
_RBAC = "rbac.authorization.k8s.io/v1"
KINDS: Mapping[str, str] = MappingProxyType(
    {
        "Namespace": "v1",
        "Pod": "v1",
        "Service": "v1",
        "ServiceAccount": "v1",
        "ConfigMap": "v1",
        "Deployment": "apps/v1",
        "StatefulSet": "apps/v1",
        "DaemonSet": "apps/v1",
        "ReplicaSet": "apps/v1",
        "Job": "batch/v1",
        "CronJob": "batch/v1",
        "NetworkPolicy": "networking.k8s.io/v1",
        "Ingress": "networking.k8s.io/v1",
        "PodDisruptionBudget": "policy/v1",
        "HorizontalPodAutoscaler": "autoscaling/v2",
        "Role": _RBAC,
        "RoleBinding": _RBAC,
        "ClusterRole": _RBAC,
        "ClusterRoleBinding": _RBAC,
        "AuthorizationPolicy": "security.istio.io/v1",
        "ServiceEntry": "networking.istio.io/v1",
        "VirtualService": "networking.istio.io/v1",
        "HTTPRoute": "gateway.networking.k8s.io/v1",
    }
)
"""Every kind that is read, and its API version."""

_LOGGED_LINES = 2000
_PROXY = "istio-proxy"


def role_rules() -> list[Manifest]:
    """The rights of whoever makes the report: to read the kinds above, and what the mesh's proxies logged."""
    groups: dict[str, list[str]] = {}
    for kind, api_version in KINDS.items():
        resource = resource_of(api_version, kind)
        groups.setdefault(resource.group, []).append(resource.name)
    rules: list[Manifest] = [
        {"apiGroups": [group], "resources": sorted(names), "verbs": ["get", "list"]}
        for group, names in sorted(groups.items())
    ]
    return [
        *rules,
        {"apiGroups": ["*"], "resources": [*plugin_policies.RESOURCES], "verbs": ["get", "list"]},
        {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
        {"nonResourceURLs": ["/version"], "verbs": ["get"]},
    ]


def role() -> Manifest:
    """The ClusterRole to apply."""
    return {"apiVersion": _RBAC, "kind": "ClusterRole", "metadata": {"name": ROLE}, "rules": role_rules()}


@dataclass(frozen=True)
class Living:
    """The objects by kind, without those of namespaces that are left out, and what could not be read."""

    objects: Mapping[str, Sequence[Manifest]]
    unread: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    logs: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict[str, Sequence[Mapping[str, Any]]])
    """The access logs of the mesh's proxies, by `namespace/pod`."""
    other_policies: tuple[str, ...] = ()
    """The network policies of administrators and of the plugin, by kind and name."""

    def of(self, *kinds: str) -> Iterator[Manifest]:
        """The objects of some kinds in the namespaces that are looked at; all of them for kinds without one."""
        for kind in kinds:
            for each in self.objects.get(kind, ()):
                namespace = each["metadata"].get("namespace")
                if namespace is None or namespace in self.namespaces:
                    yield each

    def everywhere(self, kind: str) -> Sequence[Manifest]:
        """The objects of a kind in all namespaces."""
        return self.objects.get(kind, ())

    def labels(self, namespace: str) -> Mapping[str, str]:
        """The labels of a namespace."""
        for each in self.everywhere("Namespace"):
            if each["metadata"]["name"] == namespace:
                return cast("Mapping[str, str]", part(each, "metadata", "labels"))
        return {}


def read(cluster: Cluster, left_out: Sequence[str], only: Sequence[str], logs: bool) -> Living:
    """Read a cluster. `left_out` are namespaces of the platform and the cluster; with `only` no other is looked at.

    A kind that may not be read is named in `unread`. Raises `UnreadableError` when the namespaces are not shown.
    """
    objects: dict[str, Sequence[Manifest]] = {}
    unread: list[str] = []
    for kind, api_version in KINDS.items():
        resource = resource_of(api_version, kind)
        path = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        try:
            listed = cluster.objects(f"{path}/{resource.name}")
        except UnreadableError as error:
            if kind == "Namespace":
                raise
            unread.append(str(error))
            continue
        objects[kind] = [{**each, "apiVersion": api_version, "kind": kind} for each in listed]
    names = [each["metadata"]["name"] for each in objects["Namespace"]]
    chosen = tuple(sorted(name for name in names if name not in left_out and (not only or name in only)))
    policies = tuple(_other_policies(cluster, unread))
    living = Living(objects, tuple(unread), chosen, other_policies=policies)
    return replace(living, logs=dict(_logs(cluster, living))) if logs else living


def _other_policies(cluster: Cluster, unread: list[str]) -> Iterator[str]:
    for kind, path in plugin_policies.kinds(lambda path: cluster.get(path).body):
        try:
            yield from plugin_policies.named(kind, cluster.objects(path))
        except UnreadableError as error:
            unread.append(str(error))


def _logs(cluster: Cluster, living: Living) -> Iterator[tuple[str, Sequence[Mapping[str, Any]]]]:
    """What the proxies of the pods that run logged last. A pod that shows nothing is left out."""
    for pod in living.of("Pod"):
        spec, metadata = part(pod, "spec"), pod["metadata"]
        containers = [*parts(spec, "containers"), *parts(spec, "initContainers")]
        if part(pod, "status").get("phase") != "Running" or all(each["name"] != _PROXY for each in containers):
            continue
        place = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/log"
        answer = cluster.send(Call("GET", f"{place}?container={_PROXY}&tailLines={_LOGGED_LINES}", accept="*/*"))
        if answer.ok:
            yield f"{metadata['namespace']}/{metadata['name']}", [*_lines(answer.text)]


def _lines(text: str) -> Iterator[Mapping[str, Any]]:
    for line in text.splitlines():
        try:
            read_line: object = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(read_line, dict):
            yield cast("Mapping[str, Any]", read_line)
