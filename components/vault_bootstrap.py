"""From a Vault that nobody initialised to one with a deployer's login and no root token, in steps that can be repeated.

Initialise; then, with the root token, write the deployer's policy and login, try that login, and revoke the root token.
No step here keeps a secret: who calls them does (`components/vault_bootstrap_resources.py`).
https://developer.hashicorp.com/vault/api-docs/system/init
"""

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

import hvac
import hvac.exceptions
import requests

from components.vault_deployer import DEPLOYER, LoginPlan
from components.vault_health import HEALTH, health_of

JWT_VARIABLE = "TERRAFORM_VAULT_AUTH_JWT"
"""Where the Vault provider looks for the token of a JWT login, and this module with it."""

_Answer = TypeVar("_Answer")
_SECONDS = 30
_POLL_SECONDS = 0.2
# One server of several may not have joined yet, or not know its leader.
_PASSING = (
    hvac.exceptions.VaultDown,
    hvac.exceptions.VaultNotInitialized,
    hvac.exceptions.InternalServerError,
    hvac.exceptions.BadGateway,
    requests.ConnectionError,
    requests.Timeout,
)


class BootstrapError(Exception):
    """Vault cannot be taken to its next state; one line says why and what to do."""


@dataclass(frozen=True)
class Place:
    """Where Vault is, and for how many seconds to wait until it is in the state that a step needs."""

    address: str
    ca_cert_file: str = ""
    patience: float = 60

    def client(self, token: str = "", certificate: tuple[str, str] | None = None) -> Any:
        """A client of hvac with this token and no other; `certificate` is the paths of a client certificate and key."""
        session = requests.Session()
        # No proxy stands between this process and its own machine.
        session.trust_env = urlsplit(self.address).hostname not in ("127.0.0.1", "localhost", "::1")
        session.verify = self.ca_cert_file or True
        # The library leaves the types of its answers open, and takes more than its annotations say.
        make: Any = hvac.Client
        # An empty pair, not None: the library would then take the environment's.
        return make(
            url=self.address,
            token=token,
            cert=certificate or (),
            verify=self.ca_cert_file or True,
            session=session,
            timeout=_SECONDS,
        )


@dataclass(frozen=True)
class Initialised:
    """What only the one who initialised Vault ever sees; both empty when somebody else did."""

    root_token: str = ""
    recovery_keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class Identity:
    """As whom the deployer logs in: a role, and a certificate with its key, or the token of the environment."""

    role: str
    certificate: tuple[str, str] | None = None


@dataclass(frozen=True)
class _State:
    answers: bool = False
    initialised: bool = False
    sealed: bool = True
    active: bool = False
    trouble: str = ""

    @property
    def serves(self) -> bool:
        return self.initialised and not self.sealed and self.active


def initialise(place: Place, shares: int, threshold: int, pgp_keys: list[str]) -> Initialised:
    """Initialise Vault, unless that is done. Each recovery key is encrypted for one of the PGP keys, if there are any.

    Raises `BootstrapError` when Vault does not answer, or has a seal that somebody must open by hand.
    """
    state = _wait(place, lambda found: found.answers)
    if state.initialised:
        _wait(place, lambda found: found.serves)
        return Initialised()
    seal = _ask(place.client(), "GET", "sys/seal-status")
    if not seal.get("recovery_seal"):
        kind = seal.get("type")
        raise BootstrapError(f"Vault at {place.address} has the seal {kind!r}, which it cannot open by itself")
    wanted: dict[str, object] = {"recovery_shares": shares, "recovery_threshold": threshold}
    if pgp_keys:
        wanted["recovery_pgp_keys"] = pgp_keys
    answer = _ask(place.client(), "PUT", "sys/init", wanted)
    return Initialised(answer["root_token"], tuple(answer["recovery_keys_base64"]))


def is_initialised(place: Place) -> bool | None:
    """Whether Vault has been initialised; `None` when it does not answer."""
    state = _look(place)
    return state.initialised if state.answers else None


def make_login(place: Place, root_token: str, policy: str, plan: LoginPlan, identity: Identity) -> None:
    """Make the deployer's login with the root token, try it, and revoke the root token; done before, only try it.

    Raises `BootstrapError`; the root token is revoked only once the login works.
    """
    _wait(place, lambda found: found.serves)
    root = place.client(root_token)
    if not (root_token and _lives(place, root)):
        if why := _refusal(place, plan.mount, identity):
            raise BootstrapError(
                f"Vault at {place.address} is initialised, no root token of it is known here, and the deployer cannot "
                f"log in at auth/{plan.mount}: {why}. Make that login with a root token, or start with an empty storage"
            )
        return
    _patiently(place, lambda: _write_login(root, policy, plan))
    if why := _refusal(place, plan.mount, identity):
        raise BootstrapError(
            f"the deployer cannot log in at auth/{plan.mount} of {place.address}: {why}. The root token lives until it "
            "can: correct vault.bootstrap.login or vault.login"
        )
    _patiently(place, lambda: _ask(root, "POST", "auth/token/revoke-self"))
    if _lives(place, root):
        raise BootstrapError(f"Vault at {place.address} still takes the root token after it was revoked")


