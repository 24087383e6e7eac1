"""`zt audit`: shows which service account read which secret and when, from Vault's audit log."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from components.kube.names import CREDENTIALS, KV_MOUNT
from components.schema.problem import ConfigError, Problem
from zt.audit.output import print_accesses
from zt.cluster.audit_log import AuditLogError, EntryFilter, Tally, accesses
from zt.project.errors import ExitCode, tells_errors
from zt.project.service import service_name

DEFAULT_PREFIXES = (f"{KV_MOUNT}/", f"{CREDENTIALS}/")
_DURATION = re.compile(r"([1-9][0-9]{0,4})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True)
class Request:
    """The options. `since` is counted back from `now`."""

    service: str | None
    project: Path
    now: datetime
    files: tuple[str, ...] = ()
    embedded: bool = False
    secret: str | None = None
    since: str | None = None
    prefixes: tuple[str, ...] = ()
    """The prefixes of paths to show. By default those of secrets, or every path with `secret`."""


@tells_errors
def run(request: Request, output_format: str) -> int:
    """Print the accesses in the logs, and return the exit code: 0 read, 2 a wrong argument, 3 a log cannot be read."""
    tally = Tally()
    print_accesses(accesses(_sources(request), _filter(request), tally), tally, output_format)
    return ExitCode.DONE


def since_moment(written: str, now: datetime) -> datetime:
    """The moment of an ISO time, or of a span such as `90m` before `now`. Raises `ConfigError`."""
    if match := _DURATION.fullmatch(written):
        return now - timedelta(**{_UNITS[match[2]]: int(match[1])})
    try:
        moment = datetime.fromisoformat(written)
    except ValueError:
        legal = ("30m", "1h", "7d", "2026-11-25T08:00:00Z")
        raise _wrong("--since", "neither a time nor a span of it", written, legal) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _filter(request: Request) -> EntryFilter:
    if not (request.service or request.secret):
        raise _wrong("SERVICE", "name a service, or a secret with --secret", "nothing")
    return EntryFilter(
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
    from embedded.access import EmbeddedPlane, EmbeddedPlaneError

    try:
        return [str(log) for log in EmbeddedPlane().audit_logs()]
    except EmbeddedPlaneError as error:
        raise AuditLogError(str(error)) from error


def _wrong(key: str, message: str, value: str, legal: tuple[str, ...] = ()) -> ConfigError:
    return ConfigError([Problem("zt audit", key, message, repr(value), legal)])
