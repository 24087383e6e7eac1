"""Reads Vault's audit log: who asked for what, when, and whether it was answered.

One JSON object a line (https://developer.hashicorp.com/vault/docs/audit), one for the request and one for the response.
Values in it are HMACed; none of them is kept here. Lines are read one at a time, and what is remembered is bounded, so
that the size of a log does not matter.
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
from pathlib import Path
from typing import IO, Any, cast

# A line of Vault's is a few kilobytes; one without an end must not be read whole.
_LONGEST_LINE = 16 * 1024 * 1024
# Far more than can be under way at once, or stand between two devices' lines of one request.
_REMEMBERED = 65536
_UNIDENTIFIED = "unidentified"
# Between a KV v2 mount and the path of the secret.
_KV_VERBS = frozenset({"data", "metadata", "delete", "undelete", "destroy", "subkeys"})


class AuditLogError(Exception):
    """A log cannot be read. One line: which one, and why."""


class Outcome(StrEnum):
    """What became of a request. `unanswered`: it was allowed, and the log has no response."""

    ALLOWED = "allowed"
    DENIED = "denied"
    FAILED = "failed"
    UNANSWERED = "unanswered"


@dataclass(frozen=True)
class Entry:
    """One request, from its own line, its response's, or both. `account` is `namespace/name` of a service account."""

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
        """The path of the secret, without what KV v2 puts between."""
        return secret_path(self.path)


@dataclass
class Tally:
    """What was read, and what of it was no whole entry of an audit log."""

    lines: int = 0
    foreign: int = 0
    broken: int = 0


@dataclass(frozen=True)
class Wanted:
    """Which entries are asked for; everything empty means every one."""

    account: str = ""
    secret: str = ""
    prefixes: tuple[str, ...] = ()
    since: datetime | None = None

    def matches(self, entry: Entry) -> bool:
        """Whether an entry is asked for."""
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


def _same_secret(path: str, wanted: str) -> bool:
    """Whether a request's path is that of a secret, written with its mount or without."""
    found, asked = secret_path(path), wanted.strip("/")
    return asked in (path, found, found.partition("/")[2]) or secret_path(asked) == found


def accesses(sources: Sequence[str], wanted: Wanted, tally: Tally) -> Iterator[Entry]:
    """The entries of several logs in the order of time, one for each request even if several devices logged it.

    A source is a file, one that gzip compressed, or `-` for the standard input. Raises `AuditLogError`.
    """
    streams = [_paired(_entries(source, wanted, tally)) for source in sources]
    seen: OrderedDict[str, None] = OrderedDict()
    for entry in heapq.merge(*streams, key=lambda entry: entry.time):
        if entry.request in seen:
            continue
        seen[entry.request] = None
        if len(seen) > _REMEMBERED:
            seen.popitem(last=False)
        yield entry


def _paired(entries: Iterator[tuple[bool, Entry]]) -> Iterator[Entry]:
    """Each request with its response. One whose other half is in another file stands for itself."""
    waiting: OrderedDict[str, Entry] = OrderedDict()
    for answered, entry in entries:
        asked = waiting.pop(entry.request, None)
        if answered:
            yield replace(entry, time=asked.time) if asked else entry
        else:
            waiting[entry.request] = entry
            if len(waiting) > _REMEMBERED:
                yield waiting.popitem(last=False)[1]
    yield from waiting.values()


def _entries(source: str, wanted: Wanted, tally: Tally) -> Iterator[tuple[bool, Entry]]:
    with _opened(source) as stream:
        for line in _lines(stream, source):
            tally.lines += 1
            try:
                found = parse_line(line)
            except ValueError:
                tally.broken += 1
                continue
            if found is None:
                tally.foreign += 1
            elif wanted.matches(found[1]):
                yield found


def parse_line(line: bytes) -> tuple[bool, Entry] | None:
    """Whether a line is a response, and what it says; `None` for what is no line of an audit log.

    Raises `ValueError` for a line that began as one and is cut off or damaged.
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
    # A read tells it among the metadata, a write by itself.
    found = _mapping(data.get("metadata")).get("version", data.get("version"))
    return found if isinstance(found, int) else None


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
    """The lines of a log; of one that is too long only the beginning, which is then a broken one."""
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


def embedded_logs(vault: Path, logs: Path) -> list[str]:
    """The logs of the embedded control plane: the file device's, and the server's own output for `stdout`."""
    files = [*sorted(vault.glob("*.log*")), logs / "vault.log"]
    return [str(file) for file in files if file.is_file()]
