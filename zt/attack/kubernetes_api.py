"""Requests to the API server as one identity or another; a refusal is an answer like any other."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any, cast

import urllib3.exceptions
from kubernetes.client import ApiClient, ApiException, Configuration

from zt.attack.evidence import Evidence, StackError, blocked, not_measured, succeeded
from zt.attack.manifest import Manifest, parts
from zt.compliance_cluster import Access, ClusterError, connect

_SECONDS = (5, 60)
_JSON, _MERGE_PATCH = "application/json", "application/merge-patch+json"
_UNANSWERED = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.INTERNAL_SERVER_ERROR)


@dataclass(frozen=True)
class Answer:
    """What a server said. `message` is its own text, of a refusal or an error."""

    status: int
    message: str
    body: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def ok(self) -> bool:
        """Whether it did what was asked."""
        return self.status < HTTPStatus.BAD_REQUEST

    @property
    def unauthorized(self) -> bool:
        """Whether the API server refused by who asks, before it looked at what."""
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
    """One request. Without a `token` it is made with the kubeconfig's own credentials."""

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

    def call(self, method: str, path: str, body: Manifest | None = None, *, dry_run: bool = False) -> Answer:
        """Make a request; a dry run passes authorization and admission and stores nothing."""
        query = f"{'&' if '?' in path else '?'}dryRun=All" if dry_run else ""
        kind = _MERGE_PATCH if method == "PATCH" else _JSON
        headers = {"Accept": _JSON, "Content-Type": kind, **self.headers}
        return self.send(Call(method, f"{path}{query}", body, headers, self.token))

    def read(self, path: str) -> Answer:
        """Read what an attempt is judged by. Raises `StackError` when the API server does not show it."""
        answer = self.call("GET", path)
        if not answer.ok:
            raise StackError(f"{self.where} does not show {path}: {answer.status} {answer.message}")
        return answer

    def listed(self, path: str) -> list[Manifest]:
        """The objects of a kind; none where the kind is not served. Raises `StackError`."""
        answer = self.call("GET", path)
        return [] if answer.status == HTTPStatus.NOT_FOUND else self.read(path).items if not answer.ok else answer.items

    def as_token(self, token: str) -> "Kubernetes":
        """As whoever holds a bearer token, and with nothing else."""
        return replace(self, token=token, headers={})

    def as_user(self, user: str, *groups: str) -> "Kubernetes":
        """As another user, by impersonation."""
        headers = {"Impersonate-User": user}
        return replace(self, headers=headers | ({"Impersonate-Group": groups[0]} if groups else {}))


def cluster(access: Access) -> Kubernetes:
    """The cluster of a kubeconfig. Raises `StackError` for one that is not there."""
    try:
        live = connect(access)
    except ClusterError as error:
        raise StackError(str(error)) from error
    own: Any = live.api
    anonymous = _without_credentials(own.configuration)

    def send(call: Call) -> Answer:
        api: Any = anonymous if call.token else own
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

    return Kubernetes(send, live.where)


def _without_credentials(own: Any) -> ApiClient:
    settings: Any = Configuration()
    for name in ("host", "ssl_ca_cert", "verify_ssl", "tls_server_name", "proxy", "proxy_headers", "no_proxy"):
        if hasattr(own, name):
            setattr(settings, name, getattr(own, name))
    settings.retries = 0
    return ApiClient(settings)


def _answer(status: int, text: bytes) -> Answer:
    try:
        read: object = json.loads(text) if text else {}
    except ValueError:
        return Answer(status, text.decode(errors="replace"))
    body = cast("dict[str, Any]", read) if isinstance(read, dict) else {}
    return Answer(status, str(body.get("message", "")) if status >= HTTPStatus.BAD_REQUEST else "", body)


def by_rights(answer: Answer, what: str) -> Evidence:
    """What came of a request that its identity must have no right to make.

    Anything but a refusal by identity or by admission means that the request passed authorization: an object that is
    not there (404) is told only to whom may ask for it.
    """
    if answer.unauthorized or answer.by_admission:
        return blocked(f"{answer.status} {answer.message}")
    if answer.status in _UNANSWERED:
        return not_measured(f"{what}: {answer.status} {answer.message}")
    return succeeded(f"{what}: authorized ({answer.status})")
