"""The operator's Kubernetes login to Vault: the rights for `zt rotate`, `secret`, `revoke`, `attack`, `vault snapshot`.

It can create and change secrets but read none: a snapshot is encrypted, and `zt audit` reads a log, not Vault. Which
paths are "root protected" and need `sudo`: https://developer.hashicorp.com/vault/docs/concepts/policies and each API
page.
"""

from components.kube.names import AUTH_PATH, CREDENTIALS, KV_MOUNT
from components.vault.policy import SNAPSHOT_PATH, hcl

OPERATOR_TOKEN_SECONDS = 600
"""The maximum life of a login's token, which is longer than any command runs."""


def operator_policy(kv_mount: str = KV_MOUNT, auth_path: str = AUTH_PATH, credentials: str = CREDENTIALS) -> str:
    """The operator's policy as Vault's HCL."""
    rules: tuple[tuple[str, tuple[str, ...]], ...] = (
        # Rotation: the number of the latest version, and a patch of fields, which returns no value.
        (f"{kv_mount}/metadata/+/+/+", ("read",)),
        (f"{kv_mount}/data/+/+/+", ("create", "patch")),
        # Secrets from outside: the names of the fields that are there, and above `create` of what is not there yet.
        (f"{kv_mount}/subkeys/+/+/+", ("read",)),
        # Revocation: Vault can look tokens up only by their accessors, not by role.
        ("auth/token/accessors", ("list", "sudo")),
        ("auth/token/lookup-accessor", ("update",)),
        ("auth/token/revoke-accessor", ("update",)),
        (f"sys/leases/lookup/{credentials}", ("list", "sudo")),
        (f"sys/leases/lookup/{credentials}/+", ("list", "sudo")),
        (f"sys/leases/revoke-prefix/{credentials}/+", ("update", "sudo")),
        # Lock of a revoked service: without its role it cannot log in again.
        (f"auth/{auth_path}/role/+", ("read", "delete")),
        # A copy of the storage, which only the seal's key decrypts. Nobody has a permanent right to restore one.
        (SNAPSHOT_PATH, ("read",)),
        ("auth/token/revoke-self", ("update",)),
    )
    return hcl(rules)
