"""What is to be done about each pending operation of a state."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from components.kube.parts import part, parts, word
from components.schema.problem import ConfigError, Problem
from pending_operations.releases import RELEASE, Release, releases
from pending_operations.state import CREATING, SECRET, Operation, objects, operations, unread
from zt.cluster.access import LiveCluster

_NAMESPACE = "kubernetes:core/v1:Namespace"
_STACK = "pulumi:pulumi:Stack"


class Action(StrEnum):
    """What is done about an operation."""

    TAKE = "take"
    """It becomes a resource of the stack, if Vault has it."""
    READ = "read"
    """The state gets what the object is now."""
    REMOVE = "remove"
    """Helm's records of the release are removed."""
    MAKE = "make"
    """Nothing but to forget it: the next `pulumi up` makes it, over what may be there."""


@dataclass(frozen=True)
class Record:
    """One revision of a release, as Helm keeps it in the cluster: the metadata of its Secret."""

    metadata: Mapping[str, Any]

    @property
    def path(self) -> str:
        """Its path at the API server."""
        return f"/api/v1/namespaces/{word(self.metadata, 'namespace')}/secrets/{word(self.metadata, 'name')}"

    def __str__(self) -> str:
        return f"{word(self.metadata, 'name')} ({word(self.metadata, 'labels', 'status')})"


@dataclass(frozen=True)
class Step:
    """What is done about one operation. `operation` is `adopted` for what an earlier run did not read any more."""

    urn: str
    operation: str
    action: Action
    detail: str = ""

    @property
    def type(self) -> str:
        """The resource's type token."""
        return self.urn.split("::")[2].rpartition("$")[2]

    @property
    def name(self) -> str:
        """The resource's name in the program."""
        return self.urn.split("::", 3)[3]


@dataclass(frozen=True)
class Plan:
    """All that is to be done. `secrets` are the ids of the secrets that Vault has."""

    steps: tuple[Step, ...] = ()
    records: tuple[Record, ...] = ()
    secrets: frozenset[str] = frozenset()
    settled_by: Sequence[str] = field(default=())
    """The URNs that are refreshed first, under the stack's lock."""


def asked_secrets(pending: Iterable[Operation]) -> tuple[str, ...]:
    """The ids of the secrets of which Vault has to say whether they are there."""
    return tuple(each.vault_id for each in pending if each.type == SECRET and each.vault_id)


def records_of(
    pending: Sequence[Operation], deployment: dict[str, Any], cluster: LiveCluster
) -> Mapping[str, list[Record]]:
    """The records that are in the way, by the URN of their release. Raises `ClusterError` and `ConfigError`."""
    check_cluster(deployment, cluster)
    return {release.urn: _records(release, cluster) for release in releases(pending)}


def check_cluster(deployment: dict[str, Any], cluster: LiveCluster) -> None:
    """Raise `ConfigError` unless a namespace of the state is in the cluster, by its uid: releases have common names."""
    known = {word(each, "metadata", "uid") for each in objects(deployment, _NAMESPACE)} - {""}
    if known.isdisjoint(cluster.metadata("v1", "Namespace")):
        legal = ("--kubeconfig and --context of the cluster that the stack is on",)
        message = "none of the stack's namespaces is in it"
        raise ConfigError([Problem("zt resume", "the cluster", message, cluster.where, legal)])


def _records(release: Release, cluster: LiveCluster) -> list[Record]:
    found = cluster.labelled(f"/api/v1/namespaces/{release.namespace}/secrets", release.selector)
    return [Record(each) for each in found if release.is_blocked_by(part(each, "labels"))]


def plan(
    deployment: dict[str, Any],
    has_secret: Callable[[str], bool],
    records: Mapping[str, list[Record]],
) -> Plan:
    """What is to be done about each pending operation."""
    pending = operations(deployment)
    secrets = frozenset(filter(has_secret, asked_secrets(pending)))
    steps = [_step(each, secrets, records) for each in pending]
    settled = [step.urn for step in steps if step.action is Action.READ]
    steps += [Step(urn, "adopted", Action.READ) for urn in unread(deployment)]
    roots = [word(each, "urn") for each in parts(deployment, "resources") if each["type"] == _STACK]
    return Plan(tuple(steps), tuple(record for each in records.values() for record in each), secrets, settled or roots)


def _step(operation: Operation, secrets: frozenset[str], records: Mapping[str, list[Record]]) -> Step:
    blocked = ", ".join(map(str, records.get(operation.urn, ())))
    if blocked:
        return Step(operation.urn, operation.kind, Action.REMOVE, blocked)
    if operation.vault_id and (operation.type != SECRET or operation.vault_id in secrets):
        return Step(operation.urn, operation.kind, Action.TAKE, operation.vault_id)
    if operation.known and operation.kind != CREATING and operation.type != RELEASE:
        return Step(operation.urn, operation.kind, Action.READ)
    return Step(operation.urn, operation.kind, Action.MAKE)
