"""What can be imported from `components`, and what that loads."""

import subprocess
import sys

import pytest

import components
from tests.support.stacks import ROOT


@pytest.mark.parametrize("name", components.__all__)
def test_the_components_and_their_args(name: str) -> None:
    assert getattr(components, name).__name__ == name


def test_nothing_else() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'SecureNothing'"):
        _ = components.SecureNothing  # pyright: ignore[reportAttributeAccessIssue] - it is not there


def test_a_package_below_loads_no_sdk() -> None:
    program = "import sys, components.kube.names; print('pulumi' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
