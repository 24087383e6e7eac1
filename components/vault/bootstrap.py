"""Initialise Vault and make the deployer's login, in steps that can be repeated.

After the initialisation the root token writes the deployer's policy and login; once that login works, it is revoked.
These steps store no secret; `components/vault/bootstrap_resources.py` does.
https://developer.hashicorp.com/vault/api-docs/system/init
"""

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

import hvac.exceptions
import requests
from tenacity import (
    RetryError,
    Retrying,
    retry_base,
    retry_if_exception_type,
    retry_if_not_result,
    stop_after_delay,
    wait_fixed,
)

from components.kube.names import DEPLOYER
from components.vault.deployer import LoginPlan
from components.vault.health import HEALTH, health_of

JWT_VARIABLE = "TERRAFORM_VAULT_AUTH_JWT"
"""The environment variable with the token of a JWT login, for the Vault provider and for this module."""

_Result = TypeVar("_Result")
_SECONDS = 30
_POLL_SECONDS = 0.2
# Errors that pass: one of several servers has not joined yet, or does not know its leader.
_TRANSIENT = (
    hvac.exceptions.VaultDown,
    hvac.exceptions.VaultNotInitialized,
    hvac.exceptions.InternalServerError,
    hvac.exceptions.BadGateway,
    requests.ConnectionError,
    requests.Timeout,
)


class BootstrapError(Exception):
    """A step of the bootstrap failed; the text is one line with the cause and what to do."""


@dataclass(frozen=True)
class Endpoint:
    """Vault's address and CA file; `patience` is how many seconds a step waits for the state that it needs."""

    address: str
    ca_cert_file: str = ""
    patience: float = 60

    def client(self, token: str = "", certificate: tuple[str, str] | None = None) -> Any:
        """An hvac client with exactly this token; `certificate` has the paths of a client certificate and its key."""
        session = requests.Session()
        # Proxy settings of the environment do not apply to this machine itself.
        session.trust_env = urlsplit(self.address).hostname not in ("127.0.0.1", "localhost", "::1")
        session.verify = self.ca_cert_file or True
        # The library accepts more than its annotations say.
        client_class: Any = hvac.Client
        # With `None` for `cert` the library would use the certificate of the environment.
        return client_class(
            url=self.address,
            token=token,
            cert=certificate or (),
            verify=self.ca_cert_file or True,
            session=session,
            timeout=_SECONDS,
        )


@dataclass(frozen=True)
class Initialised:
    """The secrets that Vault returns once, when it is initialised; both empty if it was initialised before."""

    root_token: str = ""
    recovery_keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class Identity:
    """The deployer's role, and the paths of its certificate and key; without these it uses `JWT_VARIABLE`."""

    role: str
    certificate: tuple[str, str] | None = None


@dataclass(frozen=True)
class _State:
    answers: bool = False
    initialised: bool = False
    sealed: bool = True
    active: bool = False
    problem: str = ""

    @property
    def serves(self) -> bool:
        return self.initialised and not self.sealed and self.active


def initialise(endpoint: Endpoint, shares: int, threshold: int, pgp_keys: list[str]) -> Initialised:
    """Initialise Vault, unless it is. Each recovery key is encrypted with one of the PGP keys, if there are any.

    Raises `BootstrapError` when Vault does not answer, or cannot unseal itself.
    """
    state = _wait(endpoint, lambda current: current.answers)
    if state.initialised:
        _wait(endpoint, lambda current: current.serves)
        return Initialised()
    seal = _request(endpoint.client(), "GET", "sys/seal-status")
    if not seal.get("recovery_seal"):
        kind = seal.get("type")
        raise BootstrapError(f"Vault at {endpoint.address} has the seal {kind!r}, which it cannot open by itself")
    body: dict[str, object] = {"recovery_shares": shares, "recovery_threshold": threshold}
    if pgp_keys:
        body["recovery_pgp_keys"] = pgp_keys
    answer = _request(endpoint.client(), "PUT", "sys/init", body)
    return Initialised(answer["root_token"], tuple(answer["recovery_keys_base64"]))


def is_initialised(endpoint: Endpoint) -> bool | None:
    """Whether Vault has been initialised; `None` when it does not answer."""
    state = _state_of(endpoint)
    return state.initialised if state.answers else None


def make_login(endpoint: Endpoint, root_token: str, policy: str, plan: LoginPlan, identity: Identity) -> None:
    """Write the deployer's policy and login with the root token, and revoke that token once the login works.

    Without a valid root token it only checks the login. Raises `BootstrapError` when the login does not work.
    """
    _wait(endpoint, lambda current: current.serves)
    root = endpoint.client(root_token)
    if not (root_token and _is_valid(endpoint, root)):
        if why := _refusal(endpoint, plan.mount, identity):
            raise BootstrapError(
                f"Vault at {endpoint.address} is initialised, no root token of it is known here, and the deployer "
                f"cannot log in at auth/{plan.mount}: {why}. Make that login with a root token, or start with an "
                "empty storage"
            )
        return
    _retry(endpoint, lambda: _write_login(root, policy, plan))
    if why := _refusal(endpoint, plan.mount, identity):
        raise BootstrapError(
            f"the deployer cannot log in at auth/{plan.mount} of {endpoint.address}: {why}. The root token lives until "
            "it can: correct vault.bootstrap.login or vault.login"
        )
    _retry(endpoint, lambda: _request(root, "POST", "auth/token/revoke-self"))
    if _is_valid(endpoint, root):
        raise BootstrapError(f"Vault at {endpoint.address} still takes the root token after it was revoked")


