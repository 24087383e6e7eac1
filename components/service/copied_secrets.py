"""The resources by which External Secrets copies a workload's secrets."""

from collections.abc import Sequence

import pulumi

from components.kube.bound_role import bound_role
from components.kube.manifest import account_subject
from components.kube.names import EXTERNAL_SECRETS_ACCOUNT
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
    role_metadata = {**metadata(args), "name": f"{args.name}.external-secrets"}
    rules = operator_rules(args)
    operator = account_subject(EXTERNAL_SECRETS_ACCOUNT, args.platform.layers.external_secrets)
    rights = bound_role(f"{name}.external-secrets", role_metadata, rules, [operator], opts)
    ordered = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[*after, *rights]))
    store = KubernetesObject(f"{name}.secretstore", secret_store(args), ordered)
    last = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[store]))
    copies = [
        KubernetesObject(f"{name}.{secret.name}.externalsecret", external_secret(args, secret), last)
        for secret in args.secrets
    ]
    return [*rights, store, *copies]
