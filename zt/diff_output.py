"""What `zt diff` prints: lines for a person, one comment for a pull request, or one JSON object for a pipeline."""

import json
import re
import sys
from collections.abc import Callable, Mapping
from io import StringIO
from pathlib import Path
from types import MappingProxyType

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from components.typed_file import ConfigError, Problem
from zt.diff_changes import Change, Diff
from zt.diff_judges import Class

JSON_VERSION = 1
NOTHING = "no change in security"

_STYLES: Mapping[Class, str] = MappingProxyType({Class.WEAKER: "bold red", Class.STRONGER: "green", Class.NEUTRAL: ""})
# GitHub takes no comment of more than 65536 characters.
_ROWS = 100
_WIDTH = 110
_INDENT = 18


def write(found: Diff, output_format: str, output: Path | None) -> None:
    """Write a diff to a file, or to the standard output. Raises `ConfigError` when the file cannot be written."""
    if output is None and output_format == "text" and sys.stdout.isatty():
        print_text(found, Console(highlight=False))
        return
    made = FORMATS[output_format](found)
    if output is None:
        sys.stdout.write(made)
        return
    try:
        output.write_text(made, encoding="utf-8")
    except OSError as error:
        problem = Problem("--output", str(output), f"cannot be written: {error.strerror}")
        raise ConfigError([problem]) from error


def as_text(found: Diff) -> str:
    """The diff without colours, for a file or a pipe."""
    buffer = StringIO()
    print_text(found, Console(file=buffer, width=_WIDTH, color_system=None, highlight=False))
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def print_text(found: Diff, console: Console) -> None:
    """Write the diff for a person, what is weaker first."""
    console.print(Text(f"{found.stack}, compared with {found.base}"), soft_wrap=True)
    for means in Class:
        if group := found.of(means):
            console.print()
            console.print(Text(means.value, style=_STYLES[means]))
            reason = ""
            for change in group:
                _print_change(change, console, explained=change.reason == reason)
                reason = change.reason
    console.print()
    for note in found.notes:
        console.print(Text(f"note: {note}", style="yellow"), soft_wrap=True)
    console.print(Text(conclusion(found), style="red" if found.blocked else "green"), soft_wrap=True)


def _print_change(change: Change, console: Console, explained: bool) -> None:
    line = Text("  ")
    line.append(f"{change.layer:<{_INDENT - 2}}", style="dim")
    line.append(change.sentence)
    console.print(line, soft_wrap=True)
    # A tier of rules that moves would give one reason twenty times.
    if change.means is Class.WEAKER and not explained:
        console.print(Padding(Text(change.reason, style="dim"), (0, 0, 0, _INDENT)))


def conclusion(found: Diff) -> str:
    """The diff in one line."""
    counts = [f"{number} {means.value}" for means in Class if (number := len(found.of(means)))]
    said = f"{found.stack}: {', '.join(counts) or NOTHING}"
    if found.blocked:
        return f'{said}; what is weaker in production needs a reason: --accept "..."'
    if found.of(Class.WEAKER) and found.accepted:
        return f"{said}; accepted: {found.accepted}"
    return said


def marker(stack: str) -> str:
    """The line that a pipeline finds its own comment by, to update it in place."""
    return f"<!-- zt diff {stack} -->"


def as_markdown(found: Diff) -> str:
    """The diff as one comment of a pull request: the marker, the conclusion, and a table for each class."""
    lines = [marker(found.stack), f"### Security diff of `{found.stack}`", ""]
    lines += [f"Compared with {_cell(found.base)}. **{_cell(conclusion(found))}**", ""]
    for means in Class:
        if group := found.of(means):
            lines += [f"| {means.value} | layer | why |", "| --- | --- | --- |"]
            lines += [f"| {_cell(c.sentence)} | {_cell(c.layer)} | {_cell(c.reason)} |" for c in group[:_ROWS]]
            if more := len(group[_ROWS:]):
                lines.append(f"| and {more} more: `zt diff --stack {found.stack}` | | |")
            lines.append("")
    lines += [f"> {_cell(note)}" for note in found.notes]
    return "\n".join(lines).rstrip("\n") + "\n"


def _cell(text: str) -> str:
    """Text that a file's author chose, as nothing but text: no table, no markup, no mention."""
    escaped = re.sub(r"([\\`*_\[\]|~#])", r"\\\1", " ".join(text.split()))
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("@", "&#64;")


def as_json(found: Diff) -> str:
    """The diff for scripts. `version` changes when a key changes its meaning or goes; keys may be added.

        {"version": 1, "stack", "base": text, "environmentIsProduction", "blocked": true | false,
         "accepted": null | text, "summary": {"weaker", "stronger", "neutral": number}, "notes": [text],
         "changes": [{"class": "weaker" | "stronger" | "neutral", "kind", "layer", "subject", "sentence", "before",
                      "after", "reason": text, "directionKnown": true | false}]}

    `before` and `after` are empty where there was or is nothing.
    """
    document = {
        "version": JSON_VERSION,
        "stack": found.stack,
        "base": found.base,
        "environmentIsProduction": found.guarded,
        "blocked": found.blocked,
        "accepted": found.accepted or None,
        "summary": {means.value: len(found.of(means)) for means in Class},
        "notes": list(found.notes),
        "changes": [_change(change) for means in Class for change in found.of(means)],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _change(change: Change) -> dict[str, object]:
    keys = ("kind", "layer", "subject", "sentence", "before", "after", "reason")
    texts = {key: getattr(change, key) for key in keys}
    return {"class": change.means.value, **texts, "directionKnown": change.known}


FORMATS: Mapping[str, Callable[[Diff], str]] = MappingProxyType(
    {"text": as_text, "markdown": as_markdown, "json": as_json}
)
