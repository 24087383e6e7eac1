"""Run a command and measure it: wall time, and the peak memory of all of its processes together."""

import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

_SAMPLE_SECONDS = 0.1
# A person's Python keeps what it compiled of a module; with this it would compile the program at each run.
_COMPILES_EACH_TIME = "PYTHONDONTWRITEBYTECODE"


@dataclass(frozen=True)
class Measurement:
    """Seconds of wall time, and mebibytes of resident memory at the peak."""

    seconds: float
    peak_mib: float


class CommandFailedError(RuntimeError):
    """A measured command did not do what it should: its output is the message."""


def measure(
    command: Sequence[str], environment: Mapping[str, str], directory: Path, expected: tuple[int, ...] = (0,)
) -> Measurement:
    """Run `command` to its end. Raises `CommandFailedError` when its exit code is not one of `expected`."""
    kept = {name: value for name, value in environment.items() if name != _COMPILES_EACH_TIME}
    started = time.monotonic()
    with subprocess.Popen(
        command, cwd=directory, env=kept, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        peak = _Peak(process.pid)
        peak.start()
        output, _ = process.communicate()
        seconds = time.monotonic() - started
        peak.stop()
    if process.returncode not in expected:
        raise CommandFailedError(f"{' '.join(command)} exited with {process.returncode}:\n{output}")
    return Measurement(round(seconds, 2), round(peak.bytes / 2**20, 1))


class _Peak(threading.Thread):
    """Samples the resident memory of a process and its descendants."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._ended = threading.Event()
        self.bytes = 0

    def run(self) -> None:
        """Sample until the command has ended."""
        while not self._ended.wait(_SAMPLE_SECONDS):
            self.bytes = max(self.bytes, _resident(self._pid))

    def stop(self) -> None:
        """End the sampling."""
        self._ended.set()
        self.join()


def _resident(pid: int) -> int:
    total = 0
    try:
        root = psutil.Process(pid)
        family = [root, *root.children(recursive=True)]
    except psutil.Error:
        return 0
    for process in family:
        try:
            total += process.memory_info().rss
        except psutil.Error:
            continue
    return total
