"""The least that a Pulumi program needs in Vault to make mounts, auth methods, policies, roles and first secrets.

Paths are those of the Vault API documentation; the ones it marks "root protected" need ``sudo``.
The login itself (``auth/cert``) stays out of reach: a deployer cannot give itself another policy through it.
"""

_FULL = ("create", "read", "update", "delete", "list")
_SUDO = ("create", "read", "update", "delete", "list", "sudo")

_RULES: tuple[tuple[str, tuple[str, ...]], ...] = (
    # Secrets engines: list, tune, enable, move, disable.
    ("sys/mounts", ("read", "list")),
    ("sys/mounts/*", _FULL),
    ("sys/remount", ("update", "sudo")),
    # Auth methods; enabling and disabling are root protected.
    ("sys/auth", ("read", "list", "sudo")),
    ("sys/auth/kubernetes", _SUDO),
    ("sys/auth/kubernetes/*", _SUDO),
    ("sys/auth/kubernetes-*", _SUDO),
    ("sys/mounts/auth/kubernetes/tune", ("read", "update")),
    # Audit devices: all of it is root protected.
    ("sys/audit", ("read", "list", "sudo")),
    ("sys/audit/*", _SUDO),
    # Policies, but not the deployer's own.
    ("sys/policies/acl", ("list",)),
    ("sys/policies/acl/*", _FULL),
    ("sys/policies/acl/platform-deployer", ("deny",)),
    # What the provider asks before it acts: seal state, mounts by path, own capabilities.
    ("sys/health", ("read",)),
    ("sys/seal-status", ("read",)),
    ("sys/internal/ui/mounts", ("read",)),
    ("sys/internal/ui/mounts/*", ("read",)),
    ("sys/capabilities-self", ("update",)),
    # Configuration and roles of the Kubernetes auth method.
    ("auth/kubernetes/*", _FULL),
    ("auth/kubernetes-*", _FULL),
    # First values of secrets in the KV v2 engine, and their metadata.
    ("secret/config", ("create", "read", "update")),
    ("secret/data/*", _FULL),
    ("secret/metadata", ("list",)),
    ("secret/metadata/*", _FULL),
    ("secret/delete/*", ("create", "update")),
    ("secret/undelete/*", ("create", "update")),
    ("secret/destroy/*", ("create", "update")),
    # Connections and roles of the database engine, but no user of any database.
    ("database/config/*", _FULL),
    ("database/roles/*", _FULL),
    ("database/rotate-root/*", ("create", "update")),
    # Its own token.
    ("auth/token/lookup-self", ("read",)),
    ("auth/token/renew-self", ("update",)),
    ("auth/token/revoke-self", ("update",)),
)


def deployer_policy() -> str:
    """The policy as Vault's HCL."""
    return "\n".join(_rule(path, capabilities) for path, capabilities in _RULES)


def _rule(path: str, capabilities: tuple[str, ...]) -> str:
    quoted = ", ".join(f'"{capability}"' for capability in capabilities)
    return f'path "{path}" {{\n  capabilities = [{quoted}]\n}}\n'
