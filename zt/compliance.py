"""How far the workloads of a cluster keep to a rule, counted from Kyverno's PolicyReports.

Source of the report format: https://github.com/kubernetes-sigs/wg-policy-prototypes/tree/master/policy-report
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Protocol

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

UNKNOWN_TEAM = "unknown"
_TEAM = "team"
# The controllers whose objects the rules read themselves; a pod of any other controller stands for that controller.
_READ_BY_RULES = frozenset(
    {"Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "CronJob", "ReplicationController"}
)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, alias_generator=to_camel)


class Scope(_Part):
    """The object that a report is about."""

    api_version: str = ""
    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""


class Result(_Part):
    """What one rule said about an object: `pass`, `fail`, `warn`, `error` or `skip`."""

    policy: str
    result: str = ""
    message: str = ""


class Report(_Part):
    """A PolicyReport or ClusterPolicyReport; Kyverno writes one for each object."""

    scope: Scope | None = None
    results: tuple[Result, ...] = ()


@dataclass(frozen=True)
class Owner:
    """The controller that an object was made by."""

    kind: str
    name: str


@dataclass(frozen=True)
class Metadata:
    """What is asked of a live object."""

    name: str
    labels: Mapping[str, str]
    owner: Owner | None = None


class Cluster(Protocol):
    """Where reports and objects are read."""

    @property
    def where(self) -> str:
        """The context and server, as messages name it."""
        ...

    def reports(self) -> Iterable[Mapping[str, object]]:
        """Every PolicyReport and ClusterPolicyReport."""
        ...

    def metadata(self, api_version: str, kind: str) -> Mapping[str, Metadata]:
        """The live objects of a kind by uid; empty when the cluster does not serve it."""
        ...


@dataclass(frozen=True)
class Violation:
    """A workload that does not keep to the rule."""

    team: str
    kind: str
    namespace: str
    name: str
    message: str

    @property
    def object(self) -> str:
        """Kind and full name, such as `Deployment shop/api`."""
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


@dataclass(frozen=True)
class Compliance:
    """The count of one rule over distinct top-level workloads. A workload that is excepted is in none of the counts."""

    compliant: int
    violations: tuple[Violation, ...]
    owned: int = 0
    """Reports of objects that a workload made, such as the pods of a Deployment: left out."""
    stale: int = 0
    """Reports of objects that are gone: left out."""
    excepted: int = 0

    @property
    def measured(self) -> int:
        """The workloads that were judged."""
        return self.compliant + len(self.violations)

    @property
    def percent(self) -> float:
        """The share that complies, rounded down to one decimal: 89.96 is not 90. Nothing measured is 0."""
        return self.compliant * 1000 // self.measured / 10 if self.measured else 0.0

    def reaches(self, threshold: int) -> bool:
        """Whether the share is at least `threshold` percent. Nothing measured reaches nothing."""
        return self.measured > 0 and self.compliant * 100 >= threshold * self.measured


@dataclass
class _Tally:
    team: str
    verdicts: set[str] = field(default_factory=set[str])
    messages: set[str] = field(default_factory=set[str])


def measure(rule: str, cluster: Cluster) -> Compliance:
    """The compliance with a rule: pass / (pass + fail) over the workloads that have a result.

    A rule that could not be evaluated (`error`) or whose failure is only a warning (`warn`) is not complied with.
    An object of a controller that is no part of Kubernetes counts as that controller, once.
    """
    metadata = cache(cluster.metadata)
    teams = {found.name: found.labels.get(_TEAM) for found in metadata("v1", "Namespace").values()}
    tallies: dict[tuple[str, str, str], _Tally] = {}
    owned = stale = 0
    for scope, results in _results(rule, cluster.reports()):
        live = metadata(scope.api_version, scope.kind).get(scope.uid)
        if live is None:
            stale += 1
        elif live.owner and live.owner.kind in _READ_BY_RULES:
            owned += 1
        else:
            kind, name = (live.owner.kind, live.owner.name) if live.owner else (scope.kind, scope.name)
            team = live.labels.get(_TEAM) or teams.get(scope.namespace) or UNKNOWN_TEAM
            tally = tallies.setdefault((kind, scope.namespace, name), _Tally(team))
            tally.verdicts |= {result.result for result in results}
            tally.messages |= {_message(result) for result in results if result.result not in ("pass", "skip")}
    return Compliance(
        compliant=sum(not tally.messages and "pass" in tally.verdicts for tally in tallies.values()),
        violations=_violations(tallies),
        owned=owned,
        stale=stale,
        excepted=sum(tally.verdicts == {"skip"} for tally in tallies.values()),
    )


def _results(rule: str, reports: Iterable[Mapping[str, object]]) -> Iterable[tuple[Scope, list[Result]]]:
    for values in reports:
        report = Report.model_validate(values)
        results = [result for result in report.results if result.policy == rule]
        if report.scope and results:
            yield report.scope, results


def _message(result: Result) -> str:
    text = " ".join(result.message.split()) or "no message"
    return text if result.result == "fail" else f"{result.result}: {text}"


def _violations(tallies: Mapping[tuple[str, str, str], _Tally]) -> tuple[Violation, ...]:
    found = [
        Violation(tally.team, *workload, "; ".join(sorted(tally.messages)))
        for workload, tally in tallies.items()
        if tally.messages
    ]
    return tuple(sorted(found, key=lambda v: (v.team, v.namespace, v.kind, v.name)))
