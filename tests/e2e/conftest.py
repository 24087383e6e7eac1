"""The control plane that the stack tests share. Each stack module brings its stack up and removes it again."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.plane import Plane


@pytest.fixture(scope="session")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    state: Path = tmp_path_factory.mktemp("plane") / "embedded"
    running = Plane(state)
    running.run("up", "--no-stack", timeout=3600)
    try:
        yield running
    finally:
        running.run("down", timeout=120)
