"""Who may write what the rules rest on: exceptions, policies of one namespace, and the reports on both.

A PolicyException of any namespace reaches the native policies that Kyverno writes, a namespaced policy may rewrite each
pod of its namespace, and `zt promote` measures the reports. So this native policy refuses every exception outside
Kyverno's namespace, and asks the authorizer about the rest: for a policy the right to the rules themselves, for a
report the right to those of all namespaces. The deployer has the first, Kyverno's controllers have the second, and no
right that is granted in a namespace is either. The API server evaluates it, so it holds while Kyverno is down.
https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/
"""

from collections.abc import Mapping
from types import MappingProxyType

import pulumi

from components.config.action import Action
from components.kube.manifest import Manifest, of_kind
from components.kube.names import RULE_INTEGRITY
from components.kube.objects import KubernetesObject
from components.kyverno.library import VALIDATION_ACTIONS

# Each namespaced kind of the chart, by group: a test holds them against its CRDs.
EXCEPTIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"policies.kyverno.io": ("policyexceptions",), "kyverno.io": ("policyexceptions",)}
)
POLICIES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "policies.kyverno.io": (
            "namespaceddeletingpolicies",
            "namespacedgeneratingpolicies",
            "namespacedimagevalidatingpolicies",
            "namespacedmutatingpolicies",
            "namespacedvalidatingpolicies",
        ),
        "kyverno.io": ("cleanuppolicies", "policies"),
    }
)
REPORTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "wgpolicyk8s.io": ("policyreports",),
        "openreports.io": ("reports",),
        "reports.kyverno.io": ("ephemeralreports",),
        "kyverno.io": ("updaterequests",),
    }
)
_OPERATIONS = ["CREATE", "UPDATE", "DELETE"]
_VERB = "{'CREATE': 'create', 'UPDATE': 'update', 'DELETE': 'delete'}[request.operation]"
# Whoever deletes namespaces or collects garbage may delete everything, so it may delete these.
_MAY_WRITE_RULES = (
    "authorizer.group('policies.kyverno.io').resource('validatingpolicies').check(variables.verb).allowed()"
)
# Without a namespace the authorizer answers for all of them. A controller writes the status of a policy.
_MAY_WRITE_ALL = (
    "authorizer.group(request.resource.group).resource(request.resource.resource).subresource(variables.subresource)"
    ".check(variables.verb).allowed()"
)
_IS_EXCEPTION = "request.resource.resource == 'policyexceptions'"
_UNCHANGED = "request.operation == 'UPDATE' && object.spec == oldObject.spec"


def _rules(kinds: Mapping[str, tuple[str, ...]], operations: list[str], subresources: bool) -> list[Manifest]:
    return [
        {
            "apiGroups": [group],
            "apiVersions": ["*"],
            "operations": operations,
            "resources": [name for kind in names for name in ((kind, f"{kind}/*") if subresources else (kind,))],
        }
        for group, names in kinds.items()
    ]


def _names(kinds: Mapping[str, tuple[str, ...]]) -> str:
    return f"[{', '.join(repr(name) for names in kinds.values() for name in names)}]"


def policy_spec(namespace: str) -> Manifest:
    """The spec of the ValidatingAdmissionPolicy; `namespace` is that of Kyverno."""
    is_policy = f"variables.subresource == '' && request.resource.resource in {_names(POLICIES)}"
    return {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "resourceRules": [
                # To delete one takes back what it opened.
                *_rules(EXCEPTIONS, ["CREATE", "UPDATE"], subresources=False),
                *_rules(POLICIES, _OPERATIONS, subresources=True),
                *_rules(REPORTS, _OPERATIONS, subresources=True),
            ]
        },
        "variables": [
            {"name": "verb", "expression": _VERB},
            {"name": "subresource", "expression": "request.?subResource.orValue('')"},
            {"name": "isPolicy", "expression": is_policy},
        ],
        "validations": [
            {
                # One from before this policy may still lose a finalizer or get a new storage version.
                "expression": f"!({_IS_EXCEPTION}) || request.namespace == '{namespace}' || ({_UNCHANGED})",
                "reason": "Forbidden",
                "message": f"an exception counts in the namespace {namespace} alone",
            },
            {
                "expression": f"{_IS_EXCEPTION} || (variables.isPolicy ? {_MAY_WRITE_RULES} : {_MAY_WRITE_ALL})",
                "reason": "Forbidden",
                "messageExpression": (
                    "request.userInfo.username + ' may not ' + variables.verb + ' ' + request.resource.resource + "
                    "' of ' + request.namespace + (variables.isPolicy ? ': that needs the same right to "
                    "validatingpolicies' : ': that needs the right in all namespaces')"
                ),
                "message": "policies of a namespace are the deployer's, and reports are Kyverno's",
            },
        ],
    }


def binding_spec(action: Action) -> Manifest:
    """The spec of the binding, which holds in every namespace. `action` is that of the critical tier."""
    return {"policyName": RULE_INTEGRITY, "validationActions": list(VALIDATION_ACTIONS[action])}


def rule_integrity(name: str, action: Action, namespace: str, opts: pulumi.ResourceOptions) -> list[pulumi.Resource]:
    """Create the policy and its binding, unless the action is `off`; `name` is the prefix of the resources' names,
    `namespace` that of Kyverno."""
    if action is Action.OFF:
        return []
    policy = KubernetesObject(
        f"{name}-{RULE_INTEGRITY}",
        of_kind("ValidatingAdmissionPolicy", metadata={"name": RULE_INTEGRITY}, spec=policy_spec(namespace)),
        opts,
    )
    binding = KubernetesObject(
        f"{name}-{RULE_INTEGRITY}",
        of_kind("ValidatingAdmissionPolicyBinding", metadata={"name": RULE_INTEGRITY}, spec=binding_spec(action)),
        pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[policy])),
    )
    return [policy, binding]
