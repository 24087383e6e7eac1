"""The command line of the embedded stack. Imports stay inside the verbs, so that ``--help`` is quick."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from embedded.pulumi_stack import PulumiStack
    from embedded.supervisor.control_plane import ControlPlane
    from embedded.supervisor.presentation import Reporter

EXIT_CODES = """
Exit codes: 0 done; 1 an operation failed, the message says what and where to look; 2 wrong usage; 3 the control plane
does not run (status, logs -f, preview, destroy, env, pulumi); 4 it runs, but not all of it is ready (status).
"""
FAILED, NOT_RUNNING, NOT_READY = 1, 3, 4
DEFAULT_STACK = "production"
# The program renders packages by helm.
NEEDED_TOOLS = ("cluster", "controllers", "pulumi", "helm")

app = typer.Typer(
    help="Runs the platform's stacks on an embedded control plane: real parts, on loopback, without a cluster.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)

StackOption = Annotated[str, typer.Option("--stack", "-s", help="Stack: production, staging, dev or local.")]


@app.command()
def up(
    stack: StackOption = DEFAULT_STACK,
    postgres: Annotated[bool, typer.Option("--postgres", help="Start PostgreSQL as well.")] = False,
    data_plane: Annotated[
        bool, typer.Option("--data-plane", help="Run each pod of the mesh behind a real proxy; needs root.")
    ] = False,
    node: Annotated[
        bool,
        typer.Option("--node", help="Run the pods of services on a real node; needs root."),
    ] = False,
    second_node: Annotated[
        bool, typer.Option("--second-node", help="Have a second real node, to drain one; goes with --node.")
    ] = False,
    acme: Annotated[bool, typer.Option("--acme", help="Start an ACME server, and issue from it.")] = False,
    external_secrets: Annotated[
        bool, typer.Option("--external-secrets", help="Have the operator for vault.delivery external-secrets.")
    ] = False,
    charts: Annotated[
        Path | None,
        typer.Option(
            "--charts", metavar="DIR", help="Take the charts from this directory, such as those of an older release."
        ),
    ] = None,
    no_stack: Annotated[bool, typer.Option("--no-stack", help="Start the control plane only.")] = False,
    reports: Annotated[
        bool | None,
        typer.Option("--reports/--no-reports", help="Have Kyverno write PolicyReports, or none, which saves CPU time."),
    ] = None,
) -> None:
    """Boot the control plane and bring a stack up on it. What runs already is left as it is."""
    from embedded.supervisor.presentation import Reporter

    reporter = Reporter()
    with reporter.failures(FAILED):
        asked = {
            "acme": acme,
            "external_secrets": external_secrets,
            "second_node": second_node,
            "postgres": postgres,
            "data_plane": data_plane,
            "node": node or second_node,
        }
        plane = _boot(reporter, charts, asked, reports)
        if no_stack:
            reporter.next_steps(plane.state, stack=None)
            return
        program = _stack(stack)
        program.refuse_beside_another()
        program.prepare()
        program.resume_after_interruption(reporter.say)
        program.up(reporter.say)
        if data_plane:
            plane.wait_data_plane()
        reporter.summary(program.summary())
        reporter.where_pods_run(plane.status())
        reporter.next_steps(plane.state, stack=stack)


@app.command()
def preview(stack: StackOption = DEFAULT_STACK) -> None:
    """Show what `up` would change in a stack."""
    _on_running_plane(stack, ["preview", "--stack", stack, "--diff"])


@app.command()
def destroy(stack: StackOption = DEFAULT_STACK) -> None:
    """Remove everything a stack created; the control plane stays up."""
    _on_running_plane(stack, ["destroy", "--stack", stack, "--yes", "--skip-preview"])


@app.command()
def down() -> None:
    """Stop every process. The data stay, and the next `up` continues with them."""
    from embedded.supervisor.presentation import Reporter

    reporter = Reporter()
    with reporter.failures(FAILED):
        stopped = _plane().down()
        reporter.say("stopped" if stopped else "nothing runs")


@app.command()
def status(
    output_format: Annotated[str, typer.Option("--format", help="table or json.")] = "table",
) -> None:
    """Show what runs and whether it is ready."""
    from embedded.supervisor.presentation import Reporter

    if output_format not in {"table", "json"}:
        raise typer.BadParameter(f"--format {output_format}: legal are table and json")
    reporter = Reporter()
    found = _plane().status()
    if output_format == "json":
        typer.echo(_json(found))
    elif found:
        reporter.status_table(found)
    else:
        reporter.say("the control plane does not run: start it with `python -m embedded up`")
    if not found:
        raise typer.Exit(NOT_RUNNING)
    if not found["ready"]:
        raise typer.Exit(NOT_READY)


@app.command()
def logs(
    name: Annotated[str | None, typer.Argument(help="A process, as `status` names it; all without one.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines are written.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", help="How many of the last lines, per process.")] = 50,
) -> None:
    """Show the logs of the processes."""
    from embedded.paths import State
    from embedded.supervisor.log_view import show_logs
    from embedded.supervisor.presentation import Reporter

    with Reporter().failures(FAILED):
        show_logs(State().logs, name, lines=lines, follow=follow)


@app.command()
def clean(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Stop every process and delete the state directory with all data, keys and stack states in it."""
    import shutil

    from embedded.supervisor.presentation import Reporter

    plane = _plane()
    if not plane.state.root.exists():
        return
    if not yes:
        typer.confirm(f"Stop the control plane and delete {plane.state.root}?", abort=True)
    reporter = Reporter()
    with reporter.failures(FAILED):
        plane.down()
        shutil.rmtree(plane.state.root)
        reporter.say(f"deleted {plane.state.root}")


