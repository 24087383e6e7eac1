"""A workload's secrets through the External Secrets Operator: copied from Vault, by the workload's own identity.

Each copy is a Kubernetes Secret, so it lies in etcd: the file in the pod is the same, what may read it is more.
https://external-secrets.io/latest/provider/hashicorp-vault/
"""

import base64
import json
import re
from collections.abc import Sequence
from typing import Any

import pulumi
from pulumi_kubernetes.rbac.v1 import Role, RoleBinding

from components.custom_object import custom_object
from components.external_secrets import ACCOUNT, API, NAMESPACE
from components.policy_exceptions import ANNOTATION, workload_expression
from components.policy_exceptions import NAMESPACE as EXCEPTIONS
from components.service_args import SecretArgs, SecureServiceArgs, metadata
from components.service_jobs import job_name
from components.service_spec import FIELD_OF_SECRET, USE
from components.service_vault import TOKEN_AUDIENCE, copied

RULE = "disallow-secrets-in-environment"

Manifest = dict[str, Any]


def copy_name(workload: str, secret: str) -> str:
    """The name of the Kubernetes Secret with the copy: a dot can be in neither part, so no two share it."""
    return f"{workload}.{secret}"


def secret_store(args: SecureServiceArgs) -> Manifest:
    """The SecretStore of one workload: Vault, as its own service account and in its own role alone."""
    platform = args.platform
    vault: Manifest = {
        "server": platform.store.server,
        "path": platform.kv_mount,
        "version": "v2",
        "auth": {
            "kubernetes": {
                "mountPath": platform.auth_path,
                "role": args.key,
                "serviceAccountRef": {"name": args.name, "audiences": [TOKEN_AUDIENCE]},
            }
        },
    }
    if platform.store.authority:
        vault["caBundle"] = base64.b64encode(platform.store.authority.encode()).decode()
    spec = {"provider": {"vault": vault}}
    return {"apiVersion": API, "kind": "SecretStore", "metadata": metadata(args), "spec": spec}


def external_secret(args: SecureServiceArgs, secret: SecretArgs) -> Manifest:
    """The ExternalSecret of one secret: its copy holds the file as the agent would write it, and ends with it."""
    name = copy_name(args.name, secret.name)
    return {
        "apiVersion": API,
        "kind": "ExternalSecret",
        "metadata": {
            **metadata(args),
            "name": name,
            # The pods come after the copy: one that does not come says why here.
            "annotations": {"pulumi.com/waitFor": "condition=Ready"},
        },
        "spec": {
            "refreshPolicy": "Periodic",
            "refreshInterval": args.platform.secret_refresh,
            "secretStoreRef": {"kind": "SecretStore", "name": args.name},
            "target": {
                "name": name,
                "creationPolicy": "Owner",
                "deletionPolicy": "Delete",
                "template": {
                    "type": "Opaque",
                    "engineVersion": "v2",
                    "mergePolicy": "Replace",
                    "metadata": {"labels": dict(args.labels)},
                    "data": {secret.file: operator_template(secret.template)},
                },
            },
            "dataFrom": [{"extract": {"key": args.secret_path(secret.name)}}],
        },
    }


def operator_template(template: str) -> str:
    """The operator's template of a file that the agent makes of the same text."""
    return re.sub(FIELD_OF_SECRET.pattern, lambda match: f".{match[1]}", template.strip()) + "\n"


def operator_rules(args: SecureServiceArgs) -> list[Manifest]:
    """What the operator may do for one workload: ask for its token, and write the copies of its secrets."""
    copies = [copy_name(args.name, secret.name) for secret in args.secrets]
    return [
        {
            "apiGroups": [""],
            "resources": ["serviceaccounts/token"],
            "resourceNames": [args.name],
            "verbs": ["create"],
        },
        # The policy `service-identities` lets nobody else have the token; the operator may create no pod with it.
        {"apiGroups": [""], "resources": ["serviceaccounts"], "resourceNames": [args.name], "verbs": [USE]},
        # RBAC can't hold the creation of an object to its name.
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]},
        {
            "apiGroups": [""],
            "resources": ["secrets"],
            "resourceNames": copies,
            "verbs": ["get", "update", "patch", "delete"],
        },
    ]


