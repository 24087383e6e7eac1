"""A call needs both ends: `calls` of the caller, `callers` of the callee."""

from pathlib import Path

import pytest

from components.program.plan import plan
from components.program.stack import read_stack
from components.schema.problem import ConfigError
from components.service.file.directory import Admission, read_services
from tests.support.stacks import settings
from tests.unit.service.test_directory import SMALL, write

pytestmark = pytest.mark.unit

OPEN = Admission((), api_server_reachable=True)
BANK = SMALL.replace("namespace: shop", "namespace: bank")
CONSENT = r"callers: {0} calls it, and it does not agree: add {0} here, .*; legal: {1}"


@pytest.mark.parametrize(
    ("texts", "error"),
    [
        ({"a": SMALL + "calls: [b]", "b": SMALL}, r"services/b\.yaml:\d: " + CONSENT.format("a", "a")),
        (
            {"a": SMALL + "calls: [b]", "b": SMALL + "callers: [c]", "c": SMALL},
            r"services/b\.yaml:5: " + CONSENT.format("a", "c, a"),
        ),
        # A namesake of another namespace is somebody else.
        (
            {"a": BANK + "calls: [shop/b]", "b": SMALL + "callers: [a]", "c": SMALL + "name: a"},
            r"services/b\.yaml:5: " + CONSENT.format("bank/a", "a, bank/a"),
        ),
        ({"a": SMALL + "calls: [{service: b, methods: [GET]}]", "b": SMALL}, CONSENT.format("a", "a")),
        ({"a": SMALL + "callers: [nobody]"}, r"a\.yaml:5: callers\[0\]: no such service, .*, found 'nobody'"),
        ({"a": SMALL + "callers: [a]", "b": SMALL}, r"callers\[0\]: no network policy lets its replicas"),
        ({"a": SMALL + "callers: ['*']"}, r"callers\[0\]: .*wildcards are over-broad"),
        ({"a": SMALL + "callers: [b, shop/b]", "b": SMALL}, r"a\.yaml:5: callers: it stands there twice"),
    ],
)
def test_a_missing_half_is_refused_where_it_belongs(tmp_path: Path, texts: dict[str, str], error: str) -> None:
    with pytest.raises(ConfigError, match=error) as caught:
        read_services(write(tmp_path, **texts), OPEN)
    assert len(caught.value.problems) == 1


def test_the_halves_come_in_any_order(tmp_path: Path) -> None:
    across = {"c": BANK + "calls: [shop/d]", "d": SMALL + "callers: [bank/c]"}
    folder = write(tmp_path, a=SMALL, b=SMALL + "callers: [a]", **across)
    assert len(read_services(folder, OPEN)) == 4


def test_a_consent_that_nobody_uses_opens_nothing(tmp_path: Path) -> None:
    small = SMALL.replace("r.example.org", "registry.example.org")
    write(tmp_path, a=small, b=small + "callers: [a]")
    stack = read_stack(tmp_path, "Pulumi.production.yaml", settings("production"))
    [callee] = [args for args in plan(stack).services if args.name == "b"]
    assert not callee.called_by
