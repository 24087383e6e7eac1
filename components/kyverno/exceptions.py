"""The PolicyException of a workload that no service file makes, such as an agent on each node.

It is bound to the service account of the pods: everybody who may create a pod chooses its name, its labels and its
owner. Source: https://kyverno.io/docs/exceptions/
"""

import hashlib
import json
from dataclasses import dataclass

from components.config.kyverno import WorkloadAccount
from components.kube.manifest import Manifest
from components.kube.names import ANNOTATION
from components.schema.checked import check_fields
from components.schema.fields import IsoDay, Label
from components.schema.timed_exception import Owner, Reason


@dataclass(frozen=True)
class AccountExceptionArgs:
    """An exception of one service account's workloads from one rule; `expires` is an ISO date.

    Raises `FieldError` for what a stack file may not say.
    """

    rule: str
    namespace: Label
    service_account: WorkloadAccount
    reason: Reason
    owner: Owner
    expires: IsoDay

    def __post_init__(self) -> None:
        check_fields(self)

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
