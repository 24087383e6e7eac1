"""The metrics of pods as an API of the cluster: its registration, and the rights of the server that answers it.

https://kubernetes.io/docs/tasks/debug/debug-cluster/resource-metrics-pipeline/
"""

import base64
from pathlib import Path

from embedded.node.names import METRICS_ADDRESS, METRICS_PORT, METRICS_SERVICE, NODE_ADDRESS
from embedded.node.objects import READ, Manifest, binding, endpoint, named, role, user
from embedded.supervisor.kubernetes_api import KubernetesApi

_NAMESPACE = "kube-system"
_ROLE, _DELEGATOR = f"embedded:{METRICS_SERVICE}", "system:auth-delegator"
_USER = user("system:metrics-server")
_RULES: list[Manifest] = [
    {"apiGroups": [""], "resources": ["nodes/metrics"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["pods", "nodes"], "verbs": READ},
]


def ensure_metrics_api(api: KubernetesApi, authority: Path) -> None:
    """Register it with the authority of the server's certificate. Raises ``ApiError``."""
    rights = "/apis/rbac.authorization.k8s.io/v1"
    api.apply(f"{rights}/clusterroles", role(_ROLE, _RULES))
    # The second lets it ask who a request is of, and whether that may read metrics.
    for name in (_ROLE, _DELEGATOR):
        api.apply(f"{rights}/clusterrolebindings", binding(name, _USER))
    api.apply(f"{rights}/namespaces/{_NAMESPACE}/rolebindings", _reader())
    api.apply(f"/api/v1/namespaces/{_NAMESPACE}/services", _service())
    slices = f"/apis/discovery.k8s.io/v1/namespaces/{_NAMESPACE}/endpointslices"
    api.apply(slices, endpoint(METRICS_SERVICE, NODE_ADDRESS, METRICS_PORT))
    api.apply("/apis/apiregistration.k8s.io/v1/apiservices", _registration(authority))


def _reader() -> Manifest:
    """The right to read by which authority the API server asks for others."""
    name = "extension-apiserver-authentication-reader"
    role_ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
    return binding(name, _USER) | {"kind": "RoleBinding", "roleRef": role_ref}


def _service() -> Manifest:
    ports = [{"name": "https", "port": 443, "targetPort": METRICS_PORT, "protocol": "TCP"}]
    return named("v1", "Service", METRICS_SERVICE) | {"spec": {"clusterIP": METRICS_ADDRESS, "ports": ports}}


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
