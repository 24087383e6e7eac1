"""The keys of the stack file, of service files and of package files that no other fact tells of, with their values.

Each key that a file may have is in one of three places: another fact tells of what it does (`SAID`), it changes nothing
that somebody has to look at (`UNSAID`), or it is a fact of its own, with a direction in `zt.changes.file_keys`.
A key is written as in messages, with `*` for a name that somebody chose and `[]` for an element of a list.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType, UnionType
from typing import Annotated, Literal, Union, cast, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from components.config.settings import Settings
from components.package.file.keys import PackageSpec
from components.service.file.service import ServiceSpec
from zt.facts.file_keys_said import SAID, UNSAID

NONE, UNSET = "none", "unset"

MODELS: Mapping[str, type[BaseModel]] = MappingProxyType(
    {"stack": Settings, "service": ServiceSpec, "package": PackageSpec}
)
"""What each kind of file is read as."""

# What tells an element of a list from the others, by the first of these that it has.
_NAMES = ("path", "name", "host", "issuer", "service", "kind", "port")


@dataclass(frozen=True)
class FileKey:
    """A key of a file and its value; `owner` is the service or the package, and empty for the stack.

    `pattern` is the key without the names that somebody chose. A key without a value is `unset`, and an empty one
    `none`.
    """

    file: Literal["stack", "service", "package"]
    owner: str
    pattern: str
    key: str
    value: str
    kind: Literal["file-key"] = "file-key"


def file_keys(file: Literal["stack", "service", "package"], owner: str, spec: BaseModel) -> Iterator[FileKey]:
    """The keys of a file that are facts of their own."""
    quiet = SAID[file] | UNSAID[file].keys()
    for pattern, key, value in _leaves(spec, "", ""):
        if pattern not in quiet:
            yield FileKey(file, owner, pattern, key, _digest(value) if _long(pattern) else _text(value))


def keys_of(file: str) -> Iterator[tuple[str, FieldInfo]]:
    """Every key that a kind of file may have, as a pattern, with its field."""
    return _fields(MODELS[file], "")


def defaults_of(file: str) -> dict[str, str]:
    """The value of each key with a default, where its section does not say it."""
    found: dict[str, str] = {}
    for key, field in keys_of(file):
        if not field.is_required():
            default: object = field.get_default(call_default_factory=True)
            found[key] = UNSET if isinstance(default, BaseModel) else _text(default)
    return found


def _fields(model: type[BaseModel], above: str) -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        key = f"{above}{field.alias or name}"
        models, value = _types(field.annotation, "")
        if value:
            yield key, field
        for below, each in models:
            yield from _fields(each, f"{key}{below}.")


def _types(annotation: object, below: str) -> tuple[list[tuple[str, type[BaseModel]]], bool]:
    """The models that a type has, each with what a pattern has before their keys, and whether it may be a value."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [(below, annotation)], False
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _types(arguments[0], below)
    if origin in (UnionType, Union):
        parts = [_types(each, below) for each in arguments if each is not type(None)]
        return [model for models, _ in parts for model in models], any(value for _, value in parts)
    if origin is dict:
        models, _ = _types(arguments[1], f"{below}.*")
        return models, not models
    if origin is tuple:
        models, _ = _types(arguments[0], f"{below}[]")
        return models, not models
    return [], True


def _leaves(spec: BaseModel, pattern: str, key: str) -> Iterator[tuple[str, str, object]]:
    for name, field in type(spec).model_fields.items():
        part = field.alias or name
        yield from _below(getattr(spec, name), f"{pattern}{part}", f"{key}{part}")


def _below(value: object, pattern: str, key: str) -> Iterator[tuple[str, str, object]]:
    if isinstance(value, BaseModel):
        yield from _leaves(value, f"{pattern}.", f"{key}.")
    elif isinstance(value, Mapping) and (named := _models(cast("Mapping[str, object]", value))):
        for name, each in named.items():
            yield from _leaves(each, f"{pattern}.*.", f"{key}.{name}.")
    elif isinstance(value, tuple) and any(isinstance(each, BaseModel) for each in cast("tuple[object, ...]", value)):
        seen: set[str] = set()
        for number, each in enumerate(cast("tuple[BaseModel, ...]", value)):
            name = next((str(getattr(each, n)) for n in _NAMES if getattr(each, n, None) is not None), str(number))
            name = f"{name}#{number}" if name in seen else name
            seen.add(name)
            yield from _leaves(each, f"{pattern}[].", f"{key}[{name}].")
    else:
        yield pattern, key, value


def _models(value: Mapping[str, object]) -> dict[str, BaseModel]:
    return {name: each for name, each in value.items() if isinstance(each, BaseModel)}


def _long(pattern: str) -> bool:
    """Whether a value is a text of many lines, or one that no output repeats."""
    return pattern.rpartition(".")[2] in ("values", "template", "files", "jwks")


def _digest(value: object) -> str:
    return f"digest {hashlib.sha256(repr(value).encode()).hexdigest()[:16]}" if value else UNSET


def _text(value: object) -> str:
    match value:
        case None:
            return UNSET
        case bool():
            return str(value).lower()
        case Mapping():
            pairs = cast("Mapping[str, object]", value).items()
            return "; ".join(f"{name}: {_text(each)}" for name, each in sorted(pairs)) or NONE
        case tuple() | list():
            return ", ".join(sorted(_text(each) for each in cast("tuple[object, ...]", value))) or NONE
        case _:
            return str(value)
