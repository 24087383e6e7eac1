"""Runs the Kyverno CLI on a plan's objects: the same engine as admission, with the same policies.

https://kyverno.io/docs/kyverno-cli/reference/kyverno_apply/
"""

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

from zt.check.kyverno_context import definitions, looked_up
from zt.check.kyverno_jobs import Job, jobs
from zt.check.kyverno_memory import Verdicts
from zt.check.kyverno_result import Identity, Result
from zt.check.plan import Manifest, Plan, PlannedException, PlannedObject, namespaces, text
from zt.check.remembered import Remembered
from zt.project.errors import ToolError
from zt.project.pool import Pool

# One process keeps one core busy. At least two, so that one runs while the report of another is read.
_PARALLEL = max(2, min(os.cpu_count() or 2, 8))
_TIMEOUT_SECONDS = 300
_COUNTED = re.compile(r"Applying (\d+) policy rule")
_TAIL = 2000


@dataclass(frozen=True)
class _Cli:
    """The executable, and the files and options that all of its runs share."""

    executable: Path
    folder: Path
    options: tuple[str, ...]

    def apply(self, name: str, policies: Iterable[Manifest], objects: Iterable[Manifest], *options: str) -> str:
        folder = self.folder / name
        (folder / "mutated").mkdir(parents=True)
        rules = _write(folder / "rules.yaml", policies)
        resources = _write(folder / "resources.yaml", objects)
        # Without a folder for mutated objects they are printed in the middle of the report.
        mutated = str(folder / "mutated")
        command = [
            self.executable,
            "apply",
            rules,
            "--resource",
            resources,
            "--output",
            mutated,
            *self.options,
            *options,
        ]
        try:
            # The CLI spends most of its time on garbage collection and runs for seconds: collect less often.
            done = subprocess.run(
                [str(part) for part in command],
                capture_output=True,
                text=True,
                check=False,
                timeout=_TIMEOUT_SECONDS,
                env={"GOGC": "400", **os.environ},
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ToolError(f"{self.executable}: {error}") from error
        # Status 1 means a refusal or a failure of the CLI; only a refusal leaves a report.
        refused = done.returncode == 1 and '{"kind"' in done.stdout
        if done.returncode and not refused:
            raise ToolError(
                f"kyverno apply ended with status {done.returncode}:\n{(done.stderr or done.stdout)[-_TAIL:]}"
            )
        return done.stdout


def judge(
    executable: Path,
    plan: Plan,
    exceptions: Sequence[PlannedException],
    on_progress: Callable[[int, int], None] = lambda _done, _all: None,
    kept: Remembered | None = None,
    asked: Callable[[Manifest, PlannedObject], bool] = lambda _policy, _object: True,
) -> list[Result]:
    """The results of the plan's policies for its objects, after mutations and with these exceptions.

    Of the policies that match an object, those are applied that are `asked`. An object that `kept` has the results of
    is not evaluated again. Raises `ToolError` when the CLI fails or leaves a policy out.
    """
    labels = namespaces(plan.objects)
    work = jobs(plan.policies, plan.objects, labels, asked)
    if not work:
        return []
    with TemporaryDirectory(prefix="zt-check-") as name, Pool(_PARALLEL) as pool:
        cli = _Cli(executable, Path(name), tuple(_shared(Path(name), plan, exceptions, labels)))
        memory = Verdicts(kept, executable, plan, exceptions, labels) if kept else None
        results: list[Result] = []
        if memory:
            known, work = memory.known(work)
            results += known
        complete = None if memory and memory.all_read() else pool.submit(_refuse_left_out, cli, plan.policies)
        running = [(job, pool.submit(_run, cli, f"job-{number}", job)) for number, job in enumerate(work)]
        for done, (job, future) in enumerate(running):
            on_progress(done, len(running))
            results += (of_job := future.result())
            if memory:
                memory.keep(job, of_job)
        if complete:
            complete.result()
            if memory:
                memory.keep_all_read()
    return results


def _shared(
    folder: Path, plan: Plan, exceptions: Sequence[PlannedException], labels: Mapping[str, Mapping[str, str]]
) -> Iterator[str]:
    values: Manifest = {
        "apiVersion": "cli.kyverno.io/v1alpha1",
        "kind": "Values",
        "namespaceSelector": [{"name": name, "labels": dict(pairs)} for name, pairs in sorted(labels.items())],
    }
    yield from ("--values-file", str(_write(folder / "values.yaml", [values])))
    if exceptions:
        yield from ("--exceptions", str(_write(folder / "exceptions.yaml", (e.manifest for e in exceptions))))
    if beside := looked_up(plan.policies, plan.objects):
        mocks: Manifest = {
            "apiVersion": "cli.kyverno.io/v1alpha1",
            "kind": "Context",
            "metadata": {"name": "plan"},
            "spec": {"resources": beside},
        }
        yield from ("--context-file", str(_write(folder / "context.yaml", [mocks])))


def _run(cli: _Cli, name: str, job: Job) -> list[Result]:
    options = ["--policy-report", "--output-format", "json"]
    if kinds := definitions(job.policies, job.objects):
        options += ["--crd-paths", str(_write(cli.folder / f"{name}.definitions.yaml", kinds))]
    output = cli.apply(name, job.policies, (planned.manifest for planned in job.objects), *options)
    return [result for report in _reports(output) for result in _results(report)]


def _refuse_left_out(cli: _Cli, policies: Sequence[Manifest]) -> None:
    """Raise `ToolError` for a policy that does not fit its schema: the CLI leaves it out without an error."""
    if _loaded(cli, "all", policies) == len(policies):
        return
    names = [text(p, "metadata", "name") for i, p in enumerate(policies) if not _loaded(cli, f"one-{i}", [p])]
    raise ToolError(f"kyverno cannot read the plan's policies {', '.join(names)}: nothing was held against them")


def _loaded(cli: _Cli, name: str, policies: Sequence[Manifest]) -> int:
    counted = _COUNTED.search(cli.apply(name, policies, ()))
    return int(counted[1]) if counted else 0


def _write(path: Path, documents: Iterable[Manifest]) -> Path:
    # JSON is valid YAML. A date in a chart's YAML becomes text, as for Kubernetes.
    path.write_text("\n---\n".join(json.dumps(document, default=str) for document in documents))
    return path


def _reports(output: str) -> Iterator[Manifest]:
    """The JSON reports in the output, which also has other lines."""
    decoder, position = json.JSONDecoder(), output.find('{"kind"')
    while position >= 0:
        document, end = decoder.raw_decode(output, position)
        yield cast("Manifest", document)
        position = output.find('{"kind"', end)


def _results(report: Manifest) -> Iterator[Result]:
    for result in cast("list[Manifest]", report.get("results") or []):
        granted = text(result, "properties", "exceptions")
        for resource in cast("list[Manifest]", result.get("resources") or []):
            identity = tuple(text(resource, key) for key in ("apiVersion", "kind", "namespace", "name"))
            yield Result(
                text(result, "policy"),
                cast("Identity", identity),
                text(result, "result"),
                text(result, "message"),
                tuple(name.strip() for name in granted.split(",")) if granted else (),
            )
