"""`zt check`: what admission would refuse of a plan, before anything is applied."""

import shutil
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from rich.console import Console

from components.typed_file import ConfigError, Problem
from zt.charts import render
from zt.check_report import BAD_USAGE, TOOL_FAILED, Report
from zt.kyverno import judge
from zt.output import FORMATS
from zt.output_text import print_report, summary
from zt.plan import Plan, parse_plan
from zt.plan_source import PlanText, embedded_preview, preview, read_plan
from zt.tool_error import ConfigRefusedError, ToolError
from zt.verdicts import read_service_texts, verdicts

Say = Callable[[str], None]


@dataclass(frozen=True)
class CheckOptions:
    """What was asked for. Without a `plan` a preview of `stack` is run; `project` is the checkout."""

    stack: str | None
    project: Path
    as_of: date
    plan: str | None = None
    embedded: bool = False
    output_format: str = "text"
    output: Path | None = None
    strict: bool = False


def run(options: CheckOptions) -> int:
    """Check, write the report, and return the exit code: 0 clean, 1 refused, 2 bad usage or config, 3 a tool failed."""
    errors = Console(stderr=True, highlight=False)
    try:
        with _progress(errors) as say:
            report = check(options, say)
        _write(report, options, errors)
    except (ConfigError, ConfigRefusedError) as error:
        errors.print(f"error: {error}", markup=False, soft_wrap=True)
        return BAD_USAGE
    except ToolError as error:
        errors.print(f"error: {error}", markup=False, soft_wrap=True)
        return TOOL_FAILED
    return report.exit_code(options.strict)


def check(options: CheckOptions, say: Say = lambda _line: None) -> Report:
    """The report of a plan. Raises `ConfigError`, `ConfigRefusedError` or `ToolError`."""
    # A service file that cannot be read should not cost a preview first.
    services = read_service_texts(options.project)
    plan = _plan(_source(options, say), options.stack)
    plan = _with_releases(plan, say)
    granted = [exception for exception in plan.exceptions if not exception.expired(options.as_of)]
    results = judge(
        _tool("kubectl-kyverno"),
        plan,
        granted,
        lambda done, every: say(f"asking Kyverno: {done} of {every} groups of objects"),
    )
    found = verdicts(plan, results, services, options.as_of)
    return Report(plan.stack, options.as_of, found, plan.warnings, len(plan.objects), len(plan.policies))


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
    from embedded.toolchain.table import KUBERNETES_VERSION

    if not plan.releases or not plan.policies:
        return plan
    say(f"rendering {len(plan.releases)} Helm releases")
    helm = Path(on_path) if (on_path := shutil.which("helm")) else _tool("helm")
    rendered, missing = render(helm, plan.releases, KUBERNETES_VERSION)
    notes = [f"the release {release.name}: {why}" for release, why in missing]
    return replace(plan, objects=(*plan.objects, *rendered), warnings=(*plan.warnings, *notes))


def _tool(name: str) -> Path:
    from embedded.toolchain import ToolchainError, ensure

    try:
        return ensure([name], progress=sys.stderr.isatty()) / name
    except ToolchainError as error:
        raise ToolError(str(error)) from error


@contextmanager
def _progress(errors: Console) -> Generator[Say]:
    if not errors.is_terminal:
        yield lambda _line: None
        return
    with errors.status("reading the plan") as status:
        yield status.update


def _write(report: Report, options: CheckOptions, errors: Console) -> None:
    if options.output is None:
        if options.output_format == "text" and sys.stdout.isatty():
            print_report(report, Console(highlight=False))
        else:
            sys.stdout.write(FORMATS[options.output_format](report))
        return
    try:
        options.output.write_text(FORMATS[options.output_format](report), encoding="utf-8")
    except OSError as error:
        problem = Problem("--output", str(options.output), f"cannot be written: {error.strerror}")
        raise ConfigError([problem]) from error
    errors.print(f"{summary(report)}; written to {options.output}", markup=False, soft_wrap=True)
