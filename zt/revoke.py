"""Ends every access of a service to Vault at once: its tokens, and the leases of its dynamic credentials.

A token's lease is named for the login's path, which all services share, so there is no prefix for one service: its
tokens are found by their accessors, and what they were given says whose they are. A token that ends takes along the
leases under it (https://developer.hashicorp.com/vault/docs/concepts/lease).
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from components.typed_file import ConfigError, Problem
from components.vault_operator import AUTH_PATH, CREDENTIALS
from zt.vault import Access, Vault, VaultError, connect
from zt.vault_service import ServiceName, service_name

# Logins that were under way when the role went are found in the second round.
_ROUNDS = 5

Connect = Callable[[Access], Any]


@dataclass(frozen=True)
class Request:
    """What the caller asks. `lock` removes the service's role as well, so that nobody logs in again."""

    service: str
    project: Path
    access: Access
    yes: bool = False
    lock: bool = False


@dataclass(frozen=True)
class Revoked:
    """What was ended. `known` says whether Vault had a role for the service."""

    service: ServiceName
    known: bool
    tokens: int
    leases: int
    locked: bool


def revoke(vault: Vault, service: ServiceName, *, lock: bool = False) -> Revoked:
    """End every token and lease of a service. Raises `VaultError`; what was ended by then stays ended."""
    role = f"auth/{AUTH_PATH}/role/{service.key}"
    known = vault.read(role) is not None
    if lock and known:
        # First of all: a pod that notices its token's end logs in again within seconds.
        vault.delete(role)
    roles = _credential_roles(vault, service)
    # Before the tokens go: they take their leases along, and nobody could count them any more.
    leases = sum(len(vault.list(f"sys/leases/lookup/{CREDENTIALS}/{name}")) for name in roles)
    tokens = _revoke_tokens(vault, service)
    if lock:
        tokens += _revoke_late_tokens(vault, service)
    for name in roles:
        # `sync`: the answer comes when the database has done it, not when it is queued.
        vault.write(f"sys/leases/revoke-prefix/{CREDENTIALS}/{name}", {"sync": True})
    return Revoked(service, known, tokens, leases, lock)


def _revoke_tokens(vault: Vault, service: ServiceName) -> int:
    accessors = [accessor for accessor in vault.list("auth/token/accessors") if _belongs(vault, accessor, service)]
    for accessor in accessors:
        vault.write("auth/token/revoke-accessor", {"accessor": accessor})
    return len(accessors)


def _revoke_late_tokens(vault: Vault, service: ServiceName) -> int:
    found = 0
    for _ in range(_ROUNDS):
        late = _revoke_tokens(vault, service)
        if not late:
            return found
        found += late
    raise VaultError(f"{service} still gets new tokens though its role is gone: another role is bound to its account")


def _belongs(vault: Vault, accessor: str, service: ServiceName) -> bool:
    try:
        found = vault.write("auth/token/lookup-accessor", {"accessor": accessor})
    except VaultError as error:
        if "invalid accessor" in str(error):
            # It ended by itself since it was listed.
            return False
        raise
    data: dict[str, Any] = found["data"] if found else {}
    meta: dict[str, str] = data.get("meta") or {}
    account = (meta.get("service_account_namespace"), meta.get("service_account_name"))
    return account == (service.namespace, service.name) or meta.get("role") == service.key


def _credential_roles(vault: Vault, service: ServiceName) -> list[str]:
    """The roles of its dynamic credentials that have leases: one named for it, or several that begin so and a dot."""
    names = (name.rstrip("/") for name in vault.list(f"sys/leases/lookup/{CREDENTIALS}"))
    # A dot is in no name of a namespace or service, so no other service's role begins like this.
    return [name for name in names if name == service.key or name.startswith(f"{service.key}.")]


def run(request: Request, connect_to: Connect | None = None) -> int:
    """Revoke after a confirmation, print what was ended, and return the exit code.

    0: done. 1: not confirmed, or Vault knows no such service. 2: a wrong argument. 3: Vault does not.
    """
    errors = Console(stderr=True, highlight=False)
    try:
        service = service_name(request.project, request.service)
        _check_can_ask(request)
        with (connect_to or connect)(request.access) as vault:
            if not (request.yes or _confirmed(service, vault.where, request.lock)):
                errors.print("nothing is revoked")
                return 1
            done = revoke(vault, service, lock=request.lock)
    except ConfigError as error:
        errors.print(str(error), markup=False, soft_wrap=True)
        return 2
    except VaultError as error:
        errors.print(f"error: {error}", markup=False, soft_wrap=True)
        return 3
    Console(highlight=False).print(_told(done), markup=False, soft_wrap=True)
    return int(not (done.known or done.tokens or done.leases))


def _check_can_ask(request: Request) -> None:
    if not request.yes and not sys.stdin.isatty():
        raise ConfigError([Problem("zt revoke", "--yes", "required where nobody can be asked")])


def _confirmed(service: ServiceName, where: str, lock: bool) -> bool:
    locks = " and remove its role" if lock else ""
    return typer.confirm(f"Revoke every token and lease of {service} in {where}{locks}?", err=True)


def _told(done: Revoked) -> str:
    counted = f"{done.service}: revoked {_number(done.tokens, 'token')} and {_number(done.leases, 'lease')}."
    if not (done.known or done.tokens or done.leases):
        return f"{counted} Vault has no role {done.service.key}: is this the service's name?"
    if done.locked:
        return f"{counted} Its role is removed, nobody logs in with it: `pulumi up --refresh` makes it again."
    return (
        f"{counted} Its role stays: a pod that runs logs in again by its service account. --lock keeps it out; to end "
        "the pods is the other way."
    )


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
