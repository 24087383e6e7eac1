"""The table of approvals: what a team may grant its own services, and what the platform has to approve.

A row is something that a service file says and that reaches beyond its service. In each environment the team decides
it, or the platform does: then the platform's stack file has to name it before admission lets it in, and its owners
review the change (`zt diff`, `zt codeowners`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from types import MappingProxyType


class Approver(StrEnum):
    """Who decides."""

    TEAM = "team"
    PLATFORM = "platform"


@dataclass(frozen=True)
class Approvals:
    """Who decides each of these in one environment."""

    critical_exceptions: Approver
    """Exceptions from critical rules."""
    other_exceptions: Approver
    """Exceptions from other rules."""
    egress: Approver
    """Hosts and networks outside the cluster."""
    public_hosts: Approver
    """Names at the gateway: a listener and a certificate there are the platform's own."""
    placement: Approver
    """Classes of nodes, with their taints, priorities and runtimes."""
    patch: Approver
    """Fields of a pod that no key of the file has."""


CRITICAL_EXCEPTIONS, OTHER_EXCEPTIONS = "critical_exceptions", "other_exceptions"
EGRESS, PUBLIC_HOSTS, PLACEMENT, PATCH = "egress", "public_hosts", "placement", "patch"
"""The names of the rows."""

_TEAM, _PLATFORM = Approver.TEAM, Approver.PLATFORM

APPROVALS: Mapping[str, Approvals] = MappingProxyType(
    {
        "production": Approvals(
            critical_exceptions=_PLATFORM,
            other_exceptions=_PLATFORM,
            egress=_PLATFORM,
            public_hosts=_PLATFORM,
            placement=_PLATFORM,
            patch=_PLATFORM,
        ),
        "staging": Approvals(
            critical_exceptions=_PLATFORM,
            other_exceptions=_TEAM,
            egress=_TEAM,
            public_hosts=_PLATFORM,
            placement=_PLATFORM,
            patch=_TEAM,
        ),
        "dev": Approvals(
            critical_exceptions=_TEAM,
            other_exceptions=_TEAM,
            egress=_TEAM,
            public_hosts=_PLATFORM,
            placement=_TEAM,
            patch=_TEAM,
        ),
        "local": Approvals(
            critical_exceptions=_TEAM,
            other_exceptions=_TEAM,
            egress=_TEAM,
            public_hosts=_TEAM,
            placement=_TEAM,
            patch=_TEAM,
        ),
    }
)


def decided_by(environment: str, approver: Approver) -> tuple[str, ...]:
    """The rows that the team, or the platform, decides in an environment."""
    row = APPROVALS[environment]
    return tuple(each.name for each in fields(Approvals) if getattr(row, each.name) is approver)
