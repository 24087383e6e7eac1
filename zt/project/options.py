"""Arguments and options of several commands. `zt --help` loads this module, so it imports little."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import typer

CHECKOUT = Path(__file__).resolve().parents[2]

Project = Annotated[Path, typer.Option(exists=True, file_okay=False, help="The directory with Pulumi.yaml.")]
Output = Annotated[Path | None, typer.Option(metavar="FILE", help="Write the result here.")]
ServiceArgument = Annotated[str, typer.Argument(help="namespace/name, or a name that one namespace alone has.")]
DAY = ["%Y-%m-%d"]
"""The format of a day in an option."""


def day_of(written: datetime | None) -> date:
    """The day in an option, or today in UTC without it."""
    return (written or datetime.now(UTC)).date()
