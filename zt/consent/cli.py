"""The command line of `zt consent`, which imports what it needs when it runs."""

from typing import Annotated, Literal

import typer

from zt.project.options import CHECKOUT, Project


def consent(
    write: Annotated[
        bool, typer.Option("--write", help="Add each missing caller to the file of the service that it calls.")
    ] = False,
    output_format: Annotated[Literal["text", "json"], typer.Option("--format")] = "text",
    project: Project = CHECKOUT,
) -> None:
    """List the calls that the called service does not agree to: its file says under `callers` who may call it.

    With --write they are added: review them with the owners of these files, since each opens a connection.

    Exit codes: 0 none is missing, or all were written; 1 some are missing; 2 wrong argument or file.
    """
    from zt.consent.command import run

    raise typer.Exit(run(project, output_format, write=write))
