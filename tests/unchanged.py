"""What a suite depends on, and when it last passed on exactly that.

The stand-ins, the state service and the toolchain know nothing of the program: while nothing below `embedded/` changes,
a second run of their suite says what the first one said. The cache that holds the built tools holds what it passed on.
"""

import ast
import json
import platform
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from embedded.paths import cache_dir
from embedded.toolchain.keys import digest
from embedded.toolchain.provide import locate

ROOT = Path(__file__).resolve().parents[1]
STAND_INS = ("embedded/tests/stand_ins/test_*.py",)
# Packages by their locked versions, the options of pytest, and what pytest or a module loads beside it.
_ALWAYS = (
    "requirements-dev.txt",
    "pyproject.toml",
    "Makefile",
)
_NO_SOURCE = {"__pycache__", "node_modules"}


def inputs(patterns: Iterable[str] = STAND_INS) -> list[Path]:
    """The modules of a suite, all that they import of this repository, and everything below `embedded/`."""
    pending = [*(file for pattern in patterns for file in ROOT.glob(pattern)), *(ROOT / name for name in _ALWAYS)]
    found = set[Path]()
    while pending:
        if (file := pending.pop()) not in found:
            found.add(file)
            pending += _imported(file) if file.suffix == ".py" else ()
    within = (file for file in (ROOT / "embedded").rglob("*") if file.is_file() and not _NO_SOURCE & set(file.parts))
    return sorted(found.union(within))


def _imported(file: Path) -> Iterator[Path]:
    for node in ast.walk(ast.parse(file.read_bytes())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            place = ROOT.joinpath(*name.split("."))
            yield from (made for made in (place.with_suffix(".py"), place / "__init__.py") if made.is_file())


def state() -> str:
    """A digest of the suite's files, of Python, and of the tools that it would use."""
    files = (part for file in inputs() for part in (str(file.relative_to(ROOT)), file.read_bytes()))
    tools = (f"{name}={place}" for name, place in sorted(locate().items()))
    return digest(platform.python_version(), platform.platform(), *tools, *files)


def passed(suite: str, of: str) -> datetime | None:
    """When the suite passed on this state; None when the last one that it passed on is another."""
    try:
        found = json.loads(_record(suite).read_text())
    except (FileNotFoundError, ValueError):
        return None
    return datetime.fromisoformat(found["passed"]) if found["state"] == of else None


def remember(suite: str, of: str) -> None:
    """Keep that the suite passed."""
    file = _record(suite)
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({"state": of, "passed": datetime.now(UTC).isoformat(timespec="seconds")}))


def _record(suite: str) -> Path:
    return cache_dir() / "passed" / f"{suite}.json"
