"""`zt diff`: what a change means for security, in words, from the plan before and the one after."""

import sys
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from components.typed_file import ConfigError, Problem
from zt.diff_changes import Diff, changes
from zt.diff_output import write
from zt.diff_source import base_of, read_sides
from zt.tool_error import ConfigRefusedError, ToolError

CLEAN, WEAKER, BAD_USAGE, TOOL_FAILED = 0, 1, 2, 3
GUARDED = "production"


@dataclass(frozen=True)
class DiffOptions:
    """What was asked for. Without `base` and `base_dir` the base is where the tree left the default branch."""

    stack: str
    project: Path
    base: str | None = None
    base_dir: Path | None = None
    accept: str | None = None
    output_format: str = "text"
    output: Path | None = None


def diff(options: DiffOptions) -> Diff:
    """Compare two plans. Raises `ConfigError`, `ConfigRefusedError` or `ToolError`."""
    if options.accept is not None and not options.accept.strip():
        raise ConfigError([Problem("zt", "--accept", "write why the change may weaken something", "no reason")])
    accepted = " ".join((options.accept or "").split())
    with base_of(options.project, options.base, options.base_dir) as base:
        sides = read_sides(base, options.project, options.stack)
    # A change that renames its environment is judged by what it leaves, too.
    guarded = GUARDED in {side.environment for side in (sides.base, sides.change) if side}
    found = changes(sides.base, sides.change) if sides.base else ()
    return Diff(options.stack, base.name, guarded, accepted, found, sides.notes)


def run(options: DiffOptions) -> int:
    """Compare, write the result, and return the exit code.

    0: nothing is weaker, or it is accepted, or the stack is not production. 1: something is weaker in production.
    2: bad usage or configuration. 3: git or a plan failed.
    """
    errors = Console(stderr=True, highlight=False)
    try:
        found = diff(options)
        write(found, options.output_format, options.output)
    except (ConfigError, ConfigRefusedError) as error:
        errors.print(f"error: {error}", markup=False, soft_wrap=True)
        return BAD_USAGE
    except ToolError as error:
        errors.print(f"error: {error}", markup=False, soft_wrap=True)
        return TOOL_FAILED
    if options.output is not None:
        sys.stderr.write(f"written to {options.output}\n")
    return WEAKER if found.blocked else CLEAN
