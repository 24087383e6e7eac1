"""What a command created is removed when the command is told to end."""

import os
import signal
import time

import pytest

from zt.project.process import ended_in_order


def interrupted(removed: list[str]) -> None:
    with ended_in_order():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        finally:
            removed.append("what it created")


def test_sigterm_leaves_every_context_and_is_as_before_afterwards() -> None:
    former, removed = signal.getsignal(signal.SIGTERM), list[str]()
    with pytest.raises(SystemExit) as end:
        interrupted(removed)
    assert (end.value.code, removed) == (143, ["what it created"])
    assert signal.getsignal(signal.SIGTERM) is former
