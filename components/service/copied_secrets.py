"""The resources by which External Secrets copies a workload's secrets."""

from collections.abc import Sequence

import pulumi
from pulumi_kubernetes.rbac.v1 import Role, RoleBinding

from components.kube.custom_object import custom_object
from components.kube.manifest import account_subject, as_inputs, role_ref
from components.kube.names import EXTERNAL_SECRETS_ACCOUNT, EXTERNAL_SECRETS_NAMESPACE
from components.service.args.service import SecureServiceArgs
from components.service.manifests.external_secrets import external_secret, operator_rules, secret_store
from components.service.manifests.metadata import metadata
from components.service.manifests.vault import copied


def copied_secrets(
    name: str, args: SecureServiceArgs, opts: pulumi.ResourceOptions, after: Sequence[pulumi.Resource]
) -> list[pulumi.Resource]:
    """A SecretStore, an ExternalSecret for each secret, and the operator's rights; `after` are the resources in Vault.

    Creates nothing unless External Secrets delivers the secrets.
    """
    if not (copied(args) and args.secrets):
        return []
    role_name = f"{args.name}.external-secrets"
    role_metadata = as_inputs({**metadata(args), "name": role_name})
    rules = [as_inputs(rule) for rule in operator_rules(args)]
    role = Role(f"{name}.external-secrets", metadata=role_metadata, rules=rules, opts=opts)
    binding = RoleBinding(
        f"{name}.external-secrets",
        metadata=role_metadata,
        role_ref=role_ref("Role", role_name),
        subjects=[account_subject(EXTERNAL_SECRETS_ACCOUNT, EXTERNAL_SECRETS_NAMESPACE)],
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
