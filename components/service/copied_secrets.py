"""The resources by which External Secrets copies a workload's secrets."""

from collections.abc import Sequence

import pulumi

from components.kube.manifest import account_subject, of_kind, role_ref
from components.kube.names import EXTERNAL_SECRETS_ACCOUNT, EXTERNAL_SECRETS_NAMESPACE
from components.kube.objects import KubernetesObject
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
    role_metadata = {**metadata(args), "name": role_name}
    rules = operator_rules(args)
    role = KubernetesObject(f"{name}.external-secrets", of_kind("Role", metadata=role_metadata, rules=rules), opts)
    binding = KubernetesObject(
        f"{name}.external-secrets",
        of_kind(
            "RoleBinding",
            metadata=role_metadata,
            roleRef=role_ref("Role", role_name),
            subjects=[account_subject(EXTERNAL_SECRETS_ACCOUNT, EXTERNAL_SECRETS_NAMESPACE)],
        ),
        pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[role])),
    )
    ordered = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[*after, binding]))
    store = KubernetesObject(f"{name}.secretstore", secret_store(args), ordered)
    last = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[store]))
    copies = [
        KubernetesObject(f"{name}.{secret.name}.externalsecret", external_secret(args, secret), last)
        for secret in args.secrets
    ]
    return [role, binding, store, *copies]
