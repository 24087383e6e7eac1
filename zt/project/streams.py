"""Text on the standard output and the standard error. A table goes through a console of `zt.project.console`.

Files and clusters are others': what comes from one is written without control characters.
"""

import os
import sys
from contextlib import suppress
from pathlib import Path

from components.schema.printable import printable


def say(text: str, end: str = "\n") -> None:
    """Write text to the standard output."""
    sys.stdout.write(printable(text) + end)


def tell(text: str) -> None:
    """Write text to the standard error."""
    sys.stderr.write(printable(text) + "\n")


def drop_output() -> None:
    """Let what is not written yet go nowhere, so that the interpreter does not try again at its end, and complain."""
    with suppress(OSError, ValueError), Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
