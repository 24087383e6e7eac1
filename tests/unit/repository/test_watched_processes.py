"""The watch of processes by which end-to-end tests see that none is given a secret."""

import os
import subprocess
import sys

import pytest

from tests.support.watched_processes import watched

pytestmark = pytest.mark.unit

SECRET = "a-value-of-this-test-alone"
WAITS = "import sys; sys.stdin.read()"


@pytest.mark.parametrize("place", ["arguments", "TOKEN"])
def test_a_secret_in_sight_is_seen(place: str) -> None:
    arguments = [SECRET] if place == "arguments" else []
    environment = os.environ | ({} if arguments else {place: f"Bearer {SECRET}"})
    command = [sys.executable, "-c", WAITS, *arguments]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE) as process, watched() as processes:
        processes.look()
        process.communicate()
    [found] = processes.showing([SECRET])
    assert found.endswith(f": {place}")
    assert SECRET not in found


def test_what_is_handed_over_is_not() -> None:
    command = [sys.executable, "-c", WAITS]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process, watched() as processes:
        processes.look()
        process.communicate(SECRET.encode())
    assert processes.showing([SECRET]) == []
