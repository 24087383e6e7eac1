"""The command line of `zt rotate`, which imports what it needs when it runs."""

from typing import Annotated

import typer

from zt.cluster.options import EmbeddedVault, Login
from zt.project.options import CHECKOUT, Project, ServiceArgument


def rotate(
    context: typer.Context,
    service: ServiceArgument,
    key: Annotated[str | None, typer.Argument(help="A field under `generate` of one of its secrets.")] = None,
    secret: Annotated[str | None, typer.Option(help="The secret, when several of them have the field.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every generated field, of --secret or of all secrets.")] = False,
    login: Login = "token",
    embedded: EmbeddedVault = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Look at the versions, write nothing.")] = False,
    project: Project = CHECKOUT,
) -> None:
    """Give a generated field of a service's secret a new value, as a new version that keeps the other fields.

    Vault is the one of VAULT_ADDR, VAULT_CACERT and VAULT_NAMESPACE. The value is never shown; the pods' agents
    write it to their files. Each run makes a new version.

    Exit codes: 0 done; 2 wrong argument or file; 3 Vault cannot be reached, is sealed, refuses, or has no such version.
    """
    from zt.cluster.vault import Access
    from zt.rotate.command import Request, run

    if (key is None) != every:
        raise typer.BadParameter("name the KEY to rotate, or pass --all")
    request = Request(service, key, project, Access(login, embedded), secret, dry_run)
    # A program that calls the command may pass another way to connect to Vault.
    raise typer.Exit(run(request, context.obj))
