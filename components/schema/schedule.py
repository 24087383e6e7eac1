"""Schedules in cron's notation, checked like the API server checks those of a CronJob."""

import re
from collections.abc import Iterator, Sequence
from typing import Annotated

from pydantic import AfterValidator, StrictStr

from components.schema.shape import Shape

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
# https://github.com/robfig/cron/blob/v3.0.1/parser.go; @every counts from when the controller started.
_NAMED = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
_PART = re.compile(r"(?:\*|([A-Za-z0-9]+)(?:-([A-Za-z0-9]+))?)(?:/([1-9][0-9]?))?")
_FIELD = rf"{_PART.pattern}(?:,{_PART.pattern})*"
_LONGEST_MONTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def _schedule(value: str) -> str:
    if value in _NAMED:
        return value
    fields = value.split()
    if len(fields) != len(_FIELDS) or not all(
        _in_range(part, *bounds) for field, bounds in zip(fields, _FIELDS, strict=True) for part in field.split(",")
    ):
        raise ValueError("not a schedule such as '0 3 * * *': minute, hour, day, month and day of the week, in UTC")
    _, _, days, months, weekdays = fields
    longest = max(_LONGEST_MONTHS[month - 1] for month in _numbers(months, *_FIELDS[3]))
    # Where a day of the week is named, that is enough.
    if weekdays[0] == "*" and min(_numbers(days, *_FIELDS[2])) > longest:
        raise ValueError("none of its months has such a day: it would never run")
    return value


def _numbers(field: str, low: int, high: int, names: Sequence[str]) -> Iterator[int]:
    """The numbers that a field stands for; its parts are in range."""
    for part in field.split(","):
        match = _PART.fullmatch(part)
        first, last, step = match.groups() if match else (None, None, None)
        start = low if first is None else _number(first, low, names)
        # A number with a step runs to the end of the range.
        end = _number(last, low, names) if last else start if first and not step else high
        yield from range(start, end + 1, int(step or 1))


def _number(text: str, low: int, names: Sequence[str]) -> int:
    named = {name: number for number, name in enumerate(names, start=low)}
    return int(text) if text.isdigit() else named.get(text.lower(), -1)


def _in_range(part: str, low: int, high: int, names: Sequence[str]) -> bool:
    match = _PART.fullmatch(part)
    if match is None:
        return False
    ends = [end for end in match.group(1, 2) if end is not None]
    numbers = [_number(end, low, names) for end in ends]
    return all(low <= number <= high for number in numbers) and numbers == sorted(numbers)


Schedule = Annotated[
    StrictStr, AfterValidator(_schedule), Shape(rf"(?:{'|'.join(_NAMED)}|\s*{_FIELD}(?:\s+{_FIELD}){{4}}\s*)")
]
"""Minute, hour, day, month and day of the week, in UTC, or a word such as `@daily`."""
