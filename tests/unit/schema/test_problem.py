"""A fault of a field, and the key that filled it."""

from datetime import date

import pytest

from components.schema.problem import UNREPEATED, FieldError, keys_of, shown_value

pytestmark = pytest.mark.unit


def test_a_fault_says_what_was_found_and_what_is_legal() -> None:
    fault = FieldError("replicas", "too few", 0, [1, 3])
    assert str(fault) == "replicas: too few, found 0; legal: 1, 3"
    assert str(FieldError("replicas", "too few")) == "replicas: too few"
    assert str(FieldError("replicas", "none is there", None)) == "replicas: none is there, found nothing"


def test_a_field_gets_the_key_that_filled_it() -> None:
    @keys_of(phases="phases", parameters="kyverno.parameters")
    def made(field: str) -> None:
        raise FieldError(field, "wrong", "x", ["y"])

    for field, key in (("parameters.rule.name", "kyverno.parameters.rule.name"), ("other", "other")):
        with pytest.raises(FieldError) as caught:
            made(field)
        assert str(caught.value) == f"{key}: wrong, found 'x'; legal: y"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (False, "false"),
        (None, "nothing"),
        ("", "''"),
        ([], "[]"),
        ({}, "a mapping of nothing"),
        ({"password": "hunter2"}, "a mapping of password"),
        (UNREPEATED, UNREPEATED),
        ([{"name": "PASSWORD", "value": "hunter2"}], "[{name, value: ...}]"),
        ([[None, True, date(2026, 1, 1)], {}], "[[null, true, 2026-01-01], {}]"),
        (date(2026, 1, 1), "2026-01-01"),
        ("x" * 99, f"'{'x' * 76}..."),
    ],
)
def test_a_value_is_shown_as_yaml_has_it(value: object, shown: str) -> None:
    assert shown_value(value) == shown


def test_a_value_with_itself_or_a_million_times_the_same_is_shown_at_once() -> None:
    much: list[object] = ["x"]
    for _ in range(60):
        much = [much, much]
    assert len(shown_value(much)) == 80
    endless: list[object] = []
    endless.append(endless)
    assert len(shown_value(endless)) == 80
