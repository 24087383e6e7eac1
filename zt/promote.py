"""Moves a rule of the important tier to its next phase, when enough of the live workloads keep to it.

The seed's rollout: observe the violations, tell the teams, then enforce. Nothing is applied here: the stack file is
edited, and the change takes the way of every other change.
"""

import difflib
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from components.policy_library import Library, Rule
from components.posture import legal_values, strength
from components.service_files import parse_service
from components.settings import PROJECT
from components.typed_file import ConfigError, Problem
from zt.compliance import Cluster, Compliance, measure
from zt.compliance_cluster import Access, connect
from zt.notify import Notice, messages, write_messages
from zt.stack_file import PHASES, StackFile, project_library

TIER = "important"

Connect = Callable[[Access], Cluster]


@dataclass(frozen=True)
class Request:
    """What the caller asks. `to` is the phase that is wanted; the next one without it."""

    rule: str
    stack: str
    project: Path
    access: Access
    to: str | None = None
    notify: Path | None = None
    dry_run: bool = False


class Decision(StrEnum):
    """What became of a request."""

    NOTHING = "nothing-to-do"
    MOVED = "moved"
    WOULD_MOVE = "would-move"
    NOT_MEASURED = "not-measured"
    REFUSED = "refused"


@dataclass(frozen=True)
class Outcome:
    """A decision and what it rests on. `compliance` is absent when the decision needed none."""

    decision: Decision
    rule: str
    stack: str
    file: str
    phase: str
    next: str
    threshold: int
    cluster: str = ""
    compliance: Compliance | None = None
    diff: str = ""
    messages: tuple[Path, ...] = ()

    @property
    def exit_code(self) -> int:
        """0, or 1 when compliance is too low or unknown."""
        return int(self.decision in (Decision.REFUSED, Decision.NOT_MEASURED))


def promote(request: Request, connect_to: Connect = connect) -> Outcome:
    """Decide on a request, and edit the stack file when it is granted.

    A step back needs no measurement: it must be possible while a cluster is in trouble. Raises `ConfigError` for a
    wrong rule, stack, phase or file, and for a posture whose ceiling is below the phase; `ClusterError` for a cluster
    that cannot be read.
    """
    rule = _important_rule(request.rule, project_library(request.project))
    before = StackFile.read(request.project, request.stack)
    phase = before.phase(rule.name)
    target = request.to or PHASES[min(PHASES.index(phase) + 1, len(PHASES) - 1)]
    threshold = before.settings.kyverno.promotion_threshold
    outcome = Outcome(Decision.NOTHING, rule.name, request.stack, before.name, phase, target, threshold)
    if target == phase:
        return outcome
    after = before.with_phase(rule.name, target)
    if PHASES.index(target) > PHASES.index(phase):
        _check_ceiling(after, rule.name)
        cluster = connect_to(request.access)
        compliance = measure(rule.name, cluster)
        written = _notify(request, Notice(rule, request.stack, phase, target, threshold, compliance))
        outcome = replace(outcome, cluster=cluster.where, compliance=compliance, messages=written)
        if not compliance.reaches(threshold):
            return replace(outcome, decision=Decision.REFUSED if compliance.measured else Decision.NOT_MEASURED)
    if not request.dry_run:
        after.write()
    granted = Decision.WOULD_MOVE if request.dry_run else Decision.MOVED
    return replace(outcome, decision=granted, diff=_diff(before, after))


def _important_rule(name: str, library: Library) -> Rule:
    rule = library.rules.get(name)
    if rule is None or rule.tier != TIER:
        why = f"a {rule.tier} rule has no phases" if rule else "no such rule in policies/"
        legal = tuple(rule.name for rule in library.tier(TIER))
        raise ConfigError([Problem("zt promote", "RULE", why, repr(name), legal or ("none yet",))])
    return rule


def _check_ceiling(after: StackFile, rule: str) -> None:
    wanted, ceiling = after.settings.phase_actions()[rule], after.settings.decisions().important
    if strength(TIER, wanted) > strength(TIER, ceiling):
        message = f"the ceiling of every important rule on this stack, too low for {after.phase(rule)}"
        legal = tuple(str(value) for value in legal_values(TIER)[strength(TIER, wanted) :])
        raise ConfigError([Problem(after.name, f"{PROJECT}:posture.{TIER}", message, str(ceiling), legal)])


def _diff(before: StackFile, after: StackFile) -> str:
    lines = (before.text.splitlines(), after.text.splitlines())
    return "\n".join(difflib.unified_diff(*lines, before.name, after.name, lineterm=""))


def _notify(request: Request, notice: Notice) -> tuple[Path, ...]:
    if request.notify is None:
        return ()
    paths = sorted((request.project / "services").glob("*.yaml"))
    files = [parse_service(path.read_text(encoding="utf-8"), f"services/{path.name}") for path in paths]
    made_by = {(file.spec.namespace, file.spec.name): file.file for file in files}
    return write_messages(request.notify, messages(notice, made_by))
