"""`zt preflight`: its options, the connections it needs, and the exit code."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

from components.config.overlay import Overlay
from components.program.plan import plan
from components.program.stack import read_stack
from components.schema.problem import ConfigError, Problem
from zt.cluster.access import Access, ClusterError
from zt.preflight import cluster as api_server
from zt.preflight.ask import ask
from zt.preflight.cluster import Cluster
from zt.preflight.created import created_by
from zt.preflight.line import Preflight
from zt.preflight.output import FORMATS, print_preflight, summary
from zt.preflight.session import Outside, Session
from zt.project.console import plain_console
from zt.project.errors import tells_errors
from zt.project.progress import Say, progress
from zt.project.result_file import write_result
from zt.project.stack_file import StackFile


@dataclass(frozen=True)
class Options:
    """The options. `access` names the cluster, `user` and `groups` another identity than the kubeconfig's."""

    stack: str
    project: Path
    access: Access
    user: str = ""
    groups: tuple[str, ...] = ()
    output_format: str = "text"
    output: Path | None = None


@dataclass(frozen=True)
class Connections:
    """How the checks reach the cluster and everything else. A program that calls the command may pass others."""

    cluster: Callable[[Access, str, tuple[str, ...]], Cluster] = api_server.cluster
    outside: Outside = field(default_factory=lambda: Outside(environment=os.environ))


@tells_errors
def run(options: Options, connections: Connections | None = None) -> int:
    """Ask every check, write the result, and return the exit code.

    0: nothing fails. 1: something does. 2: a wrong argument or file. 3: the cluster cannot be reached.
    """
    errors = plain_console(stderr=True)
    if options.groups and not options.user:
        raise ConfigError([Problem("zt preflight", "--as-group", "it goes with --as", ", ".join(options.groups))])
    with progress(errors, "reading the stack") as say:
        result = preflight(options, connections or Connections(), say)
    write_result(result, options.output_format, options.output, FORMATS, print_preflight)
    if options.output is not None:
        errors.print(f"{summary(result)}; written to {options.output}", soft_wrap=True)
    return result.exit_code


def preflight(options: Options, connections: Connections, say: Say) -> Preflight:
    """The result of every check. Raises `ConfigError` and `ClusterError`."""
    file = StackFile.read(options.project, options.stack, _overlay(options.access))
    stack = read_stack(options.project, file.name, file.settings, line_of=file.line_of)
    planned = plan(stack)
    say(f"reaching the cluster of {options.stack}")
    cluster = connections.cluster(options.access, options.user, options.groups)
    _check_reached(cluster)
    say("planning what `pulumi up` creates")
    created = created_by(stack, planned)
    say("checking")
    return ask(Session(stack, planned, created, cluster, connections.outside, options.project), options.stack, say)


def _check_reached(cluster: Cluster) -> None:
    """Raise `ClusterError` when the API server does not answer, or refuses the kubeconfig's credentials."""
    answer = cluster.get("/version")
    if answer.status == HTTPStatus.UNAUTHORIZED:
        raise ClusterError(f"{cluster.where} refuses the credentials of the kubeconfig: {answer.message}")
    if not answer.ok:
        raise ClusterError(f"{cluster.where} does not say its version: {answer.status} {answer.message}")


def _overlay(access: Access) -> Overlay | None:
    """The addresses of the embedded control plane. Raises `ClusterError` when it was never started."""
    if not access.embedded:
        return None
    from embedded.access import EmbeddedPlane, EmbeddedPlaneError

    try:
        return Overlay.read(EmbeddedPlane().overlay())
    except EmbeddedPlaneError as error:
        raise ClusterError(str(error)) from error
