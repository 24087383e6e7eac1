"""Requests to the API server as the identity that would run `pulumi up`. A refusal is an answer. Nothing is changed."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from threading import Lock
from typing import Any, cast

import urllib3.exceptions
from kubernetes.client import ApiException

from zt.cluster.access import Access, ClusterError, connect
from zt.cluster.manifest import Manifest, part, parts

_SECONDS = (5, 5)
_JSON = "application/json"
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
    accept: str = _JSON


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
        return self._listed(path, _JSON)

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
        resources = self._listed(f"/apis/{group_version}", _JSON, "resources")
        return frozenset(resource["kind"] for resource in resources if "/" not in resource["name"])

    def _listed(self, path: str, accept: str, key: str = "items") -> list[Manifest]:
        answer = self._once(path, accept)
        if answer.status == HTTPStatus.NOT_FOUND:
            return []
        return parts(_readable(path, answer).body, key)

    def _once(self, path: str, accept: str) -> Answer:
        key = f"{accept} {path}"
        with self._lock:
            known = self._lists.get(key)
        if known is None:
            known = self.send(Call("GET", path, accept=accept))
            with self._lock:
                self._lists[key] = known
        return known


def _readable(path: str, answer: Answer) -> Answer:
    if not answer.ok:
        raise UnreadableError(
            f"the API server does not show {path.partition('?')[0]}: {answer.status} {answer.message}"
        )
    return answer


def cluster(access: Access, user: str = "", groups: Sequence[str] = ()) -> Cluster:
    """The cluster of a kubeconfig, as its user or by impersonation as another. Raises `ClusterError`."""
    live = connect(access)
    api: Any = live.api
    impersonation = {"Impersonate-User": user} if user else {}

    def send(call: Call) -> Answer:
        headers = {"Accept": call.accept, **impersonation}
        if call.body is not None:
            headers["Content-Type"] = _JSON
        method, url, headers, body, *_ = api.param_serialize(
            call.method, call.path, header_params=headers, body=call.body, auth_settings=["BearerToken"]
        )
        try:
            answer = api.call_api(method, url, _grouped(headers, groups), body, _request_timeout=_SECONDS)
            text = bytes(answer.read() or b"")
        except (urllib3.exceptions.HTTPError, ApiException) as error:
            reason = " ".join(str(getattr(error, "reason", None) or error).split())
            raise ClusterError(f"{live.where} cannot be reached: {reason}") from error
        return Answer(
            answer.status, _object(text), {name.lower(): value for name, value in answer.getheaders().items()}
        )

    return Cluster(send, live.where)


def _grouped(headers: Mapping[str, str], groups: Sequence[str]) -> Any:
    """The headers with one `Impersonate-Group` for each group."""
    if not groups:
        return dict(headers)
    several = urllib3.HTTPHeaderDict(dict(headers))
    for group in groups:
        several.add("Impersonate-Group", group)
    return several


def _object(text: bytes) -> Mapping[str, Any]:
    try:
        read: object = json.loads(text) if text else {}
    except ValueError:
        return {"message": text.decode(errors="replace")[:200]}
    return cast("dict[str, Any]", read) if isinstance(read, dict) else {}
