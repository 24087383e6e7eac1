"""A Vault policy as text.

Syntax and capabilities: https://developer.hashicorp.com/vault/docs/concepts/policies
"""

from collections.abc import Iterable, Sequence

SNAPSHOT_PATH = "sys/storage/raft/snapshot"
"""Reading it returns a copy of the raft storage; writing it replaces the storage."""


def hcl(rules: Iterable[tuple[str, Sequence[str]]]) -> str:
    """The policy with these paths and their capabilities, as Vault's HCL."""
    return "\n".join(_rule(path, capabilities) for path, capabilities in rules)


def _rule(path: str, capabilities: Sequence[str]) -> str:
    quoted = ", ".join(f'"{capability}"' for capability in capabilities)
    return f'path "{path}" {{\n  capabilities = [{quoted}]\n}}\n'
