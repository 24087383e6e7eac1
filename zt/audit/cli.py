"""The command line of `zt audit`, which imports what it needs when it runs."""

from datetime import UTC, datetime
from typing import Annotated, Literal

import typer

from zt.project.options import CHECKOUT, Project


def audit(
    service: Annotated[
        str | None, typer.Argument(help="namespace/name, or a name that one namespace alone has.")
    ] = None,
    secret: Annotated[
        str | None, typer.Option(metavar="PATH", help="Show who asked for this secret: shop/api/database.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="30m, 1h, 7d or an ISO time; all of the log without it.")] = None,
    file: Annotated[
        list[str] | None, typer.Option(metavar="FILE", help="An audit device's log, .gz too; - is the standard input.")
    ] = None,
    embedded: Annotated[bool, typer.Option("--embedded", help="The logs of this checkout's control plane.")] = False,
    path_prefix: Annotated[
        list[str] | None, typer.Option(help="Paths to show; secret/ and database/creds/ without it, any with --secret.")
    ] = None,
    output_format: Annotated[Literal["text", "json"], typer.Option("--format")] = "text",
    project: Project = CHECKOUT,
) -> None:
    """Show which service account asked for which secret, when, and whether it got it, by Vault's audit log.

    A real Vault's log comes from its volume or its output: `kubectl -n vault exec vault-0 -- cat
    /vault/audit/audit.log | zt audit shop/api --file -`. Several logs make one list. No value is ever shown.

    Exit codes: 0 the log is read; 2 wrong argument; 3 a log cannot be read.
    """
    from zt.audit.command import Request, run

    if embedded and file:
        raise typer.BadParameter("--embedded names the logs: leave --file out")
    now = datetime.now(UTC)
    files, prefixes = tuple(file or ()), tuple(path_prefix or ())
    raise typer.Exit(run(Request(service, project, now, files, embedded, secret, since, prefixes), output_format))
