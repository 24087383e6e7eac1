"""`zt diff`: says what a change means for security, by comparing the plans before and after it."""

from dataclasses import dataclass
from pathlib import Path

from components.schema.problem import ConfigError, Problem
from zt.changes.compare import changes
from zt.diff.model import Diff
from zt.diff.output import write
from zt.diff.source import base_of, read_sides
from zt.project.errors import ExitCode, tells_errors
from zt.project.streams import tell

GUARDED = "production"


@dataclass(frozen=True)
class DiffOptions:
    """The options. Without `base` and `base_dir` the base is where the tree left the default branch."""

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
    # A change of the environment is guarded if either side is production.
    guarded = GUARDED in {side.environment for side in (sides.base, sides.change) if side}
    differences = changes(sides.base, sides.change) if sides.base else ()
    return Diff(options.stack, base.name, guarded, accepted, differences, sides.notes)


@tells_errors
def run(options: DiffOptions) -> int:
    """Compare, write the result, and return the exit code.

    0: nothing is weaker, or it is accepted, or the stack is not production. 1: something is weaker in production.
    2: bad usage or configuration. 3: git or a plan failed.
    """
    comparison = diff(options)
    write(comparison, options.output_format, options.output)
    if options.output is not None:
        tell(f"written to {options.output}")
    return ExitCode.NO if comparison.blocked else ExitCode.DONE
