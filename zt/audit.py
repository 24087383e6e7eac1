"""`zt audit`: which service account read which secret, when, by the log that Vault keeps of every request."""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console
from rich.text import Text

from components.typed_file import ConfigError, Problem
from components.vault_operator import CREDENTIALS, KV_MOUNT
from zt.audit_log import AuditLogError, Entry, Outcome, Tally, Wanted, accesses, embedded_logs
from zt.vault_service import service_name

DEFAULT_PREFIXES = (f"{KV_MOUNT}/", f"{CREDENTIALS}/")
_DURATION = re.compile(r"([1-9][0-9]{0,4})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_STYLES = {Outcome.DENIED: "red", Outcome.FAILED: "yellow", Outcome.UNANSWERED: "yellow"}


@dataclass(frozen=True)
class Request:
    """What the caller asks. `now` is the moment that `since` is counted from."""

    service: str | None
    project: Path
    now: datetime
    files: tuple[str, ...] = ()
    embedded: bool = False
    secret: str | None = None
    since: str | None = None
    prefixes: tuple[str, ...] = ()
    """Where paths begin; without any, those of secrets, and with `secret` any."""


@dataclass
class Counts:
    """What was shown."""

    shown: int = 0
    denied: int = 0


def run(request: Request, output_format: str) -> int:
    """Print what the logs say, and return the exit code: 0 read, 2 a wrong argument, 3 a log cannot be read."""
    errors = Console(stderr=True, highlight=False)
    tally, counts = Tally(), Counts()
    try:
        found = _counted(accesses(_sources(request), _wanted(request), tally), counts)
        (_print_json if output_format == "json" else _print_text)(found, tally, counts)
    except ConfigError as error:
        errors.print(str(error), markup=False, soft_wrap=True)
        return 2
    except AuditLogError as error:
        errors.print(f"error: {error}", markup=False, soft_wrap=True)
        return 3
    return 0


def since_moment(written: str, now: datetime) -> datetime:
    """The moment that `90m` is before `now`, or the one that an ISO time names. Raises `ConfigError`."""
    if match := _DURATION.fullmatch(written):
        return now - timedelta(**{_UNITS[match[2]]: int(match[1])})
    try:
        moment = datetime.fromisoformat(written)
    except ValueError:
        legal = ("30m", "1h", "7d", "2026-11-25T08:00:00Z")
        raise _wrong("--since", "neither a time nor a span of it", written, legal) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _wanted(request: Request) -> Wanted:
    if not (request.service or request.secret):
        raise _wrong("SERVICE", "name a service, or a secret with --secret", "nothing")
    return Wanted(
        account=str(service_name(request.project, request.service)) if request.service else "",
        secret=request.secret or "",
        prefixes=request.prefixes or (() if request.secret else DEFAULT_PREFIXES),
        since=since_moment(request.since, request.now) if request.since else None,
    )


def _sources(request: Request) -> list[str]:
    if not request.embedded:
        if not request.files:
            legal = ("a file of an audit device", "- for the standard input", "--embedded")
            raise _wrong("--file", "names the log to read", "nothing", legal)
        return list(request.files)
    from embedded.paths import State

    state = State()
    if found := embedded_logs(state.vault, state.logs):
        return found
    raise AuditLogError(f"there is no audit log in {state.vault}: start the control plane with `make up`")


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


def _print_json(found: Iterator[Entry], tally: Tally, counts: Counts) -> None:
    """One document, `{"accesses": [...], "read": lines, "skipped": {"foreign", "broken": lines}}`, while it is read."""
    # The first one is read before anything is printed: a log that cannot be read then leaves no half document.
    first = next(found, None)
    sys.stdout.write('{"accesses": [')
    for number, entry in enumerate([] if first is None else _chain(first, found)):
        sys.stdout.write((",\n  " if number else "\n  ") + json.dumps(as_json(entry)))
    skipped = {"foreign": tally.foreign, "broken": tally.broken}
    sys.stdout.write(f'{chr(10) if counts.shown else ""}], "read": {tally.lines}, "skipped": {json.dumps(skipped)}}}\n')


def _chain(first: Entry, rest: Iterator[Entry]) -> Iterator[Entry]:
    yield first
    yield from rest


def _print_text(found: Iterator[Entry], tally: Tally, counts: Counts) -> None:
    console = Console(highlight=False)
    for entry in found:
        console.print(Text(_line(entry), _STYLES.get(entry.outcome, "")), soft_wrap=True)
    skipped = f"skipped {tally.foreign} lines of something else and {tally.broken} broken ones"
    shown = f"{counts.shown} accesses, {counts.denied} denied"
    console.print(f"{shown}; read {tally.lines} lines, {skipped}", soft_wrap=True)


def _line(entry: Entry) -> str:
    moment = entry.time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    version = f" (version {entry.version})" if entry.version is not None else ""
    told = f"{moment}  {entry.outcome.value:10}  {entry.account:20}  {entry.operation:6}  {entry.path}{version}"
    return _visible(f"{told}  from {entry.remote}" if entry.remote else told)


def _visible(text: str) -> str:
    """Without control characters: whoever may send a request chooses its path."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


def _wrong(key: str, message: str, found: str, legal: tuple[str, ...] = ()) -> ConfigError:
    return ConfigError([Problem("zt audit", key, message, repr(found), legal)])
