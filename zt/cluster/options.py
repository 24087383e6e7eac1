"""Options that name the cluster or the Vault of a command. `zt --help` loads this module, so it imports little."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from zt.cluster.access import Access

Kubeconfig = Annotated[Path | None, typer.Option(help="Where the cluster is; KUBECONFIG or ~/.kube/config without it.")]
ClusterContext = Annotated[
    str | None, typer.Option("--context", help="A context of the kubeconfig; the current one without it.")
]
Login = Annotated[
    Literal["token", "kubernetes"],
    typer.Option(help="VAULT_TOKEN or ~/.vault-token; or as the operator's service account."),
]
EmbeddedVault = Annotated[bool, typer.Option("--embedded", help="Vault is this checkout's control plane's.")]


def cluster_access(kubeconfig: Path | None, context: str | None, embedded: bool) -> "Access":
    """The cluster that the options name. Raises `BadParameter` when they name two."""
    from zt.cluster.access import Access

    if embedded and (kubeconfig or context):
        raise typer.BadParameter("--embedded names the cluster: leave --kubeconfig and --context out")
    return Access(kubeconfig, context, embedded)