def copies_exception(args: SecureServiceArgs) -> Manifest | None:
    """The exception by which a service and its jobs may mount their own copies, and no other Secret in any way.

    `None` where the rule is off, where nothing is copied, and where the service's file has a broader exception.
    """
    excepted = any(exception.rule == RULE for exception in args.exceptions)
    if not (copied(args) and args.secrets) or RULE not in args.platform.rules or excepted:
        return None
    jobs = [job_name(args.name, job.name) for job in args.jobs]
    copies = [copy_name(args.name, secret.name) for secret in args.secrets]
    copies += [copy_name(job_name(args.name, job.name), secret) for job in args.jobs for secret in job.secrets]
    details = {"service": f"{args.namespace}/{args.name}", "rule": RULE, "owner": args.team}
    reason = args.platform.store.reason or "vault.delivery of this stack is external-secrets"
    annotations = {f"{ANNOTATION}/{key}": value for key, value in {**details, "reason": reason}.items()}
    mine = workload_expression(args.namespace, args.name, jobs)
    # One condition: those of every exception of a rule stand in one list there, and any of them excepts.
    only = {"name": f"{args.namespace}.{args.name}", "expression": f"({mine}) && {only_copies(copies)}"}
    return {
        "apiVersion": "policies.kyverno.io/v1",
        "kind": "PolicyException",
        "metadata": {"name": f"{args.key}.{RULE}", "namespace": EXCEPTIONS, "annotations": annotations},
        "spec": {"policyRefs": [{"name": RULE, "kind": "ValidatingPolicy"}], "matchConditions": [only]},
    }


def only_copies(copies: Sequence[str]) -> str:
    """CEL that is true for a workload without a Secret but these, and without any in an environment variable."""
    named = json.dumps(list(copies))
    pod = (
        "object.kind == 'Pod' ? object.spec : object.kind == 'CronJob' ? "
        "object.spec.jobTemplate.spec.template.spec : object.spec.template.spec"
    )
    sources = f"v.?projected.?sources.orValue([]).all(s, !has(s.secret) || s.secret.name in {named})"
    volumes = f"p.?volumes.orValue([]).all(v, (!has(v.secret) || v.secret.secretName in {named}) && {sources})"
    env = "c.?env.orValue([]).all(e, !has(e.valueFrom) || !has(e.valueFrom.secretKeyRef))"
    containers = "(p.containers + p.?initContainers.orValue([]) + p.?ephemeralContainers.orValue([]))"
    clean = f"{containers}.all(c, {env} && c.?envFrom.orValue([]).all(e, !has(e.secretRef)))"
    return f"[{pod}].all(p, {volumes} && {clean})"


def copied_secrets(
    name: str, args: SecureServiceArgs, opts: pulumi.ResourceOptions, after: Sequence[pulumi.Resource]
) -> list[pulumi.Resource]:
    """A SecretStore, an ExternalSecret for each secret, and the operator's rights to both; `after` is what is in Vault.

    Nothing where the agent brings the secrets.
    """
    if not (copied(args) and args.secrets):
        return []
    own: Any = {**metadata(args), "name": f"{args.name}.external-secrets"}
    rules: Any = operator_rules(args)
    role = Role(f"{name}.external-secrets", metadata=own, rules=rules, opts=opts)
    binding = RoleBinding(
        f"{name}.external-secrets",
        metadata=own,
        role_ref={"api_group": "rbac.authorization.k8s.io", "kind": "Role", "name": own["name"]},
        subjects=[{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE}],
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[role])),
    )
    ordered = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[*after, binding]))
    store = custom_object(f"{name}.secretstore", secret_store(args), ordered)
    last = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[store]))
    copies = [
        custom_object(f"{name}.{secret.name}.externalsecret", external_secret(args, secret), last)
        for secret in args.secrets
    ]
    return [role, binding, store, *copies]
