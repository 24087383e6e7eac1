"""Earlier results of the Kyverno CLI for the same object, rules and context.

The CLI compiles every rule again for each object, which takes nearly all of the time of a check, and most objects do
not change from one check to the next.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import cast

from zt.check.kyverno_context import definitions, looked_up
from zt.check.kyverno_jobs import Job
from zt.check.kyverno_result import Identity, Result
from zt.check.plan import Manifest, Plan, PlannedException, PlannedObject, mapping, text
from zt.check.remembered import Remembered, key_of, program_of

# Increase it when the form of the stored results changes, so that no older entry is used.
_FORMAT = "kyverno 1"


@dataclass(frozen=True)
class Verdicts:
    """The stored results. The key of each one contains everything that it depends on."""

    kept: Remembered
    executable: Path
    plan: Plan
    exceptions: Sequence[PlannedException]
    labels: Mapping[str, Mapping[str, str]]

    def known(self, work: Sequence[Job]) -> tuple[list[Result], list[Job]]:
        """The stored results of some jobs, and the jobs that are left to run."""
        results: list[Result] = []
        left: list[Job] = []
        for job in work:
            unknown: list[PlannedObject] = []
            for planned, key in self._keys(job):
                if (answer := self.kept.get(key)) is None:
                    unknown.append(planned)
                else:
                    results += _read(answer)
            if unknown:
                left.append(Job(job.policies, tuple(unknown)))
        return results, left

    def keep(self, job: Job, results: Sequence[Result]) -> None:
        """Store the results of a job, unless one of them is an error or belongs to none of its objects."""
        of: dict[Identity, list[Result]] = {planned.identity: [] for planned in job.objects}
        if len(of) < len(job.objects):
            return
        for result in results:
            if result.identity not in of or result.result == "error":
                return
            of[result.identity].append(result)
        for planned, key in self._keys(job):
            self.kept.put(key, json.dumps([astuple(result) for result in of[planned.identity]]))

    def all_read(self) -> bool:
        """Whether it is stored that the CLI reads each of the plan's policies."""
        return self.kept.get(self._policies_key()) is not None

    def keep_all_read(self) -> None:
        """Store that the CLI reads each of the plan's policies."""
        self.kept.put(self._policies_key(), "read")

    def _policies_key(self) -> str:
        return key_of((_FORMAT, program_of(self.executable), _text(self.plan.policies)))

    def _keys(self, job: Job) -> Iterator[tuple[PlannedObject, str]]:
        names = {text(policy, "metadata", "name") for policy in job.policies}
        granted = [e.manifest for e in self.exceptions if not (rules := _referenced(e.manifest)) or names & rules]
        beside = looked_up(job.policies, self.plan.objects)
        shared = map(_text, (job.policies, granted, beside, definitions(job.policies, job.objects)))
        begin = key_of((_FORMAT, program_of(self.executable), *shared))
        for planned in job.objects:
            labels = self.labels.get(planned.identity[2], {})
            yield planned, key_of((begin, _text(dict(labels)), _text(planned.manifest)))


def _referenced(exception: Manifest) -> set[str]:
    references = cast("list[Manifest]", mapping(exception, "spec").get("policyRefs") or [])
    return {text(reference, "name") for reference in references}


def _read(answer: str) -> Iterator[Result]:
    for policy, identity, result, message, exceptions in json.loads(answer):
        yield Result(policy, cast("Identity", tuple(identity)), result, message, tuple(exceptions))


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True, default=str)
