"""Prints a diff: as text for a person, as a comment for a pull request, or as JSON for a pipeline."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from zt.changes.compare import Change
from zt.changes.comparisons import Class
from zt.diff.model import Diff
from zt.project.console import printed
from zt.project.result_file import write_result

JSON_VERSION = 1
NOTHING = "no change in security"

_STYLES: Mapping[Class, str] = MappingProxyType({Class.WEAKER: "bold red", Class.STRONGER: "green", Class.NEUTRAL: ""})
# GitHub refuses comments of more than 65536 characters.
_ROWS = 100
_WIDTH = 110
_INDENT = 18


def write(comparison: Diff, output_format: str, output: Path | None) -> None:
    """Write a diff to a file, or to the standard output. Raises `ConfigError` when the file cannot be written."""
    write_result(comparison, output_format, output, FORMATS, print_text)


def as_text(comparison: Diff) -> str:
    """The diff without colours, for a file or a pipe."""
    return printed(lambda console: print_text(comparison, console), _WIDTH)


def print_text(comparison: Diff, console: Console) -> None:
    """Write the diff for a person, weaker changes first."""
    console.print(Text(f"{comparison.stack}, compared with {comparison.base}"), soft_wrap=True)
    for means in Class:
        if group := comparison.of(means):
            console.print()
            console.print(Text(means.value, style=_STYLES[means]))
            known = ("", "")
            for change in group:
                _print_change(change, console, explained=(change.reason, change.approval) == known)
                known = (change.reason, change.approval)
    console.print()
    for note in comparison.notes:
        console.print(Text(f"note: {note}", style="yellow"), soft_wrap=True)
    console.print(Text(conclusion(comparison), style="red" if comparison.blocked else "green"), soft_wrap=True)


def _print_change(change: Change, console: Console, explained: bool) -> None:
    line = Text("  ")
    line.append(f"{change.layer:<{_INDENT - 2}}", style="dim")
    line.append(change.sentence)
    console.print(line, soft_wrap=True)
    # If a tier of rules moves, the same reason would appear twenty times.
    if change.means is Class.WEAKER and not explained:
        console.print(Padding(Text(change.reason, style="dim"), (0, 0, 0, _INDENT)))
        console.print(Padding(Text(f"to approve: {change.approval}", style="dim"), (0, 0, 0, _INDENT)))


def conclusion(comparison: Diff) -> str:
    """The diff in one line."""
    counts = [f"{number} {means.value}" for means in Class if (number := len(comparison.of(means)))]
    counted = f"{comparison.stack}: {', '.join(counts) or NOTHING}"
    if comparison.blocked:
        return f'{counted}; what is weaker in production needs a reason: --accept "..."'
    if comparison.of(Class.WEAKER) and comparison.accepted:
        return f"{counted}; accepted: {comparison.accepted}"
    return counted


def marker(stack: str) -> str:
    """The line by which a pipeline finds its comment to update it."""
    return f"<!-- zt diff {stack} -->"


def as_markdown(comparison: Diff) -> str:
    """The diff as one comment of a pull request: the marker, the conclusion, and a table for each class."""
    lines = [marker(comparison.stack), f"### Security diff of `{comparison.stack}`", ""]
    lines += [f"Compared with {_cell(comparison.base)}. **{_cell(conclusion(comparison))}**", ""]
    for means in Class:
        if group := comparison.of(means):
            lines += [f"| {means.value} | layer | why | to approve |", "| --- | --- | --- | --- |"]
            lines += [
                f"| {_cell(c.sentence)} | {_cell(c.layer)} | {_cell(c.reason)} | {_cell(c.approval)} |"
                for c in group[:_ROWS]
            ]
            if more := len(group[_ROWS:]):
                lines.append(f"| and {more} more: `zt diff --stack {comparison.stack}` | | | |")
            lines.append("")
    lines += [f"> {_cell(note)}" for note in comparison.notes]
    return "\n".join(lines).rstrip("\n") + "\n"


def _cell(text: str) -> str:
    """Escape text from a file, so that it makes no table cell, markup or mention."""
    escaped = re.sub(r"([\\`*_\[\]|~#])", r"\\\1", " ".join(text.split()))
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("@", "&#64;")


def as_json(comparison: Diff) -> str:
    """The diff for scripts. `version` changes when a key changes its meaning or goes; keys may be added.

        {"version": 1, "stack", "base": text, "environmentIsProduction", "blocked": true | false,
         "accepted": null | text, "summary": {"weaker", "stronger", "neutral": number}, "notes": [text],
         "changes": [{"class": "weaker" | "stronger" | "neutral", "kind", "layer", "subject", "sentence", "before",
                      "after", "reason", "approval": text, "directionKnown": true | false}]}

    `before` and `after` are empty where there was or is nothing. `approval` is `platform` or `team NAME` where it is
    weaker, and empty otherwise.
    """
    document = {
        "version": JSON_VERSION,
        "stack": comparison.stack,
        "base": comparison.base,
        "environmentIsProduction": comparison.guarded,
        "blocked": comparison.blocked,
        "accepted": comparison.accepted or None,
        "summary": {means.value: len(comparison.of(means)) for means in Class},
        "notes": list(comparison.notes),
        "changes": [_change(change) for means in Class for change in comparison.of(means)],
    }
    return json.dumps(document, indent=2) + "\n"


def _change(change: Change) -> dict[str, object]:
    keys = ("kind", "layer", "subject", "sentence", "before", "after", "reason", "approval")
    texts = {key: getattr(change, key) for key in keys}
    return {"class": change.means.value, **texts, "directionKnown": change.known}


FORMATS: Mapping[str, Callable[[Diff], str]] = MappingProxyType(
    {"text": as_text, "markdown": as_markdown, "json": as_json}
)
