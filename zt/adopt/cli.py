"""The command line of `zt adopt`, which imports what it needs when it runs."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from zt.cluster.options import ClusterContext, Kubeconfig, cluster_access
from zt.project.options import CHECKOUT, Output, Project


def adopt(
    context: typer.Context,
    stack: Annotated[str, typer.Option("--stack", "-s", help="The stack whose rules the cluster shall keep.")],
    namespace: Annotated[
        list[str] | None, typer.Option("--namespace", "-n", help="A namespace to look at; all of them without it.")
    ] = None,
    embedded: Annotated[bool, typer.Option("--embedded", help="It is this checkout's control plane.")] = False,
    kubeconfig: Kubeconfig = None,
    cluster_context: ClusterContext = None,
    logs: Annotated[bool, typer.Option(help="Read what the mesh's proxies logged last.")] = True,
    write: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write drafts of service files here, and keys for the stack file."),
    ] = None,
    output_format: Annotated[Literal["text", "json"], typer.Option("--format")] = "text",
    output: Output = None,
    project: Project = CHECKOUT,
) -> None:
    """Say what lives in a cluster before the platform comes: violations, who talks to whom, secrets, accounts, steps.

    Reads the cluster, and writes nothing to it: `python -m zt.adopt.role` prints the rights for it. No Secret is read.

    Exit codes: 0 the report is written; 2 wrong argument or file; 3 the cluster or a tool failed.
    """
    from zt.adopt.command import Options, run

    access = cluster_access(kubeconfig, cluster_context, embedded)
    options = Options(stack, project, access, tuple(namespace or ()), logs, output_format, output, write)
    # A program that calls the command may pass other connections.
    raise typer.Exit(run(options, context.obj))
