"""How a command ends when it is told to: in order, as after an interrupt from the keyboard."""

import signal
import sys
from collections.abc import Generator
from contextlib import contextmanager

_ENDED_BY_SIGNAL = 128


@contextmanager
def ended_in_order() -> Generator[None]:
    """Let SIGTERM leave every context, so that what a command created is removed. Only for the main thread."""

    def end(number: int, _frame: object) -> None:
        sys.exit(_ENDED_BY_SIGNAL + number)

    former = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)
