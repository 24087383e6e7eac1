"""What `zt new service` prints: the file and what follows from it, for a person or as one JSON object."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console
from rich.text import Text

from zt.new_outcome import Item, Outcome

# A file or a pipe has no width to fit into: nothing is cut off there.
_FILE_WIDTH = 200
JSON_VERSION = 1


def show(made: Outcome, output_format: str, *, written: bool, to_errors: bool = False, brief: bool = False) -> None:
    """Print an outcome; `brief` when it was shown before. What comes before a question is never JSON."""
    if output_format == "json" and not to_errors:
        print(json.dumps(as_json(made, written), indent=2))
        return
    console = Console(highlight=False, stderr=to_errors)
    if not console.is_terminal:
        console.width = _FILE_WIDTH
    if not brief:
        _print_outcome(made, console)
    if to_errors:
        return
    console.print(Text(f"{made.file} is written" if written else f"{made.file} is not written (--dry-run)", "green"))
    console.print(Text("next:"))
    for command in next_commands(made):
        console.print(Text(f"  {command}"), soft_wrap=True)


def next_commands(made: Outcome) -> tuple[str, ...]:
    """The commands that lead on from here."""
    return (
        f".venv/bin/zt diff --stack {made.stack}",
        f"make preview STACK={made.stack}",
        f"make check STACK={made.stack}",
        f"git add {made.file}",
    )


def as_json(made: Outcome, written: bool) -> dict[str, object]:
    """The outcome for scripts. `version` changes when a key changes its meaning or goes; keys may be added.

    {"version": 1, "file", "written": true | false, "text", "stack", "service": "namespace/name",
     "objects": [{"kind", "name", "note": text}], "vault": [{"kind", "name", "note": text}],
     "access": [{"class", "kind", "sentence": text}], "closed": true | false, "next": [text]}
    """
    return {
        "version": JSON_VERSION,
        "file": made.file,
        "written": written,
        "text": made.text,
        "stack": made.stack,
        "service": made.service,
        "objects": [asdict(item) for item in made.objects],
        "vault": [asdict(item) for item in made.vault],
        "access": [{"class": c.means.value, "kind": c.kind, "sentence": c.sentence} for c in made.access],
        "closed": made.closed,
        "next": list(next_commands(made)),
    }


def _print_outcome(made: Outcome, console: Console) -> None:
    console.print(Text(made.file, "bold"))
    for line in made.text.splitlines():
        console.print(Text(f"  {line}"), soft_wrap=True)
    _section(f"on {made.stack} it creates", made.objects, console)
    _section("in Vault", made.vault, console)
    console.print(Text("access", "bold"))
    for change in made.access:
        console.print(Text(f"  {change.sentence}"), soft_wrap=True)
    if made.closed:
        hint = "nobody may reach it yet: name it under `calls` of a service that needs it, or give it a host"
        console.print(Text(f"  {hint}"), soft_wrap=True)
    console.print()


def _section(title: str, items: Sequence[Item], console: Console) -> None:
    if not items:
        return
    console.print(Text(title, "bold"))
    kind, name = (max(len(getattr(item, part)) for item in items) for part in ("kind", "name"))
    for item in items:
        line = f"  {item.kind:<{kind}}  {item.name:<{name}}  {item.note}"
        # As Text: what a file holds is no markup.
        console.print(Text(line.rstrip()), soft_wrap=True)
