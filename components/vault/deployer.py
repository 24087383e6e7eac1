"""The deployer's permanent login to Vault: its policy, and one of three auth methods.

The policy allows what `pulumi up`, `refresh` and `destroy` of the program need. It lets the deployer write first values
of secrets but read none, and it protects itself and the login from changes. Since the deployer writes policies and
roles, it can still give rights to another identity; the audit devices show that. Paths that the Vault documentation
marks "root protected" need `sudo`. `python -m components.vault.deployer` prints the policy, with `--pki` that of a
stack with `vault.pki`.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass

from components.config.pem_file import Pem
from components.config.vault import DeployerAccount
from components.kube.names import DEPLOYER, PKI_MOUNT, TOKEN_AUDIENCE
from components.schema.checked import check_fields
from components.schema.fields import ExactText, HttpsAddress, Issuer, Label
from components.vault.pki import REQUEST_PATH, ROLE_PATH, SIGNED_PATH
from components.vault.policy import hcl

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
    # Vault's own client asks here for an auth method and its settings, since no path below sys/mounts needs sudo.
    ("sys/mounts/auth/kubernetes", ("read",)),
    ("sys/mounts/auth/kubernetes/tune", _TUNE),
    ("auth/kubernetes/config", ("create", "read", "update")),
    ("auth/kubernetes/role/+", _WRITE),
    # Audit devices: all of their paths are root protected.
    ("sys/audit", ("read", "sudo")),
    ("sys/audit/audit-*", _ROOT_PROTECTED),
    # Policies; the deployer's own is read-only, to be compared with the program's.
    ("sys/policies/acl/+", _WRITE),
    (f"sys/policies/acl/{DEPLOYER}", ("read",)),
    # First values of secrets, by namespace, service and name; the provider reads none (`disable_read`).
    ("secret/config", ("create", "read", "update")),
    ("secret/data/+/+/+", ("create", "update", "delete")),
    # Connections and roles of the database engine, but no user of any database.
    ("database/config/+", _WRITE),
    ("database/roles/+", _WRITE),
    ("database/rotate-root/+", ("update",)),
    # The deployer's own token.
    ("auth/token/lookup-self", ("read",)),
    ("auth/token/renew-self", ("update",)),
    ("auth/token/revoke-self", ("update",)),
    # What it may do, which `zt preflight` asks.
    ("sys/capabilities-self", ("update",)),
)
# The engine of an intermediate and its one role. The deployer can neither sign with it nor make a root.
_PKI_RULES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (f"sys/mounts/{PKI_MOUNT}", _WRITE),
    (f"sys/mounts/{PKI_MOUNT}/tune", _TUNE),
    (REQUEST_PATH, ("update",)),
    (SIGNED_PATH, ("update",)),
    (ROLE_PATH, _WRITE),
)


@dataclass(frozen=True)
class CertLogin:
    """Login by a client certificate (https://developer.hashicorp.com/vault/docs/auth/cert). `authority` is PEM."""

    authority: Pem
    common_name: ExactText

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True)
class JwtLogin:
    """Login by a token of an OpenID issuer (https://developer.hashicorp.com/vault/docs/auth/jwt)."""

    issuer: Issuer
    audience: ExactText
    subject: ExactText
    issuer_authority: Pem = ""
    """PEM; empty: the public authorities."""

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True)
class KubernetesLogin:
    """Login by a service account of the cluster that Vault runs in. Vault's own service account reviews the token.

    https://developer.hashicorp.com/vault/docs/auth/kubernetes
    """

    namespace: Label
    service_account: DeployerAccount
    kubernetes_host: HttpsAddress

    def __post_init__(self) -> None:
        check_fields(self)


DeployerLogin = CertLogin | JwtLogin | KubernetesLogin
# Kubernetes has a mount beside the services' own, since the deployer may change that one.
MOUNTS: Mapping[str, str] = {"cert": "cert", "jwt": "jwt", "kubernetes": "kubernetes-deployer"}
"""The mount of the deployer's login, by auth method."""


@dataclass(frozen=True)
class LoginPlan:
    """The mount and type of an auth method, and what to write to which of its paths, in order."""

    mount: str
    type: str
    writes: Mapping[str, Mapping[str, object]]


def login_plan(login: DeployerLogin, role: str) -> LoginPlan:
    """The auth method, configuration and role of the deployer's login; its policy is not included."""
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


def deployer_rules(*, pki: bool = False) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The paths of the deployer's policy with their capabilities. `pki` is whether the stack has an intermediate."""
    return (*_RULES, *_PKI_RULES) if pki else _RULES


def deployer_policy(*, pki: bool = False) -> str:
    """The deployer's policy as Vault's HCL."""
    return hcl(deployer_rules(pki=pki))


if __name__ == "__main__":
    sys.stdout.write(deployer_policy(pki=sys.argv[1:] == ["--pki"]))
