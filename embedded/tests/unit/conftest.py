"""Every test below this folder is a unit test."""

from pathlib import Path

import pytest
from hypothesis import settings

HERE = Path(__file__).parent

# How long one example takes says how busy the machine is, and nothing about the code.
settings.register_profile("busy-machine", deadline=None)
settings.load_profile("busy-machine")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.unit)
