"""The command line of `zt show`, which imports what it needs when it runs."""

from typing import Annotated, Literal

import typer

from zt.project.options import CHECKOUT, Project, ServiceArgument


def show(
    service: ServiceArgument,
    stack: Annotated[str, typer.Option("--stack", "-s", help="The stack that is meant.")] = "production",
    output_format: Annotated[Literal["text", "json"], typer.Option("--format")] = "text",
    project: Project = CHECKOUT,
) -> None:
    """Show a service or a package as a stack has it: its file with that of the stack over it, and the domain in hosts.

    Each key says the file and line that it comes from.

    Exit codes: 0 done; 2 wrong argument, or the program refuses a file.
    """
    from zt.show.command import run

    raise typer.Exit(run(service, stack, project, output_format))
