"""Exceptions from rules of the library, declared beside the service that needs them.

An exception names its reason, its owner and its days; Kyverno drops it on the day it ends, and a preview of a commit
made on that day or later fails. Source: https://kyverno.io/docs/exceptions/
"""

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, StrictStr, model_validator

from components.policy_library import VALIDATING_TIERS, Library, Manifest
from components.typed_file import ConfigError, Problem, TypedFile

# Kyverno honours no exception of another namespace: who may write here decides who may weaken a rule.
NAMESPACE = "kyverno"
CRITICAL_DAYS = 90
ANNOTATION = "zero-trust.dev"
_OWN_KINDS = ("Deployment", "StatefulSet", "Service", "Ingress", "HTTPRoute")
_JOB_KINDS = ("Job", "CronJob")


class TimedException(TypedFile):
    """What does not hold for one service, for a while."""

    reason: Annotated[StrictStr, Field(min_length=10)]
    """Why the service cannot keep to it yet, for the person who reviews it."""
    owner: Annotated[StrictStr, Field(min_length=1)]
    """Who answers for ending it: a person or a team."""
    granted: date
    """The day it was agreed on."""
    expires: date
    """The first day on which it no longer holds; at most 90 days after `granted` where mTLS or a critical rule is
    concerned."""

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if self.expires <= self.granted:
            raise ValueError(f"expires {self.expires} is not after granted {self.granted}")
        return self

    @property
    def days(self) -> int:
        """How many days it holds."""
        return (self.expires - self.granted).days

    def expired(self, on: date) -> bool:
        """Whether it no longer holds on a day."""
        return on >= self.expires

    def day_problem(self, as_of: date | None) -> tuple[str, str] | None:
        """The key and the message of what is wrong with its days on a day; without one nothing is."""
        if as_of is not None and self.granted > as_of:
            return "granted", f"{self.granted} is in the future as of {as_of}"
        if as_of is not None and self.expired(as_of):
            return "expires", f"expired as of {as_of}: remove it, or agree on it again with new days"
        return None


class ExceptionSpec(TimedException):
    """A rule that does not hold for this one service, for a while."""

    rule: StrictStr
    """The rule's name, as its folder under `policies/` has it."""


@dataclass(frozen=True)
class ExceptionArgs:
    """An exception as the component takes it; `expires` is an ISO date."""

    rule: str
    reason: str
    owner: str
    expires: str


def exception_args(spec: ExceptionSpec) -> ExceptionArgs:
    """The arguments that a service file's exception makes."""
    return ExceptionArgs(spec.rule, spec.reason, spec.owner, spec.expires.isoformat())


def problem_with(spec: ExceptionSpec, library: Library, as_of: date | None) -> tuple[str, str, tuple[str, ...]] | None:
    """What is wrong with an exception: the key, the message and what is legal. Without a day, expiry is not judged."""
    legal = tuple(rule.name for tier in VALIDATING_TIERS for rule in library.tier(tier))
    if spec.rule not in legal:
        return "rule", f"no validating rule of policies/ is called {spec.rule!r}", legal
    if library.rule(spec.rule).tier == "critical" and spec.days > CRITICAL_DAYS:
        message = f"{spec.days} days for a critical rule, {CRITICAL_DAYS} at most after granted {spec.granted}"
        return "expires", message, ()
    problem = spec.day_problem(as_of)
    return (*problem, ()) if problem else None


def commit_date(root: Path) -> date:
    """The day of the commit that is checked out, in UTC: the same commit always plans the same.

    Raises `ConfigError` when git or the checkout has no answer.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-C", str(root), "log", "-1", "--format=%ct"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10, env=environment)
    except (OSError, subprocess.SubprocessError) as error:
        message = "exceptions expire by the date of the commit, and git has none here: set it to a date (YYYY-MM-DD)"
        raise ConfigError([Problem("the stack file", "zero-trust:asOf", message)]) from error
    return datetime.fromtimestamp(int(done.stdout), UTC).date()


def exception_manifest(namespace: str, service: str, args: ExceptionArgs, jobs: Sequence[str] = ()) -> Manifest:
    """The PolicyException of one service, with its jobs, and one rule."""
    details = {"service": f"{namespace}/{service}", "rule": args.rule, "owner": args.owner, "reason": args.reason}
    annotations = {f"{ANNOTATION}/{key}": value for key, value in {**details, "expires": args.expires}.items()}
    return {
        "apiVersion": "policies.kyverno.io/v1",
        "kind": "PolicyException",
        "metadata": {
            "name": f"{namespace}.{service}.{args.rule}",
            "namespace": NAMESPACE,
            "annotations": annotations,
        },
        "spec": {
            "policyRefs": [{"name": args.rule, "kind": "ValidatingPolicy"}],
            "expiresAt": f"{args.expires}T00:00:00Z",
            # The conditions of every exception of a rule stand in one list there, so their names must differ.
            "matchConditions": [
                {"name": f"{namespace}.{service}", "expression": workload_expression(namespace, service, jobs)}
            ],
        },
    }


def workload_expression(namespace: str, service: str, jobs: Sequence[str] = ()) -> str:
    """CEL that is true for a service's own objects, for those of its jobs, and for what their controllers make.

    A pod is recognised by its controller, since its labels are whatever its author writes. `jobs` are names of jobs.
    """
    name = json.dumps(service)
    # A Deployment calls its ReplicaSets by its own name and this label's value.
    replica_set = f"{name} + '-' + object.metadata.?labels[?'pod-template-hash'].orValue('')"
    by_kind = [
        f"object.kind in {json.dumps(_OWN_KINDS)} && object.metadata.name == {name}",
        f"object.kind == 'ReplicaSet' && {_made_by('Deployment', name)}",
        f"object.kind == 'Pod' && ({_made_by('ReplicaSet', replica_set)} || {_made_by('StatefulSet', name)})",
    ]
    for job in map(json.dumps, jobs):
        by_kind += [
            f"object.kind in {json.dumps(_JOB_KINDS)} && object.metadata.name == {job}",
            f"object.kind == 'Job' && {_made_by('CronJob', job)}",
            f"object.kind == 'Pod' && ({_made_by('Job', job)} || {_made_for_run_of(job)})",
        ]
    return f"object.metadata.namespace == {json.dumps(namespace)} && ({' || '.join(by_kind)})"


def _made_by(kind: str, name: str) -> str:
    controller = f"o.?controller.orValue(false) && o.kind == '{kind}' && o.name == {name}"
    return f"object.metadata.?ownerReferences.orValue([]).exists(o, {controller})"


def _made_for_run_of(job: str) -> str:
    """A pod of a job that a CronJob made: its name goes on with the minute that it was due."""
    number = f"o.name.substring(size({job}))"
    run = f"o.kind == 'Job' && o.name.startsWith({job}) && {number}.matches('^-[0-9]+$')"
    return f"object.metadata.?ownerReferences.orValue([]).exists(o, o.?controller.orValue(false) && {run})"
