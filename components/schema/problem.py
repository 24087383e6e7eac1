"""The problems of a file that a person wrote: where, what was found there, and what would be legal."""

import difflib
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from itertools import islice
from typing import Final, TypeAlias, cast

from components.schema.printable import one_line, printable

Key: TypeAlias = tuple[int | str, ...]
"""The place of a value in a file: names of keys, and numbers in lists."""
LineOf: TypeAlias = Callable[[Key], int]
PlaceOf: TypeAlias = Callable[[Key], tuple[str, int]]

# No value to show. `None` is the value of an empty key, so it cannot mean this.
UNSHOWN: Final = object()
# Of a value as an error shows it: its characters, and how deep its lists are followed.
_LONGEST, _DEEPEST = 80, 40


def no_line(_: Key) -> int:
    """The line of every key (0) if the text of the file is not known."""
    return 0


@dataclass(frozen=True)
class Problem:
    """One mistake in a file: where it is, what was found there, why it is wrong and what would be legal."""

    file: str
    key: str
    message: str
    found: str = ""
    legal: tuple[str, ...] = ()
    line: int = 0

    def __str__(self) -> str:
        """One line for a terminal."""
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{one_line(place)}: {self.sentence}"

    @property
    def sentence(self) -> str:
        """The problem without the file and the line."""
        actual = f", found {self.found}" if self.found else ""
        legal = f"; legal: {', '.join(self.legal)}" if self.legal else ""
        close = difflib.get_close_matches(self.key.rsplit(".", 1)[-1].rsplit(":", 1)[-1], self.legal, n=1)
        nearest = f" (did you mean {close[0]}?)" if close and self.message == UNKNOWN_KEY else ""
        return f"{one_line(self.key)}: {printable(f'{self.message}{actual}{legal}{nearest}')}"


UNKNOWN_KEY = "unknown key"

UNREPEATED = "a value that is not repeated here"


class ConfigError(ValueError):
    """All problems of the configuration, so that one run is enough to correct a file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class FieldError(ValueError):
    """A problem with one value, found by code that does not know the file.

    `key` is a field of Args, or a dotted key of the stack file. `keys_of` replaces a field by the key of its value, and
    `components/program/stack_keys.py` turns the error into a problem with file and line.
    """

    def __init__(self, key: str, message: str, value: object = UNSHOWN, legal: Iterable[object] = ()) -> None:
        self.key = key
        self.message = message
        self.value = value
        self.legal = tuple(str(value) for value in legal)
        super().__init__(Problem("", key, message, shown_value(value), self.legal).sentence)

    def at(self, key: str) -> "FieldError":
        """The same error at another key."""
        return FieldError(key, self.message, self.value, self.legal)


@contextmanager
def keys_of(**keys: str) -> Generator[None, None, None]:
    """Replace the field in a `FieldError` by the key that its value came from; a path below the field is kept.

    Used as a `with` block, or as a decorator of a function that makes Args.
    """
    try:
        yield
    except FieldError as fault:
        field, dot, below = fault.key.partition(".")
        if field not in keys:
            raise
        raise fault.at(keys[field] + dot + below) from fault


def shown_value(value: object) -> str:
    """A value as an error shows it: short and in YAML. A mapping is shown by its keys alone, wherever it is."""
    if value is UNSHOWN:
        return ""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        # A mapping may contain a secret, and its keys are enough to find it.
        return f"a mapping of {', '.join(str(key) for key in cast('dict[object, object]', value)) or 'nothing'}"
    if value == UNREPEATED:
        return UNREPEATED
    text = "".join(islice(_shown(value, _DEEPEST), _LONGEST + 1))
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _shown(value: object, levels: int) -> Iterator[str]:
    """The characters of a value. An anchor may stand a million times in it, or in itself."""
    if value is None or isinstance(value, bool):
        yield from {None: "null", True: "true", False: "false"}[value]
    elif isinstance(value, date):
        yield from str(value)
    elif isinstance(value, dict):
        yield from f"{{{', '.join(map(str, cast('dict[object, object]', value)))}: ...}}" if value else "{}"
    elif not isinstance(value, list | tuple | set):
        yield from repr(value)
    elif not levels:
        yield from "[...]"
    else:
        yield "["
        for number, item in enumerate(cast("Iterable[object]", value)):
            yield from ", " if number else ""
            yield from _shown(item, levels - 1)
        yield "]"
