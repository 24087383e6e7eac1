"""The command line of `zt attack`, which imports what it needs when it runs."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from zt.cluster.options import ClusterContext, Kubeconfig, cluster_access
from zt.project.options import CHECKOUT, Output, Project


def attack(
    context: typer.Context,
    stack: Annotated[str, typer.Option("--stack", "-s", help="The stack that is attacked, as it runs.")],
    attacker: Annotated[
        Literal["pod", "namespace-admin", "namespace-edit"],
        typer.Option(
            "--as", help="A service's pod, or who has that built-in role in its namespace and no other right."
        ),
    ] = "pod",
    service: Annotated[
        str,
        typer.Option(help="Whose pod or namespace it is: namespace/name, or a name that one namespace alone has."),
    ] = "api",
    embedded: Annotated[bool, typer.Option("--embedded", help="It runs on this checkout's control plane.")] = False,
    kubeconfig: Kubeconfig = None,
    cluster_context: ClusterContext = None,
    vault_addr: Annotated[str | None, typer.Option(envvar="VAULT_ADDR", help="Where Vault is.")] = None,
    vault_cacert: Annotated[
        Path | None, typer.Option(envvar="VAULT_CACERT", help="The file of the authority that Vault is trusted by.")
    ] = None,
    audit_log: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="An audit device's log as Vault writes it; one for each.")
    ] = None,
    istiod_addr: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="istiod's port 15012, such as one that is forwarded.")
    ] = "",
    probe_image: Annotated[
        str,
        typer.Option(
            metavar="IMAGE",
            help="An image with sh and curl, of an approved registry. Where the pods themselves have neither, packets "
            "leave from a pod of it with their labels and accounts, which is removed afterwards.",
        ),
    ] = "",
    internet: Annotated[
        str,
        typer.Option(metavar="ADDRESS", help="A host of the internet that answers: packets are sent to it, too."),
    ] = "",
    only: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="An attempt by its name, or an attack by its number.")
    ] = None,
    output_format: Annotated[Literal["text", "json"], typer.Option("--format")] = "text",
    output: Output = None,
    project: Project = CHECKOUT,
) -> None:
    """Replay attacks against a running stack, as a compromised pod or as somebody with rights in one namespace.

    A pod tries the zero-trust model's six, by the tokens, the network identity and the files that it has. A namespace's
    member tries what leads out of it or into its services, by a built-in role that is bound to a user for the run. Says
    of each attempt what stopped it, or that it cannot be measured here. Stores nothing that is tried, shows no secret.
    Packets are sent from the pods themselves; what became of each stands beside what the live rules say of it.

    Exit codes: 0 no attempt succeeded; 1 one did, or a packet went otherwise than the live rules say; 2 wrong argument
    or file; 3 the stack cannot be reached.
    """
    from zt.attack.attacker import Attacker
    from zt.attack.command import Options, run

    access = cluster_access(kubeconfig, cluster_context, embedded)
    logs, names = tuple(audit_log or ()), tuple(only or ())
    where, sends = (vault_addr, vault_cacert, logs, istiod_addr), (probe_image, internet)
    options = Options(stack, project, access, service, *where, names, output_format, output, Attacker(attacker), *sends)
    # A program that calls the command may pass other connections.
    raise typer.Exit(run(options, context.obj))
