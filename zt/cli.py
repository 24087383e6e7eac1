"""The commands of `zt`. Each imports what it needs when it runs, so that `zt --help` answers at once."""

import sys
from typing import NoReturn

import typer

app = typer.Typer(name="zt", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def zt() -> None:
    """Zero-trust platform: check a change before it is applied, and move rules from audit to enforce."""


def main() -> NoReturn:
    """Run the command line; ends the process with its exit code."""
    app()
    sys.exit(0)
