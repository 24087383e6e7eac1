"""The least that `pulumi up`, `refresh` and `destroy` of the program need in Vault.

It writes first values of secrets and reads none. The login itself (``auth/cert``) and its own policy stay out of reach.
Whoever writes policies and roles can still give rights to another identity; the audit devices show it. Paths are those
of the Vault API documentation; the ones it marks "root protected" need ``sudo``.
"""

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
    # Policies, but not the deployer's own.
    ("sys/policies/acl/+", _WRITE),
    ("sys/policies/acl/platform-deployer", ("deny",)),
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


def deployer_policy() -> str:
    """The policy as Vault's HCL."""
    return "\n".join(_rule(path, capabilities) for path, capabilities in _RULES)


def _rule(path: str, capabilities: tuple[str, ...]) -> str:
    quoted = ", ".join(f'"{capability}"' for capability in capabilities)
    return f'path "{path}" {{\n  capabilities = [{quoted}]\n}}\n'
