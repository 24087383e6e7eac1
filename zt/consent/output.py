"""Prints missing consents: as a table for a person, or as one JSON object."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from rich.table import Table
from rich.text import Text

from zt.project.consent import Missing
from zt.project.console import table_console
from zt.project.streams import say

JSON_VERSION = 1


def as_json(missing: Sequence[Missing], *, written: bool) -> dict[str, object]:
    """The missing consents as data.

    {"version": 1, "written": true | false, "missing": [{"file", "service": "namespace/name", "caller",
     "calledIn": "file:line"}]}

    `caller` is what to write under `callers` in `file`; `written` says that it was.
    """
    rows = [asdict(row) for row in missing]
    return {
        "version": JSON_VERSION,
        "written": written,
        "missing": [{"calledIn": row.pop("called_in"), **row} for row in rows],
    }


def show(missing: Sequence[Missing], output_format: str, *, written: bool) -> None:
    """Print the missing consents, or those that were written."""
    if output_format == "json":
        say(json.dumps(as_json(missing, written=written), indent=2))
        return
    console = table_console()
    if not missing:
        console.print("every call has its callee's consent")
        return
    table = Table("file", "add to callers", "called in", box=None, pad_edge=False)
    for row in missing:
        table.add_row(*map(Text, (row.file, row.caller, row.called_in)))
    console.print(table)
    console.print(
        "written: each opens a connection, so let the owners of these files review it"
        if written
        else f"calls without consent: {len(missing)}; `zt consent --write` adds them"
    )
