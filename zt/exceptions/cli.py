"""The command line of `zt exceptions`, which imports what it needs when it runs."""

from datetime import datetime
from typing import Annotated, Literal

import typer

from zt.project.options import CHECKOUT, DAY, Project, day_of


def exceptions(
    stack: Annotated[
        str | None, typer.Option("--stack", "-s", help="Show as well what each rule does on this stack.")
    ] = None,
    as_of: Annotated[
        datetime | None, typer.Option(formats=DAY, help="The day to judge by; today in UTC without it.")
    ] = None,
    output_format: Annotated[Literal["text", "json"], typer.Option("--format")] = "text",
    project: Project = CHECKOUT,
) -> None:
    """List the exceptions of the service files and of the stack file: who has one, why, and for how long.

    Without --stack those of every stack file are listed.

    Exit codes: 0 none is expired; 1 one is; 2 wrong argument or file.
    """
    from zt.exceptions.command import run

    raise typer.Exit(run(project, output_format, day_of(as_of), stack))
