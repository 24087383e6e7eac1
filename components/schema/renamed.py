"""Renamed keys: for one release a file may use the old name, and gets a warning (VERSIONING.md)."""

from collections.abc import Mapping
from typing import NamedTuple, cast, get_args, get_origin

from components.schema.problem import ConfigError, LineOf, Problem, no_line
from components.schema.typed_file import TypedFile, dotted

_Loc = tuple[int | str, ...]


class _OldName(NamedTuple):
    loc: _Loc
    new: str
    both: bool


def with_new_names(
    model: type[TypedFile], values: Mapping[str, object], file: str, prefix: str = "", line_of: LineOf = no_line
) -> tuple[dict[str, object], list[Problem]]:
    """The values under the new names of their keys, and a warning for each old name in the file.

    Raises `ConfigError` for a mapping that has both names.
    """
    old_names: list[_OldName] = []
    renamed = _named(model, values, (), old_names)
    twice = [
        Problem(
            file, prefix + dotted(loc), f"the old name of {new}, which is there, too: keep {new}", "", (), line_of(loc)
        )
        for loc, new, both in old_names
        if both
    ]
    if twice:
        raise ConfigError(twice)
    return renamed, [
        Problem(
            file, prefix + dotted(loc), f"renamed to {new}: the next release refuses the old name", "", (), line_of(loc)
        )
        for loc, new, _ in old_names
    ]


def _named(
    model: type[TypedFile], values: Mapping[str, object], loc: _Loc, old_names: list[_OldName]
) -> dict[str, object]:
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    renamed: dict[str, object] = {}
    for key, value in values.items():
        new, here = model.renamed.get(key, key), (*loc, key)
        if new != key:
            old_names.append(_OldName(here, new, new in values))
        renamed[new] = _inside(fields[new].annotation, value, here, old_names) if new in fields else value
    return renamed


def _inside(annotation: object, value: object, loc: _Loc, old_names: list[_OldName]) -> object:
    """The value of a field, with the new names in all models inside its type."""
    if isinstance(annotation, type) and issubclass(annotation, TypedFile):
        return (
            _named(annotation, cast("Mapping[str, object]", value), loc, old_names)
            if isinstance(value, dict)
            else value
        )
    inner = get_args(annotation)
    if get_origin(annotation) is dict:
        if not isinstance(value, dict):
            return value
        items = cast("Mapping[str, object]", value).items()
        return {key: _inside(inner[1], item, (*loc, key), old_names) for key, item in items}
    if get_origin(annotation) is tuple:
        if not isinstance(value, list):
            return value
        listed = enumerate(cast("list[object]", value))
        return [_inside(inner[0], item, (*loc, number), old_names) for number, item in listed]
    # A union of types, or a type with annotations.
    for choice in inner:
        value = _inside(choice, value, loc, old_names)
    return value
