"""Ends all access of a service to Vault at once: its tokens, and the leases of its dynamic credentials.

Tokens of all services share the lease prefix of their login path, so a service's tokens cannot be revoked by prefix.
They are found by their accessors, whose metadata names the service account. Revoking a token also revokes its leases
(https://developer.hashicorp.com/vault/docs/concepts/lease).
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from components.kube.names import AUTH_PATH, CREDENTIALS
from components.kube.parts import part
from zt.cluster.vault import Access, Vault, VaultError, connect
from zt.project.confirmation import check_can_ask
from zt.project.errors import ExitCode, tells_errors
from zt.project.service import ServiceName, service_name
from zt.project.streams import say, tell

# Later rounds find the tokens of logins that were in progress when the role was deleted.
_ROUNDS = 5

Connect = Callable[[Access], Any]


@dataclass(frozen=True)
class Request:
    """The options. `lock` also removes the service's role, so that nobody logs in again."""

    service: str
    project: Path
    access: Access
    yes: bool = False
    lock: bool = False


@dataclass(frozen=True)
class Revoked:
    """What was revoked. `known` says whether Vault had a role for the service."""

    service: ServiceName
    known: bool
    tokens: int
    leases: int
    locked: bool


def revoke(vault: Vault, service: ServiceName, *, lock: bool = False) -> Revoked:
    """Revoke every token and lease of a service. Raises `VaultError`; what was revoked before stays revoked."""
    role = f"auth/{AUTH_PATH}/role/{service.key}"
    known = vault.read(role) is not None
    if lock and known:
        # Delete the role first: a pod whose token is revoked logs in again within seconds.
        vault.delete(role)
    roles = _credential_roles(vault, service)
    # Count the leases first, because revoking the tokens revokes them too.
    leases = sum(len(vault.list(f"sys/leases/lookup/{CREDENTIALS}/{name}")) for name in roles)
    tokens = _revoke_tokens(vault, service)
    if lock:
        tokens += _revoke_late_tokens(vault, service)
    for name in roles:
        # `sync`: Vault answers when the database has removed the users, not when it is queued.
        vault.write(f"sys/leases/revoke-prefix/{CREDENTIALS}/{name}", {"sync": True})
    return Revoked(service, known, tokens, leases, lock)


def _revoke_tokens(vault: Vault, service: ServiceName) -> int:
    accessors = [accessor for accessor in vault.list("auth/token/accessors") if _belongs(vault, accessor, service)]
    for accessor in accessors:
        vault.write("auth/token/revoke-accessor", {"accessor": accessor})
    return len(accessors)


def _revoke_late_tokens(vault: Vault, service: ServiceName) -> int:
    revoked = 0
    for _ in range(_ROUNDS):
        late = _revoke_tokens(vault, service)
        if not late:
            return revoked
        revoked += late
    raise VaultError(f"{service} still gets new tokens though its role is gone: another role is bound to its account")


def _belongs(vault: Vault, accessor: str, service: ServiceName) -> bool:
    try:
        token = vault.write("auth/token/lookup-accessor", {"accessor": accessor})
    except VaultError as error:
        if "invalid accessor" in str(error):
            # The token expired after it was listed.
            return False
        raise
    meta = part(token or {}, "data", "meta")
    account = (meta.get("service_account_namespace"), meta.get("service_account_name"))
    return account == (service.namespace, service.name) or meta.get("role") == service.key


def _credential_roles(vault: Vault, service: ServiceName) -> list[str]:
    """The service's roles of dynamic credentials that have leases: its key, or its key, a dot and a suffix."""
    names = (name.rstrip("/") for name in vault.list(f"sys/leases/lookup/{CREDENTIALS}"))
    # Names of namespaces and services have no dot, so no other service's role has this prefix.
    return [name for name in names if name == service.key or name.startswith(f"{service.key}.")]


@tells_errors
def run(request: Request, connect_to: Connect | None = None) -> int:
    """Revoke after a confirmation, print what was ended, and return the exit code.

    0: done. 1: not confirmed, or Vault knows no such service. 2: a wrong argument. 3: Vault failed.
    """
    service = service_name(request.project, request.service)
    check_can_ask("zt revoke", request.yes)
    with (connect_to or connect)(request.access) as vault:
        if not (request.yes or _confirmed(service, vault.where, request.lock)):
            tell("nothing is revoked")
            return ExitCode.NO
        done = revoke(vault, service, lock=request.lock)
    say(_sentence(done))
    return ExitCode.DONE if done.known or done.tokens or done.leases else ExitCode.NO


def _confirmed(service: ServiceName, where: str, lock: bool) -> bool:
    locks = " and remove its role" if lock else ""
    return typer.confirm(f"Revoke every token and lease of {service} in {where}{locks}?", err=True)


def _sentence(done: Revoked) -> str:
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
