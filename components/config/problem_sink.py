"""The callback by which a check of several keys reports problems."""

from collections.abc import Iterable
from typing import Protocol

from components.schema.problem import UNSHOWN


class ProblemSink(Protocol):
    """Receives the problems of the stack file."""

    def __call__(self, key: str, message: str, value: object = UNSHOWN, legal: Iterable[str] = ()) -> None:
        """Report a problem: its dotted key, a message, the value found, and the legal values."""
