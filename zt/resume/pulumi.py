"""The state of a stack, through the Pulumi CLI: read, written as a whole, and refreshed in parts.

A state goes through pipes alone: no file has it, and no argument list. Its secrets stay encrypted.
"""

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.kube.parts import json_object, part
from components.schema.problem import ConfigError, Problem
from zt.project.errors import ToolError

_PROJECT = "Pulumi.yaml"
_TAIL = 4000
# What a backend in a bucket or a directory says, and what a service says.
_LOCKED = re.compile(r"stack is currently locked|another update is (?:currently )?in progress|\[409\]", re.IGNORECASE)
_END_SECONDS = 60
_QUIET = ("--yes", "--skip-preview", "--non-interactive", "--suppress-outputs", "--suppress-progress")


class LockedError(ToolError):
    """Another run holds the stack."""


@dataclass(frozen=True)
class Pulumi:
    """The CLI on a stack: the executable, the directory to run it in, and all of its environment."""

    stack: str
    executable: str
    project: Path
    environment: Mapping[str, str]

    def export(self) -> dict[str, Any]:
        """The stack's state. Raises `ToolError`."""
        state = json_object(self._run("stack", "export").encode())
        if state is None or not isinstance(state.get("deployment"), dict):
            raise ToolError(f"pulumi stack export of {self.stack} printed no state")
        return state

    def put(self, state: Mapping[str, Any]) -> None:
        """Put a state in the place of the stack's. Raises `ToolError`, and `LockedError` beside another run."""
        self._run("stack", "import", given=json.dumps(state))

    def refresh(self, urns: Sequence[str]) -> None:
        """Read resources again; those that are gone leave the state. Raises `ToolError` and `LockedError`."""
        self._run("refresh", *_QUIET, *(part for urn in urns for part in ("--target", urn)))

    def _run(self, *arguments: str, given: str = "") -> str:
        command = [self.executable, *arguments, "--stack", self.stack]
        name = " ".join(each for each in arguments if not each.startswith(("-", "urn:")))
        try:
            running = subprocess.Popen(
                command,
                cwd=self.project,
                env=dict(self.environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        except OSError as error:
            raise ToolError(f"{self.executable}: {error}") from error
        with running:
            try:
                printed, told = running.communicate(given)
            except BaseException:
                # So that it lets go of the stack's lock. Leaving the context waits for its end, whenever that is.
                running.send_signal(signal.SIGINT)
                try:
                    running.wait(_END_SECONDS)
                except subprocess.TimeoutExpired:
                    running.kill()
                raise
        if running.returncode == 0:
            return printed
        said = "\n".join(each for each in (told.strip(), "" if given else printed.strip()) if each)[-_TAIL:]
        if _LOCKED.search(said):
            raise LockedError(
                f"another run holds the stack {self.stack}: wait for it to end. Where none runs any more, "
                f"`pulumi cancel {self.stack}` removes its lock, and this command goes on from there:\n{said}"
            )
        raise ToolError(f"pulumi {name} of {self.stack} ended with status {running.returncode}:\n{said}")


def on_path(project: Path, stack: str) -> Pulumi:
    """The Pulumi on PATH, with the caller's environment and login. Raises `ConfigError` and `ToolError`."""
    if not (project / _PROJECT).is_file():
        raise ConfigError([Problem("zt resume", "--project", f"there is no {_PROJECT} in it", repr(str(project)))])
    executable = shutil.which("pulumi")
    if executable is None:
        raise ToolError("pulumi is not on PATH: install it, or use --embedded")
    return Pulumi(stack, executable, project, os.environ)


def on_the_embedded_plane(stack: str) -> Pulumi:
    """The Pulumi of this checkout's control plane. Raises `ToolError`."""
    from embedded.access import EmbeddedPlane, EmbeddedPlaneError

    try:
        made = EmbeddedPlane().pulumi(stack)
    except EmbeddedPlaneError as error:
        raise ToolError(str(error)) from error
    return Pulumi(stack, str(made.executable), made.project, made.environment)


def deployment_of(state: Mapping[str, Any]) -> dict[str, Any]:
    """What an exported state holds."""
    return part(state, "deployment")
