"""`zt resume`: settles what a killed update left pending, in an order that may be cut off anywhere.

What is pending stays noted in the state until nothing else is left to do, and what becomes a resource stays marked as
unread until a refresh has read it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from pending_operations.releases import releases
from pending_operations.state import CREATING, Operation, operations, settle, unread
from zt.cluster import access as cluster_access
from zt.cluster import vault as vault_access
from zt.cluster.access import LiveCluster
from zt.cluster.vault import Vault, number_in
from zt.project.confirmation import check_can_ask
from zt.project.errors import ExitCode, ToolError, tells_errors
from zt.project.streams import tell
from zt.resume.output import tell_plan, write
from zt.resume.plan import Plan, Record, asked_secrets, plan, records_of
from zt.resume.pulumi import Pulumi, deployment_of, on_path, on_the_embedded_plane


@dataclass(frozen=True)
class Request:
    """The options. `cluster` and `vault` name those of the stack."""

    stack: str
    project: Path
    cluster: cluster_access.Access
    vault: vault_access.Access
    yes: bool = False
    output_format: str = "text"


def _pulumi(request: Request) -> Pulumi:
    if request.cluster.embedded:
        return on_the_embedded_plane(request.stack)
    return on_path(request.project, request.stack)


@dataclass(frozen=True)
class Connections:
    """How the command reaches the state, the cluster and Vault. A program that calls it may pass others."""

    pulumi: Callable[[Request], Pulumi] = _pulumi
    cluster: Callable[[cluster_access.Access], LiveCluster] = cluster_access.connect
    vault: Callable[[vault_access.Access], Any] = vault_access.connect


@tells_errors
def run(request: Request, connections: Connections | None = None) -> int:
    """Show what is to be done, ask, do it, and return the exit code.

    0: done, or nothing is pending. 1: not confirmed. 2: a wrong argument. 3: a lock, pulumi, the cluster or Vault.
    """
    connected = connections or Connections()
    pulumi = connected.pulumi(request)
    deployment = deployment_of(pulumi.export())
    planned = _planned(request, connected, deployment)
    if not planned.steps:
        write(request.stack, planned, True, request.output_format)
        return ExitCode.DONE
    check_can_ask("zt resume", request.yes)
    if request.output_format == "text" or not request.yes:
        tell_plan(request.stack, planned)
    if not (request.yes or typer.confirm("Go on?", err=True)):
        tell("nothing is changed")
        write(request.stack, planned, False, request.output_format)
        return ExitCode.NO
    if pending := operations(deployment):
        # First of all, since it takes the stack's lock.
        pulumi.refresh(planned.settled_by)
        _remove(planned, connected, request)
        _settle(pulumi, planned, pending)
    if urns := unread(deployment_of(pulumi.export())):
        pulumi.refresh(urns)
    write(request.stack, planned, True, request.output_format)
    return ExitCode.DONE


def _planned(request: Request, connected: Connections, deployment: dict[str, Any]) -> Plan:
    pending = operations(deployment)
    records: Mapping[str, list[Record]] = {}
    if releases(pending):
        records = records_of(pending, deployment, connected.cluster(request.cluster))
    if not asked_secrets(pending):
        return plan(deployment, lambda _secret: False, records)
    with connected.vault(request.vault) as vault:
        return plan(deployment, lambda secret: _has(vault, secret), records)


def _has(vault: Vault, secret: str) -> bool:
    """Whether a secret has a version; its values are not read."""
    metadata = vault.read(secret.replace("/data/", "/metadata/", 1))
    return number_in(metadata, "current_version", secret, vault.where) > 0


def _remove(planned: Plan, connected: Connections, request: Request) -> None:
    if not planned.records:
        return
    cluster = connected.cluster(request.cluster)
    for record in planned.records:
        cluster.delete(record.path, record.metadata)


def _settle(pulumi: Pulumi, planned: Plan, pending: tuple[Operation, ...]) -> None:
    """Leave nothing pending in the state. Raises `ToolError` where another run changed what is pending."""
    state = pulumi.export()
    if _creations(operations(deployment_of(state))) != _creations(pending):
        raise ToolError(f"another run of {pulumi.stack} changed what is pending: run the command again")
    settle(deployment_of(state), planned.secrets.__contains__)
    pulumi.put(state)


def _creations(pending: tuple[Operation, ...]) -> set[str]:
    return {each.urn for each in pending if each.kind == CREATING}
