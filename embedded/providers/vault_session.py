"""One login to Vault for the whole run, made at the first request, and errors that say what to do."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from .rows import ProviderError
from .vault_config import Connection, Login

if TYPE_CHECKING:
    import hvac
    import requests

_TIMEOUT = 60
# A KV engine just mounted answers 400 while it converts itself; upstream waits as long.
_UPGRADING = "Upgrading from non-versioned to versioned data"
_UPGRADE_TRIES, _UPGRADE_PAUSE = 20, 0.5
# Log in again once this part of a token's life has passed.
_LEASE_USED = 0.8
_LOOKUP = "auth/token/lookup-self"
_ERROR, _FORBIDDEN, _NOT_FOUND, _SERVER_ERROR = 400, 403, 404, 500
# Not initialised, and sealed.
_NOT_SERVING = (501, 503)


@dataclass(frozen=True)
class Answer:
    """Vault's answer: its status, its ``data`` and its error texts."""

    status: int
    data: dict[str, object]
    errors: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether Vault did what it was asked."""
        return self.status < _ERROR

    @property
    def said(self) -> str:
        """Vault's own words, or the bare status."""
        return "; ".join(self.errors) or f"status {self.status}"

    @property
    def stumbled(self) -> bool:
        """Whether the server failed at it, and may not the next time."""
        return self.status >= _SERVER_ERROR and self.status not in _NOT_SERVING

    @property
    def upgrading(self) -> bool:
        """Whether it is a new KV engine that is still converting itself."""
        return any(_UPGRADING in text for text in self.errors)

    @property
    def missing(self) -> bool:
        """Whether there is nothing at the path."""
        return self.status == _NOT_FOUND


class Session:
    """Sends requests to Vault. Connects and logs in when the first one is sent; safe to share between threads."""

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._line: Line | None = None
        self._expires = 0.0

    def read(self, path: str) -> Answer:
        """GET a path."""
        return self._send("GET", path, None)

    def write(self, path: str, body: dict[str, object]) -> Answer:
        """POST a body to a path."""
        return self._send("POST", path, body)

    def delete(self, path: str) -> Answer:
        """DELETE a path."""
        return self._send("DELETE", path, None)

    def close(self) -> None:
        """Revoke the token if this session made it. A failure only leaves it to expire by itself."""
        with self._lock:
            line, self._line = self._line, None
        if line is not None and line.owns_token:
            with suppress(ProviderError):
                line.send("POST", "auth/token/revoke-self", None)

    def _send(self, method: str, path: str, body: dict[str, object] | None) -> Answer:
        line = self._logged_in()
        answer = line.send_patiently(method, path, body)
        if answer.status == _FORBIDDEN and line.owns_token and not line.token_lives():
            self._forget(line)
            line = self._logged_in()
            answer = line.send_patiently(method, path, body)
        line.raise_for(answer, method, path)
        return answer

    def _logged_in(self) -> "Line":
        with self._lock:
            if self._line is None or time.monotonic() >= self._expires:
                line, lease = _log_in(self._connect())
                line.look_itself_up()
                self._line = line
                self._expires = time.monotonic() + lease * _LEASE_USED if lease else float("inf")
            return self._line

    def _forget(self, line: "Line") -> None:
        with self._lock:
            if self._line is line:
                self._line = None


