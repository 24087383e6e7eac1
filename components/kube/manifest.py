"""Kubernetes objects as the API server takes them, and the parts that several layers write alike."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from components.kube.names import POD_SECURITY

Manifest = dict[str, Any]

_RBAC_GROUP = "rbac.authorization.k8s.io"
_ADMISSION = "admissionregistration.k8s.io/v1"
_APIS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(
            ("ConfigMap", "Namespace", "PersistentVolumeClaim", "Secret", "Service", "ServiceAccount"), "v1"
        ),
        **dict.fromkeys(("Deployment", "StatefulSet"), "apps/v1"),
        "HorizontalPodAutoscaler": "autoscaling/v2",
        **dict.fromkeys(("CronJob", "Job"), "batch/v1"),
        **dict.fromkeys(("Ingress", "NetworkPolicy"), "networking.k8s.io/v1"),
        "PodDisruptionBudget": "policy/v1",
        **dict.fromkeys(("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"), f"{_RBAC_GROUP}/v1"),
        **dict.fromkeys(("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"), _ADMISSION),
    }
)


def of_kind(kind: str, **fields: Any) -> Manifest:
    """The manifest of an object of one of Kubernetes' own kinds, in the version of its API that the program uses."""
    return {"apiVersion": _APIS[kind], "kind": kind, **fields}


def pod_security(level: str, *modes: str) -> dict[str, str]:
    """The labels that hold the pods of a namespace to a Pod Security Standard, by default enforced.

    https://kubernetes.io/docs/concepts/security/pod-security-admission/
    """
    return {f"{POD_SECURITY}/{mode}": level for mode in modes or ("enforce",)}


def namespace_selector(name: str) -> Manifest:
    """The selector of one namespace, by the label that the API server itself sets."""
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}


def ip_blocks(networks: Sequence[str]) -> list[Manifest]:
    """Networks as peers of a NetworkPolicy's rule."""
    return [{"ipBlock": {"cidr": network}} for network in networks]


def blocks_without(networks: Mapping[str, Sequence[str]]) -> list[Manifest]:
    """Networks with their exceptions as peers of a NetworkPolicy's rule."""
    return [
        {"ipBlock": {"cidr": network, **({"except": list(excepted)} if excepted else {})}}
        for network, excepted in networks.items()
    ]


def pods(namespace: str, labels: Mapping[str, str]) -> Manifest:
    """Pods of a namespace as a peer of a NetworkPolicy's rule."""
    return {**namespace_selector(namespace), "podSelector": {"matchLabels": dict(labels)}}


def tcp_rule(direction: str, peers: Sequence[Manifest], ports: Sequence[int]) -> Manifest:
    """A rule of a NetworkPolicy for TCP; `direction` is `from` or `to`."""
    return {direction: list(peers), "ports": [{"port": port, "protocol": "TCP"} for port in ports]}


def rbac_rule(
    group: str, resources: Sequence[str], verbs: Sequence[str], names: Sequence[str] | None = None
) -> Manifest:
    """A rule of a Role or ClusterRole; without `names` it holds for every object."""
    rule: Manifest = {"apiGroups": [group], "resources": list(resources), "verbs": list(verbs)}
    return {**rule, "resourceNames": list(names)} if names else rule


def role_ref(kind: str, name: str) -> Manifest:
    """The reference of a binding to a Role or ClusterRole."""
    return {"apiGroup": _RBAC_GROUP, "kind": kind, "name": name}


def user_subject(kind: str, name: str) -> Manifest:
    """A `User` or a `Group`, as the API server knows it, as the subject of a binding."""
    return {"kind": kind, "name": name, "apiGroup": _RBAC_GROUP}


def account_subject(name: str, namespace: str) -> Manifest:
    """A service account as the subject of a binding."""
    return {"kind": "ServiceAccount", "name": name, "namespace": namespace}
