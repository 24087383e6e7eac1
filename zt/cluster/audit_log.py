"""Reads Vault's audit log: who requested what, when, and whether it was allowed.

Each line is a JSON object (https://developer.hashicorp.com/vault/docs/audit), for a request or for its response. Values
in it are HMACed, and none of them is kept. Lines are read one at a time and the memory is bounded, so that a log may
have any size.
"""

import gzip
import heapq
import json
import sys
import zlib
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import IO, Any, cast

from zt.project.errors import CommandError

# Vault's lines are a few kilobytes; a line without an end must not be read whole.
_LONGEST_LINE = 16 * 1024 * 1024
# Far more than the requests at one time, or between the lines of two devices for one request.
_REMEMBERED = 65536
_UNIDENTIFIED = "unidentified"
# The part between a KV v2 mount and the path of the secret.
_KV_VERBS = frozenset({"data", "metadata", "delete", "undelete", "destroy", "subkeys"})


class AuditLogError(CommandError):
    """A log cannot be read. One line says which one, and why."""


class Outcome(StrEnum):
    """How a request ended. `unanswered`: it was allowed, and the log has no response."""

    ALLOWED = "allowed"
    DENIED = "denied"
    FAILED = "failed"
    UNANSWERED = "unanswered"


@dataclass(frozen=True)
class Entry:
    """One request, from its line, that of its response, or both. `account` is a service account's `namespace/name`."""

    request: str
    time: datetime
    account: str
    role: str
    operation: str
    path: str
    outcome: Outcome
    remote: str
    version: int | None = None
    """The version of the secret that was read or written."""

    @property
    def secret(self) -> str:
        """The path of the secret, without the part that KV v2 adds."""
        return secret_path(self.path)


@dataclass
class Tally:
    """The number of lines read, and of those that are no entry or a broken one."""

    lines: int = 0
    foreign: int = 0
    broken: int = 0


@dataclass(frozen=True)
class EntryFilter:
    """Selects entries. An empty field selects all."""

    account: str = ""
    secret: str = ""
    prefixes: tuple[str, ...] = ()
    since: datetime | None = None

    def matches(self, entry: Entry) -> bool:
        """Whether an entry is selected."""
        return (
            self.account in ("", entry.account)
            and (not self.prefixes or entry.path.startswith(self.prefixes))
            and (not self.secret or _same_secret(entry.path, self.secret))
            and (self.since is None or entry.time >= self.since)
        )


def secret_path(path: str) -> str:
    """`secret/data/shop/api/database` as `secret/shop/api/database`."""
    mount, _, rest = path.rstrip("/").partition("/")
    verb, _, below = rest.partition("/")
    return f"{mount}/{below}" if verb in _KV_VERBS and below else path.rstrip("/")


def _same_secret(path: str, written: str) -> bool:
    """Whether a request's path belongs to a secret, which may be written with its mount or without."""
    secret, name = secret_path(path), written.strip("/")
    return name in (path, secret, secret.partition("/")[2]) or secret_path(name) == secret


def accesses(sources: Sequence[str], entry_filter: EntryFilter, tally: Tally) -> Iterator[Entry]:
    """The entries of several logs by time, once for each request even if several devices logged it.

    A source is a file, a gzip file, or `-` for the standard input. Raises `AuditLogError`.
    """
    streams = [_paired(_entries(source, entry_filter, tally)) for source in sources]
    seen: OrderedDict[str, None] = OrderedDict()
    for entry in heapq.merge(*streams, key=lambda entry: entry.time):
        if entry.request in seen:
            continue
        seen[entry.request] = None
        if len(seen) > _REMEMBERED:
            seen.popitem(last=False)
        yield entry


