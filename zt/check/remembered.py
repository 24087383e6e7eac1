"""A cache of a tool's answers between runs: a folder of files, each named by the digest of the tool's input.

A wrong answer would be a wrong verdict, so a key must contain everything that the answer depends on. The cache is
optional: if the folder cannot be written, the next run is as slow as the first.
"""

import hashlib
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from zt.project.atomic_write import write_atomically

_BYTES = 64 * 1024 * 1024


def key_of(parts: Iterable[str | bytes]) -> str:
    """The key of an input. It changes with every part, with their order, and with the boundaries between them."""
    whole = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        whole.update(f"{len(content)}:".encode())
        whole.update(content)
    return whole.hexdigest()


def program_of(executable: Path) -> str:
    """The identity of an executable, as part of a key."""
    file = executable.resolve()
    status = file.stat()
    return f"{file} {status.st_size} {status.st_mtime_ns}"


@dataclass(frozen=True)
class Remembered:
    """A folder of answers. Above `limit` bytes the least recently used ones are removed."""

    folder: Path
    limit: int = _BYTES

    def get(self, key: str) -> str | None:
        """The answer to an input, or `None`."""
        file = self.folder / key
        try:
            answer = file.read_text(encoding="utf-8")
            os.utime(file)
        except (OSError, UnicodeDecodeError):
            return None
        return answer

    def put(self, key: str, answer: str) -> None:
        """Store an answer, readable by its owner alone."""
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_atomically(self.folder / key, answer.encode(), mode=0o600)

    def trim(self) -> None:
        """Remove the oldest answers beyond the limit."""
        with suppress(OSError):
            files = sorted(
                ((file.stat(), file) for file in self.folder.iterdir()), key=lambda pair: -pair[0].st_mtime_ns
            )
            held = 0
            for status, file in files:
                held += status.st_size
                if held > self.limit:
                    file.unlink(missing_ok=True)
