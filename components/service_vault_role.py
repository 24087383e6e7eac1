"""The role by which a workload's service account logs in to Vault, and the policy that says what it reads there."""

import pulumi
from pulumi_vault import Policy
from pulumi_vault.kubernetes import AuthBackendRole

from components.service_args import SecureServiceArgs
from components.service_vault import TOKEN_AUDIENCE, TOKEN_MAX_TTL_SECONDS, TOKEN_TTL_SECONDS, vault_policy


def vault_role(name: str, args: SecureServiceArgs, opts: pulumi.ResourceOptions) -> list[pulumi.Resource]:
    """A policy on the paths of the workload, and a role for its service account alone."""
    policy = Policy(name, name=args.key, policy=vault_policy(args), opts=opts)
    role = AuthBackendRole(
        name,
        backend=args.platform.auth_path,
        role_name=args.key,
        bound_service_account_names=[args.name],
        bound_service_account_namespaces=[args.namespace],
        audience=TOKEN_AUDIENCE,
        token_policies=[args.key],
        token_ttl=TOKEN_TTL_SECONDS,
        token_max_ttl=TOKEN_MAX_TTL_SECONDS,
        opts=opts,
    )
    return [policy, role]
