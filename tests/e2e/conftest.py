"""A control plane for each stack module: two stacks on one cluster would both own its Vault mounts and releases."""

from collections.abc import Iterator

import pytest

from tests.e2e.plane import Plane


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    running = Plane(tmp_path_factory.mktemp("plane") / "embedded")
    running.run("up", "--no-stack", timeout=3600)
    try:
        yield running
    finally:
        running.run("down", timeout=120)
