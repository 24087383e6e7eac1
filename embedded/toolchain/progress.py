"""Shows a build: what is built, how many tools are left, packages compiled, time elapsed."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

_PLAIN_INTERVAL = 20.0


@dataclass(slots=True)
class Progress:
    """State of one ``ensure``: which tools are wanted, which are there, what the current build has done."""

    wanted: list[str]
    finished: set[str] = field(default_factory=set)
    module: str = ""
    packages: int = 0
    latest: str = ""
    waiting: str = ""
    started: float = field(default_factory=time.monotonic)

    def line(self) -> str:
        """The state in one line."""
        elapsed = int(time.monotonic() - self.started)
        clock = f"{elapsed // 60}:{elapsed % 60:02d}"
        if self.waiting:
            return f"{self.waiting} ({clock})"
        left = [name for name in self.wanted if name not in self.finished]
        todo = f"{len(left)} of {len(self.wanted)} tools left ({', '.join(left[:3])}{', …' if len(left) > 3 else ''})"
        return f"building {self.module}: {todo}, {self.packages} packages compiled, {clock}"


class Display:
    """Redraws one line on a terminal; elsewhere prints a line now and then. ``NO_COLOR`` is honoured by rich."""

    def __init__(self, progress: Progress, enabled: bool) -> None:
        self._progress = progress
        self._console = Console(stderr=True, quiet=not enabled, highlight=False)
        self._live: Live | None = None
        self._printed = 0.0

    def __enter__(self) -> Callable[[], None]:
        """Start to show the progress; the result is to be called whenever it changed, and often."""
        if self._console.is_terminal and not self._console.quiet:
            self._live = Live(console=self._console, refresh_per_second=8, transient=True)
            self._live.start()
        return self.update

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, and say what was built."""
        if self._live is not None:
            self._live.stop()
        if self._progress.finished and error is None:
            elapsed = time.monotonic() - self._progress.started
            self._console.print(f"built {len(self._progress.finished)} tools in {elapsed:.0f} s")

    def update(self) -> None:
        """Show the current state."""
        if self._live is not None:
            latest = f"  {self._progress.latest}" if self._progress.latest else ""
            text = Text.assemble(self._progress.line(), (latest, "dim"), no_wrap=True, overflow="ellipsis")
            self._live.update(Spinner("dots", text=text))
            return
        now = time.monotonic()
        if now - self._printed >= _PLAIN_INTERVAL:
            self._printed = now
            self._console.print(self._progress.line(), soft_wrap=True)
