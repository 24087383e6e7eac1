"""Reads parts of an object that a server sent. A part that is absent, or of another type, is empty."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

Manifest = dict[str, Any]


def json_object(text: str | bytes) -> Manifest | None:
    """The object in a text of JSON; `None` for any other text, and for one that is nested too deeply."""
    try:
        read: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return cast("Manifest", read) if isinstance(read, dict) else None


def part(whole: Mapping[str, Any], *keys: str) -> Manifest:
    """The mapping below some keys."""
    value = _below(whole, keys)
    return cast("Manifest", value) if isinstance(value, Mapping) else {}


def parts(whole: Mapping[str, Any], *keys: str) -> list[Manifest]:
    """The list of mappings below some keys."""
    return [cast("Manifest", each) for each in _items(whole, keys) if isinstance(each, Mapping)]


def texts(whole: Mapping[str, Any], *keys: str) -> list[str]:
    """The list of texts below some keys."""
    return [each for each in _items(whole, keys) if isinstance(each, str)]


def word(whole: Mapping[str, Any], *keys: str) -> str:
    """The text below some keys."""
    value = _below(whole, keys)
    return value if isinstance(value, str) else ""


def _items(whole: Mapping[str, Any], keys: tuple[str, ...]) -> Sequence[object]:
    value = _below(whole, keys)
    return cast("Sequence[object]", value) if isinstance(value, list | tuple) else ()


def _below(whole: Mapping[str, Any], keys: tuple[str, ...]) -> object:
    value: object = whole
    for key in keys:
        value = cast("Mapping[str, object]", value).get(key) if isinstance(value, Mapping) else None
    return value
