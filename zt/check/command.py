"""`zt check`: says what admission would refuse in a plan, before anything is applied."""

import shutil
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from components.schema.problem import ConfigError, Problem
from zt.check.charts import render
from zt.check.kyverno import judge
from zt.check.output import FORMATS
from zt.check.output_text import print_report, summary
from zt.check.plan import Plan, parse_plan
from zt.check.plan_source import PlanText, embedded_preview, preview, read_plan
from zt.check.remembered import Remembered
from zt.check.report import Report
from zt.check.verdicts import read_exclusions, read_service_texts, verdicts
from zt.project.console import plain_console
from zt.project.errors import tells_errors
from zt.project.progress import Say, progress
from zt.project.result_file import write_result
from zt.project.tools import pinned_tool


@dataclass(frozen=True)
class CheckOptions:
    """The options. Without a `plan` a preview of `stack` is run; `project` is the checkout."""

    stack: str | None
    project: Path
    as_of: date
    plan: str | None = None
    embedded: bool = False
    output_format: str = "text"
    output: Path | None = None
    strict: bool = False


@tells_errors
def run(options: CheckOptions) -> int:
    """Check, write the report, and return the exit code: 0 clean, 1 refused, 2 bad usage or config, 3 a tool failed."""
    errors = plain_console(stderr=True)
    with progress(errors, "reading the plan") as say:
        report = check(options, say)
    write_result(report, options.output_format, options.output, FORMATS, print_report)
    if options.output is not None:
        errors.print(f"{summary(report)}; written to {options.output}", soft_wrap=True)
    return report.exit_code(options.strict)


def check(options: CheckOptions, say: Say = lambda _line: None) -> Report:
    """The report of a plan. Raises `ConfigError`, `ConfigRefusedError` or `ToolError`."""
    from embedded.access import EmbeddedPlane

    # Read first, so that a service file that cannot be read fails before the slow preview.
    services = read_service_texts(options.project)
    plan = _plan(_source(options, say), options.stack)
    plan = _with_releases(plan, say)
    granted = [exception for exception in plan.exceptions if not exception.expired(options.as_of)]
    kept = Remembered(EmbeddedPlane.cache() / "verdicts")
    results = judge(
        pinned_tool("kubectl-kyverno"),
        plan,
        granted,
        lambda done, every: say(f"asking Kyverno: {done} of {every} groups of objects"),
        kept,
    )
    kept.trim()
    exclusions = read_exclusions(options.project, plan.stack)
    not_passed = verdicts(plan, results, services, options.as_of, exclusions)
    return Report(plan.stack, options.as_of, not_passed, plan.warnings, len(plan.objects), len(plan.policies))


def _source(options: CheckOptions, say: Say) -> PlanText:
    if options.plan is not None:
        return read_plan(options.plan)
    if options.stack is None:
        raise ConfigError([Problem("zt check", "--stack", "name the stack to preview, or pass --plan FILE")])
    say(f"previewing {options.stack}")
    return embedded_preview(options.stack) if options.embedded else preview(options.project, options.stack)


def _plan(source: PlanText, stack: str | None) -> Plan:
    plan = parse_plan(source.document, source.name)
    if stack is not None and plan.stack != stack:
        raise ConfigError([Problem(source.name, "stack", f"this is not a plan of {stack}", repr(plan.stack))])
    if not plan.policies:
        note = f"{plan.stack} has no rule that judges: its posture switches them off, and everything is admitted"
        return replace(plan, warnings=(*plan.warnings, note))
    return plan


def _with_releases(plan: Plan, say: Say) -> Plan:
    from embedded.access import EmbeddedPlane

    if not plan.releases or not plan.policies:
        return plan
    say(f"rendering {len(plan.releases)} Helm releases")
    helm = Path(on_path) if (on_path := shutil.which("helm")) else pinned_tool("helm")
    kept = Remembered(EmbeddedPlane.cache() / "rendered")
    rendered, missing = render(helm, plan.releases, EmbeddedPlane.kubernetes_version(), kept)
    kept.trim()
    notes = [f"the release {release.name}: {why}" for release, why in missing]
    return replace(plan, objects=(*plan.objects, *rendered), warnings=(*plan.warnings, *notes))
