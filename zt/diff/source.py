"""Gets the two plans: of the working tree, and of a commit or a directory to compare it with.

Each side's facts come from its own program in a separate process. So a change of the program shows like a change of a
file, wherever its modules are. Files without a program are planned by this checkout's, and a note says so.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from components.schema.problem import ConfigError, Problem
from zt.facts.model import SIDE, Side
from zt.facts.worker import CHECKOUT, REFUSED, VERSION
from zt.project.errors import ConfigRefusedError, ToolError
from zt.project.pool import Pool
from zt.project.streams import tell

PROGRAM = ("components", "zt")

_BRANCHES = ("refs/remotes/origin/HEAD", "refs/remotes/origin/main", "refs/heads/main", "refs/heads/master")
_SECONDS = 300
# These variables would make Python load another program than the side's.
_PATHS = ("PYTHONPATH", "PYTHONSAFEPATH")


@dataclass(frozen=True)
class Base:
    """What the working tree is compared with: its files, its name, and notes on the choice."""

    directory: Path
    name: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sides:
    """Both plans. `base` is `None` if it has no such stack."""

    base: Side | None
    change: Side
    notes: tuple[str, ...]


def read_sides(base: Base, project: Path, stack: str) -> Sides:
    """Plan both sides, at the same time. Raises `ConfigRefusedError` naming the side, or `ToolError`."""
    if not (base.directory / f"Pulumi.{stack}.yaml").is_file():
        change, notes = _side("change", project, stack)
        none = f"the base has no stack {stack}, so there is nothing to compare with"
        return Sides(None, change, (*base.notes, none, *notes))
    with Pool() as pool:
        old, new = (pool.submit(_side, *side, stack) for side in (("base", base.directory), ("change", project)))
        (before, old_notes), (after, new_notes) = old.result(), new.result()
    return Sides(before, after, (*base.notes, *old_notes, *new_notes))


def _side(name: str, directory: Path, stack: str) -> tuple[Side, tuple[str, ...]]:
    directory = directory.resolve()
    if (directory / "zt" / "facts" / "__main__.py").is_file():
        return _facts(name, directory, stack)
    if (directory / "zt" / "diff_worker.py").is_file():
        written = _run(name, directory, "zt.diff_worker", str(directory), stack)
        with _readable(name):
            side = SIDE.validate_json(written)
        older = f"the {name} is older than the versioned facts: what its zt did not know of yet shows as new"
        return side, (older,)
    with _staged(directory) as staged:
        side, _ = _facts(name, staged, stack)
    if name != "base":
        return side, ()
    unseen = "no change of the program itself is seen"
    return side, (f"the {name} has no program that gives facts: this checkout's planned its files, so {unseen}",)


@contextmanager
def _staged(directory: Path) -> Generator[Path]:
    """A directory with the files of another one and this checkout's program, which reads the rules beside it."""
    with tempfile.TemporaryDirectory(prefix="zt-diff-") as temporary:
        staged = Path(temporary).resolve()
        for entry in directory.iterdir():
            if entry.name not in (*PROGRAM, ".git"):
                (staged / entry.name).symlink_to(entry)
        for package in PROGRAM:
            shutil.copytree(CHECKOUT / package, staged / package)
        yield staged


@dataclass(frozen=True)
class _Facts:
    """The output of `zt.facts`. A side of another version may have facts that this checkout does not know."""

    version: Annotated[int, Field(strict=True, ge=1)]
    side: object


_FACTS = TypeAdapter(_Facts)


def _facts(name: str, directory: Path, stack: str) -> tuple[Side, tuple[str, ...]]:
    written = _run(name, directory, "zt.facts", stack)
    with _readable(name):
        facts = _FACTS.validate_json(written)
    if facts.version > VERSION:
        newer = f"its facts have version {facts.version}, and this zt reads up to {VERSION}"
        raise ToolError(f"{name}: {newer}: use the newer zt, which is the {name}'s own")
    with _readable(name):
        side = SIDE.validate_python(facts.side)
    if facts.version == VERSION:
        return side, ()
    versions = f"the {name}'s facts have version {facts.version}, and this zt's {VERSION}"
    return side, (f"{versions}: what the older one did not know of yet shows as new",)


