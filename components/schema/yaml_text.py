"""Reads YAML text: its mapping, and the line of each of its keys.

Files that people write are read with PyYAML's Python parser, which gives the line of a mistake more exactly.
`YAML_LOADER` is for files that nobody edits by hand, and is ten times faster if PyYAML has libyaml.
"""

import re
import stat
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import cast

import yaml

from components.schema.problem import ConfigError, LineOf, Problem, shown_value
from components.schema.typed_file import dotted

_KEY = "YAML"
# Four times what the API server takes as one object.
_LARGEST = 4 * 2**20
# With every alias in full: whatever reads the values would go through each of them.
_MOST_VALUES = 1_000_000


_STRING, _MERGE = "tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9]{0,18})?(\.[0-9]*)?([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_FREE = "values"
"""The key of what a file passes on as it is, such as the modes of files among the values of a chart."""
# A program gets no text with one in its arguments, its environment or the names of its files, and no UTF-8 has the
# halves of a pair.
_NO_CHARACTER = re.compile("[\x00\ud800-\udfff]")
# What the constructors of PyYAML raise for a value that is none of its tag, as in `!!bool maybe`.
_NOT_OF_ITS_TAG = (AttributeError, LookupError, TypeError, ValueError)


class _Loader(yaml.SafeLoader):
    """The safe loader, with the position in the error for every value that it cannot construct."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> object:
        try:
            # The stubs of yaml do not type values.
            return cast("object", super().construct_object(node, deep))  # pyright: ignore[reportUnknownMemberType]
        except _NOT_OF_ITS_TAG as error:
            # For example 2026-02-30, which looks like a day but is none.
            other = f"not a value of the tag {node.tag.rpartition(':')[2]}"
            message = str(error) if isinstance(error, ValueError) else other
            raise yaml.constructor.ConstructorError(None, None, message, node.start_mark) from error


def line_finder(text: str) -> LineOf:
    """A function from a key's path to its line in a YAML text.

    For a key that does not exist it gives the line of the nearest parent, and 0 if the text is no YAML.
    """

    @cache
    def root() -> yaml.Node | None:
        try:
            return _composed(text)
        except (yaml.YAMLError, RecursionError):
            return None

    def line_of(loc: tuple[int | str, ...]) -> int:
        node = root()
        line = 1 if node else 0
        for part in loc:
            if isinstance(node, yaml.MappingNode):
                match = next(((key, value) for key, value in _pairs(node) if key.value == str(part)), None)
                if match is None:
                    return line
                line, node = match[0].start_mark.line + 1, match[1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
                node = cast("list[yaml.Node]", node.value)[part]
                line = node.start_mark.line + 1
            else:
                return line
        return line

    return line_of


def read_text(path: Path, file: str) -> str:
    """The text of a file that a person wrote. Raises `ConfigError` for `file` if it cannot be read as text."""
    try:
        status = path.stat()
        if status.st_size > _LARGEST:
            raise ConfigError([Problem(file, _KEY, f"larger than {_LARGEST} bytes", f"{status.st_size} bytes")])
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
            # A pipe would be waited for, and a device may never end.
            raise ConfigError([Problem(file, _KEY, "no regular file")])
        return decoded(path.read_bytes(), file)
    except OSError as error:
        raise ConfigError([Problem(file, _KEY, f"cannot be read: {error.strerror or error}")]) from error


def decoded(raw: bytes, file: str) -> str:
    """Decode UTF-8. Raises `ConfigError` with the line of the first wrong byte."""
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        problem = Problem(file, _KEY, "not text in UTF-8", f"byte 0x{raw[error.start]:02x}", line=line)
        raise ConfigError([problem]) from error


def read_yaml(text: str, file: str) -> Mapping[str, object]:
    """The mapping in a YAML text.

    Raises `ConfigError` if there is none, with the parser's line, and for what the text says in another way than YAML
    reads it.
    """
    try:
        misread, value = _read(text, file)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise ConfigError([Problem(file, _KEY, error.problem or "not YAML", line=line)]) from error
    except yaml.reader.ReaderError as error:
        line, character = text.count("\n", 0, error.position) + 1, f"character {ord(text[error.position]):#06x}"
        raise ConfigError([Problem(file, _KEY, error.reason, character, line=line)]) from error
    except RecursionError as error:
        raise ConfigError([Problem(file, _KEY, "nested too deeply")]) from error
    if misread:
        raise ConfigError(misread)
    if not isinstance(value, dict):
        raise ConfigError([Problem(file, _KEY, "a mapping of keys is expected", shown_value(value))])
    return cast("Mapping[str, object]", value)


def misread_places(text: str, file: str) -> list[Problem]:
    """A problem for each place that YAML reads in another way than it is written; none if the text is no YAML.

    Such is a key that a mapping has twice, of which the last would count, a key that is no text, as `on`, a number
    that is not decimal, as 22:22, which is 1342, and a character that no text has.
    """
    try:
        return _misread(_composed(text), file)
    except (yaml.YAMLError, RecursionError):
        return []


def _read(text: str, file: str) -> tuple[list[Problem], object]:
    loader = _Loader(text)
    try:
        root = loader.get_single_node()
        if root and _values_in(root, {}) > _MOST_VALUES:
            return [Problem(file, _KEY, f"its anchors make more than {_MOST_VALUES} values of it")], None
        if misread := _misread(root, file):
            return misread, None
        # The stubs of yaml do not type the result of a node.
        return [], cast("object", loader.construct_document(root)) if root else None  # pyright: ignore[reportUnknownMemberType]
    finally:
        loader.dispose()  # pyright: ignore[reportUnknownMemberType] - as above


def _values_in(node: yaml.Node, known: dict[int, int]) -> int:
    """How many values a node is with every alias in full; more than is legal for an anchor that is in itself."""
    if id(node) not in known:
        # What it is until it is counted: only an alias below it asks.
        known[id(node)] = _MOST_VALUES + 1
        parts = cast(
            "list[yaml.Node | tuple[yaml.Node, yaml.Node]]", node.value if isinstance(node.value, list) else []
        )
        flat = (each for part in parts for each in (part if isinstance(part, tuple) else (part,)))
        known[id(node)] = 1 + sum(_values_in(each, known) for each in flat)
    return known[id(node)]


def _composed(text: str) -> yaml.Node | None:
    # The stubs of yaml do not type the stream, and so not the result.
    return cast("yaml.Node | None", yaml.compose(text, Loader=yaml.SafeLoader))  # pyright: ignore[reportUnknownMemberType]


def _pairs(node: yaml.MappingNode) -> list[tuple[yaml.Node, yaml.Node]]:
    return cast("list[tuple[yaml.Node, yaml.Node]]", node.value)


def _misread(root: yaml.Node | None, file: str) -> list[Problem]:
    problems: list[Problem] = []
    seen: set[int] = set()

    def look(node: yaml.Node | None, loc: tuple[int | str, ...]) -> None:
        # The node of an anchor is in several places, perhaps even below itself.
        if id(node) in seen:
            return
        seen.add(id(node))
        if isinstance(node, yaml.ScalarNode):
            problems.extend(_of_scalar(node, loc, file))
        elif isinstance(node, yaml.SequenceNode):
            for number, item in enumerate(cast("list[yaml.Node]", node.value)):
                look(item, (*loc, number))
        elif isinstance(node, yaml.MappingNode):
            first: dict[tuple[str, str], int] = {}
            for key, value in _pairs(node):
                name, line = str(cast("object", key.value)), key.start_mark.line + 1
                known = (key.tag, name)
                if known in first:
                    message = f"it stands in line {first[known]}, too: keep one"
                    problems.append(Problem(file, dotted((*loc, name)), message, line=line))
                first.setdefault(known, line)
                if isinstance(key, yaml.ScalarNode) and key.tag not in (_STRING, _MERGE):
                    message = "a key is a text, and YAML reads something else: put it in quotes"
                    problems.append(Problem(file, dotted((*loc, name)), message, name, line=line))
                problems.extend(_no_text(key, name, (*loc, shown_value(name)), file))
                look(value, (*loc, name))

    look(root, ())
    return problems


def _of_scalar(node: yaml.ScalarNode, loc: tuple[int | str, ...], file: str) -> Iterator[Problem]:
    written = str(cast("object", node.value))
    if node.tag in _NUMBERS and not _DECIMAL.fullmatch(written) and (":" in written or _FREE not in loc):
        message = "YAML reads another number there than is written: write it in decimal digits alone, or in quotes"
        yield Problem(file, dotted(loc), message, written, line=node.start_mark.line + 1)
    yield from _no_text(node, written, loc, file)


def _no_text(node: yaml.Node, written: str, loc: tuple[int | str, ...], file: str) -> Iterator[Problem]:
    if isinstance(node, yaml.ScalarNode) and (match := _NO_CHARACTER.search(written)):
        found = f"character {ord(match[0]):#06x}"
        yield Problem(file, dotted(loc), "a character that no text has", found, line=node.start_mark.line + 1)


YAML_LOADER: type[yaml.SafeLoader | yaml.CSafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
