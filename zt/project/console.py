"""The console on which a command prints tables."""

from rich.console import Console

# The width in a file or a pipe, where nothing is cut off.
_FILE_WIDTH = 200


def table_console(*, stderr: bool = False) -> Console:
    """A console as wide as the terminal, and wide enough for every row where there is none."""
    console = Console(highlight=False, stderr=stderr)
    if not console.is_terminal:
        console.width = _FILE_WIDTH
    return console
