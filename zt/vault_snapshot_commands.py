"""What `zt vault snapshot` and `zt vault restore` ask, do and print.

Whoever restores a snapshot decides what Vault holds, its tokens and policies included: it is as mighty as root. So
there is no login for it: a restore takes a token from a file or the standard input, which the holders of the recovery
keys make for this once (docs/how-to/vault-recovery.md), and which is gone from what is restored.
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

from components.typed_file import ConfigError, Problem
from zt.vault import Access, VaultError, connect
from zt.vault_snapshot import Snapshot, SnapshotError, check_active, download, read_snapshot, restore, take

JSON_VERSION = 1
_STDIN = "-"
_OTHERS = 0o077

Connect = Callable[[Access], Any]


@dataclass(frozen=True)
class SnapshotRequest:
    """What the caller of `zt vault snapshot` asks."""

    file: Path
    access: Access
    overwrite: bool = False


@dataclass(frozen=True)
class RestoreRequest:
    """What the caller of `zt vault restore` asks. `token_file` is a path, or - for the standard input."""

    file: Path
    token_file: str
    embedded: bool = False
    force: bool = False
    yes: bool = False


def run_snapshot(request: SnapshotRequest, output_format: str, connect_to: Connect | None = None) -> int:
    """Take a snapshot and return the exit code: 0 done, 2 a wrong argument or file, 3 Vault does not."""
    return _run(lambda errors: _snapshot(request, connect_to or connect, errors, output_format))


def run_restore(request: RestoreRequest, output_format: str, connect_to: Connect | None = None) -> int:
    """Restore a snapshot and return the exit code.

    0: done. 1: not confirmed. 2: a wrong argument, or a file that is no snapshot. 3: Vault does not.
    """
    return _run(lambda errors: _restore(request, connect_to or connect, errors, output_format))


def _run(step: Callable[[Console], int]) -> int:
    errors = Console(stderr=True, highlight=False)
    try:
        return step(errors)
    except ConfigError as error:
        errors.print(str(error), markup=False, soft_wrap=True)
        return 2
    except SnapshotError as error:
        errors.print(f"error: {error}", markup=False, soft_wrap=True)
        return 2
    except VaultError as error:
        errors.print(f"error: {error}", markup=False, soft_wrap=True)
        return 3


def _snapshot(request: SnapshotRequest, connect_to: Connect, errors: Console, output_format: str) -> int:
    if request.file.exists() and not request.overwrite:
        raise SnapshotError(f"{request.file}: is there already; --overwrite replaces it")
    with connect_to(request.access) as vault, _progress(errors) as progress:
        check_active(vault)
        task = progress.add_task("snapshot", total=None)

        def counted() -> Iterator[bytes]:
            for piece in download(vault):
                progress.advance(task, len(piece))
                yield piece

        made = take(counted(), request.file, overwrite=request.overwrite)
        where = vault.where
    _tell(made, where, output_format, f"{made.file}: {_described(made)} of {where}, readable by you alone.")
    return 0


def _restore(request: RestoreRequest, connect_to: Connect, errors: Console, output_format: str) -> int:
    _check_can_ask(request)
    found = read_snapshot(request.file)
    access = Access(embedded=request.embedded, token=_token(request.token_file))
    with connect_to(access) as vault:
        check_active(vault)
        if not (request.yes or _confirmed(found, vault.where)):
            errors.print("nothing is restored")
            return 1
        with _progress(errors) as progress, progress.open(request.file, "rb", description="restore") as content:
            restore(vault, content, force=request.force)
        where = vault.where
    after = "Tokens and leases made since are gone, the one of this command too."
    _tell(found, where, output_format, f"{where} holds what it held then: {_described(found)}. {after}")
    return 0


def _check_can_ask(request: RestoreRequest) -> None:
    if not request.yes and (request.token_file == _STDIN or not sys.stdin.isatty()):
        raise ConfigError([Problem("zt vault restore", "--yes", "required where nobody can be asked")])


def _token(file: str) -> str:
    """The token of a file that its owner alone can read, or of the standard input. Raises `ConfigError`."""
    try:
        if file != _STDIN and (mode := Path(file).stat().st_mode) & _OTHERS:
            raise _wrong("others may read or write it: take that right away (chmod 600)", oct(mode & 0o777))
        token = (sys.stdin.read() if file == _STDIN else Path(file).read_text(encoding="utf-8")).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise _wrong(f"cannot be read: {getattr(error, 'strerror', None) or 'not text'}", file) from error
    # What is pasted with it would end up in a request's header.
    if not token or not token.isascii() or len(token.split()) != 1:
        raise _wrong("holds no token", "a value that is not repeated here")
    return token


def _wrong(message: str, found: str) -> ConfigError:
    return ConfigError([Problem("zt vault restore", "--token-file", message, found)])


def _confirmed(found: Snapshot, where: str) -> bool:
    return typer.confirm(f"Replace everything in {where} by {found.file}, {_described(found)}?", err=True)


@contextmanager
def _progress(errors: Console) -> Generator[Progress]:
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn()
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as progress:
        yield progress


def _described(found: Snapshot) -> str:
    return f"a snapshot of {found.taken:%Y-%m-%d %H:%M:%S} UTC, raft index {found.index}, {found.size} bytes"


def _tell(found: Snapshot, where: str, output_format: str, text: str) -> None:
    if output_format == "json":
        facts = {"file": str(found.file), "taken": found.taken.isoformat(), "index": found.index, "bytes": found.size}
        text = json.dumps({"version": JSON_VERSION, "vault": where, **facts}, indent=2)
    Console(highlight=False).print(text, markup=False, soft_wrap=True)
