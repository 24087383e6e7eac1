"""A Vault policy as text.

Syntax and capabilities: https://developer.hashicorp.com/vault/docs/concepts/policies
"""

from collections.abc import Iterable, Sequence

SNAPSHOT_PATH = "sys/storage/raft/snapshot"
"""Read, it is a copy of raft's storage; written, it replaces that."""


def hcl(rules: Iterable[tuple[str, Sequence[str]]]) -> str:
    """The policy that gives these capabilities on these paths, as Vault's HCL."""
    return "\n".join(_rule(path, capabilities) for path, capabilities in rules)


def _rule(path: str, capabilities: Sequence[str]) -> str:
    quoted = ", ".join(f'"{capability}"' for capability in capabilities)
    return f'path "{path}" {{\n  capabilities = [{quoted}]\n}}\n'
