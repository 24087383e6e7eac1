"""Where a plan comes from: a file, the standard input, or `pulumi preview` here or on the embedded control plane."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from components.typed_file import ConfigError, Problem
from zt.plan import Manifest, text
from zt.tool_error import ConfigRefusedError, ToolError

ARGUMENTS = ("preview", "--json", "--show-sames", "--suppress-progress", "--non-interactive", "--stack")
_TAIL = 4000
# A line of `components.typed_file.ConfigError`: the file, its line, the key.
_PROBLEM = re.compile(r"(Pulumi\.[^:\s]+\.yaml|services/[^:\s]+\.yaml|the stack file|[A-Z_]+)(:\d+)?: \S+: ")


@dataclass(frozen=True)
class PlanText:
    """The JSON of a preview, and the name that error messages give it."""

    name: str
    document: str


def read_plan(file: str) -> PlanText:
    """The plan of a file; `-` is the standard input. Raises `ConfigError` when there is no such file."""
    if file == "-":
        return PlanText("standard input", sys.stdin.read())
    try:
        return PlanText(file, Path(file).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror or "" if isinstance(error, OSError) else "not a text file"
        raise ConfigError([Problem("--plan", file, f"cannot be read: {reason}")]) from error


def preview(project: Path, stack: str) -> PlanText:
    """The plan of a stack by the Pulumi on PATH, with the caller's environment and login."""
    pulumi = shutil.which("pulumi")
    if pulumi is None:
        raise ToolError("pulumi is not on PATH: install it, pass --plan FILE, or use --embedded")
    return _run(pulumi, project, stack, os.environ)


def embedded_preview(stack: str) -> PlanText:
    """The plan of a stack on this checkout's running control plane."""
    from embedded.cli import NEEDED_TOOLS
    from embedded.paths import State
    from embedded.pulumi_stack import PulumiStack, StackError
    from embedded.supervisor.control_plane import ControlPlane
    from embedded.toolchain import ToolchainError, ensure

    state = State()
    if not ControlPlane(state).status():
        raise ToolError("the control plane does not run: start it with `python -m embedded up --no-stack`")
    try:
        tools = ensure(NEEDED_TOOLS)
        program = PulumiStack(stack, state, tools)
        program.prepare()
    except (StackError, ToolchainError) as error:
        raise ToolError(str(error)) from error
    return _run(str(tools / "pulumi"), program.project, stack, program.environment())


def _run(pulumi: str, project: Path, stack: str, environment: Mapping[str, str]) -> PlanText:
    try:
        done = subprocess.run(
            [pulumi, *ARGUMENTS, stack],
            cwd=project,
            env=dict(environment),
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        raise ToolError(f"{pulumi}: {error}") from error
    if done.returncode:
        raise preview_error(stack, done.returncode, done.stdout, done.stderr)
    return PlanText(f"pulumi preview of {stack}", done.stdout)


def preview_error(stack: str, status: int, stdout: str, stderr: str) -> Exception:
    """Why a preview failed: the program refused its configuration, or something else went wrong."""
    said = [text(diagnostic, "message").removeprefix("error: ").strip() for diagnostic in _diagnostics(stdout)]
    if said and all(_PROBLEM.match(line) for line in said[0].splitlines()):
        return ConfigRefusedError(said[0])
    why = "\n".join(said) or stderr.strip()[-_TAIL:] or "without a word"
    return ToolError(f"pulumi preview of {stack} ended with status {status}:\n{why}")


def _diagnostics(stdout: str) -> list[Manifest]:
    try:
        digest: object = json.loads(stdout)
    except json.JSONDecodeError:
        return []
    found = cast("Manifest", digest).get("diagnostics") if isinstance(digest, dict) else None
    diagnostics = cast("list[Manifest]", found) if isinstance(found, list) else []
    return [diagnostic for diagnostic in diagnostics if diagnostic.get("severity") == "error"]