@dataclass(frozen=True)
class Line:
    """A connection with one token; ``owns_token`` says that the token was made for it."""

    client: "hvac.Client"
    retries: int
    owns_token: bool = False

    @property
    def address(self) -> str:
        """The URL of the server, for messages."""
        return str(self.client.url)

    def send(self, method: str, path: str, body: dict[str, object] | None) -> Answer:
        """Send one request. A ProviderError when the server isn't reached or not trusted."""
        return _answer(self.response(method, path, body))

    def response(self, method: str, path: str, body: dict[str, object] | None) -> "requests.Response":
        """Send one request; the bare HTTP response."""
        import requests

        try:
            return self.client.adapter.request(method.lower(), f"/v1/{path}", raise_exception=False, json=body)
        except requests.exceptions.SSLError as error:
            raise ProviderError(
                f"no trusted connection to Vault at {self.address} ({method} {path}): {_cause(error)}. "
                "caCertFile has to be the CA that signed the server's certificate, and the address a name in it."
            ) from error
        except requests.exceptions.RequestException as error:
            raise ProviderError(
                f"Vault at {self.address} can't be reached ({method} {path}): {_cause(error)}. "
                "Is it running, and is the address right?"
            ) from error
        except OSError as error:
            raise ProviderError(f"vault provider: a certificate or key can't be used: {error}") from error

    def send_patiently(self, method: str, path: str, body: dict[str, object] | None) -> Answer:
        """Send a request again while the server stumbles, or a new KV engine is still converting itself."""
        from tenacity import Retrying, retry_if_result, stop_after_attempt, wait_exponential, wait_fixed

        from embedded.polling import last_answer

        through_stumbles = Retrying(
            stop=stop_after_attempt(1 + self.retries),
            wait=wait_exponential(multiplier=0.25),
            retry=retry_if_result(lambda answer: answer.stumbled),
            retry_error_callback=last_answer,
        )
        through_upgrade = Retrying(
            stop=stop_after_attempt(1 + _UPGRADE_TRIES),
            wait=wait_fixed(_UPGRADE_PAUSE),
            retry=retry_if_result(lambda answer: answer.upgrading),
            retry_error_callback=last_answer,
        )
        return through_upgrade(through_stumbles, self.send, method, path, body)

    def look_itself_up(self) -> None:
        """Ask for the token as upstream does after each login. A ProviderError when Vault does not say."""
        answer = self.send_patiently("GET", _LOOKUP, None)
        if answer.status == _FORBIDDEN:
            raise ProviderError(
                f"Vault at {self.address} doesn't accept the token (GET {_LOOKUP}): it is wrong, expired or revoked, "
                f'or no policy grants it "read" on {_LOOKUP}. Log in again: check VAULT_TOKEN, ~/.vault-token or the '
                "provider's authLogin settings."
            )
        self.raise_for(answer, "GET", _LOOKUP)

    def token_lives(self) -> bool:
        """Whether Vault still knows the token."""
        return self.send("GET", _LOOKUP, None).ok

    def raise_for(self, answer: Answer, method: str, path: str) -> None:
        """Raise a ProviderError for what no resource can make sense of: not allowed, not serving, broken."""
        if answer.status == _FORBIDDEN and not self.token_lives():
            raise ProviderError(
                f"Vault at {self.address} doesn't accept the token ({method} {path}): it is wrong, expired or revoked. "
                "Log in again: check VAULT_TOKEN, ~/.vault-token or the provider's authLogin settings."
            )
        if answer.status == _FORBIDDEN:
            raise ProviderError(
                f"permission denied: {_OPERATIONS[method]} {path} on Vault at {self.address}. "
                f"A policy of the login has to grant {_CAPABILITIES[method]} on that path."
            )
        if answer.status in _NOT_SERVING:
            raise ProviderError(self._why_not_serving(answer))
        if answer.status >= _SERVER_ERROR:
            raise ProviderError(_told(answer, self.address, method, path))

    def _why_not_serving(self, answer: Answer) -> str:
        seal = _body(self.response("GET", "sys/seal-status", None))
        if seal.get("initialized") is False:
            return f"Vault at {self.address} isn't initialised. `make up` does it on the embedded stack."
        if seal.get("sealed"):
            return f"Vault at {self.address} is sealed: unseal it first. `make up` does it on the embedded stack."
        return f"Vault at {self.address} isn't available: {'; '.join(answer.errors) or answer.status}"


