"""`zt codeowners`: compares the owners of service files with what they should be, or writes them."""

import difflib
import sys
from pathlib import Path

from components.schema.problem import ConfigError, Problem
from components.schema.yaml_text import read_text
from zt.codeowners.owners import lines_of, with_lines
from zt.project.atomic_write import write_atomically
from zt.project.errors import ExitCode, tells_errors


@tells_errors
def run(project: Path, file: str, *, write: bool) -> int:
    """Print what differs, or write it: 0 nothing does or all is written, 1 something does."""
    path = project / file
    if not path.is_file():
        raise ConfigError([Problem("zt codeowners", "--file", "there is no such file in the project", repr(file))])
    before = read_text(path, file)
    after = with_lines(before, lines_of(project, before, file), file)
    if before == after:
        print(f"{file} has the owners that the table of approvals gives")
        return ExitCode.DONE
    if write:
        write_atomically(path, after.encode())
        print(f"written to {file}: let its own owners review it")
        return ExitCode.DONE
    sys.stdout.writelines(difflib.unified_diff(before.splitlines(True), after.splitlines(True), file, file))
    print(f"{file} is not right: `zt codeowners --write` writes it")
    return ExitCode.NO
