"""Builds the missing tools of one module with one ``go build``, so that their shared packages compile once."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Thread
from typing import IO

from embedded.toolchain.debian import headers_environment
from embedded.toolchain.errors import ToolchainError
from embedded.toolchain.gomodule import go_command, go_environment, module_dir
from embedded.toolchain.keys import module_key, tool_key
from embedded.toolchain.progress import Progress
from embedded.toolchain.records import Timing, record, tools_root
from embedded.toolchain.table import BUILD_FLAGS, TOOLS_DIRECTORY, Module, Tool

_POLL_SECONDS = 0.2
_LOG_TAIL_LINES = 25
# The compiler and the linker collect garbage less often, within a limit: a seventh less CPU time.
_COMPILER = {"GOGC": "400", "GOMEMLIMIT": "3GiB"}
_NOT_BUILT = shutil.ignore_patterns("*_test.go", "testdata")
_MEANT_FOR_NOBODY = "go: downloading "


def target(tool: Tool) -> Path:
    """Where the built tool is kept."""
    return tools_root() / tool_key(tool) / "bin" / tool.name


def build_module(
    module: Module, tools: Sequence[Tool], progress: Progress, show: Callable[[], None], lock: IO[str]
) -> None:
    """Build ``tools``, all of ``module``, and put each in its place as soon as it is whole.

    ``lock`` is the file that holds the build lock. The compiler inherits it: when this process is killed, the lock is
    held until the compiler ends too.

    An interrupted build keeps the tools that were finished, and Go's own cache the packages that were compiled.
    Raises ``ToolchainError`` with the last lines of the log when the build fails.
    """
    _install_scripts([tool for tool in tools if tool.script], progress)
    compiled = [tool for tool in tools if not tool.script]
    if not compiled:
        return
    workspace = tools_root() / "workspace"
    shutil.rmtree(workspace, ignore_errors=True)
    output = workspace / "output"
    output.mkdir(parents=True)
    try:
        directory = _build_copy(module, compiled, workspace)
        _go_build(module, compiled, directory, output, progress, show, lock)
    finally:
        shutil.rmtree(workspace, ignore_errors=True)


def _install_scripts(tools: Sequence[Tool], progress: Progress) -> None:
    for tool in tools:
        source = module_dir(str(tool.script), tool.module) / tool.package
        with tempfile.NamedTemporaryFile(dir=tools_root(), delete=False) as fresh:
            fresh.write(source.read_bytes())
        path = Path(fresh.name)
        path.chmod(0o755)
        _put(path, target(tool))
        progress.finished.add(tool.name)


def _put(built: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    built.replace(place)


def _build_copy(module: Module, tools: Sequence[Tool], workspace: Path) -> Path:
    """A copy of the module and its neighbours, completed by the files that other modules publish."""
    for name in (module.name, *module.replaced):
        shutil.copytree(TOOLS_DIRECTORY / name, workspace / "source" / name)
    directory = workspace / "source" / module.name
    if module.sums:
        with (directory / "go.sum").open("a") as file:
            file.write((directory / module.sums).read_text())
    _exchange(module, directory)
    for generated in (item for tool in tools for item in tool.generated):
        shutil.copyfile(module_dir(generated.module, module) / generated.path, directory / generated.target)
    return directory


def _exchange(module: Module, directory: Path) -> None:
    """Point the copy at copies of the modules of which files are exchanged."""
    for path in sorted({item.module for item in module.exchanged}):
        copy = directory.parent / f"upstream-{path.replace('/', '-')}"
        # The module cache is read-only; copyfile leaves the permissions behind.
        shutil.copytree(module_dir(path, module), copy, ignore=_NOT_BUILT, copy_function=shutil.copyfile)
        for item in module.exchanged:
            if item.module == path:
                place = copy / item.path
                place.parent.chmod(0o755)
                shutil.copyfile(TOOLS_DIRECTORY / item.source, place)
        with (directory / "go.mod").open("a") as file:
            file.write(f"\nreplace {path} => ../{copy.name}\n")


def _go_build(
    module: Module,
    tools: Sequence[Tool],
    directory: Path,
    output: Path,
    progress: Progress,
    show: Callable[[], None],
    lock: IO[str],
) -> None:
    log = tools_root() / f"{module.name}.log"
    progress.module, progress.packages = module.name, 0
    command = [
        go_command(),
        "build",
        "-v",
        *BUILD_FLAGS,
        *module.flags,
        f"-ldflags={module.ldflags}",
        "-o",
        f"{output}/",
    ]
    # Go renames a linked binary into place only within one file system; across two it would copy, visibly half-way.
    places = {**headers_environment(module.libraries), "GOTMPDIR": str(output.parent)}
    environment = {**_COMPILER, **go_environment(), **places}
    started = time.monotonic()
    finished: dict[str, float] = {}
    with log.open("w") as file:
        process = subprocess.Popen(
            [*command, *(tool.package for tool in tools)],
            cwd=directory,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=(lock.fileno(),),
        )
        assert process.stderr is not None  # noqa: S101 - given stderr=PIPE, for the type checker
        reader = Thread(target=_follow, args=(process.stderr, file, progress), daemon=True)
        reader.start()
        try:
            while process.poll() is None:
                _harvest(tools, output, finished, started, progress)
                show()
                time.sleep(_POLL_SECONDS)
            reader.join()
        finally:
            # Reached with the process alive only when this one is interrupted.
            if process.poll() is None:
                process.terminate()
                process.wait()
            _harvest(tools, output, finished, started, progress)
    if process.returncode != 0:
        raise ToolchainError(_failure(module, log))
    record(Timing(module.name, module_key(module), round(time.monotonic() - started, 1), progress.packages, finished))


def _follow(stream: IO[str], log: IO[str], progress: Progress) -> None:
    """Keep the output of ``go build -v`` and count what it prints: one line for each package it compiles."""
    for line in stream:
        log.write(line)
        log.flush()
        progress.latest = line.strip()
        if not line.startswith((_MEANT_FOR_NOBODY, "#", "\t", " ")):
            progress.packages += 1


def _harvest(
    tools: Sequence[Tool], output: Path, finished: dict[str, float], started: float, progress: Progress
) -> None:
    for tool in tools:
        built = output / tool.built_name
        if tool.name not in finished and built.exists():
            _put(built, target(tool))
            finished[tool.name] = round(time.monotonic() - started, 1)
            progress.finished.add(tool.name)


def _failure(module: Module, log: Path) -> str:
    tail = "\n".join(log.read_text().splitlines()[-_LOG_TAIL_LINES:])
    return f"the tools of embedded/tools/{module.name} did not build; the last lines of {log}:\n{tail}"
