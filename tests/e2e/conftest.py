"""A control plane for each stack module: two stacks on one cluster would both own its Vault mounts and releases."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.plane import Plane

# The documentation describes the production stack: it goes on where that module ends. Both run behind all others, so
# that their plane does not stand beside another.
SHARING = ("tests.e2e.test_production", "tests.e2e.test_documentation")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the modules that share a plane behind the others."""
    items.sort(key=lambda item: SHARING.index(name) if (name := _module(item)) in SHARING else -1)


def _module(item: pytest.Item) -> str:
    return item.module.__name__ if isinstance(item, pytest.Function) and item.module else ""


@pytest.fixture(scope="module")
def plane(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    if request.module.__name__ in SHARING:
        yield request.getfixturevalue("shared_plane")
        return
    with _booted(tmp_path_factory) as running:
        yield running


@pytest.fixture(scope="session")
def shared_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with _booted(tmp_path_factory) as running:
        yield running


@contextmanager
def _booted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    running = Plane(tmp_path_factory.mktemp("plane") / "embedded")
    running.run("up", "--no-stack", timeout=3600)
    try:
        yield running
    finally:
        running.run("down", timeout=120)
