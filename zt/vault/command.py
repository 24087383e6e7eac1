"""`zt vault snapshot` and `zt vault restore`: their options, their steps and their output.

Whoever restores a snapshot decides everything in Vault, including its tokens and policies, so this right equals root.
No login has it: a restore takes a token from a file or the standard input. The holders of the recovery keys create it
for one restore (docs/how-to/vault-recovery.md), and the restored state does not contain it.
"""

import json
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from components.schema.problem import ConfigError, Problem
from zt.cluster.vault import Access, connect
from zt.project.confirmation import check_can_ask
from zt.project.console import plain_console
from zt.project.errors import ExitCode, tells_errors
from zt.vault.snapshot import Snapshot, SnapshotError, check_active, download, read_snapshot, restore, take

JSON_VERSION = 1
_STDIN = "-"
_OTHERS = 0o077

Connect = Callable[[Access], Any]


@dataclass(frozen=True)
class SnapshotRequest:
    """The options of `zt vault snapshot`."""

    file: Path
    access: Access
    overwrite: bool = False


@dataclass(frozen=True)
class RestoreRequest:
    """The options of `zt vault restore`. `token_file` is a path, or - for the standard input."""

    file: Path
    token_file: str
    embedded: bool = False
    force: bool = False
    yes: bool = False


@tells_errors
def run_snapshot(request: SnapshotRequest, output_format: str, connect_to: Connect | None = None) -> int:
    """Take a snapshot and return the exit code: 0 done, 2 a wrong argument or file, 3 Vault failed."""
    return _snapshot(request, connect_to or connect, output_format)


@tells_errors
def run_restore(request: RestoreRequest, output_format: str, connect_to: Connect | None = None) -> int:
    """Restore a snapshot and return the exit code.

    0: done. 1: not confirmed. 2: a wrong argument, or a file that is no snapshot. 3: Vault failed.
    """
    return _restore(request, connect_to or connect, output_format)


def _snapshot(request: SnapshotRequest, connect_to: Connect, output_format: str) -> int:
    errors = plain_console(stderr=True)
    if request.file.exists() and not request.overwrite:
        raise SnapshotError(f"{request.file}: is there already; --overwrite replaces it")
    with connect_to(request.access) as vault, _progress(errors) as progress:
        check_active(vault)
        task = progress.add_task("snapshot", total=None)

        def counted() -> Iterator[bytes]:
            for piece in download(vault):
                progress.advance(task, len(piece))
                yield piece

        snapshot = take(counted(), request.file, overwrite=request.overwrite, where=vault.where)
        where = vault.where
    _tell(snapshot, where, output_format, f"{snapshot.file}: {_described(snapshot)} of {where}, readable by you alone.")
    return ExitCode.DONE


def _restore(request: RestoreRequest, connect_to: Connect, output_format: str) -> int:
    errors = plain_console(stderr=True)
    check_can_ask("zt vault restore", request.yes, request.token_file == _STDIN)
    snapshot = read_snapshot(request.file)
    access = Access(embedded=request.embedded, token=_token(request.token_file))
    with connect_to(access) as vault:
        check_active(vault)
        if not (request.yes or _confirmed(snapshot, vault.where)):
            errors.print("nothing is restored")
            return ExitCode.NO
        with _progress(errors) as progress, progress.open(request.file, "rb", description="restore") as content:
            restore(vault, content, force=request.force)
        where = vault.where
    after = "Tokens and leases made since are gone, the one of this command too."
    _tell(snapshot, where, output_format, f"{where} holds what it held then: {_described(snapshot)}. {after}")
    return ExitCode.DONE


def _token(file: str) -> str:
    """The token in a file that only its owner can read, or on the standard input. Raises `ConfigError`."""
    try:
        if file != _STDIN and (mode := Path(file).stat().st_mode) & _OTHERS:
            raise _wrong("others may read or write it: take that right away (chmod 600)", oct(mode & 0o777))
        token = (sys.stdin.read() if file == _STDIN else Path(file).read_text(encoding="utf-8")).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise _wrong(f"cannot be read: {getattr(error, 'strerror', None) or 'not text'}", file) from error
    # Anything pasted with the token would get into the header of a request.
    if not token or not token.isascii() or len(token.split()) != 1:
        raise _wrong("holds no token", "a value that is not repeated here")
    return token


def _wrong(message: str, value: str) -> ConfigError:
    return ConfigError([Problem("zt vault restore", "--token-file", message, value)])


def _confirmed(snapshot: Snapshot, where: str) -> bool:
    return typer.confirm(f"Replace everything in {where} by {snapshot.file}, {_described(snapshot)}?", err=True)


@contextmanager
def _progress(errors: Console) -> Generator[Progress]:
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn()
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as progress:
        yield progress


def _described(snapshot: Snapshot) -> str:
    return f"a snapshot of {snapshot.taken:%Y-%m-%d %H:%M:%S} UTC, raft index {snapshot.index}, {snapshot.size} bytes"


def _tell(snapshot: Snapshot, where: str, output_format: str, text: str) -> None:
    if output_format == "json":
        facts = {
            "file": str(snapshot.file),
            "taken": snapshot.taken.isoformat(),
            "index": snapshot.index,
            "bytes": snapshot.size,
        }
        text = json.dumps({"version": JSON_VERSION, "vault": where, **facts}, indent=2)
    plain_console().print(text, soft_wrap=True)
