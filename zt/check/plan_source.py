"""Gets a plan from a file, the standard input, or `pulumi preview` here or on the embedded control plane."""

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

from components.schema.problem import ConfigError, Problem
from zt.check.plan import Manifest, text
from zt.project.errors import ConfigRefusedError, ToolError

ARGUMENTS = ("preview", "--json", "--show-sames", "--suppress-progress", "--non-interactive", "--stack")
_TAIL = 4000
# A line of `components.schema.problem.ConfigError`: the file, its line, the key.
_FILE = r"Pulumi\.[^:\s]+\.yaml|(?:services|packages)/[^:\s]+\.yaml|policies(?:/[^:\s]+)?|the stack file|[A-Z_]+"
_PROBLEM = re.compile(rf"({_FILE})(:\d+)?: \S+: ")


@dataclass(frozen=True)
class PlanText:
    """The JSON of a preview, and its name in error messages."""

    name: str
    document: str


def read_plan(file: str) -> PlanText:
    """The plan in a file; `-` is the standard input. Raises `ConfigError` when the file does not exist."""
    if file == "-":
        return PlanText("standard input", sys.stdin.read())
    try:
        return PlanText(file, Path(file).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror or "" if isinstance(error, OSError) else "not a text file"
        raise ConfigError([Problem("--plan", file, f"cannot be read: {reason}")]) from error


def preview(project: Path, stack: str) -> PlanText:
    """The plan of a stack, made by the Pulumi on PATH with the caller's environment and login."""
    pulumi = shutil.which("pulumi")
    if pulumi is None:
        raise ToolError("pulumi is not on PATH: install it, pass --plan FILE, or use --embedded")
    return _run(pulumi, project, stack, os.environ)


def embedded_preview(stack: str) -> PlanText:
    """The plan of a stack on this checkout's running control plane."""
    from embedded.access import EmbeddedPlane, EmbeddedPlaneError

    try:
        pulumi = EmbeddedPlane().pulumi(stack)
    except EmbeddedPlaneError as error:
        raise ToolError(str(error)) from error
    return _run(str(pulumi.executable), pulumi.project, stack, pulumi.environment)


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
    messages = [text(diagnostic, "message").removeprefix("error: ").strip() for diagnostic in _diagnostics(stdout)]
    if messages and all(_PROBLEM.match(line) for line in messages[0].splitlines()):
        return ConfigRefusedError(messages[0])
    why = "\n".join(messages) or stderr.strip()[-_TAIL:] or "without a word"
    return ToolError(f"pulumi preview of {stack} ended with status {status}:\n{why}")


def _diagnostics(stdout: str) -> list[Manifest]:
    try:
        digest: object = json.loads(stdout)
    except json.JSONDecodeError:
        return []
    entries = cast("Manifest", digest).get("diagnostics") if isinstance(digest, dict) else None
    diagnostics = cast("list[Manifest]", entries) if isinstance(entries, list) else []
    return [diagnostic for diagnostic in diagnostics if diagnostic.get("severity") == "error"]
