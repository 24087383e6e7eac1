"""A small JSON-over-HTTPS client for the loopback APIs the supervisor speaks to: Kubernetes and Vault."""

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import urllib3

from embedded.supervisor.pki import KeyPair

_JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"

# A server ends a watch after five to ten minutes (kube-apiserver --min-request-timeout); silence until then is none.
_ENDLESS = urllib3.Timeout(connect=2.0, read=900.0)
_TIMEOUT = urllib3.Timeout(connect=2.0, read=15.0)
# As many as threads of the supervisor call at once.
_CONNECTIONS = 16
_REFUSALS_FROM = 400


class ApiError(Exception):
    """An API answered with an error status, or not at all (``status`` is then 0)."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class HttpsApi:
    """JSON calls to one server, verified by its authority, authenticated by a client certificate or a bearer token."""

    def __init__(self, base_url: str, ca: Path, client: KeyPair | None = None, token: str | None = None) -> None:
        self._authentication = {"Authorization": f"Bearer {token}"} if token else {}
        self._base_url = base_url
        self._pool = urllib3.PoolManager(
            ca_certs=str(ca),
            cert_file=str(client.certificate) if client else None,
            key_file=str(client.key) if client else None,
            maxsize=_CONNECTIONS,
            retries=False,
            timeout=_TIMEOUT,
        )

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        content_type: str = _JSON,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, object]:
        """Send one request and return the JSON object of the answer ({} when it is empty).

        Raises ``ApiError`` for a status of 400 and above, and when no answer comes.
        """
        try:
            response = self._pool.request(
                method,
                self._base_url + path,
                body=None if body is None else json.dumps(body).encode(),
                headers={"Content-Type": content_type, "Accept": _JSON, **self._authentication, **(headers or {})},
            )
        except urllib3.exceptions.HTTPError as error:
            raise ApiError(0, f"{method} {path}: no answer from {self._base_url}: {error}") from error
        if response.status >= _REFUSALS_FROM:
            raise ApiError(response.status, f"{method} {path}: {response.status}: {response.data[:500].decode()}")
        return json.loads(response.data) if response.data else {}

    def lines(self, path: str) -> Iterator[bytes]:
        """The lines of an answer that has no end, such as a watch, as they come.

        Raises ``ApiError`` for a status of 400 and above, and when the connection breaks.
        """
        headers = {"Accept": _JSON, **self._authentication}
        try:
            response = self._pool.request(
                "GET", self._base_url + path, headers=headers, preload_content=False, timeout=_ENDLESS
            )
            with contextlib.closing(response):
                if response.status >= _REFUSALS_FROM:
                    raise ApiError(response.status, f"GET {path}: {response.status}: {response.read(500).decode()}")
                yield from _lines(response.stream())
        except urllib3.exceptions.HTTPError as error:
            raise ApiError(0, f"GET {path}: the answer of {self._base_url} broke off: {error}") from error

    def answers(self, path: str) -> bool:
        """Whether a GET of ``path`` is answered with a status below 400, whatever its body."""
        try:
            return self._pool.request("GET", self._base_url + path).status < _REFUSALS_FROM
        except urllib3.exceptions.HTTPError:
            return False


def _lines(parts: Iterable[bytes]) -> Iterator[bytes]:
    begun = b""
    for part in parts:
        *whole, begun = (begun + part).split(b"\n")
        yield from whole
