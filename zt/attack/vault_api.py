"""Requests to Vault's HTTP API as an attacker makes them, with a token or none. A refusal is an answer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import requests

from components.kube.parts import json_object
from components.vault.health import health_of
from zt.attack.evidence import Evidence, StackError, blocked, not_measured, succeeded
from zt.cluster.manifest import part, texts, word
from zt.cluster.vault import elsewhere

_SECONDS = 30
_REFUSALS = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


@dataclass(frozen=True)
class VaultAnswer:
    """Vault's answer. `errors` is its text; values are in `data` and are never shown."""

    status: int
    errors: str
    data: Mapping[str, Any]
    auth: Mapping[str, Any]

    @property
    def ok(self) -> bool:
        """Whether the request succeeded."""
        return self.status < HTTPStatus.BAD_REQUEST

    @property
    def forbidden(self) -> bool:
        """Whether Vault refused the token's rights."""
        return self.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


@dataclass(frozen=True)
class VaultCall:
    """One request to a path below `/v1/`."""

    method: str
    path: str
    token: str = ""
    body: dict[str, Any] | None = None


@dataclass(frozen=True)
class Vault:
    """A Vault, reached without a login."""

    send: Callable[[VaultCall], VaultAnswer]
    where: str

    def call(self, method: str, path: str, token: str = "", body: dict[str, Any] | None = None) -> VaultAnswer:
        """Make a request with a token or without one."""
        return self.send(VaultCall(method, path, token, body))

    def login(self, auth_path: str, role: str, jwt: str) -> VaultAnswer:
        """Log in with a service account's token. Raises `StackError` for an answer that is none to a login."""
        answer = self.call("POST", f"auth/{auth_path}/login", body={"role": role, "jwt": jwt})
        if answer.ok and not word(answer.auth, "client_token"):
            raise StackError(f"Vault at {self.where} answers a login with no token: is it a Vault?")
        return answer


@dataclass(frozen=True)
class Place:
    """Where a Vault is. `ca` is the file of its authority; empty for the system's authorities."""

    address: str
    ca: str = ""
    namespace: str = ""
    direct: bool = False
    """Ignore the environment's proxies, for a server on loopback."""


def connect(place: Place) -> Vault:
    """A Vault that is ready. Raises `StackError` for one that cannot be reached or is sealed."""
    session = requests.Session()
    session.verify = place.ca or True
    session.trust_env = not place.direct

    def send(call: VaultCall) -> VaultAnswer:
        headers = {"X-Vault-Request": "true"}
        headers |= {"X-Vault-Token": call.token} if call.token else {}
        headers |= {"X-Vault-Namespace": place.namespace} if place.namespace else {}
        url = f"{place.address}/v1/{call.path}"
        try:
            answer = session.request(
                call.method,
                url,
                json=call.body,
                headers=headers,
                timeout=_SECONDS,
                verify=place.ca or True,
                # Another server would get the token.
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise StackError(f"Vault at {place.address} cannot be reached: {type(error).__name__}") from error
        if answer.is_redirect:
            raise StackError(elsewhere(place.address, call.path, answer.headers["Location"]))
        return _answer(answer)

    vault = Vault(send, place.address)
    health = vault.call("GET", "sys/health?standbyok=true&perfstandbyok=true")
    if not health.ok:
        raise StackError(f"Vault at {place.address} does not serve: its health is {health.status}")
    if health_of(health.data) is None:
        raise StackError(f"{place.address} is no Vault: its health is not told as Vault does")
    return vault


def _answer(answer: requests.Response) -> VaultAnswer:
    body = json_object(answer.content) or {}
    errors = ", ".join(" ".join(str(error).split()) for error in texts(body, "errors"))
    # Some endpoints answer without an envelope of `data`.
    return VaultAnswer(answer.status_code, errors, part(body, "data") or body, part(body, "auth"))


def by_policy(answer: VaultAnswer, what: str) -> Evidence:
    """The evidence of a request that a token's policies must not allow. Only an allowed caller gets a 404."""
    if answer.forbidden:
        return blocked(f"{answer.status} {answer.errors}")
    if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR or answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        return not_measured(f"{what}: {answer.status} {answer.errors}")
    return succeeded(f"{what}: allowed ({answer.status})")


def by_login(answer: VaultAnswer, what: str) -> Evidence:
    """The evidence of a login that Vault must refuse."""
    if answer.ok and answer.auth:
        return succeeded(f"{what}: logged in")
    if answer.status in _REFUSALS or answer.status == HTTPStatus.INTERNAL_SERVER_ERROR:
        return blocked(f"{answer.status} {answer.errors}")
    return not_measured(f"{what}: {answer.status} {answer.errors}")
