"""Which stack applied an object, by its field managers."""

from typing import Any

import pytest

from components.kube.ownership import applied_by, by_pulumi, by_stack, manager_of

pytestmark = pytest.mark.unit

OWN = manager_of("zero-trust", "production")


def managed(*names: str, **labels: str) -> dict[str, Any]:
    return {"managedFields": [{"manager": name} for name in names], "labels": labels}


def test_a_manager_names_its_stack() -> None:
    assert OWN == "pulumi-kubernetes/zero-trust/production"
    assert applied_by("zero-trust", "production")["pulumi.com/patchFieldManager"] == OWN


def test_a_long_name_stays_one_of_its_own() -> None:
    """The API server takes 128 characters, Pulumi 100 for a project and 100 for a stack."""
    first, second = (manager_of("p" * 100, "s" * 99 + end) for end in "ab")
    assert len(first) == len(second) == 128
    assert first != second


@pytest.mark.parametrize(
    ("metadata", "own"),
    [
        (managed(OWN), True),
        (managed(OWN, "kube-controller-manager"), True),
        (managed(OWN, "pulumi-kubernetes/zero-trust/staging"), True),
        (managed("pulumi-kubernetes/zero-trust/staging"), False),
        (managed("pulumi-kubernetes/shop-team/production"), False),
        (managed("pulumi-kubernetes/shop-team/production", **{"app.kubernetes.io/managed-by": "pulumi"}), False),
        # Of a Pulumi that does not say for which stack.
        (managed("pulumi-kubernetes-1dd8ecac"), True),
        (managed(**{"app.kubernetes.io/managed-by": "pulumi"}), True),
        (managed("kubectl"), False),
        ({}, False),
    ],
)
def test_what_another_stack_applied_is_not_this_ones(metadata: dict[str, Any], own: bool) -> None:
    assert by_stack(metadata, OWN) is own
    assert by_pulumi(metadata) or not own
