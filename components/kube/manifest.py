"""Kubernetes objects as the API server takes them, and the parts that several layers write alike."""

from collections.abc import Mapping, Sequence
from typing import Any

from components.kube.names import POD_SECURITY

Manifest = dict[str, Any]

_RBAC_GROUP = "rbac.authorization.k8s.io"


def as_inputs(manifest: Manifest) -> Any:
    """A manifest for an argument of the SDK, whose types write the same keys in snake case and accept both."""
    return manifest


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
    return [{"ipBlock": {"cidr": network, "except": list(excepted)}} for network, excepted in networks.items()]


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


def role_ref(kind: str, name: str) -> Any:
    """The reference of a binding to a Role or ClusterRole, for an argument of the SDK."""
    return {"api_group": _RBAC_GROUP, "kind": kind, "name": name}


def account_subject(name: str, namespace: str) -> Any:
    """A service account as the subject of a binding, for an argument of the SDK."""
    return {"kind": "ServiceAccount", "name": name, "namespace": namespace}
