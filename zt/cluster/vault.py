"""A login to Vault for an operator's command: a real Vault, or this checkout's embedded control plane.

Nothing here reads a secret: the operator's policy (`components/vault/operator.py`) does not allow it.
"""

import os
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

import hvac
import hvac.adapters
import hvac.exceptions
import requests

from components.kube.names import AUTH_PATH, OPERATOR, TOKEN_AUDIENCE, VAULT_NAMESPACE
from components.kube.parts import part, texts, word
from components.schema.problem import ConfigError, Problem
from components.vault.health import HEALTH, health_of
from zt.project.errors import CommandError

Login = Literal["token", "kubernetes"]

_SECONDS = 30
_TOKEN_SECONDS = 600
# The server answers an upload only after it has stored everything.
_UPLOAD_SECONDS = 600
_PIECE_BYTES = 1 << 20
_ADDRESS, _CA, _NAMESPACE, _TOKEN = "VAULT_ADDR", "VAULT_CACERT", "VAULT_NAMESPACE", "VAULT_TOKEN"


class VaultError(CommandError):
    """Vault cannot be reached, is sealed, or refused. One line says what was requested, and why it failed."""


class ConflictError(VaultError):
    """Somebody else wrote the secret after its version was read."""


@dataclass(frozen=True)
class Access:
    """Which Vault, and how to log in. Without `embedded`, VAULT_ADDR, VAULT_CACERT and VAULT_NAMESPACE name it."""

    login: Login = "token"
    embedded: bool = False
    token: str | None = field(default=None, repr=False)
    """A token to use instead of a login."""


def elsewhere(where: str, request: str, location: str) -> str:
    """What is said of a server that sends a request to another one, which never gets it: it would get the token."""
    return f"Vault at {where} sends {request} on to {location}: set {_ADDRESS} to the server that is meant"


@dataclass(frozen=True)
class Vault:
    """A Vault with an operator's login. `client` is a client of hvac."""

    client: Any
    where: str

    def read(self, path: str) -> dict[str, Any] | None:
        """Vault's answer to what is at a path; `None` if there is nothing. Raises `VaultError`."""
        answer = self._call("get", path)
        if answer is not None and "data" in answer and not isinstance(answer["data"], dict):
            raise self._foreign(f"get {path}")
        return answer

    def list(self, path: str) -> tuple[str, ...]:
        """The keys below a path. Raises `VaultError`."""
        answer = self._call("list", path)
        if answer is None:
            return ()
        keys = texts(answer, "data", "keys")
        written: object = part(answer, "data").get("keys")
        if not isinstance(written, list) or len(keys) != len(cast("list[object]", written)):
            raise self._foreign(f"list {path}")
        return tuple(keys)

    def write(self, path: str, body: Mapping[str, object]) -> dict[str, Any] | None:
        """Write to a path; `None` if the path does not exist. Raises `VaultError`."""
        return self._call("post", path, json=body)

    def patch(self, path: str, body: Mapping[str, object]) -> dict[str, Any] | None:
        """Change some fields at a path; `None` if nothing is there. Raises `VaultError` and `ConflictError`."""
        return self._call("patch", path, json=body, headers={"Content-Type": "application/merge-patch+json"})

    def delete(self, path: str) -> None:
        """Delete the data at a path. Raises `VaultError`."""
        self._call("delete", path)

    def download(self, path: str) -> Iterator[bytes]:
        """The bytes at a path, piece by piece. Raises `VaultError`."""
        request = f"get {path}"
        with _one_line(request, self.where), self._raw(request, stream=True) as answer:
            yield from answer.iter_content(_PIECE_BYTES)

    def upload(self, path: str, content: BinaryIO) -> None:
        """Write a file's bytes to a path. Raises `VaultError`."""
        request = f"post {path}"
        with _one_line(request, self.where):
            self._raw(request, data=content, timeout=_UPLOAD_SECONDS).close()

    def _raw(self, request: str, **more: Any) -> requests.Response:
        # The library does not type its adapters.
        raw: Any = hvac.adapters.RawAdapter
        method, _, path = request.partition(" ")
        try:
            answer: requests.Response = raw.from_adapter(self.client.adapter).request(method, f"/v1/{path}", **more)
        except hvac.exceptions.InvalidPath as error:
            message = f"Vault at {self.where} has nothing at {path}: only one with raft storage has snapshots"
            raise VaultError(message) from error
        self._check_here(answer, request)
        return answer

    def _call(self, method: str, path: str, **more: Any) -> dict[str, Any] | None:
        request = f"{method} {path}"
        with _one_line(request, self.where):
            try:
                answer = self.client.adapter.request(method, f"/v1/{path}", **more)
            except hvac.exceptions.InvalidPath as error:
                if error.errors is None:
                    raise self._foreign(request) from error
                return None
            # What the library does with a body that is no object, or nested too deeply.
            except (AttributeError, TypeError, RecursionError) as error:
                raise self._foreign(request) from error
        if isinstance(answer, dict):
            return cast("dict[str, Any]", answer)
        # The library returns an answer without a body as a response object.
        if isinstance(answer, requests.Response):
            self._check_here(answer, request)
        if method in ("get", "list") or not isinstance(answer, requests.Response) or answer.content:
            raise self._foreign(request)
        return {}

    def _check_here(self, answer: requests.Response, request: str) -> None:
        if answer.is_redirect:
            raise VaultError(elsewhere(self.where, request, answer.headers["Location"]))

    def _foreign(self, request: str) -> VaultError:
        return VaultError(f"{self.where} is no Vault: it answers {request} in another way than Vault does")


