"""Requests to other servers than the API server: Vault, chart repositories, registries, issuers."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import requests

from components.kube.parts import json_object

SECONDS = 5
_PIECE_BYTES = 1 << 16
# An error of a connection begins with the object that failed.
_CONNECTION = re.compile(r"^(<[^>]*>|\w+\(host=[^)]*\)): ")
# The index of a large repository of charts has some megabytes.
_MOST_BYTES = 64 << 20


class UnreachedError(Exception):
    """A server gives no answer within the time. The message says why."""


class UntrustedError(UnreachedError):
    """A server's certificate is not trusted."""


@dataclass(frozen=True)
class Request:
    """One request. `authority` is the file of the authority to trust, empty for the public ones."""

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: Mapping[str, Any] | None = None
    authority: str = ""
    certificate: tuple[str, str] | None = None
    """The files of the client certificate and its key."""
    whole: bool = True
    """Whether the body is read, or only the status and the headers."""
    follows: bool = True
    """Whether it goes on to another server if this one says so. What has a token or a certificate does not."""


@dataclass(frozen=True)
class Reply:
    """A server's reply; the names of its headers are in lower case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    text: str = ""

    @property
    def ok(self) -> bool:
        """Whether the request succeeded."""
        return self.status < HTTPStatus.BAD_REQUEST

    @property
    def redirect(self) -> str:
        """The address to which the server sends a request on; empty where it answers itself."""
        moved = HTTPStatus.MULTIPLE_CHOICES <= self.status < HTTPStatus.BAD_REQUEST
        return self.headers.get("location", "") if moved else ""

    @property
    def json(self) -> Mapping[str, Any]:
        """The object in the body; empty when there is none."""
        return json_object(self.text) or {}


Web = Callable[[Request], Reply]
"""Makes a request. Raises `UnreachedError`, or `UntrustedError`."""


def web(request: Request) -> Reply:
    """The reply of a server over the network, or through the environment's proxy."""
    try:
        with requests.Session() as session:
            # A loopback server is behind no proxy.
            session.trust_env = not _on_loopback(request.url)
            answer = session.request(
                request.method,
                request.url,
                headers=dict(request.headers),
                json=dict(request.body) if request.body is not None else None,
                verify=request.authority or True,
                cert=request.certificate,
                timeout=SECONDS,
                stream=True,
                allow_redirects=request.follows,
            )
            text = _text(answer) if request.whole else ""
            return Reply(answer.status_code, {name.lower(): value for name, value in answer.headers.items()}, text)
    except requests.exceptions.SSLError as error:
        raise UntrustedError(_reason(error)) from error
    except (requests.RequestException, OSError) as error:
        raise UnreachedError(_reason(error)) from error


def _on_loopback(url: str) -> bool:
    return url.split("://", 1)[-1].startswith(("127.", "localhost", "[::1]"))


def _text(answer: requests.Response) -> str:
    pieces: list[bytes] = []
    size = 0
    for piece in answer.iter_content(_PIECE_BYTES):
        pieces.append(piece)
        size += len(piece)
        if size > _MOST_BYTES:
            raise UnreachedError(f"it sends more than {_MOST_BYTES >> 20} MiB")
    return b"".join(pieces).decode(errors="replace")


def _reason(error: Exception) -> str:
    """The innermost reason of an error, in one line."""
    if isinstance(error, requests.Timeout):
        return f"no answer in {SECONDS} seconds"
    cause: object = error
    while (inner := getattr(cause, "reason", None) or (getattr(cause, "args", None) or [None])[0]) is not None:
        if not isinstance(inner, Exception):
            break
        cause = inner
    text = " ".join(str(cause).split()) or type(error).__name__
    return _CONNECTION.sub("", text)