def compare_policy(place: Place, policy: str, mount: str, identity: Identity) -> None:
    """Raise `BootstrapError` unless the deployer's policy in Vault is this one, which it can read and not change."""
    _wait(place, lambda found: found.serves)
    deployer = place.client(_log_in(place, mount, identity))
    try:
        found = _ask(deployer, "GET", f"sys/policies/acl/{DEPLOYER}")["data"]["policy"]
    finally:
        _ask(deployer, "POST", "auth/token/revoke-self")
    if found.strip() != policy.strip():
        raise BootstrapError(
            f"the policy {DEPLOYER} in Vault at {place.address} is not the program's. Write it with a root token "
            f"made of recovery keys: python -m components.vault_deployer | vault policy write {DEPLOYER} - "
            "(vault_deployer --pki on a stack with vault.pki)"
        )


def _write_login(root: Any, policy: str, plan: LoginPlan) -> None:
    if f"{plan.mount}/" not in _ask(root, "GET", "sys/auth")["data"]:
        _ask(root, "POST", f"sys/auth/{plan.mount}", {"type": plan.type, "description": "Deployers"})
    _ask(root, "PUT", f"sys/policies/acl/{DEPLOYER}", {"policy": policy})
    for path, body in plan.writes.items():
        _ask(root, "POST", path, body)


def _refusal(place: Place, mount: str, identity: Identity) -> str:
    """Why the deployer cannot log in; empty when it can. What the attempt made ends at once."""
    try:
        _ask(place.client(_log_in(place, mount, identity)), "POST", "auth/token/revoke-self")
    except (hvac.exceptions.VaultError, requests.RequestException, OSError, BootstrapError) as error:
        return _reason(error)
    return ""


def _log_in(place: Place, mount: str, identity: Identity) -> str:
    if identity.certificate:
        body = {"name": identity.role}
    elif jwt := os.environ.get(JWT_VARIABLE, "").strip():
        body = {"role": identity.role, "jwt": jwt}
    else:
        raise BootstrapError(f"{JWT_VARIABLE} is not set")
    client = place.client(certificate=identity.certificate)
    answer = _patiently(place, lambda: _ask(client, "POST", f"auth/{mount}/login", body))
    return answer["auth"]["client_token"]


def _lives(place: Place, client: Any) -> bool:
    try:
        _patiently(place, lambda: _ask(client, "GET", "auth/token/lookup-self"))
    except hvac.exceptions.Forbidden:
        return False
    return True


def _ask(client: Any, method: str, path: str, body: Mapping[str, object] | None = None) -> dict[str, Any]:
    answer = client.adapter.request(method, f"/v1/{path}", json=body)
    # The library hands an answer without a body over as it came.
    return cast("dict[str, Any]", answer) if isinstance(answer, dict) else {}


def _patiently(place: Place, step: Callable[[], _Answer]) -> _Answer:
    deadline = time.monotonic() + place.patience
    while True:
        try:
            return step()
        except _PASSING as error:
            if time.monotonic() > deadline:
                raise BootstrapError(f"Vault at {place.address}: {_reason(error)}") from None
        time.sleep(_POLL_SECONDS)


def _wait(place: Place, wanted: Callable[[_State], bool]) -> _State:
    deadline = time.monotonic() + place.patience
    while not wanted(state := _look(place)):
        if time.monotonic() > deadline:
            raise BootstrapError(f"Vault at {place.address} {state.trouble} (waited {place.patience:.0f} s)")
        time.sleep(_POLL_SECONDS)
    return state


def _look(place: Place) -> _State:
    client = place.client()
    try:
        health = health_of(_ask(client, "GET", HEALTH))
        if health is None:
            return _State(trouble="is no Vault: its health is not told as Vault does")
        initialised, sealed = health.initialised, health.sealed
        active = not health.standby or _has_leader(client, initialised and not sealed)
    except (hvac.exceptions.VaultError, requests.RequestException) as error:
        return _State(trouble=f"does not answer: {_reason(error)}")
    trouble = "is sealed: unseal it first" if sealed else "has no active server: the others are standby"
    return _State(True, initialised, sealed, active, trouble if initialised else "is not initialised")


def _has_leader(client: Any, asks: bool) -> bool:
    with suppress(hvac.exceptions.VaultError):
        return asks and bool(_ask(client, "GET", "sys/leader").get("leader_address"))
    return False


def _reason(error: Exception) -> str:
    """What went wrong, on one line and without the request's own lines."""
    if isinstance(error, hvac.exceptions.VaultError):
        said = ", ".join(error.errors or []) or str(error.text or type(error).__name__)
    elif isinstance(error, requests.exceptions.SSLError):
        said = "its certificate is not trusted: vault.caCertFile names the authority"
    elif isinstance(error, requests.RequestException):
        said = "no connection" if isinstance(error, requests.ConnectionError) else type(error).__name__
    else:
        said = str(error)
    return " ".join(said.split())
