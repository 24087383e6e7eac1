"""The PolicyException of a workload that no service file makes, such as an agent on each node.

It is bound to the service account of the pods: everybody who may create a pod chooses its name, its labels and its
owner. Source: https://kyverno.io/docs/exceptions/
"""

import hashlib
import json
from dataclasses import dataclass

from components.kube.manifest import Manifest
from components.kube.names import ANNOTATION, SHARED_ACCOUNTS
from components.schema.problem import FieldError


@dataclass(frozen=True)
class AccountExceptionArgs:
    """An exception of one service account's workloads from one rule; `expires` is an ISO date.

    Raises `FieldError` for a service account that every pod of its namespace may have.
    """

    rule: str
    namespace: str
    service_account: str
    reason: str
    owner: str
    expires: str

    def __post_init__(self) -> None:
        if self.service_account in SHARED_ACCOUNTS:
            raise FieldError("service_account", "every pod of its namespace may have it", self.service_account)

    @property
    def workload(self) -> str:
        """The workload as facts and reports name it: `namespace/service-account`."""
        return f"{self.namespace}/{self.service_account}"


def account_exception(args: AccountExceptionArgs, place: str) -> Manifest:
    """The PolicyException of one service account's workloads from one rule, in the namespace `place`."""
    details = {"workload": args.workload, "rule": args.rule, "owner": args.owner, "reason": args.reason}
    annotations = {f"{ANNOTATION}/{key}": value for key, value in {**details, "expires": args.expires}.items()}
    # A service's exceptions have two dots in their names, so the two never have the same.
    name = f"{args.namespace}.{args.service_account}.account.{args.rule}"
    return {
        "apiVersion": "policies.kyverno.io/v1",
        "kind": "PolicyException",
        "metadata": {"name": name, "namespace": place, "annotations": annotations},
        "spec": {
            "policyRefs": [{"name": args.rule, "kind": "ValidatingPolicy"}],
            "expiresAt": f"{args.expires}T00:00:00Z",
            # Kyverno joins the conditions of all exceptions of a rule in one list, so their names must differ. A name
            # has 63 characters at most.
            "matchConditions": [
                {
                    "name": f"account-{hashlib.sha256(args.workload.encode()).hexdigest()[:16]}",
                    "expression": account_expression(args.namespace, args.service_account),
                }
            ],
        },
    }


def account_expression(namespace: str, service_account: str) -> str:
    """A CEL expression that matches pods of a service account, and the controllers that make such pods."""
    pod = "?spec.?template.?spec"
    account = (
        "(object.kind == 'Pod' ? object.?spec.?serviceAccountName : "
        f"object.kind == 'CronJob' ? object.?spec.?jobTemplate.{pod}.?serviceAccountName : "
        f"object.{pod}.?serviceAccountName).orValue('')"
    )
    return f"object.metadata.namespace == {json.dumps(namespace)} && {account} == {json.dumps(service_account)}"
