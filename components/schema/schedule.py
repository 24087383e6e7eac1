"""Schedules in cron's notation, checked like the API server checks those of a CronJob."""

import re
from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, StrictStr

_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
# Sunday is 0 alone: https://github.com/robfig/cron/blob/v3.0.1/spec.go
_FIELDS: tuple[tuple[int, int, Sequence[str]], ...] = (
    (0, 59, ()),
    (0, 23, ()),
    (1, 31, ()),
    (1, 12, _MONTHS),
    (0, 6, _DAYS),
)
_PART = re.compile(r"(?:\*|(\w+)(?:-(\w+))?)(?:/([1-9]\d?))?")


def _schedule(value: str) -> str:
    fields = value.split()
    if len(fields) != len(_FIELDS) or not all(
        _in_range(part, *bounds) for field, bounds in zip(fields, _FIELDS, strict=True) for part in field.split(",")
    ):
        raise ValueError("not a schedule such as '0 3 * * *': minute, hour, day, month and day of the week, in UTC")
    return value


def _in_range(part: str, low: int, high: int, names: Sequence[str]) -> bool:
    match = _PART.fullmatch(part)
    if match is None:
        return False
    ends = [end for end in match.group(1, 2) if end is not None]
    named = {name: number for number, name in enumerate(names, start=low)}
    numbers = [int(end) if end.isascii() and end.isdigit() else named.get(end.lower(), -1) for end in ends]
    return all(low <= number <= high for number in numbers) and numbers == sorted(numbers)


Schedule = Annotated[StrictStr, AfterValidator(_schedule)]
"""Minute, hour, day, month and day of the week, in UTC."""
