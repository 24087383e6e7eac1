"""The deployer's lasting login to Vault: the least policy, and one of three ways to prove who it is.

The policy is what `pulumi up`, `refresh` and `destroy` of the program need. It writes first values of secrets and reads
none; the login and the policy themselves it cannot change. Whoever writes policies and roles can still give rights to
another identity; the audit devices show it. Paths are those of the Vault API documentation; the ones it marks "root
protected" need `sudo`. `python -m components.vault_deployer` prints the policy, with `--pki` that of a stack with
`vault.pki`.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass

from components.service_vault import TOKEN_AUDIENCE
from components.vault_pki import MOUNT, REQUEST_PATH, ROLE_PATH, SIGNED_PATH
from components.vault_policy import hcl

DEPLOYER = "platform-deployer"
_TOKEN_SECONDS = 1200
_MAX_TOKEN_SECONDS = 3600

_WRITE = ("create", "read", "update", "delete")
_ROOT_PROTECTED = (*_WRITE, "sudo")
_TUNE = ("read", "update")

_RULES: tuple[tuple[str, tuple[str, ...]], ...] = (
    # The two secrets engines.
    ("sys/mounts", ("read",)),
    ("sys/mounts/secret", _WRITE),
    ("sys/mounts/secret/tune", _TUNE),
    ("sys/mounts/database", _WRITE),
    ("sys/mounts/database/tune", _TUNE),
    # The one auth method for the cluster; enabling and disabling are root protected.
    ("sys/auth", ("read",)),
    ("sys/auth/kubernetes", _ROOT_PROTECTED),
    ("sys/auth/kubernetes/tune", (*_TUNE, "sudo")),
    ("sys/mounts/auth/kubernetes/tune", _TUNE),
    ("auth/kubernetes/config", ("create", "read", "update")),
    ("auth/kubernetes/role/+", _WRITE),
    # Audit devices: all of it is root protected.
    ("sys/audit", ("read", "sudo")),
    ("sys/audit/audit-*", _ROOT_PROTECTED),
    # Policies, but not the deployer's own, which it may compare with what the program wants.
    ("sys/policies/acl/+", _WRITE),
    (f"sys/policies/acl/{DEPLOYER}", ("read",)),
    # First values of secrets, by namespace, service and name. The provider is told to read none (`disable_read`).
    ("secret/config", ("create", "read", "update")),
    ("secret/data/+/+/+", ("create", "update", "delete")),
    # Connections and roles of the database engine, but no user of any database.
    ("database/config/+", _WRITE),
    ("database/roles/+", _WRITE),
    ("database/rotate-root/+", ("update",)),
    # Its own token.
    ("auth/token/lookup-self", ("read",)),
    ("auth/token/renew-self", ("update",)),
    ("auth/token/revoke-self", ("update",)),
)
# An intermediate's engine and its one role. It signs nothing with it, and makes no root.
_PKI_RULES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (f"sys/mounts/{MOUNT}", _WRITE),
    (f"sys/mounts/{MOUNT}/tune", _TUNE),
    (REQUEST_PATH, ("update",)),
    (SIGNED_PATH, ("update",)),
    (ROLE_PATH, _WRITE),
)


@dataclass(frozen=True)
class CertLogin:
    """By a client certificate (https://developer.hashicorp.com/vault/docs/auth/cert). The authority is PEM."""

    authority: str
    common_name: str


@dataclass(frozen=True)
class JwtLogin:
    """By the token of an OpenID issuer (https://developer.hashicorp.com/vault/docs/auth/jwt)."""

    issuer: str
    audience: str
    subject: str
    issuer_authority: str = ""
    """PEM; empty: the public authorities."""


@dataclass(frozen=True)
class KubernetesLogin:
    """By a service account of the cluster that Vault runs in, whose tokens Vault's own account reviews.

    https://developer.hashicorp.com/vault/docs/auth/kubernetes
    """

    namespace: str
    service_account: str
    kubernetes_host: str


DeployerLogin = CertLogin | JwtLogin | KubernetesLogin
# The cluster's beside the services' own method, which the deployer may change.
MOUNTS: Mapping[str, str] = {"cert": "cert", "jwt": "jwt", "kubernetes": "kubernetes-deployer"}
"""Where each kind of login is, by its auth method."""


@dataclass(frozen=True)
class LoginPlan:
    """The auth method of a login, and what to write to its paths, one after the other."""

    mount: str
    type: str
    writes: Mapping[str, Mapping[str, object]]


def login_plan(login: DeployerLogin, role: str) -> LoginPlan:
    """What makes the deployer's login, besides its policy."""
    bound: dict[str, object]
    config: dict[str, object] | None
    token = {
        "token_policies": [DEPLOYER],
        "token_no_default_policy": True,
        "token_ttl": _TOKEN_SECONDS,
        "token_max_ttl": _MAX_TOKEN_SECONDS,
    }
    match login:
        case CertLogin():
            method, config = "cert", None
            bound = {"certificate": login.authority, "allowed_common_names": [login.common_name]}
        case JwtLogin():
            method = "jwt"
            config = {"oidc_discovery_url": login.issuer, "bound_issuer": login.issuer}
            if login.issuer_authority:
                config["oidc_discovery_ca_pem"] = login.issuer_authority
            bound = {"bound_audiences": [login.audience], "bound_subject": login.subject}
            bound |= {"role_type": "jwt", "user_claim": "sub"}
        case KubernetesLogin():
            method = "kubernetes"
            config = {"kubernetes_host": login.kubernetes_host}
            bound = {
                "bound_service_account_names": [login.service_account],
                "bound_service_account_namespaces": [login.namespace],
                "audience": TOKEN_AUDIENCE,
            }
    path = f"auth/{MOUNTS[method]}"
    roles = f"{path}/certs" if method == "cert" else f"{path}/role"
    writes = {f"{roles}/{role}": {**bound, **token}}
    return LoginPlan(MOUNTS[method], method, {f"{path}/config": config, **writes} if config else writes)


def deployer_policy(*, pki: bool = False) -> str:
    """The policy as Vault's HCL. `pki` is whether the stack has an intermediate of its own."""
    return hcl((*_RULES, *_PKI_RULES) if pki else _RULES)


if __name__ == "__main__":
    sys.stdout.write(deployer_policy(pki=sys.argv[1:] == ["--pki"]))
