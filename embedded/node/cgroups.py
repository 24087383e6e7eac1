"""The node's control groups: one in each hierarchy of this machine, removed when the supervisor is gone.

Processes, mounts and devices end with their namespaces. A control group does not: it is a directory that somebody has
to remove (cgroups(7)).
"""

import contextlib
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from embedded.node.errors import NodeError

_ROOT = Path("/sys/fs/cgroup")
_REMOVE_SECONDS = 30.0
# Shown with the controllers of a hierarchy, and no part of what names it.
_NOT_OF_A_MOUNT = {"rw", "ro", "xattr", "clone_children", "release_agent", "noprefix"}


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """One mounted hierarchy. ``options`` are those that mount it again; version 2 has none."""

    place: Path
    options: str
    version: int


def hierarchies(mounts: Path = Path("/proc/self/mountinfo")) -> list[Hierarchy]:
    """The hierarchies of this machine, from the mounts of this process (proc_pid_mountinfo(5))."""
    found: list[Hierarchy] = []
    for line in mounts.read_text().splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        if kind in {"cgroup", "cgroup2"}:
            version = 2 if kind == "cgroup2" else 1
            kept = [option for option in options.split(",") if option.partition("=")[0] not in _NOT_OF_A_MOUNT]
            found.append(Hierarchy(Path(before.split(" ")[4]), ",".join(kept) if version == 1 else "", version))
    if not found:
        raise NodeError(f"no control groups are mounted below {_ROOT}: the node's containers need them")
    return found


def group_name(state: Path) -> str:
    """The name of the control groups of one checkout."""
    return f"zero-trust-{hashlib.sha256(str(state).encode()).hexdigest()[:12]}"


def create(name: str) -> list[Path]:
    """Make the group in each hierarchy, after removing what an earlier node left. Raises ``NodeError``."""
    remove(name)
    made: list[Path] = []
    for hierarchy in hierarchies():
        group = hierarchy.place / name
        try:
            group.mkdir()
            if (group / "cpuset.cpus").exists() and hierarchy.version == 1:
                # A group of this hierarchy takes no process before it has processors and memory (cpusets(7)).
                for file in ("cpuset.cpus", "cpuset.mems"):
                    (group / file).write_text((hierarchy.place / file).read_text())
        except OSError as error:
            raise NodeError(f"cannot make the control group {group}: {error}") from error
        made.append(group)
    return made


def remove(name: str, seconds: float = 0.0) -> None:
    """Remove the groups, the innermost first; try again for that long, since a killed process leaves them late."""
    deadline = time.monotonic() + seconds
    while True:
        left = [group for group in _groups(name) if not _removed(group)]
        if not left or time.monotonic() > deadline:
            return
        time.sleep(0.2)


def _groups(name: str) -> Iterator[Path]:
    for hierarchy in hierarchies():
        for directory, _, _ in os.walk(hierarchy.place / name, topdown=False):
            yield Path(directory)


def _removed(group: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        try:
            group.rmdir()
        except OSError:
            return False
    return True


class Reaper:
    """A process that outlives the supervisor by the seconds that it takes to remove the groups."""

    def __init__(self, name: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "embedded.node.cgroups", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=Path(__file__).parents[2],
            env={},
            start_new_session=True,
        )

    def reap(self) -> None:
        """Let it begin, and wait until it has ended."""
        if self._process.stdin:
            self._process.stdin.close()
        self._process.wait(timeout=2 * _REMOVE_SECONDS)


def main(name: str) -> None:
    """Wait until nobody holds the standard input any more, and remove the groups."""
    sys.stdin.buffer.read()
    remove(name, _REMOVE_SECONDS)


if __name__ == "__main__":
    main(sys.argv[1])
