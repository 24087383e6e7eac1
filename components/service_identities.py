"""Who may run a program as a service.

A service account is what Vault, the mesh and the API server know a service by, and Kubernetes lets whoever may create
pods in a namespace take any account of it. This native policy asks for a right of its own: the verb `use` on the
service account, as RBAC grants it. The deployer has it as the cluster's administrator; the role `edit` does not have
it. Kyverno has no authorizer to ask, so the rule is no file of the library.
https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_kubernetes.admissionregistration.v1 import (
    ValidatingAdmissionPolicy,
    ValidatingAdmissionPolicyBinding,
)

from components.posture import Action
from components.service_network import Manifest
from components.service_spec import IDENTITIES, SHARED_ACCOUNTS, USE

_ACTIONS = {Action.AUDIT: ["Audit"], Action.WARN: ["Warn", "Audit"], Action.DENY: ["Deny"]}
_CREATE_AND_UPDATE = ["CREATE", "UPDATE"]
# What makes pods of objects that were judged themselves. The name is that of all where they share one account.
_CONTROLLERS = (
    "system:kube-controller-manager",
    *(
        f"system:serviceaccount:kube-system:{name}"
        for name in (
            "replicaset-controller",
            "deployment-controller",
            "statefulset-controller",
            "daemon-set-controller",
            "job-controller",
            "cronjob-controller",
            "replication-controller",
        )
    ),
)


@dataclass(frozen=True)
class ServiceIdentitiesArgs:
    """What the policy does with a violation, and the namespaces that the services are in.

    Raises `ValueError` for `Action.OFF`, and without a namespace.
    """

    action: Action
    namespaces: Sequence[str]

    def __post_init__(self) -> None:
        if self.action is Action.OFF:
            raise ValueError("action: off creates nothing: leave the component out")
        if not self.namespaces:
            raise ValueError("namespaces: none is named, so there is no service account to keep")


def _resources() -> list[Manifest]:
    """Every way to a program with the account: a pod, what makes pods, a container or a shell in one, and a token."""
    return [
        _rule("", _CREATE_AND_UPDATE, "pods", "pods/ephemeralcontainers", "replicationcontrollers", "secrets"),
        _rule("", ["CREATE"], "serviceaccounts/token"),
        _rule("", ["CONNECT"], "pods/exec", "pods/attach"),
        _rule("apps", _CREATE_AND_UPDATE, "deployments", "statefulsets", "daemonsets", "replicasets"),
        _rule("batch", _CREATE_AND_UPDATE, "jobs", "cronjobs"),
    ]


def _rule(group: str, operations: list[str], *resources: str) -> Manifest:
    return {"apiGroups": [group], "apiVersions": ["*"], "operations": operations, "resources": list(resources)}


def _cel(words: Sequence[str]) -> str:
    return f"[{', '.join(repr(word) for word in words)}]"


_ACCOUNT = (
    "request.resource.resource == 'serviceaccounts' ? request.name : "
    # Of a shell the API server shows neither the pod nor its account: all of the namespace's have to be allowed.
    "request.operation == 'CONNECT' ? '' : "
    "object.kind == 'Secret' ? "
    "object.metadata.?annotations[?'kubernetes.io/service-account.name'].orValue('') : "
    "(object.kind == 'Pod' ? object.spec : object.kind == 'CronJob' ? object.spec.jobTemplate.spec.template.spec : "
    "object.spec.template.spec).?serviceAccountName.orValue('default')"
)
_MAY = (
    "authorizer.group('').resource('serviceaccounts').namespace(request.namespace).name(variables.account)"
    f".check('{USE}').allowed()"
)


def policy_spec() -> Manifest:
    """The spec of the ValidatingAdmissionPolicy."""
    unchanged = "oldObject == null || !has(oldObject.spec) || object.spec != oldObject.spec"
    return {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": _resources()},
        "matchConditions": [
            {"name": "not-a-controller", "expression": f"!(request.userInfo.username in {_cel(_CONTROLLERS)})"},
            # The kubelet asks for the tokens of its own pods, and NodeRestriction sees to it that it asks for no other.
            {
                "name": "not-the-kubelet",
                "expression": (
                    "!(request.resource.resource == 'serviceaccounts' && has(request.userInfo.groups) && "
                    "'system:nodes' in request.userInfo.groups)"
                ),
            },
            {"name": "spec-changed", "expression": f"request.operation != 'UPDATE' || {unchanged}"},
            {
                "name": "not-a-plain-secret",
                "expression": (
                    "request.resource.resource != 'secrets' || "
                    "object.?type.orValue('') == 'kubernetes.io/service-account-token'"
                ),
            },
        ],
        "variables": [{"name": "account", "expression": _ACCOUNT}],
        "validations": [
            {
                "expression": f"variables.account in {_cel(SHARED_ACCOUNTS)} || {_MAY}",
                "reason": "Forbidden",
                "messageExpression": (
                    "request.userInfo.username + ' may not run a program as service account ' + "
                    "(variables.account == '' ? 'of any pod' : variables.account) + ' of ' + request.namespace + "
                    f"': it needs the verb {USE} on serviceaccounts'"
                ),
                "message": f"this needs the verb {USE} on the service account: it is an identity of the platform",
            }
        ],
    }


def binding_spec(args: ServiceIdentitiesArgs) -> Manifest:
    """The spec of its binding: the namespaces of services, since elsewhere operators make pods of their own."""
    names = {"key": "kubernetes.io/metadata.name", "operator": "In", "values": sorted(args.namespaces)}
    return {
        "policyName": IDENTITIES,
        "validationActions": _ACTIONS[args.action],
        "matchResources": {"namespaceSelector": {"matchExpressions": [names]}},
    }


class ServiceIdentities(pulumi.ComponentResource):
    """The native policy that keeps a service's identity to those who may use it, and its binding.

    The API server evaluates it by itself, so it holds with Kyverno stopped.
    """

    ready: list[pulumi.Resource]

    def __init__(self, name: str, args: ServiceIdentitiesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("zero-trust:platform:ServiceIdentities", name, None, opts)
        policy = ValidatingAdmissionPolicy(
            name,
            metadata={"name": IDENTITIES},
            spec=_any(policy_spec()),
            opts=pulumi.ResourceOptions(parent=self),
        )
        binding = ValidatingAdmissionPolicyBinding(
            name,
            metadata={"name": IDENTITIES},
            spec=_any(binding_spec(args)),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
        )
        self.ready = [policy, binding]
        self.register_outputs({"policy": IDENTITIES})


def _any(manifest: Manifest) -> Any:
    """A manifest as the SDK takes it: its types spell the keys of the same schema in another case."""
    return manifest
