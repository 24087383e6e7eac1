"""The commands of `zt package`. Each imports what it needs when it runs."""

from datetime import datetime
from pathlib import PurePosixPath
from typing import Annotated

import typer

from zt.project.options import CHECKOUT, DAY, Project, day_of

package = typer.Typer(no_args_is_help=True)


@package.callback()
def group() -> None:
    """Charts of others."""


@package.command()
def init(
    chart: Annotated[str, typer.Argument(help="A folder below packages/, or a chart's name with --repository.")],
    namespace: Annotated[str, typer.Option(help="Its namespace, which nothing else has.")],
    team: Annotated[str, typer.Option(help="Who answers for it.")],
    name: Annotated[
        str | None, typer.Option(help="The name of the file and of the package; the chart's without.")
    ] = None,
    repository: Annotated[str, typer.Option(help="The repository of charts, https:// or oci://.")] = "",
    version: Annotated[str, typer.Option(help="The version, with --repository.")] = "",
    stack: Annotated[str, typer.Option(help="The stack whose rules are asked.")] = "production",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the file, and write nothing.")] = False,
    as_of: Annotated[
        datetime | None, typer.Option(formats=DAY, help="The first day of exceptions; today without it.")
    ] = None,
    project: Project = CHECKOUT,
) -> None:
    """Write the first file of a package: every violation of a rule with the value of the chart that mends it.

    The chart is rendered, the stack's rules are asked, and the chart's own values are tried, one after the other. An
    exception stands there only where none of them helps, and a grant where the chart reaches beyond its namespace: each
    for thirty days, with a reason to replace. Every port of its Services stands under expose, open to nobody.

    Exit codes: 0 nothing is left to look at; 1 something is; 2 wrong argument or file; 3 a tool failed.
    """
    from zt.package.command import InitOptions, run

    options = InitOptions(
        chart=chart,
        name=name or PurePosixPath(chart).name,
        namespace=namespace,
        team=team,
        stack=stack,
        project=project,
        today=day_of(as_of),
        repository=repository,
        version=version,
        dry_run=dry_run,
    )
    raise typer.Exit(run(options))
