"""What a program answered to the very same files before, kept as `go test` keeps what a test said.

The Kyverno CLI compiles every rule again for each object: that is nearly all the time of this suite, and most changes
touch neither a rule nor a case. An answer is kept under a digest of all that goes into it, the executable with its
version, the arguments and each file. `ALL=1` asks again, and the end of a run says how much of it was kept.
"""

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from embedded.paths import cache_dir
from embedded.toolchain.keys import digest

_DAY_SECONDS = 86400
_DAYS = 14


@dataclass(frozen=True)
class Answer:
    """What a program printed, and the files that it made, when it did not fail."""

    stdout: str
    made: dict[str, str]


@dataclass
class Count:
    """How many answers this process needed, and how many of them were there."""

    needed: int = 0
    kept: int = 0


COUNT = Count()


def answer(executable: Path, arguments: Sequence[str], files: Mapping[str, str], ask: Callable[[], Answer]) -> Answer:
    """The kept answer to these arguments and files, or the one that `ask` brings, which is kept then."""
    COUNT.needed += 1
    parts = (part for name, content in sorted(files.items()) for part in (name, content))
    # A tool lies below a digest of its sources and versions.
    file = _directory() / f"{digest(str(executable.resolve()), *arguments, '', *parts)}.json"
    if not os.environ.get("ALL") and file.exists():
        file.touch()
        COUNT.kept += 1
        return Answer(**json.loads(file.read_text()))
    found = ask()
    fresh = file.with_suffix(f".{os.getpid()}")
    fresh.write_text(json.dumps(asdict(found)))
    fresh.replace(file)
    return found


def forget_old() -> None:
    """Delete what nothing has asked for in two weeks."""
    oldest = time.time() - _DAYS * _DAY_SECONDS
    for file in _directory().iterdir():
        if file.stat().st_mtime < oldest:
            file.unlink(missing_ok=True)


def _directory() -> Path:
    directory = cache_dir() / "answers"
    directory.mkdir(exist_ok=True)
    return directory
