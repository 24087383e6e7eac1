"""Helm's records of a release, which the next installation or upgrade is refused by.

Helm keeps each revision in a Secret of the release's namespace, labelled with owner, name and status
(https://helm.sh/docs/topics/advanced/#storage-backends). Without a record a release is installed over its objects: they
carry its name (https://helm.sh/docs/faq/changes_since_helm2/).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pending_operations.state import CREATING, UPDATING, Operation

RELEASE = "kubernetes:helm.sh/v3:Release"
UNFINISHED = ("pending-install", "pending-upgrade", "pending-rollback")


@dataclass(frozen=True, slots=True)
class Release:
    """A release that a killed update was installing (`whole`), or upgrading."""

    namespace: str
    name: str
    whole: bool
    urn: str

    @property
    def selector(self) -> str:
        """The label selector of its records."""
        return f"owner=helm,name={self.name}"

    def is_blocked_by(self, labels: Mapping[str, str]) -> bool:
        """Whether a record with these labels is in the way.

        Of a release that the state does not have any record is: the installation may have ended well after the engine
        was gone. Of one that it has, a revision that is not finished.
        """
        return self.whole or labels.get("status") in UNFINISHED


def releases(pending: Iterable[Operation]) -> tuple[Release, ...]:
    """The releases that were being installed or upgraded. One that was being removed is removed by the next run."""
    return tuple(
        Release(each.inputs.get("namespace") or "default", each.inputs["name"], not each.known, each.urn)
        for each in pending
        if each.type == RELEASE and each.kind in (CREATING, UPDATING) and each.inputs.get("name")
    )
