"""What Kyverno's background scan finds, without the half minute that it waits before it looks at a new object.

A rule that changes has it look at everything at once, so a note on a rule, taken back again, is what asks for a scan.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from kubernetes.client.exceptions import ApiException

from tests.e2e.plane import Plane
from tests.e2e.waiting import eventually

T = TypeVar("T")

# A rule that every stack has, and that denies in none.
_NOTED = "policies.kyverno.io", "v1", "validatingpolicies", "require-labels"
_NOTE = "example.org/look-again"


def scanned(plane: Plane, probe: Callable[[], T], what: str) -> T:
    """The first true answer of `probe`, a scan being asked for whenever there is none."""

    def once_more() -> T:
        if not (answer := probe()):
            ask_for_a_scan(plane)
        return answer

    return eventually(once_more, what, interval=4)


def ask_for_a_scan(plane: Plane) -> None:
    """Have every object looked at now."""
    for note in ("now", None):
        # The rule may be on its way to another version.
        with suppress(ApiException):
            plane.objects.patch_cluster_custom_object(*_NOTED, {"metadata": {"annotations": {_NOTE: note}}})
