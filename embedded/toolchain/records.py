"""How long each build took, kept in the cache."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from embedded.paths import cache_dir


@dataclass(frozen=True, slots=True)
class Timing:
    """One build of a module's tools. ``packages`` says how cold it was: those that Go's own cache lacked."""

    module: str
    key: str
    seconds: float
    packages: int
    tools: dict[str, float]
    """Seconds from the start of the build until the tool was there."""


def tools_root() -> Path:
    """The directory of built tools in the cache."""
    return cache_dir() / "tools"


def _file() -> Path:
    return tools_root() / "times.json"


def timings() -> list[Timing]:
    """The coldest recorded build of each module and version, oldest first."""
    if not _file().exists():
        return []
    return [Timing(**entry) for entry in json.loads(_file().read_text())]


def record(timing: Timing) -> None:
    """Keep a build's time, unless a colder build of the same module and version is known."""
    entries = timings()
    same = [entry for entry in entries if (entry.module, entry.key) == (timing.module, timing.key)]
    if any((entry.packages, len(entry.tools)) > (timing.packages, len(timing.tools)) for entry in same):
        return
    kept = [entry for entry in entries if entry not in same] + [timing]
    fresh = _file().with_suffix(".new")
    fresh.write_text(json.dumps([asdict(entry) for entry in kept], indent=1))
    fresh.replace(_file())
