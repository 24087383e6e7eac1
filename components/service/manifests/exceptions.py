"""The PolicyException of one service and one rule (https://kyverno.io/docs/exceptions/)."""

import hashlib
import json
from collections.abc import Sequence

from components.kube.manifest import Manifest
from components.kube.names import ANNOTATION, SHARED_ACCOUNTS, WORKLOAD_LABEL
from components.kube.service_ref import ServiceRef
from components.schema.problem import FieldError
from components.service.args.exceptions import ExceptionArgs

_LONGEST_NAME = 63
# The objects of a service that run no program.
_OWN_KINDS = ("Service", "Ingress", "HTTPRoute", "GRPCRoute")
# The account of a pod, of the template of whatever creates pods, and of a CronJob's.
_ACCOUNT = (
    "object.?spec.?serviceAccountName.or(object.?spec.?template.?spec.?serviceAccountName)"
    ".or(object.?spec.?jobTemplate.?spec.?template.?spec.?serviceAccountName).orValue('')"
)


def exception_manifest(
    namespace: str, service: str, args: ExceptionArgs, place: str, jobs: Sequence[str] = ()
) -> Manifest:
    """The PolicyException of one service and its jobs, for one rule, in the namespace `place`."""
    details = {"service": f"{namespace}/{service}", "rule": args.rule, "owner": args.owner, "reason": args.reason}
    annotations = {f"{ANNOTATION}/{key}": value for key, value in {**details, "expires": args.expires}.items()}
    return {
        "apiVersion": "policies.kyverno.io/v1",
        "kind": "PolicyException",
        "metadata": {
            "name": f"{namespace}.{service}.{args.rule}",
            "namespace": place,
            "annotations": annotations,
        },
        "spec": {
            "policyRefs": [{"name": args.rule, "kind": "ValidatingPolicy"}],
            "expiresAt": f"{args.expires}T00:00:00Z",
            # Kyverno joins the conditions of all exceptions of a rule in one list, so their names must differ.
            "matchConditions": [
                {
                    "name": condition_name(namespace, service),
                    "expression": workload_expression(namespace, service, jobs),
                }
            ],
        },
    }


def packaged_exception(package: ServiceRef, workload: str, account: str, args: ExceptionArgs, place: str) -> Manifest:
    """The PolicyException of one workload of a package, for one rule, in the namespace `place`.

    It holds for what runs as the workload's service account, which takes the verb `use`, and has the workload's name or
    one that a controller makes of it. Raises `FieldError` for an account that everybody may use.
    """
    manifest = exception_manifest(package.namespace, account, args, place)
    annotations = {**manifest["metadata"]["annotations"], f"{ANNOTATION}/service": str(package)}
    annotations[WORKLOAD_LABEL] = workload
    names = "[object.metadata.?name.orValue(''), object.metadata.?generateName.orValue('')]"
    made = json.dumps(f"{workload}-")
    named = f"{names}.exists(n, n == {json.dumps(workload)} || n.startsWith({made}))"
    expression = f"{workload_expression(package.namespace, account)} && {named}"
    return {
        **manifest,
        "metadata": {
            **manifest["metadata"],
            "name": f"{package.namespace}.{workload}.{args.rule}",
            "annotations": annotations,
        },
        "spec": {
            **manifest["spec"],
            "matchConditions": [{"name": condition_name(package.namespace, workload), "expression": expression}],
        },
    }


def condition_name(namespace: str, service: str) -> str:
    """The name of the condition for a service. Kyverno puts it into the native policy, where a name has 63 characters
    at most: a longer one gets a digest in place of its end.
    """
    name = f"{namespace}.{service}"
    if len(name) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    return f"{name[: _LONGEST_NAME - 17].rstrip('.-')}-{digest}"


def workload_expression(namespace: str, service: str, jobs: Sequence[str] = ()) -> str:
    """A CEL expression that matches the objects of a service and its jobs, and what their controllers create.

    What runs a program is known by its service account, which takes the verb `use` to write (`service-identities`).
    What runs none is known by its name and its label `app`, and the label takes that verb as well. Everybody can choose
    any other name, label or owner. `jobs` are full names. Raises `FieldError` for an account that everybody may use.
    """
    accounts = [service, *jobs]
    for account in accounts:
        if account in SHARED_ACCOUNTS:
            raise FieldError("name", "every pod of a namespace may have this account, so it gets no exception", account)
    name = json.dumps(service)
    own = f"object.kind in {json.dumps(_OWN_KINDS)} && object.metadata.name == {name}"
    labelled = f"object.metadata.?labels[?'app'].orValue('') == {name}"
    runs = f"{_ACCOUNT} in {json.dumps(accounts)}"
    return f"object.metadata.namespace == {json.dumps(namespace)} && ({runs} || {own} && {labelled})"
