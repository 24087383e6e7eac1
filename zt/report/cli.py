"""The command line of `zt report`, which imports what it needs when it runs."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from zt.cluster.options import cluster_access
from zt.project.options import CHECKOUT, DAY, Project


def report(
    context: typer.Context,
    stack: Annotated[str, typer.Option("--stack", "-s", help="The stack that is reported on.")],
    embedded: Annotated[bool, typer.Option("--embedded", help="Measure on this checkout's control plane.")] = False,
    kubeconfig: Annotated[Path | None, typer.Option(help="Measure on the cluster of this kubeconfig.")] = None,
    cluster_context: Annotated[
        str | None, typer.Option("--context", help="Measure on this context of the kubeconfig.")
    ] = None,
    attacks: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="What `zt attack --format json` wrote of this stack; one for each attacker."),
    ] = None,
    as_of: Annotated[
        datetime | None, typer.Option(formats=DAY, help="The day to judge exceptions by; today in UTC.")
    ] = None,
    output_format: Annotated[Literal["html", "json"], typer.Option("--format")] = "html",
    output: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Where to write; - is the standard output. By default zero-trust-report-STACK.html, replaced if it "
            "is there; JSON goes to the standard output.",
        ),
    ] = None,
    project: Project = CHECKOUT,
) -> None:
    """Write a report on a stack: posture, access, Vault paths, certificates, rules, exceptions, attacks.

    One HTML file that loads nothing. Reads the stack file and the service files; compliance and certificates need a
    cluster, and are said to be not measured without one.

    Exit codes: 0 written; 2 wrong argument or file; 3 the cluster cannot be read.
    """
    from zt.cluster.access import Access
    from zt.report.build import Request
    from zt.report.command import run

    access = cluster_access(kubeconfig, cluster_context, embedded)
    now = datetime.now(UTC)
    # Without options that name a cluster, none is read.
    place = access if access != Access() else None
    request = Request(stack, project, now, (as_of or now).date(), place, tuple(attacks or ()))
    # A program that calls the command may pass another way to read a cluster.
    raise typer.Exit(run(request, output_format, output, context.obj))
