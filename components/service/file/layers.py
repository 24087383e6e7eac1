"""What differs between stacks: `{domain}` in a public host, and `services/api.staging.yaml` over `services/api.yaml`.

The second file has only what differs. Mappings are merged key by key, anything else takes the place of what was there,
and an empty value takes a key away. So one file says what a service is, and each difference has a line of its own.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Generic, Protocol, TypeAlias, TypeVar, cast

from components.schema.problem import ConfigError, Key, LineOf, Problem
from components.schema.typed_file import dotted
from components.schema.yaml_text import line_finder, read_yaml

Values: TypeAlias = Mapping[str, object]
Spec = TypeVar("Spec", covariant=True)

DOMAIN = "{domain}"
"""What stands in a public host for the stack's `ingress.domain`."""
NO_STACK = "domain.invalid"
"""The domain where no stack is read; such a name does not exist (RFC 2606)."""
_HOSTS = ("host", "aliases")
_IDENTITY = ("name", "namespace")


class Layers:
    """The values of a service, from its own file and from that of a stack, and the place of each key."""

    def __init__(self, file: str, text: str, above: str = "", text_above: str = "") -> None:
        """`above` is the stack's file; without one the service is the same on every stack. Raises `ConfigError`."""
        self.file, self.above = file, above
        own = read_yaml(text, file)
        over: Values = read_yaml(text_above, above) if above else {}
        self._line, self._line_above = line_finder(text), line_finder(text_above)
        if fixed := next((key for key in _IDENTITY if key in over), ""):
            message = f"it is the same on every stack: it stands in {file}"
            raise ConfigError([Problem(above, fixed, message, line=self._line_above((fixed,)))])
        self._over = over
        self.named = "name" in own
        self.values: Values = {"name": Path(file).stem, **merged(own, over)}

    @property
    def line_of(self) -> LineOf:
        """The line of a key in the service's own file."""
        return self._line

    def place_of(self, key: Key) -> tuple[str, int]:
        """The file and the line that a key's value comes from."""
        value: object = self._over
        for part in key:
            if not isinstance(value, Mapping):
                break
            known = cast("Values", value)
            if part not in known:
                return self.file, self._line(key)
            value = known[str(part)]
        return (self.above, self._line_above(key)) if self._over and key else (self.file, self._line(key))


class Timed(Protocol):
    """An entry of a file that has a last day."""

    def problem(self, as_of: date | None) -> tuple[str, str] | None:
        """The key and the message, if its days are wrong. Without `as_of` it does not expire."""
        ...


@dataclass(frozen=True)
class LayeredFile(Generic[Spec]):
    """What a file says, and the file it was read from: with that of a stack over it, if there is one."""

    spec: Spec
    layers: Layers

    @property
    def file(self) -> str:
        """The file that is the same on every stack."""
        return self.layers.file

    @property
    def line_of(self) -> LineOf:
        """The line of a key in that file."""
        return self.layers.line_of

    def problem(self, key: str | Key, message: str, value: str = "", legal: Iterable[str] = ()) -> Problem:
        """A problem of one of its keys, in the file that its value comes from."""
        loc = (key,) if isinstance(key, str) else key
        where, line = self.layers.place_of(loc)
        return Problem(where, dotted(loc), message, value, tuple(legal), line)

    def timed_problems(self, section: str, entries: Iterable[Timed], as_of: date | None) -> Iterator[Problem]:
        """The problems of the days of a section's entries."""
        for number, entry in enumerate(entries):
            if problem := entry.problem(as_of):
                key, message = problem
                yield self.problem((section, number, key), message)


def merged(own: Values, over: Values) -> dict[str, object]:
    """The values of both; `over` decides."""
    result = dict(own)
    for key, value in over.items():
        before = result.get(key)
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(before, Mapping):
            result[key] = merged(cast("Values", before), cast("Values", value))
        else:
            result[key] = value
    return result


def with_domain(values: Values, domain: str) -> dict[str, object]:
    """The values with the stack's domain in its hosts."""
    placed = {key: _placed(value, domain) if key in _HOSTS else value for key, value in values.items()}
    ports = values.get("ports")
    if isinstance(ports, Mapping):
        named = cast("Mapping[str, object]", ports).items()
        placed["ports"] = {name: _of_port(port, domain) for name, port in named}
    return placed


def uses_domain(values: Values) -> str:
    """The first key with a host that needs the stack's domain; empty if none does."""
    without = with_domain(values, "")
    return next((key for key in (*_HOSTS, "ports") if values.get(key) != without.get(key)), "")


def _of_port(port: object, domain: str) -> object:
    return with_domain(cast("Values", port), domain) if isinstance(port, Mapping) else port


def _placed(value: object, domain: str) -> object:
    if isinstance(value, list):
        return [_placed(item, domain) for item in cast("list[object]", value)]
    return value.replace(DOMAIN, domain) if isinstance(value, str) else value


def is_of_a_stack(path: Path) -> bool:
    """Whether a file of `services/` is that of one stack: a service's name has no dot."""
    return "." in path.stem


def misnamed(path: Path, services: Sequence[str], stacks: Sequence[str]) -> Problem | None:
    """The problem with the name of a stack's file, if there is one. Empty `stacks` are not known."""
    service, _, stack = path.stem.rpartition(".")
    file = f"{path.parent.name}/{path.name}"
    if service not in services:
        legal = tuple(f"{name}.{stack}.yaml" for name in services)
        message = f"it lies over no {path.parent.name.removesuffix('s')} file of that name"
        return Problem(file, "file name", message, repr(path.name), legal)
    if stacks and stack not in stacks:
        legal = tuple(f"{service}.{name}.yaml" for name in stacks)
        return Problem(file, "file name", "there is no such stack", repr(stack), legal)
    return None
