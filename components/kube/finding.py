"""What a look at a cluster found: a line that says what was checked, what came of it, and what to do about it.

`zt preflight` shows the lines; `pulumi up` refuses to begin when one of a layer that others installed fails.
"""

from dataclasses import dataclass
from enum import StrEnum


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
