"""The commands of `zt secret`. Each imports what it needs when it runs."""

from typing import Annotated, Literal

import typer

from zt.cluster.options import EmbeddedVault, Login
from zt.project.options import CHECKOUT, Project, ServiceArgument

secret = typer.Typer(no_args_is_help=True)


@secret.command("set")
def set_(
    context: typer.Context,
    service: ServiceArgument,
    name: Annotated[str, typer.Argument(help="A secret of the service with fields under `external`.")],
    field: Annotated[list[str] | None, typer.Option(help="One of its fields; all of them without it.")] = None,
    login: Login = "token",
    embedded: EmbeddedVault = False,
    project: Project = CHECKOUT,
) -> None:
    """Write the fields of a secret that comes from outside, as a new version that keeps its other fields.

    Asks for each value at a terminal, without showing it. Otherwise it reads the standard input: the value itself where
    one field is set, and a JSON object with a text for each where several are. Vault is the one of VAULT_ADDR,
    VAULT_CACERT and VAULT_NAMESPACE.

    Exit codes: 0 done; 2 wrong argument, value or file; 3 Vault cannot be reached, is sealed, or refuses.
    """
    from zt.cluster.vault import Access
    from zt.secret.command import SetRequest, run_set

    request = SetRequest(service, name, tuple(field or ()), project, Access(login, embedded))
    # A program that calls the command may pass another way to connect to Vault.
    raise typer.Exit(run_set(request, context.obj))


@secret.command("list")
def list_(
    context: typer.Context,
    login: Login = "token",
    embedded: EmbeddedVault = False,
    output_format: Annotated[Literal["text", "json"], typer.Option("--format")] = "text",
    project: Project = CHECKOUT,
) -> None:
    """List the secrets that come from outside, and which of their fields Vault does not have yet.

    The pods of a service wait until it has all of them. No value is read.

    Exit codes: 0 none is missing; 1 one is; 2 wrong argument or file; 3 Vault cannot be reached, is sealed, or refuses.
    """
    from zt.cluster.vault import Access
    from zt.secret.command import run_list

    # A program that calls the command may pass another way to connect to Vault.
    raise typer.Exit(run_list(project, Access(login, embedded), output_format, context.obj))
