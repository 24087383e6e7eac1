"""Every test below this folder is a unit test; none of them sees this machine's stack or overlay."""

import gc
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from hypothesis import settings
from pulumi.runtime import resource
from pulumi.runtime.proto import source_pb2

from components.config.commit_date import commit_date
from tests.support.installed import Living

HERE = Path(__file__).parent
_FAR = date(2100, 1, 1)

# How long one example takes says how busy the machine is, and nothing about the code.
settings.register_profile("busy-machine", deadline=None)
settings.load_profile("busy-machine")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.unit)


def pytest_collection_finish() -> None:
    """What the modules made when they were imported stays until the end: it is not looked through again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _no_stack_traces() -> Iterator[None]:
    """The SDK tells the engine from which line each resource comes: below pytest, a quarter of a program's time."""
    nowhere = source_pb2.StackTrace()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resource, "_get_stack_trace", lambda: nowhere)
        yield


@pytest.fixture(scope="session", autouse=True)
def _an_empty_cluster() -> Iterator[None]:
    """The program reads the cluster before it begins: here it finds nothing in it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("components.kube.living.living_cluster", lambda: Living().cluster)
        yield


@pytest.fixture(scope="session", autouse=True)
def _a_commit_of_another_day() -> Iterator[None]:
    """Exceptions end by the day of the commit: what a test writes is in force by a day of its own, or by none."""
    checkout = HERE.parents[1]

    def day(root: Path) -> date:
        return _FAR if root.is_relative_to(checkout) else commit_date(root)

    with pytest.MonkeyPatch.context() as patch:
        for program in ("program.stack", "service.secure_service", "provider.secure_service"):
            patch.setattr(f"components.{program}.commit_date", day)
        yield


@pytest.fixture(autouse=True)
def _no_ambient_config(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ZERO_TRUST_OVERLAY", "PULUMI_CONFIG", "PULUMI_CONFIG_SECRET_KEYS"):
        monkeypatch.delenv(name, raising=False)
