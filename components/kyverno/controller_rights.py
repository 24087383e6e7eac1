"""The rights that Kyverno's controllers need for the rules, beyond those that its chart gives them.

Where the program installs Kyverno they are values of the chart. Where others did, they are roles of the stack's own,
which Kyverno's roles join by label: https://kyverno.io/docs/installation/customization/#customizing-permissions
"""

from typing import Any

import pulumi

from components.kube.bound_role import bound_role
from components.kube.manifest import Manifest, account_subject, of_kind, rbac_rule
from components.kube.names import CLEANUP_ACCOUNT
from components.kube.objects import KubernetesObject

ENDING = "zero-trust-expired-exceptions"


def generated_kinds() -> list[Manifest]:
    """Rights for the kinds that the rules generate; the chart's default includes roles and role bindings too."""
    verbs = ["create", "update", "patch", "delete"]
    return [
        rbac_rule("networking.k8s.io", ["networkpolicies"], verbs),
        rbac_rule("", ["resourcequotas", "limitranges", "serviceaccounts"], verbs),
    ]


def judged_kinds() -> list[Manifest]:
    """Rights for kinds that the rules match and the role `view` omits: without them Kyverno reports no rule ready."""
    verbs = ["get", "list", "watch"]
    return [
        rbac_rule("", ["pods/ephemeralcontainers"], verbs),
        rbac_rule("gateway.networking.k8s.io", ["gateways"], verbs),
    ]


def joining_roles() -> dict[str, Manifest]:
    """The ClusterRoles that join those of Kyverno's controllers, by the name of the controller."""
    rules = {"background-controller": generated_kinds(), "reports-controller": judged_kinds()}
    return {
        controller: {
            "metadata": {
                "name": f"zero-trust:kyverno:{controller}",
                "labels": {f"rbac.kyverno.io/aggregate-to-{controller}": "true"},
            },
            "rules": granted,
        }
        for controller, granted in rules.items()
    }


def existing_rights(name: str, namespace: str, opts: pulumi.ResourceOptions) -> list[pulumi.Resource]:
    """Create the rights for a Kyverno that others installed in a namespace; `name` is the prefix of the resources'
    names.

    Its cleanup controller may end exceptions in Kyverno's namespace, and in no other.
    """
    joined = [
        KubernetesObject(
            f"{name}-{controller}",
            of_kind("ClusterRole", metadata=role["metadata"], rules=role["rules"]),
            opts,
        )
        for controller, role in joining_roles().items()
    ]
    metadata: Any = {"name": ENDING, "namespace": namespace}
    rules = [rbac_rule("policies.kyverno.io", ["policyexceptions"], ["get", "list", "watch", "delete"])]
    cleanup = account_subject(CLEANUP_ACCOUNT, namespace)
    return [*joined, *bound_role(f"{name}-{ENDING}", metadata, rules, [cleanup], opts)]
