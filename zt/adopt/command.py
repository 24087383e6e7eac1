"""`zt adopt`: its options, the connections it needs, and the exit code."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from components.kube.cluster import Cluster, UnreadableError
from components.kyverno.policy_set import policies
from components.program.plan import Plan as StackPlan
from components.program.plan import plan
from components.program.stack import read_stack
from components.schema.problem import ConfigError, Problem
from zt.adopt.accounts import accounts
from zt.adopt.drafts import drafts
from zt.adopt.living import Living, read
from zt.adopt.model import Adoption, NamespaceReport, Workload
from zt.adopt.output import FORMATS, print_adoption, summary
from zt.adopt.rollout import stack_keys, steps
from zt.adopt.rules import Judge, judged
from zt.adopt.talks import talks
from zt.adopt.workloads import Template, exposed_secrets, in_mesh, templates
from zt.check.kyverno import judge
from zt.check.kyverno_result import Result
from zt.check.plan import Plan
from zt.cluster.access import Access, ClusterError
from zt.preflight import cluster as api_server
from zt.project.console import plain_console
from zt.project.errors import tells_errors
from zt.project.progress import Say, progress
from zt.project.result_file import write_result
from zt.project.stack_file import StackFile
from zt.project.tools import pinned_tool

# What the cluster itself runs.
_OF_THE_CLUSTER = ("kube-system", "kube-public", "kube-node-lease")


@dataclass(frozen=True)
class Options:
    """The options. `access` names the cluster; with `namespaces` no other is looked at; `write` is a directory."""

    stack: str
    project: Path
    access: Access
    namespaces: tuple[str, ...] = ()
    logs: bool = True
    output_format: str = "text"
    output: Path | None = None
    write: Path | None = None


def _kyverno(asked: Plan) -> Sequence[Result]:
    return judge(pinned_tool("kubectl-kyverno"), asked, ())


@dataclass(frozen=True)
class Connections:
    """How the report reaches the cluster and Kyverno's CLI. A program that calls the command may pass others."""

    cluster: Callable[[Access], Cluster] = api_server.cluster
    judge: Judge = _kyverno


@tells_errors
def run(options: Options, connections: Connections | None = None) -> int:
    """Write the report, and the drafts if they are asked for; return the exit code.

    0: the report is written. 2: a wrong argument or file. 3: the cluster or a tool failed.
    """
    errors = plain_console(stderr=True)
    with progress(errors, "reading the stack") as say:
        adoption = adopt(options, connections or Connections(), say)
    written = _write(adoption, options.write) if options.write else 0
    write_result(adoption, options.output_format, options.output, FORMATS, print_adoption)
    if options.output is not None:
        errors.print(f"{summary(adoption)}; written to {options.output}", soft_wrap=True)
    if options.write is not None:
        errors.print(f"{written} files written to {options.write}", soft_wrap=True)
    return 0


def adopt(options: Options, connections: Connections, say: Say) -> Adoption:
    """The report on a living cluster. Raises `ConfigError`, `ClusterError` and `ToolError`."""
    file = StackFile.read(options.project, options.stack)
    stack = read_stack(options.project, file.name, file.settings, line_of=file.line_of)
    planned = plan(stack)
    say("reading the cluster")
    cluster = connections.cluster(options.access)
    try:
        living = read(cluster, (*_OF_THE_CLUSTER, *_unjudged(planned)), options.namespaces, options.logs)
    except UnreadableError as error:
        raise ClusterError(
            f"{cluster.where}: {error}: python -m zt.adopt.role prints the rights that it needs"
        ) from error
    if not living.everywhere("Namespace"):
        raise ClusterError(f"{cluster.where} shows no namespace, and every cluster has some: is it an API server?")
    if unknown := sorted({*options.namespaces} - {*living.namespaces}):
        found = ", ".join(living.namespaces) or "none"
        raise ConfigError([Problem("zt adopt", "--namespace", f"no such namespace among {found}", ", ".join(unknown))])
    return _report(options, living, planned, cluster.where, connections.judge, say)


def _unjudged(planned: StackPlan) -> tuple[str, ...]:
    return planned.policies.unjudged_namespaces if planned.policies else ()


def _report(options: Options, living: Living, planned: StackPlan, where: str, asked: Judge, say: Say) -> Adoption:
    every = templates(living)
    say(f"asking Kyverno about {len(every)} workloads")
    rules = policies(planned.policies) if planned.policies else ()
    violations = judged(living, every, rules, options.stack, asked).workloads
    say("looking who talks to whom")
    edges = talks(living, every)
    written, none = drafts(living, every, edges)
    namespaces = tuple(
        _namespace(living, name, [each for each in every if each.namespace == name], every)
        for name in living.namespaces
    )
    full = tuple(
        replace(
            each, workloads=tuple(replace(w, violations=violations.get((w.kind, w.key), ())) for w in each.workloads)
        )
        for each in namespaces
    )
    outside = [each.name for each in full if each.in_mesh]
    return Adoption(
        where,
        options.stack,
        full,
        edges,
        steps(options.stack, full, edges, written),
        written,
        {"stack.yaml": stack_keys(outside)},
        (*living.unread, *(f"no draft: {why}" for why in none)),
        living.other_policies,
    )


def _namespace(living: Living, name: str, own: Sequence[Template], every: Sequence[Template]) -> NamespaceReport:
    labels = living.labels(name)
    closed = sum(each["metadata"]["namespace"] == name for each in living.of("NetworkPolicy"))
    workloads = tuple(
        Workload(
            each.kind,
            each.namespace,
            each.name,
            each.account,
            each.replicas,
            tuple(sorted({str(container.get("image", "")) for container in each.containers})),
            in_mesh(each, labels),
            secrets=tuple(sorted(exposed_secrets(each))),
        )
        for each in own
    )
    joined = any(workload.in_mesh for workload in workloads)
    return NamespaceReport(name, dict(labels), workloads, accounts(living, every, name), closed, joined)


def _write(adoption: Adoption, directory: Path) -> int:
    """Write the drafts and the keys of the stack file. What is there is not overwritten: raises `ConfigError`."""
    files = {**{draft.file: draft.text for draft in adoption.drafts}, **adoption.files}
    there = sorted(file for file in files if (directory / file).exists() or (directory / file).is_symlink())
    if there:
        message = "it is there already, and is not overwritten"
        raise ConfigError([Problem("zt adopt", "--write", f"{file}: {message}", str(directory)) for file in there])
    for file, written in files.items():
        path = directory / file
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as opened:
                opened.write(written)
        except OSError as error:
            message = f"{file} cannot be written: {error.strerror or error}"
            raise ConfigError([Problem("zt adopt", "--write", message, str(directory))]) from error
    return len(files)
