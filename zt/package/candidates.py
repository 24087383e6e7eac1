"""Changes of a chart's values that may mend something. What each does is seen by rendering, not by its name.

Every switch is turned, every mapping takes a hardened security context of a container or of a pod and amounts of CPU
and memory, and every text that may be a tag takes the chart's version of the application.
"""

from collections.abc import Iterator, Mapping
from typing import cast

from components.kube.manifest import Manifest

Path = tuple[str, ...]

CONTAINER: Manifest = {
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "readOnlyRootFilesystem": True,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
"""The security context of a container that every rule takes."""
POD: Manifest = {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}}
"""The same for a pod."""
AMOUNTS: Manifest = {
    "requests": {"cpu": "50m", "memory": "64Mi"},
    "limits": {"cpu": "500m", "memory": "256Mi"},
}
_TAGS = ("", "latest")


def candidates(values: Mapping[str, object], version: str) -> Iterator[Manifest]:
    """Each change as the values that it writes, and nothing else; `version` is the application's."""
    for path, value in _walk(values):
        for changed in _changes(value, version):
            yield nested(path, changed)


def nested(path: Path, value: object) -> Manifest:
    """Values with one value at a path."""
    for key in reversed(path):
        value = {key: value}
    return cast("Manifest", value)


def merged(first: Mapping[str, object], second: Mapping[str, object]) -> Manifest:
    """The values of both; the second decides."""
    result = dict(first)
    for key, value in second.items():
        before = result.get(key)
        both = isinstance(before, dict) and isinstance(value, dict)
        result[key] = merged(cast("Manifest", before), cast("Manifest", value)) if both else value
    return result


def _walk(values: Mapping[str, object], above: Path = ()) -> Iterator[tuple[Path, object]]:
    for key, value in values.items():
        yield (*above, key), value
        if isinstance(value, dict):
            yield from _walk(cast("Mapping[str, object]", value), (*above, key))


def _changes(value: object, version: str) -> Iterator[object]:
    if isinstance(value, bool):
        yield not value
    elif value is None or isinstance(value, dict):
        yield from (CONTAINER, POD, AMOUNTS)
    elif value in _TAGS and version:
        yield version