@app.command()
def env() -> None:
    """Print shell exports for your own kubectl and Vault client: eval "$(python -m embedded env)"."""
    import shlex

    found = _plane().status()
    if not found:
        typer.echo("the control plane does not run: start it with `python -m embedded up`", err=True)
        raise typer.Exit(NOT_RUNNING)
    for name, value in _exports(found).items():
        typer.echo(f"export {name}={shlex.quote(value)}")
    typer.echo(f'export PATH={shlex.quote(found["tools"])}:"$PATH"')


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})
def pulumi(context: typer.Context) -> None:
    """Run the real Pulumi CLI in the embedded environment: `python -m embedded pulumi stack output --stack dev`."""
    reporter = _of_running_plane()
    with reporter.failures(FAILED):
        program = _stack(DEFAULT_STACK)
        for name in _stack_names():
            _stack(name).prepare()
        program.replace_process(context.args)


@app.command()
def tools(
    build: Annotated[bool, typer.Option("--build", help="Build what is missing.")] = False,
) -> None:
    """Show the pinned tools, and build them when asked to."""
    from embedded.toolchain.__main__ import main

    raise typer.Exit(main(["--build"] if build else []))


def _plane() -> "ControlPlane":
    from embedded.paths import State
    from embedded.supervisor.control_plane import ControlPlane

    return ControlPlane(State())


def _boot(
    reporter: "Reporter",
    charts: Path | None,
    asked: Mapping[str, bool],
    reports: bool | None,
) -> "ControlPlane":
    from embedded.data_plane.machine import check_machine
    from embedded.node.machine import check_machine as check_machine_for_node
    from embedded.supervisor.overlay import write_overlay
    from embedded.toolchain import ensure, stage_charts

    data_plane = asked["data_plane"]
    if data_plane:
        check_machine()
    plane = _plane()
    # What runs already goes on.
    node = asked["node"] or "node" in plane.features
    if node:
        check_machine_for_node(data_plane=data_plane or "dataPlane" in plane.features)
    acme = asked["acme"] or "acme" in plane.features
    external_secrets = asked["external_secrets"] or "externalSecrets" in plane.features
    more = {"data-plane": data_plane or node, "acme": acme, "external-secrets": external_secrets}
    more |= {"node": node, "kubectl": node}
    executables = ensure((*NEEDED_TOOLS, *(group for group, wanted in more.items() if wanted)))
    charts = charts.absolute() if charts else stage_charts()
    with reporter.boot_progress() as on_progress:
        wanted = {**asked, "node": node, "acme": acme, "external_secrets": external_secrets}
        plane.up(executables, reports=reports, on_progress=on_progress, **wanted)
    write_overlay(plane.state, charts, acme=acme, node=node)
    return plane


def _stack(name: str) -> "PulumiStack":
    from embedded.paths import State
    from embedded.pulumi_stack import PulumiStack
    from embedded.toolchain import ensure

    return PulumiStack(name, State(), ensure(NEEDED_TOOLS))


def _stack_names() -> list[str]:
    from embedded.pulumi_stack import stack_names

    return stack_names()


def _of_running_plane() -> "Reporter":
    from embedded.supervisor.presentation import Reporter

    reporter = Reporter()
    if not _plane().status():
        reporter.complain("the control plane does not run: start it with `python -m embedded up --no-stack`")
        raise typer.Exit(NOT_RUNNING)
    return reporter


def _on_running_plane(stack: str, arguments: list[str]) -> None:
    reporter = _of_running_plane()
    with reporter.failures(FAILED):
        program = _stack(stack)
        program.prepare()
        program.resume_after_interruption(reporter.say)
        program.run(*arguments)


def _exports(found: dict) -> dict[str, str]:
    from embedded.paths import State
    from embedded.supervisor.pki import VAULT, Pki

    state = State()
    return {
        "KUBECONFIG": str(state.kubeconfig),
        "VAULT_ADDR": found["vault"],
        "VAULT_CACERT": str(Pki(state.pki).ca(VAULT)),
        "BAO_ADDR": found["vault"],
        "BAO_CACERT": str(Pki(state.pki).ca(VAULT)),
    }


def _json(found: object) -> str:
    import json

    return json.dumps(found, indent=2)
