"""Finds every tool, or builds it, and gives one directory that holds them all."""

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from threading import get_ident
from time import sleep
from typing import IO

from embedded.paths import cache_dir
from embedded.toolchain.build import build_module, target
from embedded.toolchain.keys import digest
from embedded.toolchain.official import find_official
from embedded.toolchain.progress import Display, Progress
from embedded.toolchain.records import tools_root
from embedded.toolchain.table import TOOLS, Tool, select

_LOCK_POLL_SECONDS = 0.5


def locate() -> dict[str, Path]:
    """Where each executable is, or will be once it is built."""
    places = {tool.name: target(tool) for tool in TOOLS}
    official = find_official(os.environ.get("PATH", ""), Path.home() / ".pulumi" / "plugins", cache_dir())
    return places | official


def ensure(names: Sequence[str] | None = None, progress: bool = True) -> Path:
    """The directory with the executables, after building those of ``names`` that are missing.

    ``names`` are tools or groups (``pulumi``, ``cluster``, ``controllers``, ``data-plane``, ``node``, ``policy``,
    ``check``, ``bench``, ``acme``, ``lint``, ``yaml``); ``None`` means all but those of the node and of YAML. Whatever
    else is already built is in the directory too. An official Pulumi on PATH, complete with its Python language host
    and Kubernetes plugin, is linked instead of building one.

    Raises ``ValueError`` for an unknown name and ``ToolchainError`` when Go is missing or a build fails.
    """
    wanted = select(None if names is None else list(names))
    places = locate()
    missing = _missing(wanted, places)
    if missing:
        _build(missing, places, progress)
    return _link(places)


def _missing(wanted: Sequence[Tool], places: Mapping[str, Path]) -> list[Tool]:
    return [tool for tool in wanted if not places[tool.name].exists()]


def _build(missing: list[Tool], places: Mapping[str, Path], shown: bool) -> None:
    tools_root().mkdir(parents=True, exist_ok=True)
    state = Progress(wanted=[tool.name for tool in missing])
    with Display(state, shown) as show, _one_build_at_a_time(state, show) as lock:
        # Another process may have built them while this one waited.
        left = _missing(missing, places)
        state.wanted = [tool.name for tool in left]
        for module, tools in groupby(left, key=lambda tool: tool.module):
            build_module(module, list(tools), state, show, lock)


@contextmanager
def _one_build_at_a_time(state: Progress, show: Callable[[], None]) -> Iterator[IO[str]]:
    """Hold the build lock. The kernel frees it when the processes that hold it end, however they end."""
    with (tools_root() / "build.lock").open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                state.waiting = "another process builds the tools; waiting for it"
                show()
                sleep(_LOCK_POLL_SECONDS)
        state.waiting = ""
        yield lock


def _link(places: Mapping[str, Path]) -> Path:
    """A directory of links to the executables that are there, one for each combination of their versions."""
    key = digest(*(f"{name}={place}" for name, place in sorted(places.items())))
    directory = cache_dir() / "bin" / key
    directory.mkdir(parents=True, exist_ok=True)
    for name, place in places.items():
        link = directory / name
        if place.exists() and not link.exists():
            fresh = directory / f".{name}.{os.getpid()}.{get_ident()}"
            fresh.unlink(missing_ok=True)
            _link_one(place, fresh)
            fresh.replace(link)
    return directory


def _link_one(place: Path, link: Path) -> None:
    """Hard links for what is in the cache: the language host looks for its scripts beside its own resolved path."""
    if place.is_relative_to(tools_root()):
        link.hardlink_to(place)
    else:
        link.symlink_to(place)