def number_in(answer: Mapping[str, Any] | None, key: str, place: str, where: str) -> int:
    """A whole number in the data of Vault's answer about a place; 0 where it is not. Raises `VaultError`."""
    value: object = part(answer or {}, "data").get(key) or 0
    if isinstance(value, bool) or not isinstance(value, int):
        raise VaultError(f"{where} is no Vault: what it says of {place} has no number under {key}")
    return value


@contextmanager
def connect(access: Access) -> Generator[Vault]:
    """A logged-in Vault. A login made here is revoked at the end.

    Raises `ConfigError` when the Vault or the login is not named, and `VaultError` when that Vault is not ready.
    """
    place = _embedded_place() if access.embedded else _environment_place()
    # A loopback server is behind no proxy, so the environment's settings do not apply.
    session = requests.Session()
    session.trust_env = not access.embedded
    session.verify = place.ca
    # The library does not type its answers, and accepts more than its annotations say.
    make: Any = hvac.Client
    client = make(
        url=place.address,
        token="",
        verify=place.ca,
        cert=place.certificate,
        session=session,
        timeout=_SECONDS,
        # Another server would get the token.
        allow_redirects=False,
    )
    check_serving(client, place.address)
    client.adapter.namespace = place.namespace
    if access.token is not None:
        client.token = access.token
        yield Vault(client, place.address)
        return
    if access.login == "token" and not access.embedded:
        client.token = _token()
        yield Vault(client, place.address)
        return
    client.token = kubernetes_login(client, place.address, access.embedded)
    try:
        yield Vault(client, place.address)
    finally:
        # The token expires anyway, and an error here would hide that of the command.
        with suppress(hvac.exceptions.VaultError, requests.RequestException):
            client.auth.token.revoke_self()


@dataclass(frozen=True)
class _Place:
    address: str
    ca: str | bool
    namespace: str | None = None
    # Not None, because the library would then use that of the environment.
    certificate: tuple[str, ...] = ()


def _embedded_place() -> _Place:
    from embedded.access import EmbeddedPlane, EmbeddedPlaneError

    try:
        here = EmbeddedPlane().vault()
    except EmbeddedPlaneError as error:
        raise VaultError(str(error)) from error
    return _Place(here.address, str(here.ca_file))


def _environment_place() -> _Place:
    address = os.environ.get(_ADDRESS, "")
    if not address.startswith("https://"):
        legal = ("https://vault.example.org:8200", "--embedded for this checkout's control plane")
        raise ConfigError([Problem("environment", _ADDRESS, "says where Vault is, over TLS", repr(address), legal)])
    ca = os.environ.get(_CA)
    if ca and not Path(ca).is_file():
        raise ConfigError([Problem("environment", _CA, "there is no such file", repr(ca))])
    pair = tuple(os.environ.get(name, "") for name in ("VAULT_CLIENT_CERT", "VAULT_CLIENT_KEY"))
    return _Place(address.rstrip("/"), ca or True, os.environ.get(_NAMESPACE) or None, pair if all(pair) else ())


def _token() -> str:
    """The token of the environment or of `vault login`, where Vault's CLI looks for it too."""
    if token := os.environ.get(_TOKEN, "").strip():
        return token
    with suppress(OSError, UnicodeDecodeError):
        if token := (Path.home() / ".vault-token").read_text(encoding="utf-8").strip():
            return token
    legal = ("run `vault login`", f"set {_TOKEN}", "--login kubernetes")
    raise ConfigError([Problem("environment", _TOKEN, "no token, and none in ~/.vault-token", "", legal)])


