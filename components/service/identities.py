"""Who may run a program as a service.

Vault, the mesh and the API server know a service by its service account, and Kubernetes lets everybody who may create
pods in a namespace use any account there. This native policy demands another right: the verb `use` on the service
account, granted by RBAC. The deployer has it as an administrator of the cluster; the role `edit` does not include it.
Kyverno's policies cannot ask the authorizer, so this rule is not in the library.
https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi

from components.config.action import Action
from components.kube.manifest import Manifest
from components.kube.names import IDENTITIES, SHARED_ACCOUNTS, USE
from components.schema.problem import FieldError
from components.service.native_policy import MAY_USE, NativePolicy, cel_list, create_policy

_CREATE_AND_UPDATE = ["CREATE", "UPDATE"]
# These create pods for objects that were checked themselves. Where they share one account, it is the first.
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
    """The action for a violation, and the namespaces of the services.

    Raises `FieldError` for `Action.OFF`, and without a namespace.
    """

    action: Action
    namespaces: Sequence[str]

    def __post_init__(self) -> None:
        if self.action is Action.OFF:
            raise FieldError("action", "off creates nothing: leave the component out")
        if not self.namespaces:
            raise FieldError("namespaces", "none is named, so there is no service account to keep")


def _resources() -> list[Manifest]:
    """Every way to run as the account, or past the mesh to its ports.

    A pod, what creates pods, a container or shell in a pod, its ports through the API server, and a token.
    """
    return [
        _rule("", _CREATE_AND_UPDATE, "pods", "pods/ephemeralcontainers", "replicationcontrollers", "secrets"),
        _rule("", ["CREATE"], "serviceaccounts/token"),
        _rule("", ["CONNECT"], "pods/exec", "pods/attach", "pods/portforward", "pods/proxy", "services/proxy"),
        _rule("apps", _CREATE_AND_UPDATE, "deployments", "statefulsets", "daemonsets", "replicasets"),
        _rule("batch", _CREATE_AND_UPDATE, "jobs", "cronjobs"),
    ]


def _rule(group: str, operations: list[str], *resources: str) -> Manifest:
    return {"apiGroups": [group], "apiVersions": ["*"], "operations": operations, "resources": list(resources)}


_ACCOUNT = (
    "request.resource.resource == 'serviceaccounts' ? request.name : "
    # For a shell or a port the API server shows neither pod nor account: the right must hold for all of the namespace.
    "request.operation == 'CONNECT' ? '' : "
    "object.kind == 'Secret' ? "
    "object.metadata.?annotations[?'kubernetes.io/service-account.name'].orValue('') : "
    "(object.kind == 'Pod' ? object.spec : object.kind == 'CronJob' ? object.spec.jobTemplate.spec.template.spec : "
    "object.spec.template.spec).?serviceAccountName.orValue('default')"
)
_DOES = (
    "request.operation == 'CONNECT' && request.subResource in ['portforward', 'proxy'] "
    "? ' may not open a port ' : ' may not run a program as service account '"
)
# Whoever scales, suspends or cleans up a workload runs no other program. Of a Pod only images and ephemeral containers
# can change, and what says when and where it runs.
_PROGRAM_CHANGED = (
    "oldObject == null || !has(oldObject.spec) || (object.kind == 'Pod' ? "
    "object.spec.containers != oldObject.spec.containers || "
    "object.spec.?initContainers.orValue([]) != oldObject.spec.?initContainers.orValue([]) || "
    "object.spec.?ephemeralContainers.orValue([]) != oldObject.spec.?ephemeralContainers.orValue([]) : "
    "object.kind == 'CronJob' ? object.spec.jobTemplate.spec.template != oldObject.spec.jobTemplate.spec.template : "
    "object.spec.template != oldObject.spec.template)"
)


def policy_spec() -> Manifest:
    """The spec of the ValidatingAdmissionPolicy."""
    return {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": _resources()},
        "matchConditions": [
            {"name": "not-a-controller", "expression": f"!(request.userInfo.username in {cel_list(_CONTROLLERS)})"},
            # A kubelet requests tokens for its own pods; NodeRestriction refuses requests for any other.
            {
                "name": "not-the-kubelet",
                "expression": (
                    "!(request.resource.resource == 'serviceaccounts' && has(request.userInfo.groups) && "
                    "'system:nodes' in request.userInfo.groups)"
                ),
            },
            {"name": "program-changed", "expression": f"request.operation != 'UPDATE' || {_PROGRAM_CHANGED}"},
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
                "expression": f"variables.account in {cel_list(SHARED_ACCOUNTS)} || {MAY_USE}",
                "reason": "Forbidden",
                "messageExpression": (
                    f"request.userInfo.username + ({_DOES}) + "
                    "(variables.account == '' ? 'of any pod' : variables.account) + ' of ' + request.namespace + "
                    f"': it needs the verb {USE} on serviceaccounts'"
                ),
                "message": f"this needs the verb {USE} on the service account: it is an identity of the platform",
            }
        ],
    }


def native_policy(args: ServiceIdentitiesArgs) -> NativePolicy:
    """The policy with its action and its namespaces."""
    return NativePolicy(IDENTITIES, policy_spec(), args.action, args.namespaces)


class ServiceIdentities(pulumi.ComponentResource):
    """The native policy that restricts who may run as a service's account, and its binding.

    The API server evaluates it, so it holds while Kyverno is down.
    """

    ready: list[pulumi.Resource]

    def __init__(self, name: str, args: ServiceIdentitiesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("zero-trust:platform:ServiceIdentities", name, None, opts)
        self.ready = create_policy(name, native_policy(args), self)
        self.register_outputs({"policy": IDENTITIES})
