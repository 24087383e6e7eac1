"""Moves a rule of the important tier to its next phase, if enough of the live workloads comply.

The rollout is: observe the violations, notify the teams, then enforce. Nothing is applied here: the stack file is
edited, and the change is reviewed and applied like every other one.
"""

import difflib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from components.config.posture import legal_values, strength
from components.kube.names import PROJECT
from components.kyverno.library import Library, Rule
from components.schema.problem import ConfigError, Problem
from zt.cluster.access import Access, connect
from zt.cluster.compliance import Cluster, measure
from zt.project.errors import tells_errors
from zt.project.service import service_files
from zt.project.stack_file import PHASES, StackFile, project_library
from zt.project.streams import say
from zt.promote.model import Decision, Outcome
from zt.promote.notify import Notice, messages, write_messages
from zt.promote.output import as_json, show

TIER = "important"

Connect = Callable[[Access], Cluster]


@dataclass(frozen=True)
class Request:
    """The options. `to` is the target phase; the next one without it."""

    rule: str
    stack: str
    project: Path
    access: Access
    to: str | None = None
    notify: Path | None = None
    dry_run: bool = False


@tells_errors
def run(request: Request, output_format: str, connect_to: Connect | None = None) -> int:
    """Run a request, print its outcome, and return the exit code.

    0: done, or nothing to do. 1: refused, too few workloads comply or none is measured. 2: a wrong argument or file.
    3: the cluster cannot be read.
    """
    outcome = promote(request, connect_to or connect)
    if output_format == "json":
        say(json.dumps(as_json(outcome), indent=2))
    else:
        show(outcome)
    return outcome.exit_code


def promote(request: Request, connect_to: Connect = connect) -> Outcome:
    """Decide on a request, and edit the stack file if it is granted.

    A step back needs no measurement, so that it works while a cluster has problems. Raises `ConfigError` for a wrong
    rule, stack, phase or file, and for a posture whose ceiling is below the phase; `ClusterError` for a cluster that
    cannot be read.
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
    action, ceiling = after.settings.phase_actions()[rule], after.settings.decisions().important
    if strength(TIER, action) > strength(TIER, ceiling):
        message = f"the ceiling of every important rule on this stack, too low for {after.phase(rule)}"
        legal = tuple(str(value) for value in legal_values(TIER)[strength(TIER, action) :])
        raise ConfigError([Problem(after.name, f"{PROJECT}:posture.{TIER}", message, str(ceiling), legal)])


def _diff(before: StackFile, after: StackFile) -> str:
    lines = (before.text.splitlines(), after.text.splitlines())
    return "\n".join(difflib.unified_diff(*lines, before.name, after.name, lineterm=""))


def _notify(request: Request, notice: Notice) -> tuple[Path, ...]:
    if request.notify is None:
        return ()
    files = {(file.spec.namespace, file.spec.name): file.file for file in service_files(request.project)}
    return write_messages(request.notify, messages(notice, files))