def compare_policy(endpoint: Endpoint, policy: str, mount: str, identity: Identity) -> None:
    """Raise `BootstrapError` unless this is the deployer's policy in Vault. The deployer can read it, not change it."""
    _wait(endpoint, lambda current: current.serves)
    deployer = endpoint.client(_log_in(endpoint, mount, identity))
    try:
        current = _request(deployer, "GET", f"sys/policies/acl/{DEPLOYER}")["data"]["policy"]
    finally:
        _request(deployer, "POST", "auth/token/revoke-self")
    if current.strip() != policy.strip():
        raise BootstrapError(
            f"the policy {DEPLOYER} in Vault at {endpoint.address} is not the program's. Write it with a root token "
            f"made of recovery keys: python -m components.vault.deployer | vault policy write {DEPLOYER} - "
            "(vault_deployer --pki on a stack with vault.pki)"
        )


def _write_login(root: Any, policy: str, plan: LoginPlan) -> None:
    if f"{plan.mount}/" not in _request(root, "GET", "sys/auth")["data"]:
        _request(root, "POST", f"sys/auth/{plan.mount}", {"type": plan.type, "description": "Deployers"})
    _request(root, "PUT", f"sys/policies/acl/{DEPLOYER}", {"policy": policy})
    for path, body in plan.writes.items():
        _request(root, "POST", path, body)


def _refusal(endpoint: Endpoint, mount: str, identity: Identity) -> str:
    """Why the deployer cannot log in; empty when it can. The token of the attempt is revoked."""
    try:
        _request(endpoint.client(_log_in(endpoint, mount, identity)), "POST", "auth/token/revoke-self")
    except (hvac.exceptions.VaultError, requests.RequestException, OSError, BootstrapError) as error:
        return _reason(error)
    return ""


def _log_in(endpoint: Endpoint, mount: str, identity: Identity) -> str:
    if identity.certificate:
        body = {"name": identity.role}
    elif jwt := os.environ.get(JWT_VARIABLE, "").strip():
        body = {"role": identity.role, "jwt": jwt}
    else:
        raise BootstrapError(f"{JWT_VARIABLE} is not set")
    client = endpoint.client(certificate=identity.certificate)
    answer = _retry(endpoint, lambda: _request(client, "POST", f"auth/{mount}/login", body))
    return answer["auth"]["client_token"]


def _is_valid(endpoint: Endpoint, client: Any) -> bool:
    try:
        _retry(endpoint, lambda: _request(client, "GET", "auth/token/lookup-self"))
    except hvac.exceptions.Forbidden:
        return False
    return True


def _request(client: Any, method: str, path: str, body: Mapping[str, object] | None = None) -> dict[str, Any]:
    answer = client.adapter.request(method, f"/v1/{path}", json=body)
    # The library returns an answer without a body as a response object.
    return cast("dict[str, Any]", answer) if isinstance(answer, dict) else {}


def _retry(endpoint: Endpoint, step: Callable[[], _Result]) -> _Result:
    """The result of a step, which is repeated while its error is a transient one."""
    try:
        return _polling(endpoint, retry_if_exception_type(_TRANSIENT))(step)
    except _TRANSIENT as error:
        raise BootstrapError(f"Vault at {endpoint.address}: {_reason(error)}") from None


def _wait(endpoint: Endpoint, reached: Callable[[_State], bool]) -> _State:
    try:
        return _polling(endpoint, retry_if_not_result(reached))(_state_of, endpoint)
    except RetryError as error:
        state: _State = error.last_attempt.result()
        problem = f"{state.problem} (waited {endpoint.patience:.0f} s)"
        raise BootstrapError(f"Vault at {endpoint.address} {problem}") from None


def _polling(endpoint: Endpoint, again: retry_base) -> Retrying:
    return Retrying(stop=stop_after_delay(endpoint.patience), wait=wait_fixed(_POLL_SECONDS), retry=again, reraise=True)


def _state_of(endpoint: Endpoint) -> _State:
    client = endpoint.client()
    try:
        health = health_of(_request(client, "GET", HEALTH))
        if health is None:
            return _State(problem="is no Vault: its health is not told as Vault does")
        initialised, sealed = health.initialised, health.sealed
        active = not health.standby or (initialised and not sealed and _has_leader(client))
    except (hvac.exceptions.VaultError, requests.RequestException) as error:
        return _State(problem=f"does not answer: {_reason(error)}")
    problem = "is sealed: unseal it first" if sealed else "has no active server: the others are standby"
    return _State(True, initialised, sealed, active, problem if initialised else "is not initialised")


def _has_leader(client: Any) -> bool:
    with suppress(hvac.exceptions.VaultError):
        return bool(_request(client, "GET", "sys/leader").get("leader_address"))
    return False


def _reason(error: Exception) -> str:
    """The cause of an error, on one line and without the lines of the request."""
    if isinstance(error, hvac.exceptions.VaultError):
        cause = ", ".join(error.errors or []) or str(error.text or type(error).__name__)
    elif isinstance(error, requests.exceptions.SSLError):
        cause = "its certificate is not trusted: vault.caCertFile names the authority"
    elif isinstance(error, requests.RequestException):
        cause = "no connection" if isinstance(error, requests.ConnectionError) else type(error).__name__
    else:
        cause = str(error)
    return " ".join(cause.split())
