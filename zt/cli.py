"""The commands of `zt`. Each imports what it needs when it runs, so that `zt --help` answers at once."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer

from zt.cli_new import CHECKOUT, new
from zt.cli_vault import vault

app = typer.Typer(name="zt", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.add_typer(new, name="new", help="Make a file that the program reads.")
app.add_typer(vault, name="vault", help="Copy Vault's storage, and put a copy back.")


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
def diff(
    stack: Annotated[str, typer.Option("--stack", "-s", help="The stack whose plans are compared.")],
    base: Annotated[
        str | None,
        typer.Option(metavar="REF", help="The commit to compare with; without it, where the default branch was left."),
    ] = None,
    base_dir: Annotated[Path | None, typer.Option(metavar="DIR", help="A directory to compare with instead.")] = None,
    accept: Annotated[
        str | None, typer.Option(metavar="REASON", help="Why production may become weaker; it is printed.")
    ] = None,
    output_format: Annotated[Literal["text", "markdown", "json"], typer.Option("--format")] = "text",
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the result here.")] = None,
    project: Annotated[Path, typer.Option(help="The directory with Pulumi.yaml.")] = CHECKOUT,
) -> None:
    """Say what a change means for security, in words: who may reach what, what a rule does, what is public.

    Compares the plan of a commit with that of the working tree, each made by its own program, without a cluster.
    Every line is weaker, stronger or neutral; one whose direction is unknown counts as weaker.

    Exit codes: 0 nothing is weaker, or it is accepted, or the stack is not production; 1 production becomes weaker;
    2 bad usage or configuration; 3 git or a plan failed.
    """
    from zt.diff import DiffOptions, run

    if base is not None and base_dir is not None:
        raise typer.BadParameter("--base-dir names what to compare with: leave --base out")
    raise typer.Exit(run(DiffOptions(stack, project, base, base_dir, accept, output_format, output)))


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


@app.command()
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
    project: Annotated[Path, typer.Option(help="The directory with Pulumi.yaml.")] = CHECKOUT,
) -> None:
    """Show which service account asked for which secret, when, and whether it got it, by Vault's audit log.

    A real Vault's log comes from its volume or its output: `kubectl -n vault exec vault-0 -- cat
    /vault/audit/audit.log | zt audit shop/api --file -`. Several logs make one list. No value is ever shown.

    Exit codes: 0 the log is read; 2 wrong argument; 3 a log cannot be read.
    """
    from zt.audit import Request, run

    if embedded and file:
        raise typer.BadParameter("--embedded names the logs: leave --file out")
    now = datetime.now(UTC)
    files, prefixes = tuple(file or ()), tuple(path_prefix or ())
    raise typer.Exit(run(Request(service, project, now, files, embedded, secret, since, prefixes), output_format))


@app.command()
def rotate(
    context: typer.Context,
    service: Annotated[str, typer.Argument(help="namespace/name, or a name that one namespace alone has.")],
    key: Annotated[str | None, typer.Argument(help="A field under `generate` of one of its secrets.")] = None,
    secret: Annotated[str | None, typer.Option(help="The secret, when several of them have the field.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every generated field, of --secret or of all secrets.")] = False,
    login: Annotated[
        Literal["token", "kubernetes"],
        typer.Option(help="VAULT_TOKEN or ~/.vault-token; or as the operator's service account."),
    ] = "token",
    embedded: Annotated[bool, typer.Option("--embedded", help="Vault is this checkout's control plane's.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Look at the versions, write nothing.")] = False,
    project: Annotated[Path, typer.Option(help="The directory with Pulumi.yaml.")] = CHECKOUT,
) -> None:
    """Give a generated field of a service's secret a new value, as a new version that keeps the other fields.

    Vault is the one of VAULT_ADDR, VAULT_CACERT and VAULT_NAMESPACE. The value is never shown; the pods' agents
    write it to their files. Each run makes a new version.

    Exit codes: 0 done; 2 wrong argument or file; 3 Vault cannot be reached, is sealed, refuses, or has no such version.
    """
    from zt.rotate import Request, run
    from zt.vault import Access

    if (key is None) != every:
        raise typer.BadParameter("name the KEY to rotate, or pass --all")
    request = Request(service, key, project, Access(login, embedded), secret, dry_run)
    # Whoever calls the command from a program may hand over another way to a Vault.
    raise typer.Exit(run(request, context.obj))


@app.command()
def revoke(
    context: typer.Context,
    service: Annotated[str, typer.Argument(help="namespace/name, or a name that one namespace alone has.")],
    lock: Annotated[bool, typer.Option("--lock", help="Remove its role as well: nobody logs in again.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    login: Annotated[
        Literal["token", "kubernetes"],
        typer.Option(help="VAULT_TOKEN or ~/.vault-token; or as the operator's service account."),
    ] = "token",
    embedded: Annotated[bool, typer.Option("--embedded", help="Vault is this checkout's control plane's.")] = False,
    project: Annotated[Path, typer.Option(help="The directory with Pulumi.yaml.")] = CHECKOUT,
) -> None:
    """End every token of a service in Vault at once, and the leases of its dynamic credentials.

    Vault is the one of VAULT_ADDR, VAULT_CACERT and VAULT_NAMESPACE. A pod that runs logs in again unless its role is
    removed with --lock; `pulumi up --refresh` makes the role again.

    Exit codes: 0 done; 1 not confirmed, or Vault knows no such service; 2 wrong argument; 3 Vault cannot be reached,
    is sealed or refuses.
    """
    from zt.revoke import Request, run
    from zt.vault import Access

    # Whoever calls the command from a program may hand over another way to a Vault.
    raise typer.Exit(run(Request(service, project, Access(login, embedded), yes, lock), context.obj))


@app.command()
def attack(
    context: typer.Context,
    stack: Annotated[str, typer.Option("--stack", "-s", help="The stack that is attacked, as it runs.")],
    service: Annotated[
        str, typer.Option(help="Whose pod is compromised: namespace/name, or a name that one namespace alone has.")
    ] = "api",
    embedded: Annotated[bool, typer.Option("--embedded", help="It runs on this checkout's control plane.")] = False,
    kubeconfig: Annotated[
        Path | None, typer.Option(help="Where the cluster is; KUBECONFIG or ~/.kube/config without it.")
    ] = None,
    cluster_context: Annotated[
        str | None, typer.Option("--context", help="A context of the kubeconfig; the current one without it.")
    ] = None,
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
    only: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="An attempt by its name, or an attack by its number.")
    ] = None,
    output_format: Annotated[Literal["text", "json"], typer.Option("--format")] = "text",
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the result here.")] = None,
    project: Annotated[Path, typer.Option(help="The directory with Pulumi.yaml.")] = CHECKOUT,
) -> None:
    """Replay the zero-trust model's six attacks against a running stack, as a compromised pod would try them.

    Uses the tokens, the network identity and the files that the pod has. Says of each attempt what stopped it, or that
    it cannot be measured here. Nothing that is tried is stored, and no secret is shown.

    Exit codes: 0 no attempt succeeded; 1 one did; 2 wrong argument or file; 3 the stack cannot be reached.
    """
    from zt.attack.command import Options, run
    from zt.compliance_cluster import Access

    if embedded and (kubeconfig or cluster_context):
        raise typer.BadParameter("--embedded names the cluster: leave --kubeconfig and --context out")
    access = Access(kubeconfig, cluster_context, embedded)
    logs, names = tuple(audit_log or ()), tuple(only or ())
    where = (vault_addr, vault_cacert, logs, istiod_addr)
    options = Options(stack, project, access, service, *where, names, output_format, output)
    # Whoever calls the command from a program may hand over other connections.
    raise typer.Exit(run(options, context.obj))


@app.command()
def report(
    context: typer.Context,
    stack: Annotated[str, typer.Option("--stack", "-s", help="The stack that is reported on.")],
    embedded: Annotated[bool, typer.Option("--embedded", help="Measure on this checkout's control plane.")] = False,
    kubeconfig: Annotated[Path | None, typer.Option(help="Measure on the cluster of this kubeconfig.")] = None,
    cluster_context: Annotated[
        str | None, typer.Option("--context", help="Measure on this context of the kubeconfig.")
    ] = None,
    attacks: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What `zt attack --format json` wrote of this stack.")
    ] = None,
    as_of: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The day to judge exceptions by; today in UTC.")
    ] = None,
    output_format: Annotated[Literal["html", "json"], typer.Option("--format")] = "html",
    output: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Where to write; - is the standard output. By default zero-trust-report-STACK.html, replaced if it "
            "is there; JSON goes to the standard output.",
        ),
    ] = None,
    project: Annotated[Path, typer.Option(help="The directory with Pulumi.yaml.")] = CHECKOUT,
) -> None:
    """Write a report on a stack: posture, access, Vault paths, certificates, rules, exceptions, attacks.

    One HTML file that loads nothing. Reads the stack file and the service files; compliance and certificates need a
    cluster, and are said to be not measured without one.

    Exit codes: 0 written; 2 wrong argument or file; 3 the cluster cannot be read.
    """
    from zt.compliance_cluster import Access
    from zt.report import run
    from zt.report_build import Request

    if embedded and (kubeconfig or cluster_context):
        raise typer.BadParameter("--embedded names the cluster: leave --kubeconfig and --context out")
    now = datetime.now(UTC)
    # Without a place no cluster is looked at.
    access = place if (place := Access(kubeconfig, cluster_context, embedded)) != Access() else None
    request = Request(stack, project, now, (as_of or now).date(), access, attacks)
    # Whoever calls the command from a program may hand over another way to read a cluster.
    raise typer.Exit(run(request, output_format, output, context.obj))


def main() -> NoReturn:
    """Run the command line; ends the process with its exit code."""
    app()
    sys.exit(0)
