"""Where the two plans come from: the working tree, and a commit or a directory to compare it with.

Each side is planned by the `components` of its own, so a change of the program shows like one of a file. A base whose
program this command can no longer read is planned by this checkout's instead, which is said.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from components.typed_file import ConfigError, Problem
from zt.diff_facts import SIDE, Side
from zt.tool_error import ConfigRefusedError, ToolError

CHECKOUT = Path(__file__).resolve().parent.parent
PROGRAM = "components"

_BRANCHES = ("refs/remotes/origin/HEAD", "refs/remotes/origin/main", "refs/heads/main", "refs/heads/master")
_REFUSED = 2
_SECONDS = 300


@dataclass(frozen=True)
class Base:
    """What the working tree is compared with: its files, its name, and what to know about the choice."""

    directory: Path
    name: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sides:
    """Both plans. `base` is `None` where it has no such stack."""

    base: Side | None
    change: Side
    notes: tuple[str, ...]


def read_sides(base: Base, project: Path, stack: str) -> Sides:
    """Plan both sides, at the same time. Raises `ConfigRefusedError` naming the side, or `ToolError`."""
    if not (base.directory / f"Pulumi.{stack}.yaml").is_file():
        change, notes = _side("change", project, stack)
        none = f"the base has no stack {stack}, so there is nothing to compare with"
        return Sides(None, change, (*base.notes, none, *notes))
    with ThreadPoolExecutor() as pool:
        old, new = (pool.submit(_side, *one, stack) for one in (("base", base.directory), ("change", project)))
        (before, old_notes), (after, new_notes) = old.result(), new.result()
    return Sides(before, after, (*base.notes, *old_notes, *new_notes))


def _side(name: str, directory: Path, stack: str) -> tuple[Side, tuple[str, ...]]:
    notes: tuple[str, ...] = ()
    if (directory / PROGRAM).is_dir():
        try:
            return _run(name, directory, stack), notes
        except ToolError:
            # Its files may still be good: what is compared is older than the command.
            notes = (f"the {name}'s {PROGRAM}/ and this zt do not go together: this checkout's planned its files",)
    with _staged(directory) as staged:
        return _run(name, staged, stack), notes


@contextmanager
def _staged(directory: Path) -> Generator[Path]:
    """A directory with the files of another one, and this checkout's program, which looks for its rules beside it."""
    with tempfile.TemporaryDirectory(prefix="zt-diff-") as temporary:
        staged = Path(temporary).resolve()
        for entry in directory.resolve().iterdir():
            if entry.name not in (PROGRAM, ".git"):
                (staged / entry.name).symlink_to(entry)
        shutil.copytree(CHECKOUT / PROGRAM, staged / PROGRAM)
        yield staged


def _run(name: str, directory: Path, stack: str) -> Side:
    # -B: a directory that is compared is left as it is.
    command = [sys.executable, "-B", "-m", "zt.diff_worker", str(directory.resolve()), stack]
    try:
        done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise ToolError(f"{name}: the plan of {stack} took longer than {_SECONDS} s") from error
    if done.returncode == _REFUSED:
        raise ConfigRefusedError("\n".join(f"{name}: {line}" for line in done.stderr.splitlines()))
    if done.returncode:
        raise ToolError(f"{name}: the plan of {stack} failed:\n{done.stderr.strip()}")
    return SIDE.validate_json(done.stdout)


@contextmanager
def base_of(project: Path, ref: str | None, directory: Path | None) -> Generator[Base]:
    """The base that was asked for: a directory, a commit, or the one where the working tree left the default branch.

    Raises `ConfigError` for one that is not there, `ToolError` without git.
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
        found = _git(project, "merge-base", "HEAD", branch).stdout.strip()
        if not found:
            # A shallow clone: comparing with HEAD would show a clean diff of nothing.
            message = f"HEAD and {name} have no common commit here: fetch more of the history, or name a commit"
            raise ConfigError([Problem("zt", "--base", message)])
        return found, f"merge base with {name}"
    return _commit(project, "HEAD"), "HEAD"


def _commit(project: Path, ref: str) -> str:
    found = _git(project, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}").stdout.strip()
    if not found:
        raise ConfigError([Problem("zt", "--base", f"no such commit in {project}", repr(ref))])
    return found


def _export(project: Path, commit: str, target: Path) -> None:
    """The files of a commit below the project's directory. A worktree would be noted in the repository."""
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
    # A hook's variables would point git at another repository.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-C", str(project), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=_SECONDS, env=environment)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolError(f"git: {error}") from error
