"""The command line of `zt preflight`, which imports what it needs when it runs."""

from typing import Annotated, Literal

import typer

from zt.cluster.options import ClusterContext, Kubeconfig, cluster_access
from zt.project.options import CHECKOUT, Output, Project


def preflight(
    context: typer.Context,
    stack: Annotated[str, typer.Option("--stack", "-s", help="The stack that shall be deployed.")],
    embedded: Annotated[bool, typer.Option("--embedded", help="It runs on this checkout's control plane.")] = False,
    kubeconfig: Kubeconfig = None,
    cluster_context: ClusterContext = None,
    user: Annotated[
        str, typer.Option("--as", metavar="USER", help="Ask as this user, by impersonation, as kubectl does.")
    ] = "",
    groups: Annotated[
        list[str] | None, typer.Option("--as-group", metavar="GROUP", help="A group of that user.")
    ] = None,
    output_format: Annotated[Literal["text", "json"], typer.Option("--format")] = "text",
    output: Output = None,
    project: Project = CHECKOUT,
) -> None:
    """Say what a cluster and its Vault lack for a stack, before the first `pulumi up`, each with what to do.

    Asks as the identity that deploys: the kubeconfig's on Kubernetes, and in Vault the login of the stack file. Changes
    nothing. What the stack does not need is not asked.

    Exit codes: 0 nothing fails; 1 something fails; 2 wrong argument or file; 3 the cluster cannot be reached.
    """
    from zt.preflight.command import Options, run

    access = cluster_access(kubeconfig, cluster_context, embedded)
    options = Options(stack, project, access, user, tuple(groups or ()), output_format, output)
    # A program that calls the command may pass other connections.
    raise typer.Exit(run(options, context.obj))
