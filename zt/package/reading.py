"""Which rules may judge an object in another way, by what has changed in it.

A rule comes to a field by the fields above it, and names each of them: what it does not name it cannot read.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import cast

from components.kube.manifest import Manifest

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# The fields that lead every rule to what it reads.
_FRAME = frozenset(
    {"containers", "ephemeralContainers", "initContainers", "jobTemplate", "metadata", "spec", "template"}
)
_SAID = ("message", "messageExpression")


def names_in(policy: Manifest) -> frozenset[str]:
    """The names in a policy, but for what it says to a person."""
    return _names("\n".join(_texts(policy.get("spec"))))


def changed_fields(before: object, after: object) -> frozenset[str]:
    """The first field, below those that lead every rule somewhere, on the way to each difference."""
    return frozenset(_changed(before, after, ()))


def _changed(before: object, after: object, path: tuple[str, ...]) -> Iterator[str]:
    if before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        first, second = cast("Manifest", before), cast("Manifest", after)
        for key in first.keys() | second.keys():
            below = (*path, str(key))
            if key not in _FRAME:
                if first.get(key) != second.get(key) or (key in first) != (key in second):
                    yield str(key)
            else:
                yield from _changed(first.get(key), second.get(key), below)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):  # pyright: ignore[reportUnknownArgumentType] - a list of any kind
        for one, other in zip(cast("list[object]", before), cast("list[object]", after), strict=True):
            yield from _changed(one, other, path)
    else:
        yield path[-1] if path else ""


@cache
def _names(text: str) -> frozenset[str]:
    return frozenset(_NAME.findall(text))


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in cast("Mapping[str, object]", value).items():
            if key not in _SAID:
                yield key
                yield from _texts(inner)
    elif isinstance(value, Sequence):
        for inner in cast("Sequence[object]", value):
            yield from _texts(inner)
