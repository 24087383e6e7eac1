"""The metrics of pods as an API of the cluster: its registration, and the rights of the server that answers it.

https://kubernetes.io/docs/tasks/debug/debug-cluster/resource-metrics-pipeline/
"""

import base64
from pathlib import Path

from embedded.node.names import METRICS_ADDRESS, METRICS_PORT, METRICS_SERVICE, NODE_ADDRESS
from embedded.node.objects import READ, Manifest, named
from embedded.supervisor.kubernetes_api import KubernetesApi

_NAMESPACE = "kube-system"
_RBAC = "rbac.authorization.k8s.io"
_USER = {"apiGroup": _RBAC, "kind": "User", "name": "system:metrics-server"}


def ensure_metrics_api(api: KubernetesApi, authority: Path) -> None:
    """Register it with the authority of the server's certificate. Raises ``ApiError``."""
    rights = f"/apis/{_RBAC}/v1"
    role = named(f"{_RBAC}/v1", "ClusterRole", f"embedded:{METRICS_SERVICE}") | {"rules": _RULES}
    api.apply(f"{rights}/clusterroles", role)
    # The second lets it ask who a request is of, and whether that may read metrics.
    for name in (f"embedded:{METRICS_SERVICE}", "system:auth-delegator"):
        binding = _binding("ClusterRoleBinding", "ClusterRole", name)
        api.apply(f"{rights}/clusterrolebindings", binding)
    reader = _binding("RoleBinding", "Role", "extension-apiserver-authentication-reader", namespace=_NAMESPACE)
    api.apply(f"{rights}/namespaces/{_NAMESPACE}/rolebindings", reader)
    api.apply(f"/api/v1/namespaces/{_NAMESPACE}/services", _service())
    api.apply(f"/apis/discovery.k8s.io/v1/namespaces/{_NAMESPACE}/endpointslices", _endpoints())
    api.apply("/apis/apiregistration.k8s.io/v1/apiservices", _registration(authority))


_RULES: list[Manifest] = [
    {"apiGroups": [""], "resources": ["nodes/metrics"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["pods", "nodes"], "verbs": READ},
]


def _binding(kind: str, role_kind: str, role: str, **where: str) -> Manifest:
    name = f"{METRICS_SERVICE}:{role.rpartition(':')[2]}"
    made = named(f"{_RBAC}/v1", kind, name, **where)
    return made | {"roleRef": {"apiGroup": _RBAC, "kind": role_kind, "name": role}, "subjects": [_USER]}


def _service() -> Manifest:
    ports = [{"name": "https", "port": 443, "targetPort": METRICS_PORT, "protocol": "TCP"}]
    return named("v1", "Service", METRICS_SERVICE) | {"spec": {"clusterIP": METRICS_ADDRESS, "ports": ports}}


def _endpoints() -> Manifest:
    labels = {"kubernetes.io/service-name": METRICS_SERVICE}
    return named("discovery.k8s.io/v1", "EndpointSlice", METRICS_SERVICE, labels=labels) | {
        "addressType": "IPv4",
        "endpoints": [{"addresses": [NODE_ADDRESS], "conditions": {"ready": True}}],
        "ports": [{"name": "https", "port": METRICS_PORT, "protocol": "TCP"}],
    }


def _registration(authority: Path) -> Manifest:
    return named("apiregistration.k8s.io/v1", "APIService", "v1beta1.metrics.k8s.io") | {
        "spec": {
            "group": "metrics.k8s.io",
            "version": "v1beta1",
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "caBundle": base64.b64encode(authority.read_bytes()).decode(),
            "service": {"name": METRICS_SERVICE, "namespace": _NAMESPACE},
        }
    }
