"""`zt exceptions`: prints the list and returns the exit code."""

import json
from datetime import date
from pathlib import Path

from zt.exceptions.output import as_json, show
from zt.project.errors import ExitCode, tells_errors
from zt.project.exceptions import exceptions
from zt.project.streams import say


@tells_errors
def run(project: Path, output_format: str, as_of: date, stack: str | None = None) -> int:
    """Print the exceptions and return the exit code: 0, 1 when one is expired, 2 for a wrong file or argument."""
    rows = exceptions(project, as_of, stack)
    if output_format == "json":
        say(json.dumps(as_json(rows, as_of), indent=2))
    else:
        show(rows, as_of)
    return ExitCode.NO if any(row.expired for row in rows) else ExitCode.DONE
