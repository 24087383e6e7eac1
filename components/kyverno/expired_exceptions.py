"""What ends an exception on its day: Kyverno's cleanup controller, one policy for it, and no right beyond that.

Kyverno's engine ignores an exception from `expiresAt` on. But the native policies hold it until they are written again,
and nothing writes them when a day begins. A deleted exception is a change, so the policy deletes it.
https://kyverno.io/docs/policy-types/deleting-policy/
"""

from typing import Any

import pulumi

from components.kube.bound_role import bound_role
from components.kube.manifest import Manifest, account_subject, of_kind, rbac_rule
from components.kube.names import CLEANUP_ACCOUNT, KYVERNO_NAMESPACE
from components.kube.objects import KubernetesObject

NAME = "expired-exceptions"
# The certificate of its health endpoint and the authority for that, which it makes itself.
_CERTIFICATES = tuple(f"{CLEANUP_ACCOUNT}.{KYVERNO_NAMESPACE}.svc.kyverno-tls-{part}" for part in ("ca", "pair"))


def deleting_policy(namespace: str) -> Manifest:
    """The policy that deletes an exception in Kyverno's namespace within a minute of its end."""
    ended = "has(object.spec.expiresAt) && timestamp(object.spec.expiresAt) <= time.now()"
    exceptions = {
        "apiGroups": ["policies.kyverno.io"],
        "apiVersions": ["v1"],
        "operations": ["*"],
        "resources": ["policyexceptions"],
    }
    return {
        "apiVersion": "policies.kyverno.io/v1",
        "kind": "NamespacedDeletingPolicy",
        "metadata": {"name": NAME, "namespace": namespace},
        "spec": {
            "schedule": "* * * * *",
            "matchConstraints": {"resourceRules": [exceptions]},
            "conditions": [{"name": "ended", "expression": ended}],
        },
    }


def cluster_rules() -> list[Manifest]:
    """The controller's rights in the whole cluster: to read what it waits for before it starts, and its own status.

    The chart would let it write exceptions and webhooks. It cannot make its two webhooks, which serve kinds that nobody
    here uses, so none is left when Kyverno goes.
    """
    reads, kyverno = ["get", "list", "watch"], "kyverno.io"
    policies = ["deletingpolicies", "namespaceddeletingpolicies", "policyexceptions"]
    return [
        rbac_rule("apiextensions.k8s.io", ["customresourcedefinitions"], ["get"]),
        rbac_rule("admissionregistration.k8s.io", ["validatingwebhookconfigurations"], reads),
        rbac_rule("", ["namespaces"], reads),
        rbac_rule(kyverno, ["cleanuppolicies", "clustercleanuppolicies", "globalcontextentries"], ["list", "watch"]),
        rbac_rule(f"policies.{kyverno}", policies, reads),
        rbac_rule(f"policies.{kyverno}", ["namespaceddeletingpolicies/status"], ["update"]),
    ]


def namespace_rules() -> list[Manifest]:
    """The controller's rights in Kyverno's namespace."""
    reads, writes = ["get", "list", "watch"], ["update", "delete"]
    return [
        rbac_rule("policies.kyverno.io", ["policyexceptions"], ["delete"]),
        rbac_rule("", ["configmaps"], reads, ["kyverno", "kyverno-metrics"]),
        rbac_rule("apps", ["deployments"], reads, [CLEANUP_ACCOUNT]),
        # RBAC cannot restrict the creation of objects by name.
        *(rbac_rule(group, [kind], ["create"]) for group, kind in (("", "secrets"), ("coordination.k8s.io", "leases"))),
        rbac_rule("", ["secrets"], [*reads, *writes], _CERTIFICATES),
        rbac_rule("coordination.k8s.io", ["leases"], ["get", "patch", *writes], [CLEANUP_ACCOUNT]),
        *(rbac_rule(group, ["events"], ["create", "patch", "update"]) for group in ("", "events.k8s.io")),
    ]


def cleanup_values(replicas: int, resources: dict[str, Any]) -> dict[str, Any]:
    """The values of the chart for the controller."""
    return {
        "enabled": True,
        "replicas": replicas,
        "podDisruptionBudget": {"enabled": replicas > 1},
        "resources": resources,
        "rbac": {"create": False, "serviceAccount": {"name": CLEANUP_ACCOUNT}},
        # It would read every ConfigMap of the cluster.
        "extraArgs": {"enableConfigMapCaching": "false"},
    }


def cleanup_rights(name: str, opts: pulumi.ResourceOptions) -> list[pulumi.Resource]:
    """Create the controller's account and its rights; `name` is the prefix of the resources' names."""
    everywhere: Any = {"name": CLEANUP_ACCOUNT}
    in_namespace: Any = {**everywhere, "namespace": KYVERNO_NAMESPACE}
    account = KubernetesObject(f"{name}-{CLEANUP_ACCOUNT}", of_kind("ServiceAccount", metadata=in_namespace), opts)
    subject = account_subject(CLEANUP_ACCOUNT, KYVERNO_NAMESPACE)
    return [
        account,
        *bound_role(f"{name}-{CLEANUP_ACCOUNT}", everywhere, cluster_rules(), [subject], opts),
        *bound_role(f"{name}-{CLEANUP_ACCOUNT}", in_namespace, namespace_rules(), [subject], opts),
    ]
