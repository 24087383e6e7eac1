"""How the process begins and ends. `zt --help` loads this module, so it imports little."""

import os
import signal
import sys
from collections.abc import Generator
from contextlib import contextmanager
from io import TextIOWrapper

_ENDED_BY_SIGNAL = 128

INTERRUPTED = _ENDED_BY_SIGNAL + signal.SIGINT
READER_GONE = _ENDED_BY_SIGNAL + signal.SIGPIPE
"""The exit code when nobody reads the rest of the output, as behind `head`: that of a program that the signal ends."""


@contextmanager
def ended_in_order() -> Generator[None]:
    """Let SIGTERM and SIGHUP leave every context, as an interrupt from the keyboard does.

    So what a command created is removed. Only for the main thread.
    """

    def end(number: int, _frame: object) -> None:
        sys.exit(_ENDED_BY_SIGNAL + number)

    former = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def open_streams() -> None:
    """Have all three standard streams, and every character in what is written: an escape if the encoding lacks it."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            # Closed by the caller: without this, the next file to be opened would have its number.
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))
        elif mode == "w" and isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
