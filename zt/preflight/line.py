"""The lines of a preflight: what was checked, what came of it, and what to do about it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from components.kube.finding import Line, Result, fails, not_checked, ok, warns

if TYPE_CHECKING:
    from zt.preflight.session import Session


__all__ = ["Check", "Line", "Preflight", "Result", "Row", "Theme", "fails", "not_checked", "ok", "warns"]

Ask = Callable[["Session"], Iterable[Line]]
Applies = Callable[["Session"], bool]


@dataclass(frozen=True)
class Check:
    """A check by its name: what it is about, which stacks need it, and how it is asked."""

    name: str
    title: str
    ask: Ask
    applies: Applies = lambda _: True


@dataclass(frozen=True)
class Theme:
    """The checks of one theme, in the order in which they are shown."""

    title: str
    checks: tuple[Check, ...]


@dataclass(frozen=True)
class Row:
    """A line with the theme and the name of its check."""

    theme: str
    check: str
    line: Line


@dataclass(frozen=True)
class Preflight:
    """The result of all checks of a stack on a cluster."""

    stack: str
    cluster: str
    vault: str
    """The address of Vault; empty for a stack without one."""
    rows: tuple[Row, ...]

    def count(self, result: Result) -> int:
        """How many lines have this result."""
        return sum(row.line.result is result for row in self.rows)

    @property
    def exit_code(self) -> int:
        """1 when something fails, 0 otherwise."""
        return int(self.count(Result.FAILS) > 0)
