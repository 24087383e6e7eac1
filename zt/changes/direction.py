"""How two values of a setting compare, and what a new grant means."""

from dataclasses import dataclass

from zt.changes.comparisons import Class, Comparison

TRUST = "trust moves to somebody or something else, and which of the two deserves it more is not in a plan"


@dataclass(frozen=True)
class Direction:
    """How two values compare, and why. An absent value counts as `default`; without a default it is not compared."""

    label: str
    compare: Comparison
    reason: str
    default: str | None = None


@dataclass(frozen=True)
class Gain:
    """What a new grant means (`None`: unknown), and why. The end of a grant means the opposite."""

    gained: Class | None
    reason: str
