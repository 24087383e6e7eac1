"""The result of an attempt, and the control of the platform that should stop it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from zt.attack.packets.packet import Sent
from zt.project.errors import CommandError

_ANSWER = 220


class StackError(CommandError):
    """The stack cannot be attacked: the cluster or Vault does not answer, or the service does not run. One line."""


class UntriedError(Exception):
    """An attempt lacks something on this stack. One line names it."""


class Result(StrEnum):
    """How an attempt ended. `NOT_MEASURED`: it cannot be replayed here, and the answer says why."""

    BLOCKED = "blocked"
    SUCCEEDED = "succeeded"
    NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Control:
    """What should stop an attempt: a layer of the posture table, its component, and the rules of the library.

    The layer `identity` is relaxed by no posture: a service account without rights, and a Vault role bound to it.
    """

    layer: str
    component: str
    rules: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The control as a person reads it."""
        return f"{self.layer}: {', '.join(self.rules) or self.component}"


@dataclass(frozen=True)
class Evidence:
    """The result of an attempt, and the answer that shows it: of the API server, Vault, admission or a policy."""

    result: Result
    answer: str
    packets: tuple[Sent, ...] = ()
    """What was sent for it, and what became of each."""

    @property
    def differs(self) -> int:
        """How many of the packets went otherwise than the live rules say."""
        return sum(sent.differs for sent in self.packets)


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
    """An answer as one line that fits into a table."""
    line = " ".join(text.split())
    return line if len(line) <= _ANSWER else f"{line[: _ANSWER - 1].rstrip()}…"


def together(tries: Sequence[Evidence], nothing: str) -> Evidence:
    """Several tries as one evidence. A success decides, or else a try that could not be measured.

    If all were refused, the answer is that of the first one with their number. Without a try it is `nothing`.
    """
    for result in (Result.SUCCEEDED, Result.NOT_MEASURED):
        decisive = [evidence for evidence in tries if evidence.result is result]
        if decisive:
            more = f" (and {len(decisive) - 1} more)" if len(decisive) > 1 else ""
            return Evidence(result, f"{decisive[0].answer}{more}")
    if not tries:
        return not_measured(nothing)
    return Evidence(
        Result.BLOCKED, f"{len(tries)} of {len(tries)} refused: {tries[0].answer}" if tries[1:] else tries[0].answer
    )
