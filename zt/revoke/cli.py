"""The command line of `zt revoke`, which imports what it needs when it runs."""

from typing import Annotated

import typer

from zt.cluster.options import EmbeddedVault, Login
from zt.project.options import CHECKOUT, Project, ServiceArgument


def revoke(
    context: typer.Context,
    service: ServiceArgument,
    lock: Annotated[bool, typer.Option("--lock", help="Remove its role as well: nobody logs in again.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    login: Login = "token",
    embedded: EmbeddedVault = False,
    project: Project = CHECKOUT,
) -> None:
    """End every token of a service in Vault at once, and the leases of its dynamic credentials.

    Vault is the one of VAULT_ADDR, VAULT_CACERT and VAULT_NAMESPACE. A pod that runs logs in again unless its role is
    removed with --lock; `pulumi up --refresh` makes the role again.

    Exit codes: 0 done; 1 not confirmed, or Vault knows no such service; 2 wrong argument; 3 Vault cannot be reached,
    is sealed or refuses.
    """
    from zt.cluster.vault import Access
    from zt.revoke.command import Request, run

    # A program that calls the command may pass another way to connect to Vault.
    raise typer.Exit(run(Request(service, project, Access(login, embedded), yes, lock), context.obj))