def _paired(entries: Iterator[tuple[bool, Entry]]) -> Iterator[Entry]:
    """One entry for each request and its response. If one of them is in another file, the other is an entry alone."""
    waiting: OrderedDict[str, Entry] = OrderedDict()
    for answered, entry in entries:
        request = waiting.pop(entry.request, None)
        if answered:
            yield replace(entry, time=request.time) if request else entry
        else:
            waiting[entry.request] = entry
            if len(waiting) > _REMEMBERED:
                yield waiting.popitem(last=False)[1]
    yield from waiting.values()


def _entries(source: str, entry_filter: EntryFilter, tally: Tally) -> Iterator[tuple[bool, Entry]]:
    with _opened(source) as stream:
        for line in _lines(stream, source):
            tally.lines += 1
            try:
                parsed = parse_line(line)
            except ValueError:
                tally.broken += 1
                continue
            if parsed is None:
                tally.foreign += 1
            elif entry_filter.matches(parsed[1]):
                yield parsed


def parse_line(line: bytes) -> tuple[bool, Entry] | None:
    """Whether a line is a response, and its entry. `None` if it is no line of an audit log.

    Raises `ValueError` for a line of an audit log that is cut off or damaged.
    """
    if not line.lstrip().startswith(b"{"):
        return None
    try:
        read: object = json.loads(line)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    document = _mapping(read)
    kind, request = document.get("type"), _mapping(document.get("request"))
    if kind not in ("request", "response") or not request:
        return None
    return kind == "response", _entry(document, request, kind == "response")


def _entry(document: dict[str, Any], request: dict[str, Any], answered: bool) -> Entry:
    auth = _mapping(document.get("auth"))
    metadata = _mapping(auth.get("metadata"))
    name = metadata.get("service_account_name")
    namespace = metadata.get("service_account_namespace")
    return Entry(
        request=_text(request.get("id")),
        time=_time(document.get("time")),
        account=f"{namespace}/{name}" if name and namespace else _text(auth.get("display_name")) or _UNIDENTIFIED,
        role=_text(metadata.get("role")),
        operation=_text(request.get("operation")),
        path=_text(request.get("path")),
        outcome=_outcome(document, auth, answered),
        remote=_text(request.get("remote_address")),
        version=_version(document),
    )


def _outcome(document: dict[str, Any], auth: dict[str, Any], answered: bool) -> Outcome:
    error = _text(document.get("error"))
    if _mapping(auth.get("policy_results")).get("allowed") is False or "permission denied" in error:
        return Outcome.DENIED
    if error:
        return Outcome.FAILED
    return Outcome.ALLOWED if answered else Outcome.UNANSWERED


def _version(document: dict[str, Any]) -> int | None:
    data = _mapping(_mapping(document.get("response")).get("data"))
    # A read has the version in the metadata, a write beside it.
    version = _mapping(data.get("metadata")).get("version", data.get("version"))
    return version if isinstance(version, int) else None


def _time(value: object) -> datetime:
    moment = datetime.fromisoformat(_text(value))
    if moment.tzinfo is None:
        raise ValueError("a time without its zone")
    return moment


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _mapping(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _lines(stream: IO[bytes], source: str) -> Generator[bytes]:
    """The lines of a log. A line that is too long is cut, and so counts as broken."""
    try:
        while line := stream.readline(_LONGEST_LINE):
            rest = line
            while len(rest) == _LONGEST_LINE and not rest.endswith(b"\n"):
                rest = stream.readline(_LONGEST_LINE)
            if line.strip():
                yield line
    except (OSError, EOFError, zlib.error) as error:
        raise AuditLogError(f"{source}: {_why(error)}") from error


@contextmanager
def _opened(source: str) -> Generator[IO[bytes]]:
    if source == "-":
        yield sys.stdin.buffer
        return
    opener: Callable[..., Any] = gzip.open if source.endswith(".gz") else open
    try:
        stream = opener(source, "rb")
    except OSError as error:
        raise AuditLogError(f"{source}: {_why(error)}") from error
    with stream:
        yield stream


def _why(error: Exception) -> str:
    return f"cannot be read: {getattr(error, 'strerror', None) or error}"
