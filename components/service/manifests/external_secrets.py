"""Delivery by the External Secrets Operator, which copies secrets from Vault with the workload's own identity.

The files in the pod are the same as with Vault's agent. But each copy is a Kubernetes Secret in etcd, so that more
identities can read it.
https://external-secrets.io/latest/provider/hashicorp-vault/
"""

import base64
import json
from collections.abc import Sequence

from components.kube.manifest import Manifest, rbac_rule
from components.kube.names import ANNOTATION, EXTERNAL_SECRETS_API, TOKEN_AUDIENCE, USE
from components.service.args.service import SecretArgs, SecureServiceArgs
from components.service.file.jobs import job_name
from components.service.file.secrets import DATA
from components.service.file.template import for_operator
from components.service.manifests.exceptions import condition_name, workload_expression
from components.service.manifests.metadata import metadata
from components.service.manifests.secret_env import variables_of
from components.service.manifests.vault import copied

RULE = "disallow-secrets-in-environment"


def copy_name(workload: str, secret: str) -> str:
    """The name of the Kubernetes Secret with the copy; neither part can contain a dot, so it is unique."""
    return f"{workload}.{secret}"


def secret_store(args: SecureServiceArgs) -> Manifest:
    """The SecretStore of one workload: Vault, with the workload's service account and role."""
    platform = args.platform
    vault: Manifest = {
        "server": platform.vault.store.server,
        "path": platform.vault.kv_mount,
        "version": "v2",
        "auth": {
            "kubernetes": {
                "mountPath": platform.vault.auth_path,
                "role": args.key,
                "serviceAccountRef": {"name": args.name, "audiences": [TOKEN_AUDIENCE]},
            }
        },
    }
    if platform.vault.store.authority:
        vault["caBundle"] = base64.b64encode(platform.vault.store.authority.encode()).decode()
    spec = {"provider": {"vault": vault}}
    return {"apiVersion": EXTERNAL_SECRETS_API, "kind": "SecretStore", "metadata": metadata(args), "spec": spec}


def external_secret(args: SecureServiceArgs, secret: SecretArgs) -> Manifest:
    """The ExternalSecret of one secret. The copy has the file that the agent would write, and is deleted with it."""
    name = copy_name(args.name, secret.name)
    variables = {each.file: operator_template(each.template) for each in variables_of(args, secret.name)}
    return {
        "apiVersion": EXTERNAL_SECRETS_API,
        "kind": "ExternalSecret",
        "metadata": {
            **metadata(args),
            "name": name,
            # Pods are created after the copy; if it fails, the run shows its error.
            "annotations": {"pulumi.com/waitFor": "condition=Ready"},
        },
        "spec": {
            "refreshPolicy": "Periodic",
            "refreshInterval": args.platform.vault.refresh,
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
                    "data": {secret.file: operator_template(secret.template), **variables},
                },
            },
            "dataFrom": [{"extract": {"key": args.secret_path(secret)}}],
        },
    }


def operator_template(template: str) -> str:
    """The template for the operator that gives the same file as this one for the agent."""
    return for_operator(template.strip(), DATA) + "\n"


def operator_rules(args: SecureServiceArgs) -> list[Manifest]:
    """The operator's rights for one workload: to request its token, and to write the copies of its secrets."""
    copies = [copy_name(args.name, secret.name) for secret in args.secrets]
    return [
        rbac_rule("", ["serviceaccounts/token"], ["create"], [args.name]),
        # The policy `service-identities` demands this right for the token. The operator has no right to create pods.
        rbac_rule("", ["serviceaccounts"], [USE], [args.name]),
        # RBAC cannot restrict the creation of objects by name.
        rbac_rule("", ["secrets"], ["create"]),
        rbac_rule("", ["secrets"], ["get", "update", "patch", "delete"], copies),
    ]


def copies_exception(args: SecureServiceArgs) -> Manifest | None:
    """The exception that lets a service and its jobs mount their own copies, and use no other Secret.

    `None` when the rule is off, nothing is copied, or the service's file has an exception from the whole rule.
    """
    excepted = any(exception.rule == RULE for exception in args.exceptions)
    if not (copied(args) and args.secrets) or RULE not in args.platform.rules or excepted:
        return None
    jobs = [job_name(args.name, job.name) for job in args.jobs]
    copies = [copy_name(args.name, secret.name) for secret in args.secrets]
    copies += [copy_name(job_name(args.name, job.name), secret) for job in args.jobs for secret in job.secrets]
    details = {"service": f"{args.namespace}/{args.name}", "rule": RULE, "owner": args.team}
    reason = args.platform.vault.store.reason or "vault.delivery of this stack is external-secrets"
    annotations = {f"{ANNOTATION}/{key}": value for key, value in {**details, "reason": reason}.items()}
    workload = workload_expression(args.namespace, args.name, jobs)
    # One condition with both parts: Kyverno joins those of all exceptions of a rule, and one that matches is enough.
    condition = {
        "name": condition_name(args.namespace, args.name),
        "expression": f"({workload}) && {only_copies(copies)}",
    }
    return {
        "apiVersion": "policies.kyverno.io/v1",
        "kind": "PolicyException",
        "metadata": {
            "name": f"{args.key}.{RULE}",
            "namespace": args.platform.layers.kyverno,
            "annotations": annotations,
        },
        "spec": {"policyRefs": [{"name": RULE, "kind": "ValidatingPolicy"}], "matchConditions": [condition]},
    }


def only_copies(copies: Sequence[str]) -> str:
    """A CEL expression for workloads that mount no Secrets but these, and have none in environment variables."""
    allowed = json.dumps(list(copies))
    pod = (
        "object.kind == 'Pod' ? object.spec : object.kind == 'CronJob' ? "
        "object.spec.jobTemplate.spec.template.spec : object.spec.template.spec"
    )
    sources = f"v.?projected.?sources.orValue([]).all(s, !has(s.secret) || s.secret.name in {allowed})"
    volumes = f"p.?volumes.orValue([]).all(v, (!has(v.secret) || v.secret.secretName in {allowed}) && {sources})"
    env = "c.?env.orValue([]).all(e, !has(e.valueFrom) || !has(e.valueFrom.secretKeyRef))"
    containers = "(p.containers + p.?initContainers.orValue([]) + p.?ephemeralContainers.orValue([]))"
    no_environment = f"{containers}.all(c, {env} && c.?envFrom.orValue([]).all(e, !has(e.secretRef)))"
    return f"[{pod}].all(p, {volumes} && {no_environment})"
