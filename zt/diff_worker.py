"""Computes the facts of one plan, in a process of its own, with the `components` of the directory that it is given.

    python -m zt.diff_worker <directory> <stack>

Writes a `zt.diff_facts.Side` as JSON. Exit codes: 0 done; 2 the program refuses its files, in its own words; anything
else: these `components` and this command do not go together.
"""

import contextlib
import os
import sys
from pathlib import Path


def main(directory: str, stack: str) -> int:
    """Write the facts of a directory's stack to the standard output, and return the exit code."""
    # `zt` itself is loaded by now, so nothing but `components` comes from there.
    sys.path.insert(0, directory)
    # Files that a stack file names are relative to it.
    os.chdir(directory)
    with contextlib.redirect_stdout(sys.stderr):
        from components.policy_library import PolicyLibraryError
        from components.typed_file import ConfigError
        from zt.diff_facts import SIDE
        from zt.diff_read import side_of

        try:
            side = side_of(Path(directory), stack)
        except (ConfigError, PolicyLibraryError) as error:
            sys.stderr.write(f"{error}\n")
            return 2
    sys.stdout.write(SIDE.dump_json(side).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
