"""The report of a check, which every output format writes, and its exit code."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from zt.check.verdicts import Outcome, Verdict
from zt.project.errors import ExitCode

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
    """The number of planned objects, including those of Helm releases."""
    rules: int
    """The number of policies that were evaluated."""

    def count(self, outcome: Outcome) -> int:
        """How many verdicts have an outcome."""
        return sum(1 for verdict in self.verdicts if verdict.outcome is outcome)

    def blocking(self) -> list[Verdict]:
        """The verdicts that fail the check on any stack."""
        return [verdict for verdict in self.verdicts if verdict.outcome in _BLOCKING]

    def by_service(self) -> dict[str, list[Verdict]]:
        """The verdicts of each service; `platform` comes last."""
        groups: dict[str, list[Verdict]] = {}
        for verdict in self.verdicts:
            groups.setdefault(verdict.service, []).append(verdict)
        return groups

    def exit_code(self, strict: bool) -> ExitCode:
        """1 when admission would refuse something or an exception ran out; under `strict` also for what it reports."""
        return ExitCode.NO if self.blocking() or (strict and self.count(Outcome.WARNED)) else ExitCode.DONE