def _log_in(connection: Connection) -> tuple[Line, float]:
    """The line of the run, and for how many seconds its token lives (0: as long as it likes)."""
    if connection.login:
        return _log_in_with(connection, connection.login)
    if connection.child_token:
        return _child(connection)
    return Line(_client(connection, connection.token), connection.retries), 0


def _log_in_with(connection: Connection, login: Login) -> tuple[Line, float]:
    bare = Line(_client(connection, "", login.certificate), connection.retries)
    response = bare.response("POST", login.path, dict(login.parameters))
    answer = _answer(response)
    if answer.status in _NOT_SERVING:
        bare.raise_for(answer, "POST", login.path)
    if not answer.ok:
        role = login.parameters.get("name") or login.parameters.get("role") or "any"
        raise ProviderError(
            f"Vault at {connection.address} refused the login at {login.path} (role {role}): {answer.said}. "
            "Check the role, and that the certificate or token belongs to it and has not expired."
        )
    return _owned(connection, response)


def _child(connection: Connection) -> tuple[Line, float]:
    life = f"{connection.lease_seconds}s"
    body = {"display_name": connection.token_name, "ttl": life, "explicit_max_ttl": life, "renewable": False}
    parent = Line(_client(connection, connection.token), connection.retries)
    response = parent.response("POST", "auth/token/create", body)
    answer = _answer(response)
    parent.raise_for(answer, "POST", "auth/token/create")
    if not answer.ok:
        raise ProviderError(_told(answer, connection.address, "POST", "auth/token/create"))
    return _owned(connection, response)


def _owned(connection: Connection, response: "requests.Response") -> tuple[Line, float]:
    auth = _body(response).get("auth") or {}
    if not auth.get("client_token"):
        raise ProviderError(f"what answers at {connection.address} isn't Vault: a login gave no token")
    return Line(_client(connection, auth["client_token"]), connection.retries, owns_token=True), auth["lease_duration"]


_OPERATIONS = {"GET": "read", "POST": "write", "DELETE": "delete"}
_CAPABILITIES = {"GET": '"read"', "POST": '"create" and "update"', "DELETE": '"delete"'}


def _client(connection: Connection, token: str, certificate: tuple[str, str] | None = None) -> "hvac.Client":
    # Imported here: they cost more than the rest of the start, and a run that only previews never needs them.
    import hvac
    import requests
    from hvac.adapters import RawAdapter

    session = requests.Session()
    # As Go's own proxy rules: nothing between this process and its own machine, and no .netrc entry over the token.
    session.trust_env = urlsplit(connection.address).hostname not in ("127.0.0.1", "localhost", "::1")
    session.verify = connection.ca_file or True
    return hvac.Client(
        url=connection.address,
        token=token,
        cert=certificate,  # pyright: ignore[reportArgumentType] - hvac's hint leaves its own default, None, out
        verify=connection.ca_file or True,
        timeout=_TIMEOUT,
        session=session,
        adapter=RawAdapter,
    )


def _cause(error: BaseException) -> str:
    reason: object = error.args[0] if error.args else error
    reason = getattr(reason, "reason", reason)
    return str(reason).rsplit(">: ", 1)[-1].rstrip(".")


def _body(response: "requests.Response") -> dict[str, Any]:
    found: object = None
    with suppress(ValueError):
        found = response.json() if response.content else {}
    # Something else than Vault may answer at this address, or a proxy in front of it.
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {"errors": [response.text.strip()[:200]]}


def _answer(response: "requests.Response") -> Answer:
    body = _body(response)
    return Answer(
        response.status_code, body.get("data") or {}, tuple(str(text).strip() for text in body.get("errors") or ())
    )


def _told(answer: Answer, address: str, method: str, path: str) -> str:
    said = answer.said
    if "active cluster node not found" in said or "standby" in said:
        said += " (a standby node without an active one: the cluster has not elected its leader)"
    return f"Vault at {address} couldn't {_OPERATIONS[method]} {path}: {said}"
