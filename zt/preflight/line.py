"""The lines of a preflight: what was checked, what came of it, and what to do about it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zt.preflight.session import Session


class Result(StrEnum):
    """What came of a check."""

    OK = "ok"
    FAILS = "fails"
    """`pulumi up` would fail, or what it makes would not work."""
    WARNS = "warns"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True)
class Line:
    """One line. `fix` is a command or a key of the stack file; `details` are the parts of what was found."""

    result: Result
    about: str
    found: str
    fix: str = ""
    details: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.result in (Result.FAILS, Result.WARNS) and not self.fix:
            raise ValueError(f"{self.about}: a line that objects says what to do")


def ok(about: str, found: str, *details: str) -> Line:
    """A line about what is as it must be."""
    return Line(Result.OK, about, found, "", details)


def fails(about: str, found: str, fix: str, *details: str) -> Line:
    """A line about what stops the stack."""
    return Line(Result.FAILS, about, found, fix, details)


def warns(about: str, found: str, fix: str, *details: str) -> Line:
    """A line about what a person should look at."""
    return Line(Result.WARNS, about, found, fix, details)


def not_checked(about: str, why: str, fix: str = "") -> Line:
    """A line about what nobody knows, and why."""
    return Line(Result.NOT_CHECKED, about, why, fix)


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
