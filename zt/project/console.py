"""The consoles on which a command prints."""

from collections.abc import Callable, Iterable
from io import StringIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from components.schema.printable import printable

# The width in a file or a pipe, where nothing is cut off.
_FILE_WIDTH = 200


class _PrintableConsole(Console):
    """A console that shows text as it is: no markup in it, and no control characters."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def plain_console(*, stderr: bool = False) -> Console:
    """A console for text of any kind, from files or clusters of others too."""
    return _PrintableConsole(stderr=stderr, highlight=False, markup=False, emoji=False)


def printed(show: Callable[[Console], None], width: int) -> str:
    """What is shown on a console of this width, without colours: for a file or a pipe."""
    buffer = StringIO()
    show(_PrintableConsole(file=buffer, width=width, color_system=None, highlight=False, markup=False, emoji=False))
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def table_console(*, stderr: bool = False) -> Console:
    """A console as wide as the terminal, and wide enough for every row where there is none."""
    made = plain_console(stderr=stderr)
    if not made.is_terminal:
        made.width = _FILE_WIDTH
    return made
