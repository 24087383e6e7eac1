"""The pending operations of an exported state, and the state in which none is pending.

The engine notes in the state what it begins. Where it was killed, nobody knows whether a creation was carried out. An
object of Kubernetes is applied over what is there, and most of Vault is written over: the next update creates those
again. What Vault makes once only has to be a resource of the stack before. `pulumi refresh --import-pending-creates`
turns a pending creation into a pending import, which nothing of the CLI carries out.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

CREATING, UPDATING, DELETING = "creating", "updating", "deleting"

SECRET = "vault:kv/secretV2:SecretV2"  # noqa: S105 - a type
"""A secret's version: with check-and-set on version 0 Vault writes the first one once only."""

# What Vault refuses a second time, with "path is already in use" and "check-and-set parameter did not match", by the id
# with which the provider reads it: `SetId` in resource_mount.go, resource_auth_backend.go, resource_audit.go and
# resource_kv_secret_v2.go of https://github.com/hashicorp/terraform-provider-vault/tree/main/vault
MADE_ONCE = {
    "vault:index/mount:Mount": "{path}",
    "vault:index/authBackend:AuthBackend": "{path}",
    "vault:index/audit:Audit": "{path}",
    SECRET: "{mount}/data/{name}",
}
UNREAD = "an interrupted update was creating it: `pulumi refresh` says whether it is there"

# Where no path is given, these are at that of their type.
_AT_THEIR_TYPE = frozenset({"vault:index/authBackend:AuthBackend", "vault:index/audit:Audit"})


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation that a state calls pending. `known`: its resource is in the state, too."""

    kind: str
    resource: dict[str, Any]
    known: bool

    @property
    def urn(self) -> str:
        """The resource's URN."""
        return self.resource["urn"]

    @property
    def type(self) -> str:
        """The resource's type token."""
        return self.resource["type"]

    @property
    def inputs(self) -> dict[str, Any]:
        """What the program said of the resource; secret values are encrypted."""
        return self.resource.get("inputs") or {}

    @property
    def vault_id(self) -> str:
        """The id of what Vault makes once only, if it was being created and the state does not have it."""
        return "" if self.known or self.kind != CREATING else identifier_of(self.resource)


def operations(deployment: dict[str, Any]) -> tuple[Operation, ...]:
    """The pending operations, the last one of each resource: an update that was killed twice leaves two."""
    known = {resource["urn"] for resource in _resources(deployment) if not resource.get("delete")}
    pending: list[dict[str, Any]] = deployment.get("pending_operations") or []
    last = {each["resource"]["urn"]: each for each in pending}
    return tuple(Operation(each["type"], each["resource"], urn in known) for urn, each in last.items())


def identifier_of(resource: dict[str, Any]) -> str:
    """The id by which the provider reads what Vault makes once only; empty for anything else, and for an unknown."""
    pattern, inputs = MADE_ONCE.get(resource["type"]), resource.get("inputs") or {}
    if pattern is None:
        return ""
    if resource["type"] in _AT_THEIR_TYPE:
        inputs = {"path": inputs.get("type"), **inputs}
    parts = {name: inputs.get(name) for name in ("path", "mount", "name") if f"{{{name}}}" in pattern}
    texts = {name: part.strip("/") for name, part in parts.items() if isinstance(part, str)}
    return pattern.format(**texts) if len(texts) == len(parts) and all(texts.values()) else ""


def settle(deployment: dict[str, Any], is_there: Callable[[str], bool]) -> None:
    """Leave nothing pending in an exported state: what Vault makes once only becomes a resource, the rest is forgotten.

    `is_there` says of the id of a secret whether Vault has it, since the stack never reads one. Of everything else a
    refresh has to say it: `unread` lists those. Before one has, the engine takes them for unfinished.
    """
    resources = _resources(deployment)
    for operation in operations(deployment):
        object_id = operation.vault_id
        if not object_id or (operation.type == SECRET and not is_there(object_id)):
            continue
        # As they were said, since the provider asks the state what it cannot read: Vault says `kv` of a `kv-v2`.
        made = {**operation.resource, "id": object_id, "outputs": _said(operation.inputs)}
        resources.append(made if operation.type == SECRET else {**made, "initErrors": [UNREAD]})
    deployment["resources"], deployment["pending_operations"] = resources, []


def unread(deployment: dict[str, Any]) -> tuple[str, ...]:
    """The URNs of what `settle` made a resource and no refresh has read: it may not be there."""
    return tuple(resource["urn"] for resource in _resources(deployment) if UNREAD in (resource.get("initErrors") or ()))


def objects(deployment: dict[str, Any], kind: str) -> Iterator[dict[str, Any]]:
    """The outputs of the state's resources of a type."""
    return (each.get("outputs") or {} for each in _resources(deployment) if each["type"] == kind)


def _resources(deployment: dict[str, Any]) -> list[dict[str, Any]]:
    return deployment.get("resources") or []


def _said(inputs: dict[str, Any]) -> dict[str, Any]:
    """Inputs as outputs, without what the engine keeps beside them (`__defaults`)."""
    return {name: value for name, value in inputs.items() if not name.startswith("__")}