def check_serving(client: Any, where: str) -> None:
    """Raise `VaultError` if a server is sealed, not initialised, or cannot be reached."""
    health = health_of(Vault(client, where).read(HEALTH) or {})
    if health is None:
        raise VaultError(f"{where} is no Vault: its health is not told as Vault does")
    if not health.initialised:
        raise VaultError(f"Vault at {where} is not initialised: `pulumi up` has not finished there yet")
    if health.sealed:
        raise VaultError(f"Vault at {where} is sealed: unseal it first; nothing was changed")


def kubernetes_login(client: Any, where: str, embedded: bool) -> str:
    """Log in to Vault with a token of the operator's service account, which the cluster issues.

    Raises `VaultError` when the cluster or Vault refuses.
    """
    import urllib3.exceptions
    from kubernetes.client import ApiException, CoreV1Api

    from zt.cluster.access import SECONDS, ClusterError
    from zt.cluster.access import Access as ClusterAccess
    from zt.cluster.access import connect as connect_to_cluster

    account = f"{VAULT_NAMESPACE}/{OPERATOR}"
    request = {"spec": {"audiences": [TOKEN_AUDIENCE], "expirationSeconds": _TOKEN_SECONDS}}
    try:
        cluster = connect_to_cluster(ClusterAccess(embedded=embedded))
    except ClusterError as error:
        raise VaultError(str(error)) from error
    try:
        core: Any = CoreV1Api(cluster.api)
        asked = (OPERATOR, VAULT_NAMESPACE, request)
        jwt = core.create_namespaced_service_account_token(*asked, _request_timeout=SECONDS).status.token
    # The last ones are what the library raises for an answer that is no TokenRequest.
    except (
        ApiException,
        urllib3.exceptions.HTTPError,
        OSError,
        ValueError,
        TypeError,
        AttributeError,
        RecursionError,
    ) as error:
        why = " ".join(str(getattr(error, "reason", None) or type(error).__name__).split())
        raise VaultError(f"no token of the service account {account} from {cluster.where}: {why}") from error
    try:
        answer = Vault(client, where).write(f"auth/{AUTH_PATH}/login", {"role": OPERATOR, "jwt": jwt})
    except VaultError as error:
        raise VaultError(f"{account} is not logged in with role {OPERATOR}: {error}") from error
    if not (token := word(answer or {}, "auth", "client_token")):
        raise VaultError(f"Vault at {where} answers the login of {account} with no token: is it a Vault?")
    return token


@contextmanager
def _one_line(request: str, where: str) -> Generator[None]:
    """Turn the library's errors into `VaultError`, except a missing path (404), which the caller handles."""
    try:
        yield
    except hvac.exceptions.InvalidPath:
        raise
    except (hvac.exceptions.Forbidden, hvac.exceptions.Unauthorized) as error:
        hint = "the token has expired, or its policy does not allow this"
        raise VaultError(f"Vault at {where} refused {request}: permission denied; {hint}") from error
    except hvac.exceptions.RateLimitExceeded as error:
        raise VaultError(f"Vault at {where} has no time for {request} (429): run the command again later") from error
    except hvac.exceptions.VaultDown as error:
        raise VaultError(f"Vault at {where} is sealed or has no active server: {_reason(error)}") from error
    except hvac.exceptions.InvalidRequest as error:
        kind = ConflictError if "check-and-set" in _reason(error) else VaultError
        raise kind(f"Vault at {where} refused {request}: {_reason(error)}") from error
    except hvac.exceptions.VaultError as error:
        raise VaultError(f"Vault at {where} failed at {request}: {_reason(error)}") from error
    except requests.exceptions.SSLError as error:
        hint = f"set {_CA} to its authority's file, and {_ADDRESS} to a name that it has"
        raise VaultError(f"the certificate of {where} is not trusted: {hint}; {_reason(error)}") from error
    except requests.RequestException as error:
        raise VaultError(f"Vault at {where} cannot be reached: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """The reason of an error in one line, without the lines about the request."""
    if isinstance(error, hvac.exceptions.VaultError):
        reason = ", ".join(error.errors or []) or error.text or str(error.args[0] or "") or type(error).__name__
    else:
        cause: object = error
        while (inner := getattr(cause, "reason", None) or (getattr(cause, "args", None) or [None])[0]) is not None:
            if not isinstance(inner, Exception):
                break
            cause = inner
        reason = str(cause)
    return " ".join(str(reason).split()) or type(error).__name__
