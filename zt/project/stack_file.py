"""A stack file on disk: read as the program reads it, and edited to change the phase of a rule.

A YAML library that writes a file changes its format: spaces in braces, the indent of lists, aligned comments. A pull
request would show all of that. So the text is edited at the positions that the parser gives, and the result is read
again to check that only the phase changed.
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import cast

import yaml

from components.config.overlay import Overlay
from components.config.settings import Settings
from components.config.stack_file import decode_config, parse_settings
from components.config.stack_source import stack_lines
from components.kube.names import PROJECT
from components.kyverno.library import Library, load_library
from components.schema.problem import ConfigError, LineOf, Problem, shown_value
from components.schema.yaml_text import read_text, read_yaml
from zt.project.atomic_write import write_atomically
from zt.project.streams import tell

PHASES = ("audit", "warn", "enforce")
"""The phases of a rule of the important tier, in their order."""

_KEY = f"{PROJECT}:phases"

Pair = tuple[yaml.Node, yaml.Node]


def stack_names(project: Path) -> tuple[str, ...]:
    """The names of the stacks that a project has files for."""
    return tuple(sorted(path.name.split(".")[1] for path in project.glob("Pulumi.*.yaml")))


def project_library(project: Path) -> Library:
    """The rule library of a project. Raises `ConfigError` if it has none, `PolicyLibraryError` for a wrong file."""
    if not (project / "policies").is_dir():
        raise ConfigError([Problem("zt", "--project", "there is no policies/ in it", repr(str(project)))])
    return load_library(project / "policies")


@dataclass(frozen=True)
class StackFile:
    """The text of a stack file and its settings."""

    path: Path
    text: str
    settings: Settings

    @property
    def name(self) -> str:
        """The file's name, for messages."""
        return self.path.name

    @property
    def line_of(self) -> LineOf:
        """A function from a key of its config to the line."""
        return stack_lines(self.text)

    @classmethod
    def read(cls, project: Path, stack: str, overlay: Overlay | None = None) -> "StackFile":
        """The file of a stack, with the addresses of an overlay.

        Raises `ConfigError` for an unknown stack or a file that the program would refuse.
        """
        known = stack_names(project)
        if stack not in known:
            message = f"there is no such stack in {project}" if known else f"{project} holds no Pulumi.<stack>.yaml"
            raise ConfigError([Problem("zt", "--stack", message, repr(stack), known)])
        path = project / f"Pulumi.{stack}.yaml"
        text = read_text(path, path.name)
        return cls(path, text, _settings(text, path.name, warn, overlay))

    def phase(self, rule: str) -> str:
        """The phase of a rule; `audit` if the file does not list it."""
        return self.settings.phases.get(rule, PHASES[0])

    def with_phase(self, rule: str, phase: str) -> "StackFile":
        """This file with a rule in another phase, not written yet. Raises `ConfigError` if it cannot be edited."""
        text = set_phase(self.text, rule, phase, self.name)
        return replace(self, text=text, settings=_settings(text, self.name))

    def write(self) -> None:
        """Replace the file on disk atomically. Raises `ConfigError`."""
        try:
            write_atomically(self.path.resolve(), self.text.encode())
        except OSError as error:
            raise ConfigError([Problem(self.name, _KEY, f"cannot be written: {error.strerror or error}")]) from error


@cache
def warn(problem: Problem) -> None:
    """Warn on the standard error of what the next release refuses, once even if the file is read several times."""
    tell(f"warning: {problem}")


def _settings(
    text: str, file: str, warn: Callable[[Problem], None] = lambda _: None, overlay: Overlay | None = None
) -> Settings:
    written = read_yaml(text, file).get("config")
    if not isinstance(written, dict):
        raise ConfigError([Problem(file, "config", "a mapping of keys is expected", shown_value(written))])
    config = cast("Mapping[str, object]", written)
    secret = frozenset(key for key, value in config.items() if isinstance(value, dict) and "secure" in value)
    line_of = stack_lines(text)
    return parse_settings(decode_config(config, secret, file, line_of), file, overlay, line_of, warn)


def set_phase(text: str, rule: str, phase: str, file: str) -> str:
    """The text of a stack file with the rule in that phase and every other character kept.

    Raises `ConfigError` if an edit would change another value too, such as when the phases are an alias.
    """
    edited = ""
    try:
        edited = _edit(text, rule, phase)
        exact = _values(edited) == _expected(text, rule, phase)
    except (yaml.YAMLError, LookupError, TypeError):
        exact = False
    if not exact:
        message = f"cannot be edited without touching something else: write {rule}: {phase} by hand"
        raise ConfigError([Problem(file, _KEY, message)])
    return edited


