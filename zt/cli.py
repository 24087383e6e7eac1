"""The commands of `zt`. Each imports what it needs when it runs, so that `zt --help` answers at once."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer

CHECKOUT = Path(__file__).resolve().parent.parent

app = typer.Typer(name="zt", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def zt() -> None:
    """Zero-trust platform: check a change before it is applied, and move rules from audit to enforce."""


@app.command()
def check(
    stack: Annotated[
        str | None, typer.Option("--stack", "-s", help="The stack to preview; with --plan, the one it must be of.")
    ] = None,
    plan: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="The output of `pulumi preview --json --show-sames`; - is the standard input. Without it, one is run.",
        ),
    ] = None,
    embedded: Annotated[
        bool, typer.Option("--embedded", help="Preview on this checkout's running control plane.")
    ] = False,
    output_format: Annotated[Literal["text", "json", "sarif", "junit"], typer.Option("--format")] = "text",
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the report here.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Fail as well on what is only reported.")] = False,
    as_of: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The day exceptions run out by; today in UTC without.")
    ] = None,
    project: Annotated[Path, typer.Option(help="The directory with Pulumi.yaml.")] = CHECKOUT,
) -> None:
    """Say what admission would refuse of a change, before it is applied, with the file and the key to change.

    Takes what `pulumi preview` plans, Helm releases rendered, and applies the planned rules with the Kyverno CLI:
    mutations first, then what denies or reports, with the planned exceptions granted.

    Exit codes: 0 clean; 1 something would be refused, or an exception has expired; 2 bad usage or configuration;
    3 a tool failed.
    """
    from zt.check import CheckOptions, run

    if plan is not None and embedded:
        raise typer.BadParameter("--embedded runs a preview: leave it out with --plan")
    if plan is None and stack is None:
        raise typer.BadParameter("name a stack with --stack, or hand over a plan with --plan")
    day = (as_of or datetime.now(UTC)).date()
    raise typer.Exit(run(CheckOptions(stack, project, day, plan, embedded, output_format, output, strict)))


@app.command()
def promote(
    context: typer.Context,
    rule: Annotated[str, typer.Argument(help="A rule of policies/important.")],
    stack: Annotated[str, typer.Option("--stack", "-s", help="The stack whose file is edited.")] = "production",
    to: Annotated[
        Literal["audit", "warn", "enforce"] | None, typer.Option(help="The phase; the next one without it.")
    ] = None,
    kubeconfig: Annotated[
        Path | None, typer.Option(help="Where the cluster is; KUBECONFIG or ~/.kube/config without it.")
    ] = None,
    cluster_context: Annotated[
        str | None, typer.Option("--context", help="A context of the kubeconfig; the current one without it.")
    ] = None,
    embedded: Annotated[bool, typer.Option("--embedded", help="The cluster is the embedded control plane.")] = False,
    notify: Annotated[
        Path | None, typer.Option(help="Write a message for each team with violations into this directory.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Leave the stack file alone; --notify still writes its messages.")
    ] = False,
    output_format: Annotated[Literal["text", "json"], typer.Option("--format")] = "text",
    project: Annotated[Path, typer.Option(help="The directory with Pulumi.yaml.")] = CHECKOUT,
) -> None:
    """Move a rule to its next phase in a stack file, if enough workloads of the live cluster keep to it.

    The phases are audit, warn and enforce. Nothing is applied. A phase back needs no measurement.

    Exit codes: 0 done or nothing to do; 1 refused: too few workloads comply, or none is measured; 2 wrong argument or
    file; 3 the cluster cannot be read.
    """
    from zt.compliance_cluster import Access
    from zt.promote import Request
    from zt.promote_view import run

    if embedded and (kubeconfig or cluster_context):
        raise typer.BadParameter("--embedded names the cluster: leave --kubeconfig and --context out")
    access = Access(kubeconfig, cluster_context, embedded)
    request = Request(rule, stack, project, access, to, notify, dry_run)
    # Whoever calls the command from a program may hand over another way to read a cluster.
    raise typer.Exit(run(request, output_format, context.obj))


@app.command()
def exceptions(
    stack: Annotated[
        str | None, typer.Option("--stack", "-s", help="Show as well what each rule does on this stack.")
    ] = None,
    as_of: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The day to judge by; today in UTC without it.")
    ] = None,
    output_format: Annotated[Literal["text", "json"], typer.Option("--format")] = "text",
    project: Annotated[Path, typer.Option(help="The directory with Pulumi.yaml.")] = CHECKOUT,
) -> None:
    """List the exceptions of all service files: who has one, why, and for how long.

    Exit codes: 0 none is expired; 1 one is; 2 wrong argument or file.
    """
    from zt.exceptions import run

    day = (as_of or datetime.now(UTC)).date()
    raise typer.Exit(run(project, output_format, day, stack))


def main() -> NoReturn:
    """Run the command line; ends the process with its exit code."""
    app()
    sys.exit(0)
