"""The command line of `zt resume`, which imports what it needs when it runs."""

from typing import Annotated, Literal

import typer

from zt.cluster.options import ClusterContext, Kubeconfig, Login, cluster_access
from zt.project.options import CHECKOUT, Project


def resume(
    context: typer.Context,
    stack: Annotated[str, typer.Option("--stack", "-s", help="The stack whose update was killed.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    embedded: Annotated[bool, typer.Option("--embedded", help="It is on this checkout's control plane.")] = False,
    kubeconfig: Kubeconfig = None,
    cluster_context: ClusterContext = None,
    login: Login = "token",
    output_format: Annotated[Literal["text", "json"], typer.Option("--format")] = "text",
    project: Project = CHECKOUT,
) -> None:
    """Settle what a killed `pulumi up` left pending, so that the next one completes. A second run finds nothing.

    What Vault makes once only and the killed run had made becomes the stack's. Helm's records of a release that was
    being installed are removed, and nothing else of the cluster. The rest the next `pulumi up` makes again, over what
    is there. It runs the pulumi on PATH, with the environment of `pulumi up`; Vault is asked only for a secret whose
    first version was being written.

    Exit codes: 0 done, or nothing is pending; 1 not confirmed; 2 wrong argument, or another cluster than the stack's;
    3 another run holds the stack, or pulumi, the cluster or Vault failed.
    """
    from zt.cluster.vault import Access
    from zt.resume.command import Request, run

    cluster = cluster_access(kubeconfig, cluster_context, embedded)
    request = Request(stack, project, cluster, Access(login, embedded), yes, output_format)
    # A program that calls the command may pass other connections.
    raise typer.Exit(run(request, context.obj))