def _values(text: str) -> dict[str, object]:
    return cast("dict[str, object]", yaml.safe_load(text))


def _expected(text: str, rule: str, phase: str) -> dict[str, object]:
    values = deepcopy(_values(text))
    config = cast("dict[str, dict[str, object]]", values["config"])
    # Not changed in place, because an anchor may share the mapping with another key.
    config[_KEY] = {**config.get(_KEY, {}), rule: phase}
    return values


def _edit(text: str, rule: str, phase: str) -> str:
    # The stubs of yaml do not type the stream, and so not the result.
    root = cast("yaml.Node", yaml.compose(text, Loader=yaml.SafeLoader))  # pyright: ignore[reportUnknownMemberType]
    config_key, config = _pair(root, "config")
    pair = _find(config, _KEY)
    if pair is None:
        return _add(text, config, config_key, _KEY, f"{{{rule}: {phase}}}", f"{rule}: {phase}")
    key, phases = pair
    present = _find(phases, rule)
    if present is not None:
        return _replace(text, present[1], phase)
    if _pairs(phases):
        return _add(text, phases, key, rule, phase)
    if cast("yaml.MappingNode", config).flow_style:
        return _splice(text, phases.start_mark.index, phases.end_mark.index, f"{{{rule}: {phase}}}")
    # One rule on each line, so that a later pull request shows only the rule that moved.
    before = text[: phases.start_mark.index].rstrip(" ")
    indent = 2 * key.start_mark.column - config_key.start_mark.column
    line = f"{' ' * indent}{rule}: {phase}"
    return _insert_line(before + text[phases.end_mark.index :], len(before), line)


def _add(text: str, mapping: yaml.Node, parent: yaml.Node, key: str, value: str, below: str = "") -> str:
    """The text with one more key at the end of a mapping that is not empty. `below` gets a separate line."""
    last_key, last_value = _pairs(mapping)[-1]
    end = _end(last_value)
    if cast("yaml.MappingNode", mapping).flow_style:
        return _splice(text, end.index, end.index, f", {key}: {value}")
    column = last_key.start_mark.column
    line = f"{' ' * column}{key}: {value}"
    if below:
        indent = 2 * column - parent.start_mark.column
        line = f"{' ' * column}{key}:{_line_end(text)}{' ' * indent}{below}"
    return _insert_line(text, end.index, line)


def _replace(text: str, node: yaml.Node, value: str) -> str:
    style = cast("yaml.ScalarNode", node).style
    quote = style if style in ("'", '"') else ""
    return _splice(text, node.start_mark.index, node.end_mark.index, f"{quote}{value}{quote}")


def _insert_line(text: str, index: int, line: str) -> str:
    """The text with a new line after the line of `index`, or before it if `index` is at its start."""
    end = _line_end(text)
    if index == 0 or text[index - 1] == "\n":
        return _splice(text, index, index, line + end)
    here = text.find("\n", index)
    return text + end + line + end if here < 0 else _splice(text, here + 1, here + 1, line + end)


def _splice(text: str, start: int, stop: int, new: str) -> str:
    return text[:start] + new + text[stop:]


def _line_end(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _end(node: yaml.Node) -> yaml.Mark:
    """The end of a value's last character. The parser ends a block only at the next key."""
    if isinstance(node, yaml.MappingNode) and not node.flow_style and _pairs(node):
        return _end(_pairs(node)[-1][1])
    if isinstance(node, yaml.SequenceNode) and not node.flow_style and (items := cast("list[yaml.Node]", node.value)):
        return _end(items[-1])
    return node.end_mark


def _pairs(node: yaml.Node) -> list[Pair]:
    if not isinstance(node, yaml.MappingNode):
        raise TypeError(f"{node.tag} is no mapping")
    return cast("list[Pair]", node.value)


def _find(node: yaml.Node, key: str) -> Pair | None:
    """The pair of a key; the last one if the key is repeated, as the loader reads it."""
    return next((pair for pair in reversed(_pairs(node)) if pair[0].value == key), None)


def _pair(node: yaml.Node, key: str) -> Pair:
    pair = _find(node, key)
    if pair is None:
        raise LookupError(key)
    return pair
