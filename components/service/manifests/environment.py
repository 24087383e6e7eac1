"""The environment variables of a container."""

from collections.abc import Mapping


def environment(values: Mapping[str, str]) -> list[dict[str, str]]:
    """The list `env` of a container."""
    return [{"name": name, "value": value} for name, value in sorted(values.items())]
