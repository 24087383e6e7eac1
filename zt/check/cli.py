"""The command line of `zt check`, which imports what it needs when it runs."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from zt.project.options import CHECKOUT, DAY, Project, day_of


def check(
    stack: Annotated[
        str | None, typer.Option("--stack", "-s", help="The stack to preview; with --plan, the one it must be of.")
    ] = None,
    plan: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="The output of `pulumi preview --json --show-sames`; - is the standard input. Without it, one is run.",
        ),
    ] = None,
    embedded: Annotated[
        bool, typer.Option("--embedded", help="Preview on this checkout's running control plane.")
    ] = False,
    output_format: Annotated[Literal["text", "json", "sarif", "junit"], typer.Option("--format")] = "text",
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the report here.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Fail as well on what is only reported.")] = False,
    as_of: Annotated[
        datetime | None, typer.Option(formats=DAY, help="The day exceptions run out by; today in UTC without.")
    ] = None,
    project: Project = CHECKOUT,
) -> None:
    """Say what admission would refuse of a change, before it is applied, with the file and the key to change.

    Takes what `pulumi preview` plans, Helm releases rendered, and applies the planned rules with the Kyverno CLI:
    mutations first, then what denies or reports, with the planned exceptions granted.

    Exit codes: 0 clean; 1 something would be refused, or an exception has expired; 2 bad usage or configuration;
    3 a tool failed.
    """
    from zt.check.command import CheckOptions, run

    if plan is not None and embedded:
        raise typer.BadParameter("--embedded runs a preview: leave it out with --plan")
    if plan is None and stack is None:
        raise typer.BadParameter("name a stack with --stack, or hand over a plan with --plan")
    raise typer.Exit(run(CheckOptions(stack, project, day_of(as_of), plan, embedded, output_format, output, strict)))
