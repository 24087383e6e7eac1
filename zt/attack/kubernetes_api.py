"""Requests to the API server as different identities. A refusal is an answer, not an error."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any, cast

import urllib3.exceptions
from kubernetes.client import ApiClient, ApiException, Configuration

from components.kube.cluster import listed_objects
from zt.attack.evidence import Evidence, StackError, blocked, not_measured, succeeded
from zt.attack.exec_api import Execute, executor, no_exec
from zt.cluster.access import Access, ClusterError, connect
from zt.cluster.manifest import Manifest, parts, word

_SECONDS = (5, 60)
_JSON, _MERGE_PATCH = "application/json", "application/merge-patch+json"
_QUOTA = "exceeded quota"
_UNANSWERED = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.INTERNAL_SERVER_ERROR)


@dataclass(frozen=True)
class Answer:
    """A server's answer. `message` is its text for a refusal or an error."""

    status: int
    message: str
    body: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def ok(self) -> bool:
        """Whether the request succeeded."""
        return self.status < HTTPStatus.BAD_REQUEST

    @property
    def unauthorized(self) -> bool:
        """Whether the API server refused the identity, before it looked at the object."""
        denied = "cannot" in self.message and "forbidden" in self.message
        return self.status == HTTPStatus.UNAUTHORIZED or (self.status == HTTPStatus.FORBIDDEN and denied)

    @property
    def by_admission(self) -> bool:
        """Whether a policy or a webhook refused the object."""
        return not self.ok and ("ValidatingAdmissionPolicy" in self.message or "admission webhook" in self.message)

    @property
    def items(self) -> list[Manifest]:
        """The objects of a list."""
        return parts(self.body, "items")


@dataclass(frozen=True)
class Call:
    """One request. Without a `token` it is made with the credentials of the kubeconfig."""

    method: str
    path: str
    body: Manifest | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    token: str = ""


@dataclass(frozen=True)
class Kubernetes:
    """The API server, as one identity."""

    send: Callable[[Call], Answer]
    where: str
    token: str = ""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    execute: Execute = no_exec
    """Runs a program in a container, with the credentials of the kubeconfig."""

    def call(self, method: str, path: str, body: Manifest | None = None, *, dry_run: bool = False) -> Answer:
        """Make a request; a dry run passes authorization and admission and stores nothing."""
        query = f"{'&' if '?' in path else '?'}dryRun=All" if dry_run else ""
        kind = _MERGE_PATCH if method == "PATCH" else _JSON
        headers = {"Accept": _JSON, "Content-Type": kind, **self.headers}
        return self.send(Call(method, f"{path}{query}", body, headers, self.token))

    def read(self, path: str) -> Answer:
        """Read what an attempt is judged by. Raises `StackError` when the API server refuses."""
        answer = self.call("GET", path)
        self._check_shown(path, answer)
        return answer

    def listed(self, path: str) -> list[Manifest]:
        """The objects of a kind, or none if the kind is not served. Raises `StackError`."""
        answer = self.call("GET", path)
        return [] if answer.status == HTTPStatus.NOT_FOUND else self._objects(path, answer)

    def objects(self, path: str) -> list[Manifest]:
        """The objects of a list that an attempt is judged by. Raises `StackError` when there is none."""
        return self._objects(path, self.call("GET", path))

    def _objects(self, path: str, answer: Answer) -> list[Manifest]:
        self._check_shown(path, answer)
        objects = listed_objects(answer.body)
        if objects is None:
            raise StackError(f"{self.where} answers {path} with no list of objects: is it an API server?")
        return objects

    def _check_shown(self, path: str, answer: Answer) -> None:
        if not answer.ok:
            raise StackError(f"{self.where} does not show {path}: {answer.status} {answer.message}")

    def as_token(self, token: str) -> "Kubernetes":
        """The API server with a bearer token and no other credentials."""
        return replace(self, token=token, headers={})

    def as_user(self, user: str, *groups: str) -> "Kubernetes":
        """The API server as another user, by impersonation."""
        headers = {"Impersonate-User": user}
        return replace(self, headers=headers | ({"Impersonate-Group": groups[0]} if groups else {}))


def cluster(access: Access) -> Kubernetes:
    """The cluster of a kubeconfig. Raises `StackError` when it cannot be used."""
    try:
        live = connect(access)
    except ClusterError as error:
        raise StackError(str(error)) from error
    authenticated: Any = live.api
    anonymous = _without_credentials(authenticated.configuration)

    def send(call: Call) -> Answer:
        api: Any = anonymous if call.token else authenticated
        bearer = {"Authorization": f"Bearer {call.token}"} if call.token else {}
        method, url, headers, body, *_ = api.param_serialize(
            call.method,
            call.path,
            header_params={**call.headers, **bearer},
            body=call.body,
            auth_settings=[] if call.token else ["BearerToken"],
        )
        try:
            answer = api.call_api(method, url, headers, body, _request_timeout=_SECONDS)
            return _answer(answer.status, bytes(answer.read() or b""))
        except (urllib3.exceptions.HTTPError, ApiException) as error:
            reason = " ".join(str(getattr(error, "reason", None) or error).split())
            raise StackError(f"{live.where} cannot be reached: {reason}") from error

    return Kubernetes(send, live.where, execute=executor(authenticated))


def _without_credentials(original: Any) -> ApiClient:
    settings: Any = Configuration()
    for name in ("host", "ssl_ca_cert", "verify_ssl", "tls_server_name", "proxy", "proxy_headers", "no_proxy"):
        if hasattr(original, name):
            setattr(settings, name, getattr(original, name))
    settings.retries = 0
    return ApiClient(settings)


def _answer(status: int, text: bytes) -> Answer:
    try:
        read: object = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return Answer(status, text.decode(errors="replace"))
    body = cast("dict[str, Any]", read) if isinstance(read, dict) else {}
    return Answer(status, str(body.get("message", "")) if status >= HTTPStatus.BAD_REQUEST else "", body)


def issued(answer: Answer, account: str, where: str) -> str:
    """The token in the answer to a request for one. Raises `StackError` for an answer without."""
    token = word(answer.body, "status", "token")
    if not token:
        raise StackError(f"{where} issues a token of {account} without one in it: is it an API server?")
    return token


def by_rights(answer: Answer, what: str) -> Evidence:
    """The evidence of a request that its identity must have no right to make.

    Anything but a refusal by identity or by admission means that the request passed authorization: only an authorized
    caller learns that an object does not exist (404).
    """
    if answer.unauthorized or answer.by_admission:
        return blocked(f"{answer.status} {answer.message}")
    if answer.status in _UNANSWERED:
        return not_measured(f"{what}: {answer.status} {answer.message}")
    return succeeded(f"{what}: authorized ({answer.status})")


def past_authorization(answer: Answer, what: str) -> Evidence:
    """The evidence of a request that the API server would pass on, to a kubelet or a pod: it may fail only there."""
    if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return succeeded(f"{what}: authorized, what it leads to failed ({answer.status})")
    return by_rights(answer, what)


def by_answer(answer: Answer, what: str) -> Evidence:
    """The evidence of a complete request for something that its identity may partly have a right to.

    A refusal by rights or by admission is the platform's; any other one, such as of an object that is not there, says
    nothing of them.
    """
    if answer.ok:
        return succeeded(f"{what}: admitted")
    refused = answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN) and _QUOTA not in answer.message
    if refused or answer.by_admission:
        return blocked(f"{what}: {answer.status} {answer.message}")
    return not_measured(f"{what}: {answer.status} {answer.message}")
