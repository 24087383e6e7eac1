"""An exception of one service for a limited time, with a reason, an owner and a last day."""

import re
from datetime import date
from typing import Annotated, Self

from pydantic import AfterValidator, Field, StrictStr, model_validator

from components.schema.fields import Day
from components.schema.typed_file import TypedFile, misplaced

CRITICAL_DAYS = 90

# Who approves an exception reads these texts: no character may hide or turn round what stands beside it.
_HIDES = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")


def _readable(value: str) -> str:
    if match := _HIDES.search(value):
        raise ValueError(f"it has the character U+{ord(match[0]):04X}, which no reader sees")
    if not value.strip():
        raise ValueError("nothing but space")
    return value


def _long_enough(value: str) -> str:
    if len(value.strip()) < _SHORTEST_REASON:
        raise ValueError(f"shorter than {_SHORTEST_REASON} characters")
    return value


_SHORTEST_REASON = 10
Owner = Annotated[StrictStr, Field(min_length=1), AfterValidator(_readable)]
Reason = Annotated[
    StrictStr, Field(min_length=_SHORTEST_REASON), AfterValidator(_readable), AfterValidator(_long_enough)
]


def check_days(granted: date, expires: date) -> None:
    """Raise a problem with the key `expires`, if it is no day after `granted`."""
    if expires <= granted:
        raise misplaced(["expires"], f"not after granted, which is {granted}", str(expires))


class TimedException(TypedFile):
    """An exception of one service for a limited time."""

    reason: Reason
    """Why the service cannot comply yet, for the person who reviews it."""
    owner: Owner
    """Who is responsible for ending it: a person or a team."""
    granted: Day
    """The day on which it was agreed."""
    expires: Day
    """The first day without the exception; at most 90 days after `granted` for mTLS or a critical rule."""

    @model_validator(mode="after")
    def _ends(self) -> Self:
        check_days(self.granted, self.expires)
        return self

    @property
    def days(self) -> int:
        """The number of days that it lasts."""
        return (self.expires - self.granted).days

    def expired(self, on: date) -> bool:
        """Whether it has ended on a day."""
        return on >= self.expires

    def day_problem(self, as_of: date | None) -> tuple[str, str] | None:
        """The key and the message of a problem with its days, judged on a day; `None` without a problem or a day."""
        if as_of is not None and self.granted > as_of:
            return "granted", f"{self.granted} is in the future as of {as_of}"
        if as_of is not None and self.expired(as_of):
            return "expires", f"expired as of {as_of}: remove it, or agree on it again with new days"
        return None
