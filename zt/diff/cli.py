"""The command line of `zt diff`, which imports what it needs when it runs."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from zt.project.options import CHECKOUT, Output, Project


def diff(
    stack: Annotated[str, typer.Option("--stack", "-s", help="The stack whose plans are compared.")],
    base: Annotated[
        str | None,
        typer.Option(metavar="REF", help="The commit to compare with; without it, where the default branch was left."),
    ] = None,
    base_dir: Annotated[Path | None, typer.Option(metavar="DIR", help="A directory to compare with instead.")] = None,
    accept: Annotated[
        str | None, typer.Option(metavar="REASON", help="Why production may become weaker; it is printed.")
    ] = None,
    output_format: Annotated[Literal["text", "markdown", "json"], typer.Option("--format")] = "text",
    output: Output = None,
    project: Project = CHECKOUT,
) -> None:
    """Say what a change means for security, in words: who may reach what, what a rule does, what is public.

    Compares the plan of a commit with that of the working tree, each made by its own program, without a cluster.
    Every line is weaker, stronger or neutral; one whose direction is unknown counts as weaker.

    Exit codes: 0 nothing is weaker, or it is accepted, or the stack is not production; 1 production becomes weaker;
    2 bad usage or configuration; 3 git or a plan failed.
    """
    from zt.diff.command import DiffOptions, run

    if base is not None and base_dir is not None:
        raise typer.BadParameter("--base-dir names what to compare with: leave --base out")
    raise typer.Exit(run(DiffOptions(stack, project, base, base_dir, accept, output_format, output)))
