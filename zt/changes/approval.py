"""Who has to approve a change: the table of approvals, for the facts of a plan."""

from collections.abc import Callable

from components.config.approvals import (
    APPROVALS,
    CRITICAL_EXCEPTIONS,
    EGRESS,
    OTHER_EXCEPTIONS,
    PATCH,
    PLACEMENT,
    PUBLIC_HOSTS,
    Approver,
)
from zt.changes.sentences import PLATFORM
from zt.facts.file_keys import FileKey
from zt.facts.gateway import CrossOrigin, Public, WithoutToken
from zt.facts.model import (
    ApiException,
    ApiRight,
    ApiToken,
    ClearText,
    Consent,
    DatabaseOwner,
    DatabaseRight,
    Egress,
    Exemption,
    Fact,
    Kept,
    OutsideHost,
    PodPatch,
    Reach,
    Service,
    ServiceContainer,
    ServiceJob,
    ServiceSetting,
    Side,
    VaultAccess,
    Writable,
)

_OWN = (
    ApiException,
    ApiRight,
    ApiToken,
    ClearText,
    Consent,
    CrossOrigin,
    DatabaseOwner,
    DatabaseRight,
    Exemption,
    Kept,
    OutsideHost,
    PodPatch,
    Public,
    Service,
    ServiceContainer,
    ServiceJob,
    ServiceSetting,
    VaultAccess,
    Writable,
    WithoutToken,
)
# No team's stack may say these, wherever it runs (ADR 17).
_NEVER = (ApiException, ApiRight, ApiToken, ClearText)


def approver_of(before: Side, after: Side) -> Callable[[Fact], str]:
    """Who has to approve a difference between two plans: `platform`, or `team` and the name of its team.

    The environment is that of the plan after it. A fact of no service is the platform's.
    """
    table = APPROVALS[after.environment]
    # A change that also says another team is approved by the one that has the service.
    teams = {fact.service: fact.team for side in (after, before) for fact in side.facts if isinstance(fact, Service)}
    jobs = {
        fact.workload: fact.service
        for side in (before, after)
        for fact in side.facts
        if isinstance(fact, ServiceContainer | ServiceJob)
    }

    def approver(fact: Fact) -> str:
        workload = _workload(fact)
        team = teams.get(jobs.get(workload, workload), "")
        row = row_of(fact)
        asked = getattr(table, row) is Approver.PLATFORM if row else isinstance(fact, _NEVER)
        return PLATFORM if asked or not team else f"team {team}"

    return approver


def row_of(fact: Fact) -> str:
    """The row of the table that a fact falls under; empty for none."""
    match fact:
        case Exemption():
            return CRITICAL_EXCEPTIONS if fact.tier == "critical" else OTHER_EXCEPTIONS
        case Egress() | OutsideHost():
            return EGRESS
        case Public():
            return PUBLIC_HOSTS
        case PodPatch():
            return PATCH
        case ServiceSetting() if fact.name.partition(":")[0] == "placement":
            return PLACEMENT
        case _:
            return ""


def _workload(fact: Fact) -> str:
    """The service that a fact is about; for a connection the one that is called. Empty for the platform."""
    match fact:
        case Reach():
            return fact.target
        case Egress():
            return fact.source
        case FileKey():
            return fact.owner
        case _:
            return fact.service if isinstance(fact, _OWN) else ""
