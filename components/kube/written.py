"""Reads parts of an object that somebody wrote, such as a chart: a part of another shape than it should have is absent.

`components.kube.parts` is for what an API server has validated.
"""

from collections.abc import Mapping
from typing import cast

from components.kube.manifest import Manifest


def below(value: Mapping[str, object], *path: str) -> Manifest:
    """The mapping at a path of keys; an empty one if there is none."""
    for key in path:
        inner = value.get(key)
        value = cast("Manifest", inner) if isinstance(inner, dict) else {}
    return dict(value)


def items(value: Mapping[str, object], *path: str) -> list[Manifest]:
    """The mappings of the list at a path of keys; none if there is no list."""
    inner = below(value, *path[:-1]).get(path[-1])
    listed = cast("list[object]", inner) if isinstance(inner, list) else []
    return [cast("Manifest", item) for item in listed if isinstance(item, dict)]
