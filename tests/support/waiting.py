"""Wait for what a controller does in its own time."""

import time
from collections.abc import Callable
from typing import TypeVar

# A busy machine makes it slower, not fail: whoever waits longer than this waits for what does not come.
PATIENCE_SECONDS = 600.0

T = TypeVar("T")


def eventually(probe: Callable[[], T], what: str, timeout: float = PATIENCE_SECONDS, interval: float = 0.5) -> T:
    """The first true answer of `probe`; fails naming `what` when there is none in time."""
    deadline = time.monotonic() + timeout
    while True:
        answer = probe()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:.0f} s: {what}; last answer: {answer!r}")
        time.sleep(interval)
