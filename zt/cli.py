"""The commands of `zt`. Each command imports what it needs when it runs."""

import sys
from typing import NoReturn

import typer

from zt.adopt.cli import adopt
from zt.attack.cli import attack
from zt.audit.cli import audit
from zt.check.cli import check
from zt.codeowners.cli import codeowners
from zt.consent.cli import consent
from zt.diff.cli import diff
from zt.exceptions.cli import exceptions
from zt.new.cli import new
from zt.package.cli import package
from zt.preflight.cli import preflight
from zt.project.process import ended_in_order, open_streams
from zt.promote.cli import promote
from zt.report.cli import report
from zt.resume.cli import resume
from zt.revoke.cli import revoke
from zt.rotate.cli import rotate
from zt.secret.cli import secret
from zt.show.cli import show
from zt.vault.cli import vault

# Help as plain text: loading rich help takes longer than everything else.
app = typer.Typer(
    name="zt",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"max_content_width": 120},
)


@app.callback()
def zt() -> None:
    """Zero-trust platform: check a change before it is applied, and move rules from audit to enforce."""


for command in (
    preflight,
    adopt,
    check,
    show,
    diff,
    promote,
    exceptions,
    consent,
    codeowners,
    resume,
    audit,
    rotate,
    revoke,
    attack,
    report,
):
    app.command()(command)
app.add_typer(new, name="new", help="Make a file that the program reads.")
app.add_typer(package, name="package", help="Bring a chart of others, with nothing trusted.")
app.add_typer(secret, name="secret", help="Give Vault the secrets that come from outside, and list what is missing.")
app.add_typer(vault, name="vault", help="Copy Vault's storage, and put a copy back.")


def main() -> NoReturn:
    """Run the command line; ends the process with its exit code."""
    open_streams()
    with ended_in_order():
        app()
    sys.exit(0)
