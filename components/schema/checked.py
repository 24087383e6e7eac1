"""Holds what is built in code to the types of its fields, which are those of the files.

What a file may not say, code may not either: a field of Args that a key of a file fills has the type of that key.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from functools import cache
from typing import Any, ClassVar, Protocol, cast, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from components.schema.problem import FieldError, Key, shown_value
from components.schema.typed_file import dotted, problems_of


class _Args(Protocol):
    """An instance of a dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


def check_fields(args: _Args) -> None:
    """Raise `FieldError` for the first field with a value that is neither its default nor one that its type takes."""
    values = ((each, getattr(args, each.name)) for each in fields(args))
    check_values(_model(type(args)), {each.name: value for each, value in values if value is not each.default})


def check_values(model: type[BaseModel], values: Mapping[str, object], under: str = "") -> None:
    """Raise `FieldError` for the first value that a model refuses, at its key; `under` begins each key.

    A value that a file may write in several ways, such as an armored key or an address that ends in a slash, has to be
    in the one that the program goes on with.
    """
    try:
        checked = model.model_validate(values)
    except ValidationError as error:
        problem = problems_of(error, model, "", under)[0]
        found = f", found {problem.found}" if problem.found else ""
        raise FieldError(problem.key, f"{problem.message}{found}", legal=problem.legal) from error
    if other := next(_rewritten(values, checked, ()), None):
        key, written, text = other
        raise FieldError(f"{under}{dotted(key)}", "write it as the program does", written, (shown_value(text),))


def _rewritten(given: object, checked: object, key: Key) -> Iterator[tuple[Key, str, str]]:
    """The texts that a model has in another form than they were given, with their keys and that form."""
    if isinstance(given, str) and isinstance(checked, str):
        if given != checked:
            yield key, given, checked
    elif isinstance(given, Mapping):
        below = cast("Mapping[str, object]", given)
        inside = _by_key(checked)
        for name, value in below.items():
            yield from _rewritten(value, inside.get(name), (*key, name))
    elif isinstance(given, list | tuple) and isinstance(checked, list | tuple):
        pairs = zip(cast("Sequence[object]", given), cast("Sequence[object]", checked), strict=False)
        for number, (one, other) in enumerate(pairs):
            yield from _rewritten(one, other, (*key, number))


def _by_key(checked: object) -> Mapping[str, object]:
    """The values of a model by the names of its keys, or those of a mapping."""
    if isinstance(checked, BaseModel):
        every = type(checked).model_fields.items()
        return {key: getattr(checked, name) for name, each in every for key in (name, each.alias) if key}
    return cast("Mapping[str, object]", checked) if isinstance(checked, Mapping) else {}


@cache
def _model(kind: type[_Args]) -> type[BaseModel]:
    types = get_type_hints(kind, include_extras=True)
    given: dict[str, Any] = {each.name: (types[each.name], None) for each in fields(kind)}
    # Otherwise "yes" would be true, and "3" a number.
    return create_model(kind.__name__, __config__=ConfigDict(strict=True, arbitrary_types_allowed=True), **given)
