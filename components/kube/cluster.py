"""The API server of a living cluster, read by paths. A refusal is an answer. Nothing is changed.

How a request gets there is the caller's: `zt preflight` and the program each have a connection of their own.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from threading import Lock
from typing import Any, cast

from components.kube.parts import Manifest, part, parts, word

JSON = "application/json"
_NAME = re.compile(r"(?!\.\.?$)[^/%\x00-\x20\x7f-\x9f]{1,253}")
_NAME_OF_NONE = "none"
# Only metadata: the whole of some definitions is megabytes.
_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


class UnreadableError(Exception):
    """The API server does not show what a check has to read. The message says what, and why."""


@dataclass(frozen=True)
class Answer:
    """The answer of the API server; the names of its headers are in lower case."""

    status: int
    body: Mapping[str, Any] = field(default_factory=dict[str, Any])
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    text: str = field(default="", repr=False)
    """The answer as it came, such as the log of a container."""

    @property
    def ok(self) -> bool:
        """Whether the request succeeded."""
        return self.status < HTTPStatus.BAD_REQUEST

    @property
    def message(self) -> str:
        """The text of a refusal."""
        return " ".join(str(self.body.get("message", "")).split())


@dataclass(frozen=True)
class Call:
    """One request. A `POST` is only made to reviews, which store nothing."""

    method: str
    path: str
    body: Manifest | None = None
    accept: str = JSON


@dataclass(frozen=True)
class Cluster:
    """The API server of a cluster. Lists are asked for once."""

    send: Callable[[Call], Answer]
    where: str
    _lists: dict[str, Answer] = field(default_factory=dict[str, Answer])
    _lock: Lock = field(default_factory=Lock)

    def get(self, path: str) -> Answer:
        """Read a path."""
        return self.send(Call("GET", path))

    def review(self, group: str, kind: str, spec: Manifest) -> Manifest:
        """The status of a review that the API server makes of a `spec`. Raises `UnreadableError`."""
        body = {"apiVersion": group, "kind": kind, **({"spec": spec} if spec else {})}
        answer = self.send(Call("POST", f"/apis/{group}/{kind.lower()}s", body))
        if not answer.ok:
            raise UnreadableError(f"the API server makes no {kind}: {answer.status} {answer.message}")
        return part(answer.body, "status")

    def objects(self, path: str) -> list[Manifest]:
        """The objects of a list; none if their kind is not served. Raises `UnreadableError`."""
        return self._listed(path, JSON)

    def metadata(self, path: str) -> list[Manifest]:
        """The metadata of the objects of a list; none if their kind is not served. Raises `UnreadableError`."""
        return [item["metadata"] for item in self._listed(path, _METADATA)]

    def found(self, path: str) -> Manifest | None:
        """One object; `None` if there is none. Raises `UnreadableError`."""
        answer = self.get(path)
        if answer.status == HTTPStatus.NOT_FOUND:
            return None
        return dict(_readable(path, answer).body)

    def kinds(self, group_version: str) -> frozenset[str]:
        """The kinds that a group serves in a version, such as `apps/v1`; none if it is not served."""
        resources = parts(self._body(f"/apis/{group_version}", JSON) or {}, "resources")
        return frozenset(word(resource, "kind") for resource in resources if "/" not in word(resource, "name"))

    def _listed(self, path: str, accept: str) -> list[Manifest]:
        body = self._body(path, accept)
        found = [] if body is None else listed_objects(body)
        if found is None:
            shown = path.partition("?")[0]
            raise UnreadableError(f"the API server answers {shown} with no list of objects: is it an API server?")
        return found

    def _body(self, path: str, accept: str) -> Mapping[str, Any] | None:
        answer = self._once(path, accept)
        return None if answer.status == HTTPStatus.NOT_FOUND else _readable(path, answer).body

    def _once(self, path: str, accept: str) -> Answer:
        key = f"{accept} {path}"
        with self._lock:
            known = self._lists.get(key)
        if known is None:
            known = self.send(Call("GET", path, accept=accept))
            with self._lock:
                self._lists[key] = known
        return known


def listed_objects(body: Mapping[str, Any]) -> list[Manifest] | None:
    """The objects of a list; `None` for what is none, and for one of which an object has no name that there can be.

    Names become paths of requests and of files, and no API server lets one have a slash.
    https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#path-segment-names
    """
    # Go writes an empty list as null at times.
    written: object = body.get("items", "")
    found = parts(body, "items")
    if not isinstance(written, list | None) or len(found) != len(cast("Sequence[object]", written or ())):
        return None
    names = (word(each, "metadata", "name") for each in found)
    namespaces = (part(each, "metadata").get("namespace", _NAME_OF_NONE) for each in found)
    return found if all(isinstance(name, str) and _NAME.fullmatch(name) for name in (*names, *namespaces)) else None


def _readable(path: str, answer: Answer) -> Answer:
    if not answer.ok:
        raise UnreadableError(
            f"the API server does not show {path.partition('?')[0]}: {answer.status} {answer.message}"
        )
    return answer
