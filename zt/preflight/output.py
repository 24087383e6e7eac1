"""A preflight as text for a person, and as JSON for pipelines."""

import json
from collections.abc import Callable
from itertools import groupby

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from zt.preflight.line import Line, Preflight, Result
from zt.project.console import printed

JSON_VERSION = 1
_STYLES = {Result.OK: "green", Result.FAILS: "bold red", Result.WARNS: "yellow", Result.NOT_CHECKED: "dim"}
_WIDTH = 110
_INDENT = 15


def text(result: Preflight) -> str:
    """The preflight without colours, for a file or a pipe."""
    return printed(lambda console: print_preflight(result, console), _WIDTH)


def print_preflight(result: Preflight, console: Console) -> None:
    """Write the preflight to a terminal: for each theme its lines, each with what to do."""
    for theme, rows in groupby(result.rows, key=lambda row: row.theme):
        console.print(Text(theme, style="bold"))
        for row in rows:
            _print_line(row.line, console)
        console.print()
    console.print(Text(summary(result), style="bold red" if result.exit_code else "green"), soft_wrap=True)


def _print_line(line: Line, console: Console) -> None:
    shown = Text("  ")
    shown.append(f"{line.result:<13}", style=_STYLES[line.result])
    shown.append(line.about, style="bold")
    console.print(shown, soft_wrap=True)
    console.print(Padding(Text(line.found), (0, 0, 0, _INDENT)))
    for detail in line.details:
        console.print(Padding(Text(detail, style="cyan"), (0, 0, 0, _INDENT + 2)))
    if line.fix:
        # Not wrapped, so that a command can be copied.
        console.print(Text.assemble(" " * _INDENT, ("fix: ", "bold"), line.fix), soft_wrap=True)


def summary(result: Preflight) -> str:
    """The preflight in one line."""
    counts = ", ".join(f"{result.count(each)} {each}" for each in Result)
    return f"{result.stack} on {result.cluster}: {len(result.rows)} lines: {counts}"


def as_json(result: Preflight) -> str:
    """The preflight for scripts. `version` changes when a key changes its meaning or goes; keys may be added.

        {"version": 1, "stack", "cluster", "vault": text,
         "summary": {"ok", "fails", "warns", "not checked": number},
         "lines": [{"theme", "check": text, "result": RESULT, "about", "found", "fix": text, "details": [text]}]}

    RESULT is ok, fails, warns or not checked. `check` is the name of a check, which may give several lines; a check
    that the stack does not need gives none.
    """
    document = {
        "version": JSON_VERSION,
        "stack": result.stack,
        "cluster": result.cluster,
        "vault": result.vault,
        "summary": {each.value: result.count(each) for each in Result},
        "lines": [
            {
                "theme": row.theme,
                "check": row.check,
                "result": row.line.result.value,
                "about": row.line.about,
                "found": row.line.found,
                "fix": row.line.fix,
                "details": list(row.line.details),
            }
            for row in result.rows
        ],
    }
    return json.dumps(document, indent=2) + "\n"


FORMATS: dict[str, Callable[[Preflight], str]] = {"text": text, "json": as_json}
