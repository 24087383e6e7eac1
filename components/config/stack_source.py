"""The stack file for messages: its name, and the line of each key if its text is known."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from components.kube.names import PROJECT
from components.schema.problem import UNSHOWN, ConfigError, LineOf, Problem, no_line, shown_value
from components.schema.yaml_text import line_finder, misread_places, read_text

_PART = re.compile(r"\[(\d+)\]|([^.\[\]]+)")


@dataclass(frozen=True)
class StackSource:
    """Where a stack's values come from. Pulumi passes only values, so lines need the text of the file.

    `line_of` takes the path of a key below `config`, such as `("zero-trust:vault", "address")`.
    """

    file: str
    line_of: LineOf = no_line

    def problem(self, key: str, message: str, value: object = UNSHOWN, legal: Iterable[str] = ()) -> Problem:
        """A problem of one of the project's keys, which is dotted and without the prefix."""
        line = self.line_of_own(tuple(int(number) if number else name for number, name in _PART.findall(key)))
        return Problem(self.file, f"{PROJECT}:{key}", message, shown_value(value), tuple(legal), line)

    def line_of_own(self, loc: tuple[int | str, ...]) -> int:
        """The line of one of the project's keys, whose path has no prefix."""
        return self.line_of((f"{PROJECT}:{loc[0]}", *loc[1:]) if loc else ())


def stack_lines(text: str) -> LineOf:
    """A function from a key's path below `config` to its line in a stack file."""
    line_of = line_finder(text)
    return lambda loc: line_of(("config", *loc))


def lines_beside(root: Path, file: str) -> LineOf:
    """The lines of a project's stack file; none if the file is somewhere else.

    Raises `ConfigError` for what YAML reads in another way than it is written, and for a file that is no text.
    """
    path = root / file
    if not path.is_file():
        return no_line
    text = read_text(path, file)
    if problems := misread_places(text, file):
        raise ConfigError(problems)
    return stack_lines(text)
