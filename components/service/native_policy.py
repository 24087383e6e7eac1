"""The native policies on services, each with its binding to their namespaces. The API server itself evaluates them.

https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi

from components.config.action import Action
from components.kube.manifest import Manifest, of_kind
from components.kube.names import USE
from components.kube.objects import KubernetesObject

_ACTIONS = {Action.AUDIT: ["Audit"], Action.WARN: ["Warn", "Audit"], Action.DENY: ["Deny"]}

MAY_USE = (
    "authorizer.group('').resource('serviceaccounts').namespace(request.namespace).name(variables.account)"
    f".check('{USE}').allowed()"
)
"""Whether the user has the verb on `variables.account`; an empty account stands for all of the namespace."""


@dataclass(frozen=True)
class NativePolicy:
    """The name and spec of a ValidatingAdmissionPolicy, what it does with a violation, and where it holds."""

    name: str
    spec: Manifest
    action: Action
    namespaces: Sequence[str]


def cel_list(names: Sequence[str]) -> str:
    """Names as a list in CEL."""
    return f"[{', '.join(repr(name) for name in names)}]"


def binding_spec(policy: NativePolicy) -> Manifest:
    """The spec of the binding, to the services' namespaces: in others, operators do as they must."""
    names = {"key": "kubernetes.io/metadata.name", "operator": "In", "values": sorted(policy.namespaces)}
    return {
        "policyName": policy.name,
        "validationActions": _ACTIONS[policy.action],
        "matchResources": {"namespaceSelector": {"matchExpressions": [names]}},
    }


def create_policy(name: str, policy: NativePolicy, parent: pulumi.Resource) -> list[pulumi.Resource]:
    """Create the policy, then its binding, as the resources `name`."""
    created = KubernetesObject(
        name,
        of_kind("ValidatingAdmissionPolicy", metadata={"name": policy.name}, spec=policy.spec),
        pulumi.ResourceOptions(parent=parent),
    )
    binding = KubernetesObject(
        name,
        of_kind("ValidatingAdmissionPolicyBinding", metadata={"name": policy.name}, spec=binding_spec(policy)),
        pulumi.ResourceOptions(parent=parent, depends_on=[created]),
    )
    return [created, binding]
