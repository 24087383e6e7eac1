"""`zt codeowners`: compares the owners of service files with what they should be, or writes them."""

import difflib
from pathlib import Path

from components.schema.problem import ConfigError, Problem
from components.schema.yaml_text import read_text
from zt.codeowners.owners import lines_of, with_lines
from zt.project.errors import ExitCode, tells_errors
from zt.project.streams import say
from zt.project.written_file import replace_file


@tells_errors
def run(project: Path, file: str, *, write: bool) -> int:
    """Print what differs, or write it: 0 nothing does or all is written, 1 something does."""
    path = project / file
    if not (path.is_file() and path.resolve().is_relative_to(project.resolve())):
        raise ConfigError([Problem("zt codeowners", "--file", "there is no such file in the project", repr(file))])
    before = read_text(path, file)
    after = with_lines(before, lines_of(project, before, file), file)
    if before == after:
        say(f"{file} has the owners that the table of approvals gives")
        return ExitCode.DONE
    if write:
        replace_file(project, file, after)
        say(f"written to {file}: let its own owners review it")
        return ExitCode.DONE
    say("".join(difflib.unified_diff(before.splitlines(True), after.splitlines(True), file, file)), end="")
    say(f"{file} is not right: `zt codeowners --write` writes it")
    return ExitCode.NO
