"""The operator's login to Vault, by Kubernetes: the least for `zt rotate`, `revoke`, `attack` and `vault snapshot`.

It changes secrets and never reads one: a snapshot is encrypted, and `zt audit` reads a log, not Vault. Paths, and the
ones that are "root protected" and need `sudo`: https://developer.hashicorp.com/vault/docs/concepts/policies and the API
pages of each path.
"""

from components.service_args import PlatformArgs
from components.vault_policy import SNAPSHOT_PATH, hcl

OPERATOR = "platform-operator"
"""The policy, the role of the Kubernetes login, and the service account in Vault's namespace that the role is for."""
OPERATOR_TOKEN_SECONDS = 600
"""How long a login lives, renewed or not: longer than any of its commands."""

KV_MOUNT = PlatformArgs.kv_mount
AUTH_PATH = PlatformArgs.auth_path
CREDENTIALS = f"{PlatformArgs.database_mount}/creds"
"""Where a service's database credentials are leased, below a role named for the service."""


def operator_policy(kv_mount: str = KV_MOUNT, auth_path: str = AUTH_PATH, credentials: str = CREDENTIALS) -> str:
    """The operator's policy as Vault's HCL."""
    rules: tuple[tuple[str, tuple[str, ...]], ...] = (
        # Rotation: the number of the latest version, and a patch of fields that tells no value.
        (f"{kv_mount}/metadata/+/+/+", ("read",)),
        (f"{kv_mount}/data/+/+/+", ("patch",)),
        # Revocation: Vault knows tokens by their accessor alone, not by their role.
        ("auth/token/accessors", ("list", "sudo")),
        ("auth/token/lookup-accessor", ("update",)),
        ("auth/token/revoke-accessor", ("update",)),
        (f"sys/leases/lookup/{credentials}", ("list", "sudo")),
        (f"sys/leases/lookup/{credentials}/+", ("list", "sudo")),
        (f"sys/leases/revoke-prefix/{credentials}/+", ("update", "sudo")),
        # Its lock: a service whose role is gone cannot log in again.
        (f"auth/{auth_path}/role/+", ("read", "delete")),
        # A copy of the storage, which the seal's key alone opens. To put one back is nobody's standing right.
        (SNAPSHOT_PATH, ("read",)),
        ("auth/token/revoke-self", ("update",)),
    )
    return hcl(rules)
