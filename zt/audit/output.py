"""Prints the accesses of `zt audit` while the log is read: as text for a person, or as one JSON document."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC

from rich.text import Text

from components.schema.printable import one_line
from zt.cluster.audit_log import Entry, Outcome, Tally
from zt.project.console import plain_console
from zt.project.streams import say

JSON_VERSION = 1
_STYLES = {Outcome.DENIED: "red", Outcome.FAILED: "yellow", Outcome.UNANSWERED: "yellow"}


@dataclass
class Counts:
    """The number of accesses shown, and of those denied."""

    shown: int = 0
    denied: int = 0


def print_accesses(entries: Iterator[Entry], tally: Tally, output_format: str) -> None:
    """Print the accesses, and the number of other lines in the log."""
    counts = Counts()
    (_print_json if output_format == "json" else _print_text)(_counted(entries, counts), tally, counts)


def _counted(entries: Iterator[Entry], counts: Counts) -> Iterator[Entry]:
    for entry in entries:
        counts.shown += 1
        counts.denied += entry.outcome is Outcome.DENIED
        yield entry


def as_json(entry: Entry) -> dict[str, object]:
    """An access as data; times are ISO times in UTC.

        {"time", "account", "role", "operation", "path": text, "secret": the path without KV v2's "data/",
         "version": null | number, "outcome": "allowed" | "denied" | "failed" | "unanswered", "remoteAddress",
         "request": text}

    `account` is the service account's namespace/name, or what Vault calls another identity.
    """
    return {
        "time": entry.time.astimezone(UTC).isoformat(),
        "account": entry.account,
        "role": entry.role,
        "operation": entry.operation,
        "path": entry.path,
        "secret": entry.secret,
        "version": entry.version,
        "outcome": entry.outcome.value,
        "remoteAddress": entry.remote,
        "request": entry.request,
    }


def _print_json(entries: Iterator[Entry], tally: Tally, counts: Counts) -> None:
    """Print `{"version": 1, "accesses": [...], "read": lines, "skipped": {"foreign", "broken": lines}}`."""
    # Read the first access before printing, so that a log that cannot be read leaves no half document.
    first = next(entries, None)
    say(f'{{"version": {JSON_VERSION}, "accesses": [', end="")
    for number, entry in enumerate([] if first is None else _chain(first, entries)):
        say((",\n  " if number else "\n  ") + json.dumps(as_json(entry)), end="")
    skipped = {"foreign": tally.foreign, "broken": tally.broken}
    say(f'{chr(10) if counts.shown else ""}], "read": {tally.lines}, "skipped": {json.dumps(skipped)}}}')


def _chain(first: Entry, rest: Iterator[Entry]) -> Iterator[Entry]:
    yield first
    yield from rest


def _print_text(entries: Iterator[Entry], tally: Tally, counts: Counts) -> None:
    console = plain_console()
    for entry in entries:
        console.print(Text(_line(entry), _STYLES.get(entry.outcome, "")), soft_wrap=True)
    skipped = f"skipped {tally.foreign} lines of something else and {tally.broken} broken ones"
    shown = f"{counts.shown} accesses, {counts.denied} denied"
    console.print(f"{shown}; read {tally.lines} lines, {skipped}", soft_wrap=True)


def _line(entry: Entry) -> str:
    moment = entry.time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    version = f" (version {entry.version})" if entry.version is not None else ""
    line = f"{moment}  {entry.outcome.value:10}  {entry.account:20}  {entry.operation:6}  {entry.path}{version}"
    # Whoever sends a request chooses its path.
    return one_line(f"{line}  from {entry.remote}" if entry.remote else line)
