"""What a killed update was creating, as resources of the stack: the next refresh sees which of them are there.

Vault refuses to make a mount, a method of authentication or an audit device whose path is in use, so those that are
there have to be the stack's before the next update. The rows of the provider say by which id it reads each. An object
of Kubernetes is applied over what is there, and what Helm half installed is released and installed again: both are
only forgotten. `pulumi refresh --import-pending-creates` turns a pending creation into a pending import, which nothing
of the CLI carries out.
"""

from typing import Any, cast


def adopt(deployment: dict[str, Any]) -> None:
    """Make each pending creation in Vault, whose id is known, a resource of an exported state, and forget the others.

    A resource that replaces another one, which is still there under its name, is forgotten, too.
    """
    resources: list[dict[str, Any]] = deployment.get("resources") or []
    operations: list[dict[str, Any]] = deployment.get("pending_operations") or []
    known = {resource["urn"] for resource in resources if not resource.get("delete")}
    for operation in operations:
        created = operation["resource"]
        object_id = identifier_of(created) if operation["type"] == "creating" else ""
        if object_id and created["urn"] not in known:
            resources.append({**created, "id": object_id, "outputs": {}})
    deployment["resources"] = resources
    deployment["pending_operations"] = [operation for operation in operations if operation["type"] != "creating"]


def identifier_of(resource: dict[str, Any]) -> str:
    """The id by which the provider reads a resource of Vault that its inputs name; empty for any other."""
    from embedded.providers.engine import identity
    from embedded.providers.vault_package import VAULT

    row = next((row for row in VAULT.rows if row.token == resource["type"]), None)
    if row is None or row.random_id:
        return ""
    return identity(row, cast("dict[str, object]", resource.get("inputs") or {}))
