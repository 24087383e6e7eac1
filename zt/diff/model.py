"""The result of a comparison, which every output writes, and whether it stops the change."""

from collections.abc import Sequence
from dataclasses import dataclass

from zt.changes.compare import Change
from zt.changes.comparisons import Class


@dataclass(frozen=True)
class Diff:
    """The differences, and whether they need a reason. `notes` are remarks on the comparison."""

    stack: str
    base: str
    guarded: bool
    accepted: str
    changes: Sequence[Change]
    notes: Sequence[str]

    def of(self, means: Class) -> list[Change]:
        """The changes of one class."""
        return [change for change in self.changes if change.means is means]

    @property
    def blocked(self) -> bool:
        """Whether something is weaker in production and no reason was given."""
        return self.guarded and not self.accepted and bool(self.of(Class.WEAKER))
