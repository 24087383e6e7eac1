"""The outcome of a request to move a rule, which every output writes."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from zt.cluster.compliance import Compliance
from zt.project.errors import ExitCode


class Decision(StrEnum):
    """How a request ended."""

    NOTHING = "nothing-to-do"
    MOVED = "moved"
    WOULD_MOVE = "would-move"
    NOT_MEASURED = "not-measured"
    REFUSED = "refused"


@dataclass(frozen=True)
class Outcome:
    """A decision with its reasons. `compliance` is absent if the decision needed none."""

    decision: Decision
    rule: str
    stack: str
    file: str
    phase: str
    next: str
    threshold: int
    cluster: str = ""
    compliance: Compliance | None = None
    diff: str = ""
    messages: tuple[Path, ...] = ()

    @property
    def exit_code(self) -> ExitCode:
        """0, or 1 if compliance is too low or unknown."""
        return ExitCode.NO if self.decision in (Decision.REFUSED, Decision.NOT_MEASURED) else ExitCode.DONE
