"""Refuses an entry that a list of a file has twice: the second has no effect, or is a mistake for another one.

A list is `IN_ORDER` if the place of an entry has a meaning, such as the words of a command. Any other is a set.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, cast, get_args

from pydantic import BaseModel, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from components.schema.problem import Key


class _InOrder:
    """Stands in the type of a list whose entries may be there several times."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The schema of the list, whose entries need not differ."""
        made = handler(schema)
        made.pop("uniqueItems", None)
        return made


IN_ORDER = _InOrder()


def repeated(model: BaseModel) -> tuple[Key, object] | None:
    """The first entry of a model's lists that stands there a second time, with its key; `None` without any."""
    for field, key in _sets(type(model)):
        if found := _repeated(getattr(model, field)):
            path, entry = found
            return (key, *path), entry
    return None


@cache
def _sets(model: type[BaseModel]) -> tuple[tuple[str, str], ...]:
    """The fields of a model in which an entry may stand once, with their keys."""
    every = model.model_fields.items()
    return tuple(
        (name, each.alias or name) for name, each in every if not any(map(_in_order, (each.annotation, *each.metadata)))
    )


def _in_order(part: Any) -> bool:
    return part is IN_ORDER or any(map(_in_order, get_args(part)))


def _repeated(value: object) -> tuple[Key, object] | None:
    if isinstance(value, tuple):
        entries = cast("Sequence[object]", value)
        return next((((number,), entry) for number, entry in enumerate(entries) if entry in entries[:number]), None)
    if isinstance(value, Mapping):
        for key, inner in cast("Mapping[str, object]", value).items():
            if found := _repeated(inner):
                return (key, *found[0]), found[1]
    return None
