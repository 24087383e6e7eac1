"""What a process shows to whoever may look at it: its arguments and its environment, while a block runs."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread

_PROC = Path("/proc")
# Each process of the project lives for longer.
_SECONDS = 0.1


@dataclass
class Watched:
    """The processes that were there. What one had is kept by its number and its arguments, which an `exec` changes."""

    _shown: dict[tuple[str, bytes], bytes] = field(default_factory=dict[tuple[str, bytes], bytes])

    def look(self) -> None:
        """Take in every process that is there now."""
        for process in _PROC.glob("[0-9]*"):
            # Of another user, or gone again.
            with suppress(OSError):
                arguments = (process / "cmdline").read_bytes()
                if (process.name, arguments) not in self._shown:
                    self._shown[process.name, arguments] = (process / "environ").read_bytes()

    @property
    def programs(self) -> set[str]:
        """The names of the programs that ran."""
        return {_program(arguments) for _, arguments in self._shown}

    def showing(self, secrets: Iterable[str]) -> list[str]:
        """Each place where one of the secrets stood: the program, and `arguments` or the name of a variable."""
        wanted = [secret.encode() for secret in secrets]
        return sorted(
            f"{_program(arguments)}: {place}"
            for (_, arguments), environment in self._shown.items()
            for place, text in (("arguments", arguments), *_variables(environment))
            if any(secret in text for secret in wanted)
        )


def _program(arguments: bytes) -> str:
    return Path(arguments.partition(b"\0")[0].decode(errors="replace")).name


def _variables(environment: bytes) -> Iterator[tuple[str, bytes]]:
    for variable in environment.split(b"\0"):
        name, _, value = variable.partition(b"=")
        yield name.decode(errors="replace"), value


@contextmanager
def watched() -> Iterator[Watched]:
    """Look at all processes of this machine until the block ends."""
    processes, ended = Watched(), Event()

    def watch() -> None:
        while not ended.wait(_SECONDS):
            processes.look()

    thread = Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield processes
    finally:
        ended.set()
        thread.join()
        processes.look()