@contextmanager
def _readable(name: str) -> Generator[None]:
    try:
        yield
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise ToolError(f"{name}: its facts cannot be read by this zt: {place}: {first['msg']}") from error


def _run(name: str, directory: Path, module: str, *arguments: str) -> str:
    """The output of a module of a directory's program: Python looks for modules in the working directory first."""
    # -B, so that nothing is written into a compared directory.
    command = [sys.executable, "-B", "-m", module, *arguments]
    environment = {key: value for key, value in os.environ.items() if key not in _PATHS}
    try:
        done = subprocess.run(
            command, cwd=directory, env=environment, capture_output=True, text=True, check=False, timeout=_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise ToolError(f"{name}: {module} took longer than {_SECONDS} s") from error
    stderr = done.stderr.strip() or "without a word"
    if done.returncode == REFUSED:
        raise ConfigRefusedError("\n".join(f"{name}: {line}" for line in stderr.splitlines()))
    if done.returncode:
        raise ToolError(f"{name}: its {module} failed with status {done.returncode}:\n{stderr}")
    for line in done.stderr.splitlines():
        if line.startswith("warning: "):
            tell(f"{name}: {line}")
    return done.stdout


@contextmanager
def base_of(project: Path, ref: str | None, directory: Path | None) -> Generator[Base]:
    """The base: a directory, a commit, or the commit where the working tree left the default branch.

    Raises `ConfigError` if it does not exist, and `ToolError` without git.
    """
    if directory is not None:
        if not directory.is_dir():
            raise ConfigError([Problem("zt", "--base-dir", "there is no such directory", repr(str(directory)))])
        yield Base(directory, str(directory))
        return
    commit, how = (_commit(project, ref), ref) if ref else _merge_base(project)
    notes: tuple[str, ...] = ()
    if commit == _commit(project, "HEAD"):
        notes = ("the base is the commit that is checked out: only what is not committed is compared",)
    with tempfile.TemporaryDirectory(prefix="zt-diff-") as temporary:
        _export(project, commit, Path(temporary))
        yield Base(Path(temporary).resolve(), f"{commit[:12]} ({how})", notes)


def _merge_base(project: Path) -> tuple[str, str]:
    for branch in _BRANCHES:
        if not _git(project, "rev-parse", "--verify", "--quiet", branch).stdout:
            continue
        name = branch.removeprefix("refs/").split("/", 1)[1]
        base = _git(project, "merge-base", "HEAD", branch).stdout.strip()
        if not base:
            # In a shallow clone a comparison with HEAD would wrongly be empty.
            message = f"HEAD and {name} have no common commit here: fetch more of the history, or name a commit"
            raise ConfigError([Problem("zt", "--base", message)])
        return base, f"merge base with {name}"
    return _commit(project, "HEAD"), "HEAD"


def _commit(project: Path, ref: str) -> str:
    commit = _git(project, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}").stdout.strip()
    if not commit:
        raise ConfigError([Problem("zt", "--base", f"no such commit in {project}", repr(ref))])
    return commit


def _export(project: Path, commit: str, target: Path) -> None:
    """Export a commit's files below the project's directory. A git worktree would leave traces in the repository."""
    archive = target / "base.tar"
    done = _git(project, "archive", "--format=tar", f"--output={archive}", commit, ".")
    if done.returncode:
        raise ToolError(f"git archive of {commit[:12]} failed: {done.stderr.strip()}")
    try:
        with tarfile.open(archive) as files:
            files.extractall(target, filter="data")
    except (tarfile.TarError, OSError) as error:
        raise ToolError(f"the files of {commit[:12]} cannot be unpacked: {error}") from error
    archive.unlink()


def _git(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # The variables of a git hook would make git use another repository.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-C", str(project), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=_SECONDS, env=environment)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolError(f"git: {error}") from error
