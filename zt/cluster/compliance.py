"""Counts how many workloads of a cluster comply with a rule, from Kyverno's PolicyReports.

Source of the report format: https://github.com/kubernetes-sigs/wg-policy-prototypes/tree/master/policy-report
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from zt.project.errors import CommandError

UNKNOWN_TEAM = "unknown"
_TEAM = "team"
# The rules read the objects of these controllers directly. A pod of any other controller counts as that controller.
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
    """The result of one rule for an object: `pass`, `fail`, `warn`, `error` or `skip`."""

    policy: str
    result: str = ""
    message: str = ""


class Report(_Part):
    """A PolicyReport or ClusterPolicyReport; Kyverno writes one for each object."""

    scope: Scope | None = None
    results: tuple[Result, ...] = ()


@dataclass(frozen=True)
class Owner:
    """The controller that created an object."""

    kind: str
    name: str


@dataclass(frozen=True)
class Metadata:
    """The metadata of a live object."""

    name: str
    labels: Mapping[str, str]
    owner: Owner | None = None


class Cluster(Protocol):
    """A cluster whose reports and objects can be read."""

    @property
    def where(self) -> str:
        """The context and the server, for messages."""
        ...

    def reports(self) -> Iterable[Mapping[str, object]]:
        """Every PolicyReport and ClusterPolicyReport."""
        ...

    def metadata(self, api_version: str, kind: str) -> Mapping[str, Metadata]:
        """The live objects of a kind by uid; empty if the cluster does not serve it."""
        ...


@dataclass(frozen=True)
class Violation:
    """A workload that does not comply with the rule."""

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
    """The compliance of the top-level workloads with one rule. An excepted workload counts only as `excepted`."""

    compliant: int
    violations: tuple[Violation, ...]
    owned: int = 0
    """Reports of objects that a workload created, such as the pods of a Deployment. They do not count."""
    stale: int = 0
    """Reports of objects that no longer exist. They do not count."""
    excepted: int = 0

    @property
    def measured(self) -> int:
        """The number of workloads with a result."""
        return self.compliant + len(self.violations)

    @property
    def percent(self) -> float:
        """The percentage that complies, rounded down to one decimal: 89.96 is not 90. 0 if nothing was measured."""
        return self.compliant * 1000 // self.measured / 10 if self.measured else 0.0

    def reaches(self, threshold: int) -> bool:
        """Whether at least `threshold` percent comply. False if nothing was measured."""
        return self.measured > 0 and self.compliant * 100 >= threshold * self.measured


@dataclass
class _Tally:
    team: str
    verdicts: set[str] = field(default_factory=set[str])
    messages: set[str] = field(default_factory=set[str])


def measure(rule: str, cluster: Cluster) -> Compliance:
    """The compliance with a rule: pass / (pass + fail) over the workloads that have a result.

    A result `error` or `warn` is not compliant. The objects of a controller that is not part of Kubernetes count once,
    as that controller.
    """
    metadata = cache(cluster.metadata)
    teams = {namespace.name: namespace.labels.get(_TEAM) for namespace in metadata("v1", "Namespace").values()}
    tallies: dict[tuple[str, str, str], _Tally] = {}
    owned = stale = 0
    for scope, results in _results(rule, cluster.reports(), cluster.where):
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


_Model = TypeVar("_Model", bound=BaseModel)


def parsed(model: type[_Model], values: Mapping[str, object], where: str) -> _Model:
    """An object of a cluster as its definition has it. Raises `CommandError` for one that is not like that."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        name = model.__name__.removeprefix("_")
        message = f"{where} has a {name} that is not like its definition: is it an API server, of a known version?"
        raise CommandError(message) from error


def _results(rule: str, reports: Iterable[Mapping[str, object]], where: str) -> Iterable[tuple[Scope, list[Result]]]:
    for values in reports:
        report = parsed(Report, values, where)
        results = [result for result in report.results if result.policy == rule]
        if report.scope and results:
            yield report.scope, results


def _message(result: Result) -> str:
    text = " ".join(result.message.split()) or "no message"
    return text if result.result == "fail" else f"{result.result}: {text}"


def _violations(tallies: Mapping[tuple[str, str, str], _Tally]) -> tuple[Violation, ...]:
    violations = [
        Violation(tally.team, *workload, "; ".join(sorted(tally.messages)))
        for workload, tally in tallies.items()
        if tally.messages
    ]
    return tuple(sorted(violations, key=lambda v: (v.team, v.namespace, v.kind, v.name)))
