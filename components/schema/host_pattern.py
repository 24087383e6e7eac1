"""Hosts that stand for others: `*.example.org` for all below a domain."""

from collections.abc import Sequence


def is_covered(host: str, patterns: Sequence[str]) -> bool:
    """Whether one of the patterns is a host, or a wildcard for it."""
    return any(host == each or (each.startswith("*.") and host.endswith(each[1:])) for each in patterns)
