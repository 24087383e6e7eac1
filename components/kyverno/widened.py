"""The parameters by which a stack lets a critical rule pass more than the rule's own file does.

Each such list says what the rule lets through. What is on it beside the defaults is agreed on like an exception.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import cast

from components.kyverno.library import Rule
from components.schema.problem import FieldError

FROM_THE_STACK: Mapping[str, str] = MappingProxyType(
    {
        "registries": "registries",
        "meshImages": "platformImages",
        "agentImages": "platformImages",
        "solverImages": "platformImages",
    }
)
"""The parameters that other keys of the stack file fill, each with its key."""
_EVERYTHING = ("ALL", "Unconfined")


def check_widened(rule: Rule, values: Mapping[str, object]) -> None:
    """Raise `FieldError` for a parameter with a key of its own, and for one with which a critical rule says nothing."""
    for name, value in values.items():
        key = f"parameters.{rule.name}.{name}"
        if name in FROM_THE_STACK:
            raise FieldError(key, f"{FROM_THE_STACK[name]} of the stack file says it: write it there")
        for item in _added(rule, name, value):
            if item in _EVERYTHING or "*" in item or not item.strip():
                message = "with it the rule holds nothing back, or it stands for nothing: except the one workload"
                raise FieldError(key, message, item)


def widened(rule: Rule, values: Mapping[str, object]) -> tuple[str, ...]:
    """What a critical rule lets through with these values, and not with its own."""
    return tuple(item for name, value in values.items() for item in _added(rule, name, value))


def _added(rule: Rule, name: str, value: object) -> list[str]:
    if rule.tier != "critical" or not isinstance(value, list | tuple):
        return []
    own = cast("Sequence[str]", rule.parameters[name])
    return [item for item in cast("Sequence[str]", value) if item not in own]
