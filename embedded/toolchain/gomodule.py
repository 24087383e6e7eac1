"""Questions to the Go command about the pinned modules."""

import json
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

from embedded.toolchain.errors import ToolchainError
from embedded.toolchain.table import CLUSTER, Module


def go_command() -> str:
    """The Go command on PATH."""
    found = shutil.which("go")
    if found is None:
        raise ToolchainError(
            "go is not on PATH: install Go (Debian: apt-get install golang) or add its bin directory to PATH; "
            "the embedded stack builds its tools from pinned Go modules"
        )
    return found


def go_environment() -> dict[str, str]:
    """The caller's environment without what would change how modules resolve: workspaces and flags from outside."""
    return {**os.environ, "GOWORK": "off", "GOFLAGS": ""}


def go_output(module: Module, *arguments: str) -> str:
    """What ``go …`` prints in the module's directory. Raises ``ToolchainError`` with its error output."""
    done = subprocess.run(
        [go_command(), *arguments],
        cwd=module.directory,
        env=go_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise ToolchainError(
            f"go {' '.join(arguments)} failed in {module.directory}:\n{done.stderr.strip()}\n"
            "The Go module proxy (GOPROXY) must be reachable the first time."
        )
    return done.stdout


@cache
def go_version(module: Module) -> str:
    """The version of Go that builds the module, after any toolchain switch."""
    return go_output(module, "env", "GOVERSION").strip()


@cache
def _download(module: Module, path: str) -> dict[str, str]:
    return json.loads(go_output(module, "mod", "download", "-json", path))


def module_dir(path: str, module: Module = CLUSTER) -> Path:
    """The read-only directory of the Go module ``path`` in the version that ``module`` pins, downloaded when absent."""
    return Path(_download(module, path)["Dir"])


def module_version(path: str, module: Module = CLUSTER) -> str:
    """The version in which ``module`` pins the Go module ``path``."""
    return _download(module, path)["Version"]
