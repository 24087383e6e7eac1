"""What Kyverno's background scan finds, without the half minute that it waits before it looks at a new object.

A rule that changes has it look at everything at once, so a note on a rule, taken back again, is what asks for a scan.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from kubernetes.client.exceptions import ApiException

from tests.e2e.plane import Plane
from tests.support.waiting import eventually

T = TypeVar("T")

# A rule that every stack has, and that denies in none.
_NOTED = "policies.kyverno.io", "v1", "validatingpolicies", "require-labels"
_NOTE = "example.org/look-again"

# A scan takes some seconds of a core, and every one that was asked for is made.
_SECONDS_OF_A_SCAN = 20.0


def scanned(plane: Plane, probe: Callable[[], T], what: str) -> T:
    """The first true answer of `probe`, asking for a scan when there is none, and again after a while."""
    asked: float | None = None

    def once_more() -> T:
        nonlocal asked
        if not (answer := probe()) and (asked is None or time.monotonic() - asked >= _SECONDS_OF_A_SCAN):
            ask_for_a_scan(plane)
            asked = time.monotonic()
        return answer

    return eventually(once_more, what, interval=2)


def ask_for_a_scan(plane: Plane) -> None:
    """Have every object looked at now."""
    for note in ("now", None):
        # The rule may be on its way to another version.
        with suppress(ApiException):
            plane.objects.patch_cluster_custom_object(*_NOTED, {"metadata": {"annotations": {_NOTE: note}}})
