"""Secrets that come from outside, in Vault: which fields are there, and new versions of them. No value is read.

https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from components.kube.names import KV_MOUNT
from components.kube.parts import part
from components.service.file.service import ServiceSpec
from components.service.file.sharing import SharedSecret
from zt.cluster.vault import ConflictError, Vault, VaultError, number_in


@dataclass(frozen=True)
class External:
    """A secret from outside: its place in Vault, and the fields that somebody has to give."""

    place: SharedSecret
    fields: tuple[str, ...]


def externals(specs: Sequence[ServiceSpec]) -> tuple[External, ...]:
    """The secrets from outside of these services, by service and name."""
    found = [
        External(SharedSecret(spec.ref, name), secret.external)
        for spec in specs
        for name, secret in spec.secrets.items()
        if secret.external
    ]
    return tuple(sorted(found, key=lambda external: external.place))


def missing(vault: Vault, external: External) -> tuple[str, ...]:
    """The fields that the latest version does not have. Raises `VaultError`."""
    answer = vault.read(f"{KV_MOUNT}/subkeys/{external.place}")
    known = part(answer or {}, "data", "subkeys")
    return tuple(field for field in external.fields if field not in known)


def give(vault: Vault, external: External, values: Mapping[str, str]) -> int:
    """Write values and return the number of the new version. Raises `VaultError` and changes nothing."""
    metadata = vault.read(f"{KV_MOUNT}/metadata/{external.place}")
    latest = number_in(metadata, "current_version", str(external.place), vault.where)
    body = {"options": {"cas": latest}, "data": dict(values)}
    path = f"{KV_MOUNT}/data/{external.place}"
    try:
        # A patch keeps the other fields, and needs a version to keep them of.
        answer = (vault.patch(path, body) if latest else None) or vault.write(path, body)
    except ConflictError as error:
        raise VaultError(f"{external.place}: somebody else writes it at this moment; run the command again") from error
    if not answer:
        raise VaultError(f"{external.place}: Vault at {vault.where} has no engine at {KV_MOUNT}/: `pulumi up` makes it")
    return number_in(answer, "version", str(external.place), vault.where)
