"""Prints a new service file and its outcome: as text for a person, or as one JSON object."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console
from rich.text import Text

from zt.new.outcome import Item, Outcome
from zt.project.console import table_console
from zt.project.streams import say

JSON_VERSION = 1


def show(outcome: Outcome, output_format: str, *, written: bool, to_errors: bool = False, brief: bool = False) -> None:
    """Print an outcome; `brief` if it was shown before. Before a question it is never JSON."""
    if output_format == "json" and not to_errors:
        say(json.dumps(as_json(outcome, written), indent=2))
        return
    console = table_console(stderr=to_errors)
    if not brief:
        _print_outcome(outcome, console)
    if to_errors:
        return
    console.print(
        Text(f"{outcome.file} is written" if written else f"{outcome.file} is not written (--dry-run)", "green")
    )
    console.print(Text("next:"))
    for command in next_commands(outcome):
        console.print(Text(f"  {command}"), soft_wrap=True)


def next_commands(outcome: Outcome) -> tuple[str, ...]:
    """The commands to run next."""
    return (
        f".venv/bin/zt diff --stack {outcome.stack}",
        f"make preview STACK={outcome.stack}",
        f"make check STACK={outcome.stack}",
        f"git add {' '.join([outcome.file, *outcome.consents])}",
    )


def as_json(outcome: Outcome, written: bool) -> dict[str, object]:
    """The outcome for scripts. `version` changes when a key changes its meaning or goes; keys may be added.

    {"version": 1, "file", "written": true | false, "text", "stack", "service": "namespace/name",
     "objects": [{"kind", "name", "note": text}], "vault": [{"kind", "name", "note": text}],
     "access": [{"class", "kind", "sentence": text}], "closed": true | false, "consents": {file: text},
     "next": [text]}
    """
    return {
        "version": JSON_VERSION,
        "file": outcome.file,
        "written": written,
        "text": outcome.text,
        "stack": outcome.stack,
        "service": outcome.service,
        "objects": [asdict(item) for item in outcome.objects],
        "vault": [asdict(item) for item in outcome.vault],
        "access": [{"class": c.means.value, "kind": c.kind, "sentence": c.sentence} for c in outcome.access],
        "closed": outcome.closed,
        "consents": dict(outcome.consents),
        "next": list(next_commands(outcome)),
    }


def _print_outcome(outcome: Outcome, console: Console) -> None:
    console.print(Text(outcome.file, "bold"))
    for line in outcome.text.splitlines():
        console.print(Text(f"  {line}"), soft_wrap=True)
    _section(f"on {outcome.stack} it creates", outcome.objects, console)
    _section("in Vault", outcome.vault, console)
    console.print(Text("access", "bold"))
    for change in outcome.access:
        console.print(Text(f"  {change.sentence}"), soft_wrap=True)
    for file in outcome.consents:
        console.print(Text(f"  {file} now names it under callers: let its owners review that"), soft_wrap=True)
    if outcome.closed:
        hint = "nobody may reach it yet: name callers here and it under their `calls`, or give it a host"
        console.print(Text(f"  {hint}"), soft_wrap=True)
    console.print()


def _section(title: str, items: Sequence[Item], console: Console) -> None:
    if not items:
        return
    console.print(Text(title, "bold"))
    kind, name = (max(len(getattr(item, part)) for item in items) for part in ("kind", "name"))
    for item in items:
        line = f"  {item.kind:<{kind}}  {item.name:<{name}}  {item.note}"
        # As Text, so that nothing in a file is read as markup.
        console.print(Text(line.rstrip()), soft_wrap=True)
