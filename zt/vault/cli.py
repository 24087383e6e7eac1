"""The commands of `zt vault`. Each imports what it needs when it runs."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from zt.cluster.options import EmbeddedVault, Login

vault = typer.Typer(no_args_is_help=True)


@vault.command()
def snapshot(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="Where to write it; its mode is 0600.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")] = False,
    login: Login = "token",
    embedded: EmbeddedVault = False,
    output_format: Annotated[Literal["text", "json"], typer.Option("--format")] = "text",
) -> None:
    """Copy Vault's raft storage to a file, whole or not at all.

    Vault is the one of VAULT_ADDR, VAULT_CACERT and VAULT_NAMESPACE, its active server. What is in the file is
    encrypted by Vault: nobody reads it without the seal's key.

    Exit codes: 0 done; 2 wrong argument, or a file that is there; 3 Vault cannot be reached, is sealed, a standby, or
    refuses.
    """
    from zt.cluster.vault import Access
    from zt.vault.command import SnapshotRequest, run_snapshot

    request = SnapshotRequest(file, Access(login, embedded), overwrite)
    # A program that calls the command may pass another way to connect to Vault.
    raise typer.Exit(run_snapshot(request, output_format, context.obj))


@vault.command()
def restore(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="What `zt vault snapshot` wrote, or the cluster's own job.")],
    token_file: Annotated[
        str,
        typer.Option(metavar="FILE", help="A file with a token that may restore; - is the standard input."),
    ],
    force: Annotated[
        bool,
        typer.Option("--force", help="Take a snapshot of another Vault with the same seal, such as of a lost one."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    embedded: EmbeddedVault = False,
    output_format: Annotated[Literal["text", "json"], typer.Option("--format")] = "text",
) -> None:
    """Put a snapshot in the place of everything that Vault holds.

    No login may do this, since it is as mighty as root: the holders of the recovery keys make a token for it. Vault is
    the one of VAULT_ADDR, VAULT_CACERT and VAULT_NAMESPACE, its active server.

    Exit codes: 0 done; 1 not confirmed; 2 wrong argument, or no snapshot; 3 Vault cannot be reached, is sealed, a
    standby, or refuses.
    """
    from zt.vault.command import RestoreRequest, run_restore

    # A program that calls the command may pass another way to connect to Vault.
    raise typer.Exit(run_restore(RestoreRequest(file, token_file, embedded, force, yes), output_format, context.obj))
