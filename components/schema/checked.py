"""Holds what is built in code to the types of its fields, which are those of the files.

What a file may not say, code may not either: a field of Args that a key of a file fills has the type of that key.
"""

from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import Any, ClassVar, Protocol, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from components.schema.problem import FieldError
from components.schema.typed_file import problems_of


class _Args(Protocol):
    """An instance of a dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


def check_fields(args: _Args) -> None:
    """Raise `FieldError` for the first field with a value that is neither its default nor one that its type takes."""
    values = ((each, getattr(args, each.name)) for each in fields(args))
    check_values(_model(type(args)), {each.name: value for each, value in values if value is not each.default})


def check_values(model: type[BaseModel], values: Mapping[str, object], under: str = "") -> None:
    """Raise `FieldError` for the first value that a model refuses, at its key; `under` begins each key."""
    try:
        model.model_validate(values)
    except ValidationError as error:
        problem = problems_of(error, model, "", under)[0]
        found = f", found {problem.found}" if problem.found else ""
        raise FieldError(problem.key, f"{problem.message}{found}", legal=problem.legal) from error


@cache
def _model(kind: type[_Args]) -> type[BaseModel]:
    types = get_type_hints(kind, include_extras=True)
    given: dict[str, Any] = {each.name: (types[each.name], None) for each in fields(kind)}
    # Otherwise "yes" would be true, and "3" a number.
    return create_model(kind.__name__, __config__=ConfigDict(strict=True, arbitrary_types_allowed=True), **given)
