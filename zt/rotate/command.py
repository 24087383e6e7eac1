"""Gives generated fields of a service's secrets new values, which nobody sees.

It uses a KV v2 patch with check-and-set: the other fields stay, a concurrent write is noticed, and no value is read.
https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2#patch-secret
"""

import secrets
import string
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components.kube.names import KV_MOUNT
from components.kube.parts import part, word
from components.schema.problem import ConfigError, Problem
from components.service.file.service import ServiceSpec
from zt.cluster.vault import Access, ConflictError, Vault, VaultError, connect, number_in
from zt.project.errors import ExitCode, tells_errors
from zt.project.service import ServiceName, service_spec
from zt.project.streams import say

LENGTH = 32
"""The length of a value, as that of the program's first values: `GENERATED_LENGTH` of `components.service`."""
ALPHABET = string.ascii_letters + string.digits

# The agent's default interval: https://developer.hashicorp.com/vault/docs/agent-and-proxy/agent/template
AGENT_MINUTES = 5

Connect = Callable[[Access], Any]


@dataclass(frozen=True)
class Request:
    """The options: one field, or every generated field of the service if `key` is `None`."""

    service: str
    key: str | None
    project: Path
    access: Access
    secret: str | None = None
    dry_run: bool = False


@dataclass(frozen=True)
class Target:
    """The fields of one secret that get new values in one version. `path` includes the mount, but no `data/`."""

    path: str
    fields: tuple[str, ...]


@dataclass(frozen=True)
class Rotated:
    """A secret and its versions before and after; on a dry run `after` is the number of the next version."""

    target: Target
    before: int
    after: int


def generate_value() -> str:
    """A new value of letters and digits, which need no quotes in a connection string or a shell file."""
    return "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))


def targets(spec: ServiceSpec, key: str | None, secret: str | None = None) -> tuple[Target, ...]:
    """The fields to rotate. Raises `ConfigError` with the legal values for a field that is not generated."""
    if secret is not None and secret not in spec.secrets:
        raise _wrong("--secret", "the service has no such secret", secret, sorted(spec.secrets))
    if secret is not None and (owner := spec.secrets[secret].from_):
        raise _wrong("--secret", "another service's, which is rotated there", secret, [owner])
    generated = {
        name: kept.generate for name, kept in sorted(spec.secrets.items()) if kept.generate and secret in (None, name)
    }
    fields = sorted({field for of_secret in generated.values() for field in of_secret})
    if key is None and not fields:
        raise _wrong("SERVICE", "none of its fields is generated", spec.name, ())
    if key is not None and key not in fields:
        kept = spec.secrets.values()
        why = "no generated field"
        if any(key in secret.values for secret in kept):
            why = "stands under values in the service file, and is changed there"
        elif any(key in secret.external for secret in kept):
            why = "comes from outside: `zt secret set` takes its next value"
        raise _wrong("KEY", why, key, fields)
    holders = [name for name in generated if key is None or key in generated[name]]
    if key is not None and len(holders) > 1:
        raise _wrong("KEY", "several secrets have it: name one with --secret", key, holders)
    name = ServiceName(spec.namespace, spec.name)
    return tuple(
        Target(f"{KV_MOUNT}/{name.secret_path(holder)}", (key,) if key else tuple(generated[holder]))
        for holder in holders
    )


def rotate(vault: Vault, target: Target, *, dry_run: bool = False) -> Rotated:
    """Write new values for a secret's fields. Raises `VaultError` and leaves the secret unchanged."""
    try:
        return _rotate(vault, target, dry_run)
    except ConflictError:
        pass
    try:
        return _rotate(vault, target, dry_run)
    except ConflictError as error:
        raise VaultError(f"{target.path}: somebody else writes it at this moment; run the command again") from error


def _rotate(vault: Vault, target: Target, dry_run: bool) -> Rotated:
    before = _latest_version(vault, target.path)
    if dry_run:
        return Rotated(target, before, before + 1)
    values = {field: generate_value() for field in target.fields}
    mount, _, path = target.path.partition("/")
    answer = vault.patch(f"{mount}/data/{path}", {"options": {"cas": before}, "data": values})
    if answer is None:
        raise VaultError(f"{target.path}: its latest version went away while it was being rotated")
    return Rotated(target, before, number_in(answer, "version", target.path, vault.where))


def _latest_version(vault: Vault, secret: str) -> int:
    mount, _, path = secret.partition("/")
    metadata = vault.read(f"{mount}/metadata/{path}")
    number = number_in(metadata, "current_version", secret, vault.where)
    if not number:
        raise VaultError(f"{secret}: Vault at {vault.where} has no such secret; `pulumi up` writes its first version")
    version = part(metadata or {}, "data", "versions", str(number))
    if version.get("destroyed"):
        raise VaultError(f"{secret}: version {number}, the latest, is destroyed: write a new one first")
    # A mount that deletes versions after a time sets the deletion time in advance.
    if (gone := word(version, "deletion_time")) and _moment(gone, secret, vault.where) <= datetime.now(UTC):
        raise VaultError(f"{secret}: version {number}, the latest, is deleted: undelete it or write a new one first")
    return number


def _moment(text: str, secret: str, where: str) -> datetime:
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise VaultError(f"{where} is no Vault: what it says of {secret} has a time that is none") from error


@tells_errors
def run(request: Request, connect_to: Connect | None = None) -> int:
    """Rotate, print the versions, and return the exit code: 0 done, 2 a wrong argument or file, 3 Vault failed."""
    to_rotate = targets(service_spec(request.project, request.service), request.key, request.secret)
    for done in _each(request, to_rotate, connect_to or connect):
        say(_line(done, request.dry_run))
    if not request.dry_run:
        say(f"The agent in each pod writes it to the secret's file within {AGENT_MINUTES} minutes, without a restart.")
    return ExitCode.DONE


def _each(request: Request, to_rotate: tuple[Target, ...], connect_to: Connect) -> Iterator[Rotated]:
    with connect_to(request.access) as vault:
        for target in to_rotate:
            yield rotate(vault, target, dry_run=request.dry_run)


def _line(done: Rotated, dry_run: bool) -> str:
    fields = ", ".join(done.target.fields)
    verb = "would go" if dry_run else "went"
    return f"{done.target.path}: {fields} {verb} from version {done.before} to {done.after}"


def _wrong(key: str, message: str, value: str, legal: Iterable[str]) -> ConfigError:
    return ConfigError([Problem("zt rotate", key, message, repr(value), tuple(legal))])
