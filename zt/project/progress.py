"""What a command says while it works."""

from collections.abc import Callable, Generator
from contextlib import contextmanager

from rich.console import Console

Say = Callable[[str], None]


@contextmanager
def progress(errors: Console, first: str) -> Generator[Say]:
    """Show what is being done on a terminal, `first` to begin with; elsewhere nothing is said."""
    if not errors.is_terminal:
        yield lambda _line: None
        return
    with errors.status(first) as status:
        yield status.update
