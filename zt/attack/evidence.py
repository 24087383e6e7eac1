"""What an attempt came to, and the control of the platform that is to stop it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

_ANSWER = 220


class StackError(Exception):
    """The stack cannot be attacked: the cluster or Vault does not answer, or the service is not there. One line."""


class UntriedError(Exception):
    """An attempt lacks what it needs on this stack. One line: what."""


class Result(StrEnum):
    """What became of an attempt. `NOT_MEASURED`: it cannot be replayed here, and the answer says why."""

    BLOCKED = "blocked"
    SUCCEEDED = "succeeded"
    NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Control:
    """What is to stop an attempt: a layer of the posture table, the component that makes it, the rules of the library.

    `identity` stands for what no posture relaxes: a service account without rights, a Vault role bound to it.
    """

    layer: str
    component: str
    rules: tuple[str, ...] = ()

    def __str__(self) -> str:
        """As a person reads it."""
        return f"{self.layer}: {', '.join(self.rules) or self.component}"


@dataclass(frozen=True)
class Evidence:
    """The result of an attempt, and the answer it rests on: the API server's, Vault's, admission's, or a policy's."""

    result: Result
    answer: str


def blocked(answer: str) -> Evidence:
    """The attempt was refused."""
    return Evidence(Result.BLOCKED, short(answer))


def succeeded(answer: str) -> Evidence:
    """The attempt got through."""
    return Evidence(Result.SUCCEEDED, short(answer))


def not_measured(why: str) -> Evidence:
    """The attempt cannot be replayed here."""
    return Evidence(Result.NOT_MEASURED, short(why))


def short(text: str) -> str:
    """An answer in one line that fits a table."""
    line = " ".join(text.split())
    return line if len(line) <= _ANSWER else f"{line[: _ANSWER - 1].rstrip()}…"


def together(tries: Sequence[Evidence], nothing: str) -> Evidence:
    """Several tries as one: one that succeeds decides; otherwise one that could not be measured does.

    The answer of several refused tries is the first one's, with their number. Without any try it is `nothing`.
    """
    for result in (Result.SUCCEEDED, Result.NOT_MEASURED):
        found = [one for one in tries if one.result is result]
        if found:
            more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
            return Evidence(result, f"{found[0].answer}{more}")
    if not tries:
        return not_measured(nothing)
    return Evidence(
        Result.BLOCKED, f"{len(tries)} of {len(tries)} refused: {tries[0].answer}" if tries[1:] else tries[0].answer
    )
