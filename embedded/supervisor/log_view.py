"""Shows the processes' log files, the last lines first and then what is added."""

import sys
import time
from collections import deque
from pathlib import Path

_POLL_SECONDS = 0.3


class UnknownLogError(Exception):
    """No process of this name has a log."""


def show_logs(directory: Path, name: str | None, *, lines: int, follow: bool) -> None:
    """Print the last lines of one log, or of all. Raises ``UnknownLogError``."""
    files = _files(directory, name)
    prefixed = len(files) > 1
    for file in files:
        for line in last_lines(file, lines):
            _print(file, line, prefixed=prefixed)
    if follow:
        _follow(files, prefixed=prefixed)


def last_lines(file: Path, count: int) -> list[str]:
    """The last lines of a file."""
    with file.open(errors="replace") as content:
        return list(deque(content, maxlen=count))


def _files(directory: Path, name: str | None) -> list[Path]:
    files = sorted(directory.glob("*.log"))
    if name is None:
        return files
    chosen = [file for file in files if file.stem == name]
    if not chosen:
        known = ", ".join(file.stem for file in files) or "none yet"
        raise UnknownLogError(f"no process {name!r} has a log; there are: {known}")
    return chosen


def _follow(files: list[Path], *, prefixed: bool) -> None:
    positions = {file: file.stat().st_size for file in files}
    while True:
        for file, position in positions.items():
            size = file.stat().st_size
            if size < position:
                positions[file] = 0
            elif size > position:
                positions[file] = _print_from(file, position, prefixed=prefixed)
        time.sleep(_POLL_SECONDS)


def _print_from(file: Path, position: int, *, prefixed: bool) -> int:
    with file.open(errors="replace") as content:
        content.seek(position)
        for line in content:
            _print(file, line, prefixed=prefixed)
        return content.tell()


def _print(file: Path, line: str, *, prefixed: bool) -> None:
    sys.stdout.write(f"{file.stem}: {line}" if prefixed else line)
    sys.stdout.flush()
