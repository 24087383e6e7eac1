"""The actions of a rule on a violation."""

from enum import StrEnum


class Action(StrEnum):
    """What a policy rule does with a violation. `WARN` means Warn and Audit."""

    OFF = "off"
    AUDIT = "audit"
    WARN = "warn"
    DENY = "deny"
