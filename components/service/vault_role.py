"""The role with which a workload's service account logs in to Vault, and its policy."""

import pulumi
from pulumi_vault import Policy
from pulumi_vault.kubernetes import AuthBackendRole

from components.kube.names import TOKEN_AUDIENCE
from components.service.args.service import SecureServiceArgs
from components.service.manifests.vault import TOKEN_MAX_TTL_SECONDS, TOKEN_TTL_SECONDS, vault_policy


def vault_role(
    name: str, args: SecureServiceArgs, opts: pulumi.ResourceOptions, lasting: int = 0
) -> list[pulumi.Resource]:
    """A policy for the paths of the workload's secrets, and a role for its service account only.

    A login lasts for at least `lasting` seconds, since the users in databases that come of it end with it. A team's
    services share the role that the platform made: it creates nothing for them.
    """
    if args.platform.vault.role:
        return []
    policy = Policy(name, name=args.key, policy=vault_policy(args), opts=opts)
    role = AuthBackendRole(
        name,
        backend=args.platform.vault.auth_path,
        role_name=args.key,
        bound_service_account_names=[args.identity.name],
        bound_service_account_namespaces=[args.namespace],
        audience=TOKEN_AUDIENCE,
        token_policies=[args.key],
        token_ttl=max(TOKEN_TTL_SECONDS, min(lasting, TOKEN_MAX_TTL_SECONDS)),
        token_max_ttl=TOKEN_MAX_TTL_SECONDS,
        opts=opts,
    )
    return [policy, role]
