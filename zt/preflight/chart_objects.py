"""The kinds of objects in the pinned charts, and in the file of the Gateway API.

A test compares them with the manifests of releases that Helm installed. The charts of Vault are those of their
repositories, with the values of `components/vault/values.py`.
"""

from collections.abc import Mapping
from types import MappingProxyType

_RBAC, _ADMISSION = "rbac.authorization.k8s.io/v1", "admissionregistration.k8s.io/v1"
_CRD = ("apiextensions.k8s.io/v1", "CustomResourceDefinition")
_CLUSTER_RBAC = ((_RBAC, "ClusterRole"), (_RBAC, "ClusterRoleBinding"))
_NAMESPACE_RBAC = ((_RBAC, "Role"), (_RBAC, "RoleBinding"))
_ACCOUNT, _SERVICE, _CONFIG_MAP, _SECRET = (
    ("v1", "ServiceAccount"),
    ("v1", "Service"),
    ("v1", "ConfigMap"),
    ("v1", "Secret"),
)
_DEPLOYMENT, _DAEMON_SET, _JOB = ("apps/v1", "Deployment"), ("apps/v1", "DaemonSet"), ("batch/v1", "Job")
_BUDGET, _AUTOSCALER = ("policy/v1", "PodDisruptionBudget"), ("autoscaling/v2", "HorizontalPodAutoscaler")
_MUTATING = (_ADMISSION, "MutatingWebhookConfiguration")
_VALIDATING = (_ADMISSION, "ValidatingWebhookConfiguration")

Kinds = tuple[tuple[str, str], ...]

# The server of a stack with `vault.mode: helm`, and the injector of any stack.
_VAULT: Kinds = (
    *_CLUSTER_RBAC,
    *_NAMESPACE_RBAC,
    _ACCOUNT,
    _SERVICE,
    _CONFIG_MAP,
    # The certificates that several injectors share.
    _SECRET,
    _DEPLOYMENT,
    ("apps/v1", "StatefulSet"),
    _BUDGET,
    _MUTATING,
)

CHART_KINDS: Mapping[str, Kinds] = MappingProxyType(
    {
        "base": (_CRD, _VALIDATING, _ACCOUNT),
        "cni": (*_CLUSTER_RBAC, _ACCOUNT, _CONFIG_MAP, _DAEMON_SET),
        "istiod": (
            *_CLUSTER_RBAC,
            *_NAMESPACE_RBAC,
            _ACCOUNT,
            _SERVICE,
            _CONFIG_MAP,
            _DEPLOYMENT,
            _BUDGET,
            _AUTOSCALER,
            _MUTATING,
            _VALIDATING,
        ),
        "ztunnel": (_ACCOUNT, _DAEMON_SET),
        "cert-manager": (
            _CRD,
            *_CLUSTER_RBAC,
            *_NAMESPACE_RBAC,
            _ACCOUNT,
            _SERVICE,
            _DEPLOYMENT,
            _BUDGET,
            _JOB,
            _MUTATING,
            _VALIDATING,
        ),
        "kyverno": (
            _CRD,
            *_CLUSTER_RBAC,
            *_NAMESPACE_RBAC,
            _ACCOUNT,
            _SERVICE,
            _CONFIG_MAP,
            _DEPLOYMENT,
            _BUDGET,
            _JOB,
        ),
        "external-secrets": (
            _CRD,
            *_CLUSTER_RBAC,
            *_NAMESPACE_RBAC,
            _ACCOUNT,
            _SERVICE,
            _SECRET,
            _DEPLOYMENT,
            _BUDGET,
            _VALIDATING,
        ),
        "vault": _VAULT,
        "openbao": _VAULT,
    }
)
"""The kinds of a chart's objects, hooks included, by the chart's name."""

GATEWAY_API_KINDS: Kinds = (
    _CRD,
    (_ADMISSION, "ValidatingAdmissionPolicy"),
    (_ADMISSION, "ValidatingAdmissionPolicyBinding"),
)
