"""Makes a stack usable again after its update was killed: the lock, half-done Helm releases, unfinished creations.

Three things stay behind a killed `pulumi up`. The lock file of the file backend, whose owner no longer lives. Helm's
record of a release it was installing, which blocks every later one ("another operation is in progress"). And pending
operations in the checkpoint: the resource may or may not exist. Those are imported by the name the program gave them,
so that the next update adopts what exists and creates what does not.
"""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from embedded.supervisor.https_api import ApiError, HttpsApi
from embedded.supervisor.kubernetes_api import KubernetesApi
from embedded.supervisor.pki import CLUSTER, Pki

_HELM_RELEASE = "kubernetes:helm.sh/v3:Release"
_UNFINISHED = "pending-install,pending-upgrade,pending-rollback,uninstalling"

Inputs = Mapping[str, Any]


def remove_stale_locks(backend: Path, project: str, stack: str) -> int:
    """Remove the stack's locks whose owner no longer lives on this host; returns how many."""
    locks = backend / ".pulumi" / "locks" / "organization" / project / stack
    stale = [lock for lock in locks.glob("*.json") if not _owner_lives(lock)]
    for lock in stale:
        lock.unlink(missing_ok=True)
    return len(stale)


def pending_operations(checkpoint: Path) -> list[dict[str, Any]]:
    """The operations that a killed update left in the checkpoint; none without one."""
    if not checkpoint.exists():
        return []
    latest = json.loads(checkpoint.read_text()).get("checkpoint", {}).get("latest") or {}
    return latest.get("pending_operations") or []


def refresh_arguments(operations: list[dict[str, Any]]) -> list[str]:
    """Arguments of `pulumi refresh` that adopt the pending creations known by name, and drop the others."""
    arguments = ["refresh", "--yes", "--skip-preview", "--non-interactive", "--clear-pending-creates"]
    for operation in operations:
        resource = operation["resource"]
        identifier = identifier_of(resource) if operation["type"] == "creating" else None
        if identifier:
            arguments += ["--import-pending-creates", resource["urn"], "--import-pending-creates", identifier]
    return arguments


def identifier_of(resource: Mapping[str, Any]) -> str | None:
    """The provider's id of a resource that its inputs name; None where only the provider knows it."""
    kind, inputs = resource["type"], resource.get("inputs") or {}
    if kind == _HELM_RELEASE:
        # What Helm half installed is released by `forget_unfinished_releases`, and then installed again.
        return None
    if kind.startswith("kubernetes:"):
        return _kubernetes_identifier(inputs)
    reader = _VAULT_IDENTIFIERS.get(kind)
    return reader(inputs) if reader else None


def forget_unfinished_releases(api_server: str, pki: Pki) -> int:
    """Delete Helm's records of operations that were cut off; their objects stay, and the next operation adopts them."""
    api = HttpsApi(api_server, pki.ca(CLUSTER), pki.pair("admin"))
    query = f"labelSelector=owner%3Dhelm,status+in+({_UNFINISHED})"
    secrets = KubernetesApi(api).list(f"/api/v1/secrets?{query}")
    for secret in secrets:
        metadata = secret["metadata"]
        try:
            api.call("DELETE", f"/api/v1/namespaces/{metadata['namespace']}/secrets/{metadata['name']}")
        except ApiError:
            continue
    return len(secrets)


def _kubernetes_identifier(inputs: Inputs) -> str | None:
    metadata = inputs.get("metadata") or {}
    name, namespace = metadata.get("name"), metadata.get("namespace")
    return f"{namespace}/{name}" if name and namespace else name


def _named(*fields: str, template: str) -> Callable[[Inputs], str | None]:
    def identifier(inputs: Inputs) -> str | None:
        values = {field: inputs.get(field) for field in fields}
        return template.format_map(values) if all(isinstance(value, str) for value in values.values()) else None

    return identifier


# The ids of the Vault provider's resources, as its import documentation gives them.
_VAULT_IDENTIFIERS: dict[str, Callable[[Inputs], str | None]] = {
    "vault:index/mount:Mount": _named("path", template="{path}"),
    "vault:index/audit:Audit": lambda inputs: inputs.get("path") or inputs.get("type"),
    "vault:index/authBackend:AuthBackend": lambda inputs: inputs.get("path") or inputs.get("type"),
    "vault:index/policy:Policy": _named("name", template="{name}"),
    "vault:kubernetes/authBackendConfig:AuthBackendConfig": _named("backend", template="auth/{backend}/config"),
    "vault:kubernetes/authBackendRole:AuthBackendRole": _named(
        "backend", "roleName", template="auth/{backend}/role/{roleName}"
    ),
    "vault:kv/secretV2:SecretV2": _named("mount", "name", template="{mount}/data/{name}"),
    "vault:kv/secretBackendV2:SecretBackendV2": _named("mount", template="{mount}/config"),
}


def _owner_lives(lock: Path) -> bool:
    try:
        owner = json.loads(lock.read_text())
    except (OSError, ValueError):
        return False
    if owner.get("hostname") != os.uname().nodename:
        return True
    command = Path(f"/proc/{owner.get('pid')}/cmdline")
    return command.exists() and b"pulumi" in command.read_bytes()
