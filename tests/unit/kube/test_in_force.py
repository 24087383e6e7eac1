"""The wait for a changed policy: which refusals are waited for, for how long, and what ends the update at once."""

import asyncio
from collections.abc import Callable
from typing import Any

import pulumi
import pytest

from components.kube import in_force
from components.kube.in_force import TRIES, once_in_force

pytestmark = pytest.mark.unit

NAME, RULE = "shop.x", "disallow-privileged"
REFUSED = f"ValidatingAdmissionPolicy 'vpol-{RULE}' with binding 'vpol-{RULE}-binding' denied request: privileged"


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Callable[..., bool]:
    """Whether a resource that waits for the rule is tried again after these errors, the newest first."""
    monkeypatch.setattr(in_force, "_LONGEST_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(pulumi, "info", print)
    registered: list[tuple[str, Any]] = []
    monkeypatch.setattr(pulumi, "ErrorHook", lambda name, callback: registered.append((name, callback)))

    def asked(*errors: str) -> bool:
        once_in_force(NAME, [RULE, "require-probes"])
        name, callback = registered.pop()
        assert name == f"{NAME}.once-in-force"
        args = pulumi.ErrorHookArgs("urn", "", NAME, "type", failed_operation="create", errors=[*errors])
        return asyncio.run(callback(args))

    return asked


def test_it_is_tried_again_while_that_policy_refuses_it(ask: Callable[..., bool]) -> None:
    assert ask(REFUSED)
    assert ask(REFUSED, REFUSED)
    assert ask("denied by require-probes", REFUSED)


@pytest.mark.parametrize("error", ["denied by require-labels", "connection refused", ""])
def test_every_other_error_ends_the_update(ask: Callable[..., bool], error: str) -> None:
    assert not ask(error)
    assert not ask(error, REFUSED)


def test_it_is_not_waited_for_ever(ask: Callable[..., bool]) -> None:
    assert ask(*[REFUSED] * TRIES)
    assert not ask(*[REFUSED] * (TRIES + 1))


def test_a_preview_changes_no_policy_and_waits_for_none(
    ask: Callable[..., bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda: True)
    assert not ask(REFUSED)


def test_what_needs_no_policy_has_no_hook() -> None:
    assert once_in_force(NAME, []).hooks is None
