"""One control plane for each group of modules, in `planes.py`; with `-n`, a worker takes one group after another."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.e2e.plane import Plane
from tests.e2e.planes import Planes, group_of, place_of

HERE = Path(__file__).parent
_PLANES = pytest.StashKey[Planes]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the modules of a group behind each other."""
    items.sort(key=lambda item: place_of(_module(item)) if HERE in item.path.parents else -1)


class GroupScheduling(LoadScopeScheduling):
    """Gives a worker a whole group, in the order of the groups."""

    def __init__(self, config: pytest.Config, log: Any) -> None:
        super().__init__(config, log)
        # By their numbers of tests otherwise, which say nothing about how long they take.
        config.option.loadscopereorder = False

    def _split_scope(self, nodeid: str) -> str:
        return group_of(Path(nodeid.partition("::")[0]).stem)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> GroupScheduling:
    """Two workers on the plane of one group would be in each other's way."""
    return GroupScheduling(config, log)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Stop the control plane behind the last test of its group, once the fixtures of that one have ended."""
    planes = item.config.stash.get(_PLANES, None)
    if planes and (nextitem is None or group_of(_module(item)) != group_of(_module(nextitem))):
        planes.end()


def _module(item: pytest.Item) -> str:
    return item.module.__name__ if isinstance(item, pytest.Function) and item.module else ""


@pytest.fixture(autouse=True)
def _whole_tracebacks() -> Iterator[None]:
    """A provider that runs in a test shortens the tracebacks of its process, which is that of the tests behind it."""
    yield
    if hasattr(sys, "tracebacklimit"):
        del sys.tracebacklimit


@pytest.fixture(scope="session")
def planes(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planes]:
    made = pytestconfig.stash[_PLANES] = Planes(
        lambda: tmp_path_factory.mktemp("plane"), hasattr(pytestconfig, "workerinput")
    )
    yield made
    made.wait()


@pytest.fixture(scope="module")
def reported(plane: Plane) -> Iterator[Plane]:
    """The control plane while Kyverno reports on what stands there."""
    plane.run("up", "--no-stack", "--reports")
    yield plane
    plane.run("up", "--no-stack", "--no-reports")


@pytest.fixture(scope="module")
def plane(planes: Planes, request: pytest.FixtureRequest) -> Plane:
    """The control plane of the module's group, as the module before this one left it."""
    return planes.of(group_of(request.module.__name__))
