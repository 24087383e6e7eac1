"""The command line of `zt codeowners`, which imports what it needs when it runs."""

from typing import Annotated

import typer

from zt.project.options import CHECKOUT, Project


def codeowners(
    write: Annotated[bool, typer.Option("--write", help="Write them into the file.")] = False,
    file: Annotated[str, typer.Option(metavar="FILE", help="The file, below the project.")] = ".github/CODEOWNERS",
    project: Project = CHECKOUT,
) -> None:
    """Say who reviews each service file: its team, or the platform where the file says what only that may approve.

    The owners of the line `*` are the platform, and a team is the organisation's of that name. A pull request that
    grants a service more than its team may has to change this file too, and so comes to the file's own owners: let a
    pipeline run this without --write, and ask for a review of code owners.

    Exit codes: 0 the file is right, or was written; 1 it is not; 2 wrong argument or file.
    """
    from zt.codeowners.command import run

    raise typer.Exit(run(project, file, write=write))
