"""Changes of a chart's values that may mend something. What each does is seen by rendering, not by its name.

Every switch is turned. Every mapping takes a hardened security context of a container or of a pod, amounts of CPU and
memory, and a switch for the token of the API server, which many charts know without having it among their values. Every
text that may be a tag takes the chart's version of the application, one that may be an image or a registry the stack's
own, and the type of a Service that is open to the outside becomes `ClusterIP`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
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
NO_TOKEN: Manifest = {"automountServiceAccountToken": False}
_TAGS = ("", "latest")
_OPEN = ("LoadBalancer", "NodePort")
# A registry by its host, and what may follow it: https://github.com/distribution/reference/blob/v0.6.0/reference.go
_REGISTRY = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)+(?::\d+)?")
_IMAGE = re.compile(rf"(?:{_REGISTRY.pattern}/)?([a-z0-9]+(?:[._/-]+[a-z0-9]+)*(?::[\w.-]+)?)")


@dataclass(frozen=True)
class Change:
    """The values that a change writes and nothing else, and what it writes, wherever it stands."""

    what: str
    values: Manifest


def candidates(values: Mapping[str, object], version: str, registry: str = "") -> Iterator[Change]:
    """Each change. `version` is the application's, `registry` one whose images may run."""
    yield Change("token", NO_TOKEN)
    for path, value in _walk(values):
        for what, changed in _changes(value, version):
            yield Change(what, nested(path, changed))
        if registry and isinstance(value, str) and (moved := _moved(value, registry)):
            yield Change("image", nested(path, moved))


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
        # Istio's charts keep their defaults below such a key, and take what is written beside it.
        inner = above if key.startswith("_") else (*above, key)
        if inner != above:
            yield inner, value
        if isinstance(value, dict):
            yield from _walk(cast("Mapping[str, object]", value), inner)


def _changes(value: object, version: str) -> Iterator[tuple[str, object]]:
    if isinstance(value, bool):
        yield ("off" if value else "on"), not value
    elif value is None or isinstance(value, dict):
        yield from (("container", CONTAINER), ("pod", POD), ("amounts", AMOUNTS), ("token", NO_TOKEN))
    elif value in _TAGS and version:
        yield "tag", version
    elif value in _OPEN:
        yield "service", "ClusterIP"


def _moved(value: str, registry: str) -> str:
    """A registry, or an image, of the stack's own registry; empty for a text that is neither."""
    if _REGISTRY.fullmatch(value):
        return registry
    image = _IMAGE.fullmatch(value)
    return f"{registry}/{image[1]}" if image and "/" in value else ""
