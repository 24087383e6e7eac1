"""Reads parts of an object that the API server sent. An absent part is empty."""

from collections.abc import Mapping
from typing import Any, cast

Manifest = dict[str, Any]


def part(whole: Mapping[str, Any], *keys: str) -> Manifest:
    """The mapping below some keys."""
    return cast("Manifest", _below(whole, keys) or {})


def parts(whole: Mapping[str, Any], *keys: str) -> list[Manifest]:
    """The list of mappings below some keys."""
    return cast("list[Manifest]", _below(whole, keys) or [])


def texts(whole: Mapping[str, Any], *keys: str) -> list[str]:
    """The list of texts below some keys."""
    return cast("list[str]", _below(whole, keys) or [])


def word(whole: Mapping[str, Any], *keys: str) -> str:
    """The text below some keys."""
    return cast("str", _below(whole, keys) or "")


def _below(whole: Mapping[str, Any], keys: tuple[str, ...]) -> object:
    value: object = whole
    for key in keys:
        value = cast("Mapping[str, object]", value or {}).get(key)
    return value
