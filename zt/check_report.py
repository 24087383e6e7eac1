"""What a check found, as every output format gets it, and the exit code that follows from it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from zt.verdicts import Outcome, Verdict

CLEAN, REFUSED, BAD_USAGE, TOOL_FAILED = 0, 1, 2, 3
_BLOCKING = (Outcome.REFUSED, Outcome.EXPIRED)


@dataclass(frozen=True)
class Report:
    """The verdicts of one plan."""

    stack: str
    as_of: date
    verdicts: Sequence[Verdict]
    warnings: Sequence[str]
    """What could not be checked, each with its reason."""
    objects: int
    """How many objects are planned, those of Helm releases included."""
    rules: int
    """How many policies they were held against."""

    def count(self, outcome: Outcome) -> int:
        """How many verdicts have an outcome."""
        return sum(1 for verdict in self.verdicts if verdict.outcome is outcome)

    def blocking(self) -> list[Verdict]:
        """The verdicts that fail the check on any stack."""
        return [verdict for verdict in self.verdicts if verdict.outcome in _BLOCKING]

    def by_service(self) -> dict[str, list[Verdict]]:
        """The verdicts of each service; `platform` comes last."""
        found: dict[str, list[Verdict]] = {}
        for verdict in self.verdicts:
            found.setdefault(verdict.service, []).append(verdict)
        return found

    def exit_code(self, strict: bool) -> int:
        """1 when admission would refuse something or an exception ran out; under `strict` also for what it reports."""
        return REFUSED if self.blocking() or (strict and self.count(Outcome.WARNED)) else CLEAN
