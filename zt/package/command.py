"""`zt package init`: renders a chart, tries its values, writes the first file, and returns the exit code."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from components.kyverno.library import load_library
from components.kyverno.policy_set import policies
from components.package.file.chart import FOLDER
from components.package.file.directory import parse_package
from components.package.file.keys import PackageSpec
from components.package.rendered.helm import Renderer, RenderError, defaults, pinned
from components.package.rendered.objects import Identity
from components.program.plans.kyverno import policy_args
from components.program.stack import Stack
from components.program.stack_packages import objects_of_rules
from components.schema.fields import DNS_LABEL
from components.schema.problem import ConfigError, Problem
from components.service.file.layers import Layers
from zt.check.kyverno import judge
from zt.check.kyverno_result import Result
from zt.check.plan import Manifest, Plan, text
from zt.check.remembered import Remembered
from zt.facts.read import stack_of
from zt.package.file_text import Draft, file_text
from zt.package.lean_chart import lean
from zt.package.search import Outcome, is_no_worse, search
from zt.package.trial import Asked, Trials, unsettled
from zt.project.console import plain_console
from zt.project.errors import ExitCode, tells_errors
from zt.project.progress import Say, progress
from zt.project.streams import say
from zt.project.tools import pinned_tool
from zt.project.written_file import create_file

_REFUSING = ("critical", "important")


@dataclass(frozen=True)
class InitOptions:
    """A chart by its folder below `packages/`, or by its name in a repository at a version."""

    chart: str
    name: str
    namespace: str
    team: str
    stack: str
    project: Path
    today: date
    repository: str = ""
    version: str = ""
    dry_run: bool = False


@tells_errors
def run(options: InitOptions) -> int:
    """Write the file, or print it: 0 nothing is left to look at, 1 something is, 2 a wrong argument or file."""
    errors = plain_console(stderr=True)
    if not re.fullmatch(DNS_LABEL, options.name):
        # It would be the name of the package, and with a slash it leads out of the folder.
        problem = Problem("zt package init", "--name", "not a DNS label", repr(options.name))
        raise ConfigError([problem])
    file = options.project / FOLDER / f"{options.name}.yaml"
    if (file.exists() or file.is_symlink()) and not options.dry_run:
        message = "there is such a file already: remove it, or choose another --name"
        raise ConfigError([Problem(f"{FOLDER}/{file.name}", "name", message)])
    with progress(errors, "rendering the chart") as doing:
        text_of_file, open_ends = draft(options, doing)
        doing("asking the program what it makes of the file")
        refused = problems(options, text_of_file)
    if options.dry_run:
        say(text_of_file, end="")
    else:
        create_file(options.project, f"{FOLDER}/{file.name}", text_of_file)
        errors.print(f"written to {FOLDER}/{file.name}", soft_wrap=True)
    errors.print(f"exceptions, grants and open ports to look at: {open_ends}", soft_wrap=True)
    for problem in refused:
        errors.print(f"left to mend: {problem}", soft_wrap=True)
    return ExitCode.NO if open_ends or refused else ExitCode.DONE


def problems(options: InitOptions, text_of_file: str) -> list[Problem]:
    """What the program says of the project with this file in it, such as a setting of the stack that it needs."""
    with TemporaryDirectory(prefix="zero-trust-package-") as name:
        project = Path(name)
        for each in options.project.iterdir():
            if each.name != FOLDER:
                (project / each.name).symlink_to(each.resolve())
        (project / FOLDER).mkdir()
        file = project / FOLDER / f"{options.name}.yaml"
        for each in (options.project / FOLDER).glob("*"):
            if each.name != file.name:
                (project / FOLDER / each.name).symlink_to(each.resolve())
        file.write_text(text_of_file, encoding="utf-8")
        try:
            stack_of(project, options.stack)
        except ConfigError as error:
            return list(error.problems)
    return []


def draft(options: InitOptions, say: Say) -> tuple[str, int]:
    """The text of the file, and how many exceptions and grants it has. Raises `ConfigError` or `ToolError`."""
    stack = stack_of(options.project, options.stack)
    renderer = Renderer(options.project, stack.charts)
    rules = policy_args(stack)
    if rules is None:
        message = "its posture switches every rule off: choose a stack that has some"
        raise ConfigError([Problem("zt package init", "--stack", message, repr(options.stack))])
    held = [each for each in policies(rules, load_library()) if _judges(each)]
    head: Manifest = {"namespace": options.namespace, "team": options.team, "chart": _chart(options, renderer)}
    spec = parse_package(Layers(f"{FOLDER}/{options.name}.yaml", yaml.safe_dump(head))).spec
    try:
        outcome = _outcome(renderer, spec, held, stack.settings.registries[0], say)
    except RenderError as error:
        raise ConfigError([Problem("zt package init", "CHART", error.message, error.value)]) from error
    settled = spec.model_copy(update={"values": dict(outcome.last.values)})
    left = unsettled(settled, outcome.last.objects, _taken(stack, options.name), stack.settings.mesh.own_labels)
    networks = stack.settings.webhook_cidrs or stack.settings.api_server_cidrs
    made = Draft(head, outcome, left, options.team, options.today, networks, stack.settings.registries[0])
    return file_text(made), made.open_ends


def _outcome(renderer: Renderer, spec: PackageSpec, rules: Sequence[Manifest], registry: str, say: Say) -> Outcome:
    """The values that mend what the rules say of a chart, and the chart with them. Raises `RenderError`."""
    values, version = defaults(renderer, spec)

    def judged(plan: Plan, asked: Asked) -> list[Result]:
        return judge(pinned_tool("kubectl-kyverno"), plan, (), kept=_kept(), asked=asked)

    whole = Trials(spec, renderer, rules, judged, say)
    with lean(renderer, spec) as (quick, of_copy):
        found = search(replace(whole, spec=of_copy, renderer=quick), values, version, registry)
    last = whole.first(found.last.values)
    if is_no_worse(whole.first({}), last):
        return replace(found, last=last)
    # A value that mends something takes away a definition, too.
    return search(whole, values, version, registry)


def _taken(stack: Stack, name: str) -> dict[Identity, str]:
    """The objects that no chart may bring: the platform's rules, and what other packages bring."""
    others = [package for package in stack.packages if package.spec.name != name]
    brought = {each.identity: str(other.spec.ref) for other in others for each in other.rendered.objects}
    return objects_of_rules(load_library().rules.values()) | brought


def _judges(policy: Manifest) -> bool:
    """Whether a rule refuses, or fills in what others look at. What best practice reports needs no exception."""
    tier = text(policy, "metadata", "labels", "zero-trust/tier")
    return policy["kind"] == "MutatingPolicy" or (policy["kind"] == "ValidatingPolicy" and tier in _REFUSING)


def _chart(options: InitOptions, renderer: Renderer) -> Manifest:
    if not options.repository:
        folder = options.chart.rstrip("/")
        return {"folder": folder if folder.startswith(f"{FOLDER}/") else f"{FOLDER}/{folder}"}
    try:
        return pinned(renderer, options.chart, options.repository, options.version)
    except RenderError as error:
        raise ConfigError([Problem("zt package init", "CHART", error.message, error.value)]) from error


def _kept() -> Remembered:
    from embedded.access import EmbeddedPlane

    return Remembered(EmbeddedPlane.cache() / "verdicts")
