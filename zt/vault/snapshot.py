"""Takes a snapshot of Vault's raft storage as a file, and restores it.

A snapshot is a gzipped archive of raft's state with the digest of each part. Vault's barrier encrypts the state: nobody
can read it without the seal's key, and a server with another seal's key cannot use it.
https://developer.hashicorp.com/vault/api-docs/system/storage/raft#take-a-snapshot-of-the-raft-cluster
"""

import gzip
import hashlib
import json
import os
import tarfile
import zlib
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from components.vault.policy import SNAPSHOT_PATH
from zt.cluster.vault import Vault, VaultError
from zt.project.errors import CommandError, ExitCode

_FORCE_PATH = "sys/storage/raft/snapshot-force"
_META, _STATE, _SUMS = "meta.json", "state.bin", "SHA256SUMS"
_PIECE_BYTES = 1 << 20
_SMALL_BYTES = 1 << 20
# What the readers of gzip, tar and JSON raise for something else, or for a part of it.
_NO_SNAPSHOT = (
    gzip.BadGzipFile,
    zlib.error,
    tarfile.TarError,
    EOFError,
    KeyError,
    ValueError,
    TypeError,
    RecursionError,
)


class SnapshotError(CommandError):
    """A file is no complete snapshot, or cannot be written. One line names the file and the problem."""

    exit_code = ExitCode.WRONG


@dataclass(frozen=True)
class Snapshot:
    """A snapshot file: when it was taken, the last entry of raft's log in it, and its size."""

    file: Path
    taken: datetime
    index: int
    size: int


def read_snapshot(file: Path) -> Snapshot:
    """Read a whole snapshot and check each part against its digest. Raises `SnapshotError`."""
    try:
        size = file.stat().st_size
        digests, small, taken = _parts(file)
        lines = [line.split() for line in small[_SUMS].decode().splitlines()]
        listed = {name: digest for digest, name in lines}
        index = int(json.loads(small[_META])["Index"])
    except _NO_SNAPSHOT as error:
        raise SnapshotError(f"{file}: not a snapshot of Vault, or cut off") from error
    except OSError as error:
        raise SnapshotError(f"{file}: cannot be read: {error.strerror or error}") from error
    if {name: digests.get(name) for name in (_META, _STATE)} != listed:
        raise SnapshotError(f"{file}: its parts are not those that {_SUMS} lists: damaged")
    return Snapshot(file, taken, index, size)


def _parts(file: Path) -> tuple[dict[str, str], dict[str, bytes], datetime]:
    digests: dict[str, str] = {}
    small: dict[str, bytes] = {}
    taken = datetime.fromtimestamp(0, UTC)
    with gzip.open(file) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
        for part in archive:
            content = archive.extractfile(part)
            if content is None or part.name in digests:
                raise ValueError(part.name)
            digest = hashlib.sha256()
            while piece := content.read(_PIECE_BYTES):
                digest.update(piece)
                if part.name in (_META, _SUMS) and part.size <= _SMALL_BYTES:
                    small[part.name] = piece
            digests[part.name] = digest.hexdigest()
            taken = datetime.fromtimestamp(part.mtime, UTC)
        # Read to the end, where the checksum of the whole file is.
        while stream.read(_PIECE_BYTES):
            pass
    # The digests encrypted by the server's seal. Without them the server treats the snapshot as cut off.
    if f"{_SUMS}.sealed" not in digests:
        raise ValueError(_SUMS)
    return digests, small, taken


def check_active(vault: Vault) -> None:
    """Raise `VaultError` if a standby answers: what it forwards to the active server may be cut off."""
    health = vault.read("sys/health?standbyok=true&perfstandbyok=true") or {}
    if health.get("standby"):
        leader = (vault.read("sys/leader") or {}).get("leader_address") or "no server at the moment"
        raise VaultError(f"Vault at {vault.where} is a standby: set VAULT_ADDR to the active server, {leader}")


def take(pieces: Iterable[bytes], target: Path, *, overwrite: bool, where: str) -> Snapshot:
    """Write a snapshot of Vault at `where` atomically to a file of mode 0600.

    Raises `SnapshotError` for the file, and `VaultError` if what came is not one whole snapshot.
    """
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with _created(temporary) as stream:
            stream.writelines(pieces)
            stream.flush()
            os.fsync(stream.fileno())
        written = _whole(temporary, where)
        if overwrite:
            temporary.replace(target)
        else:
            # Unlike a rename, a link fails if somebody created the file in the meantime.
            target.hardlink_to(temporary)
    except FileExistsError as error:
        raise SnapshotError(f"{target}: is there already; --overwrite replaces it") from error
    except OSError as error:
        raise SnapshotError(f"{target}: cannot be written: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)
    return Snapshot(target, written.taken, written.index, written.size)


def _whole(file: Path, where: str) -> Snapshot:
    try:
        return read_snapshot(file)
    except SnapshotError as error:
        message = f"Vault at {where} sent what is no snapshot, or a part of one: nothing is written; run it again"
        raise VaultError(message) from error


@contextmanager
def _created(path: Path) -> Generator[BinaryIO]:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        yield stream


def restore(vault: Vault, content: BinaryIO, *, force: bool) -> None:
    """Replace everything in Vault by a snapshot. Raises `VaultError`.

    `force` skips the server's check that its own seal encrypted the snapshot.
    """
    vault.upload(_FORCE_PATH if force else SNAPSHOT_PATH, content)


def download(vault: Vault) -> Iterator[bytes]:
    """A new snapshot, piece by piece. Raises `VaultError`."""
    return vault.download(SNAPSHOT_PATH)
