"""The command line of `zt promote`, which imports what it needs when it runs."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from zt.cluster.options import ClusterContext, Kubeconfig, cluster_access
from zt.project.options import CHECKOUT, Project


def promote(
    context: typer.Context,
    rule: Annotated[str, typer.Argument(help="A rule of policies/important.")],
    stack: Annotated[str, typer.Option("--stack", "-s", help="The stack whose file is edited.")] = "production",
    to: Annotated[
        Literal["audit", "warn", "enforce"] | None, typer.Option(help="The phase; the next one without it.")
    ] = None,
    kubeconfig: Kubeconfig = None,
    cluster_context: ClusterContext = None,
    embedded: Annotated[bool, typer.Option("--embedded", help="The cluster is the embedded control plane.")] = False,
    notify: Annotated[
        Path | None, typer.Option(help="Write a message for each team with violations into this directory.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Leave the stack file alone; --notify still writes its messages.")
    ] = False,
    output_format: Annotated[Literal["text", "json"], typer.Option("--format")] = "text",
    project: Project = CHECKOUT,
) -> None:
    """Move a rule to its next phase in a stack file, if enough workloads of the live cluster keep to it.

    The phases are audit, warn and enforce. Nothing is applied. A phase back needs no measurement.

    Exit codes: 0 done or nothing to do; 1 refused: too few workloads comply, or none is measured; 2 wrong argument or
    file; 3 the cluster cannot be read.
    """
    from zt.promote.command import Request, run

    access = cluster_access(kubeconfig, cluster_context, embedded)
    request = Request(rule, stack, project, access, to, notify, dry_run)
    # A program that calls the command may pass another way to read a cluster.
    raise typer.Exit(run(request, output_format, context.obj))
