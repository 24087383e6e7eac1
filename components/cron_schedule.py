"""When something runs, as cron writes it: what a CronJob takes, judged before the API server does."""

import re
from typing import Annotated

from pydantic import AfterValidator, StrictStr

_FIELDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_NAMES = {
    **{name: number for number, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat"))},
    **{
        name: number
        for number, name in enumerate(
            ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), start=1
        )
    },
}
_PART = re.compile(r"(?:\*|(\w+)(?:-(\w+))?)(?:/([1-9]\d?))?")


def _schedule(value: str) -> str:
    fields = value.split()
    if len(fields) != len(_FIELDS) or not all(
        _in_range(part, *bounds) for field, bounds in zip(fields, _FIELDS, strict=True) for part in field.split(",")
    ):
        raise ValueError("not a schedule such as '0 3 * * *': minute, hour, day, month and day of the week, in UTC")
    return value


def _in_range(part: str, low: int, high: int) -> bool:
    found = _PART.fullmatch(part)
    if found is None:
        return False
    ends = [end for end in found.group(1, 2) if end is not None]
    numbers = [int(end) if end.isascii() and end.isdigit() else _NAMES.get(end.lower(), -1) for end in ends]
    return all(low <= number <= high for number in numbers) and numbers == sorted(numbers)


Schedule = Annotated[StrictStr, AfterValidator(_schedule)]
"""Minute, hour, day, month and day of the week, in UTC."""
