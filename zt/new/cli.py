"""The commands of `zt new`. Each imports what it needs when it runs."""

from typing import Annotated, Literal

import typer

from zt.project.options import CHECKOUT, Project

new = typer.Typer(no_args_is_help=True)


@new.command()
def service(
    name: Annotated[str | None, typer.Argument(help="The name of the file and of the service.")] = None,
    namespace: Annotated[str | None, typer.Option(help="Where it runs.")] = None,
    team: Annotated[str | None, typer.Option(help="Who answers for it.")] = None,
    image: Annotated[str | None, typer.Option(help="With its registry and a fixed tag or a digest.")] = None,
    port: Annotated[int | None, typer.Option(help="The port that it listens on.")] = None,
    protocol: Annotated[Literal["http", "http2", "grpc", "tcp"] | None, typer.Option(help="http without it.")] = None,
    extra_port: Annotated[
        list[str] | None, typer.Option(metavar="NAME:PORT[:PROTOCOL]", help="A further port, which a call names.")
    ] = None,
    schedule: Annotated[
        str | None, typer.Option(metavar="CRON", help="When it runs, in UTC, if it is a program that ends.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="The public name; without it nothing outside reaches it.")] = None,
    path: Annotated[list[str] | None, typer.Option(help="A path prefix that is public; all without it.")] = None,
    calls: Annotated[list[str] | None, typer.Option(metavar="A,B", help="The services it talks to.")] = None,
    callers: Annotated[list[str] | None, typer.Option(metavar="A,B", help="The services that may call it.")] = None,
    secret: Annotated[
        list[str] | None, typer.Option(metavar="NAME:FIELD[,FIELD]", help="A secret, its fields generated in Vault.")
    ] = None,
    database: Annotated[
        str | None, typer.Option(metavar="NAME", help="Its own users in a database of the stack file, with --grant.")
    ] = None,
    grant: Annotated[
        list[str] | None,
        typer.Option(metavar="SCHEMA:RIGHT[,RIGHT][:TABLE,TABLE]", help="What they may do; all tables without names."),
    ] = None,
    kubernetes_api: Annotated[
        list[str] | None,
        typer.Option(
            metavar="VERB[,VERB]:RESOURCE[.GROUP][:DAY:OWNER:REASON]",
            help="Rights on the Kubernetes API; until a day, if one of them may lead to more than it says.",
        ),
    ] = None,
    replicas: Annotated[int | None, typer.Option(help="The stack's own number without it.")] = None,
    autoscaling: Annotated[
        str | None, typer.Option(metavar="MIN:MAX[:CPU]", help="As many pods as the load asks for; CPU is percent.")
    ] = None,
    requests: Annotated[str | None, typer.Option(metavar="CPU,MEMORY", help="What is kept for a pod.")] = None,
    limits: Annotated[str | None, typer.Option(metavar="CPU,MEMORY", help="What a pod may use at most.")] = None,
    env: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="A variable that is no secret.")] = None,
    volume: Annotated[
        list[str] | None, typer.Option(metavar="NAME:PATH:SIZE[:CLASS]", help="A volume that stays, one for each pod.")
    ] = None,
    health: Annotated[str | None, typer.Option(metavar="PATH", help="The path that answers a probe.")] = None,
    probe: Annotated[
        str | None, typer.Option(metavar="COMMAND", help="The program that answers a probe, in place of a port.")
    ] = None,
    run_as_user: Annotated[int | None, typer.Option(help="The user id in the container.")] = None,
    writable: Annotated[list[str] | None, typer.Option(help="A directory that it may write to.")] = None,
    component: Annotated[str | None, typer.Option(help="What part it plays, such as cache.")] = None,
    cost_center: Annotated[str | None, typer.Option(help="Who pays.")] = None,
    exception: Annotated[
        list[str] | None,
        typer.Option(metavar="RULE:DAY:OWNER:REASON", help="A rule that does not hold until a day."),
    ] = None,
    stack: Annotated[str, typer.Option("--stack", "-s", help="The stack to plan it on.")] = "production",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show everything, write nothing.")] = False,
    output_format: Annotated[Literal["text", "json"], typer.Option("--format")] = "text",
    project: Project = CHECKOUT,
) -> None:
    """Write services/NAME.yaml, and show what it comes to on a stack: objects, Vault paths, who may reach what.

    Asks for what is missing when it runs at a terminal. Nothing is written when the program would refuse the file.

    Exit codes: 0 written, or shown with --dry-run; 1 declined; 2 a flag is missing, or the program refuses a file.
    """
    from zt.new.command import command

    lists = {"paths": path, "calls": calls, "callers": callers, "secrets": secret, "writable": writable, "env": env}
    lists |= {"volumes": volume, "kubernetesApi": kubernetes_api, "exceptions": exception, "grants": grant}
    lists |= {"ports": extra_port, "run": schedule, "probes": probe}
    values = {"namespace": namespace, "team": team, "image": image, "port": port, "protocol": protocol, "host": host}
    values |= {"replicas": replicas, "health": health, "runAsUser": run_as_user, "component": component}
    values |= {"database": database, "autoscaling": autoscaling, "requests": requests, "limits": limits}
    flags = {**values, "costCenter": cost_center, **lists}
    raise typer.Exit(command(name, flags, project, stack, yes, dry_run, output_format))
