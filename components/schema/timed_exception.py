"""An exception of one service for a limited time, with a reason, an owner and a last day."""

from datetime import date
from typing import Annotated, Self

from pydantic import Field, StrictStr, model_validator

from components.schema.typed_file import TypedFile, misplaced

CRITICAL_DAYS = 90

Reason = Annotated[StrictStr, Field(min_length=10)]
Owner = Annotated[StrictStr, Field(min_length=1)]


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
    granted: date
    """The day on which it was agreed."""
    expires: date
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
