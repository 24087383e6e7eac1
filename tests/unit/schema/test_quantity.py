"""Amounts are read as the API server reads them."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as some
from kubernetes.utils.quantity import parse_quantity

from components.schema.quantity import amount

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1e3", "1000"),
        ("1E3", "1000"),
        ("1E", "1e18"),
        ("1Ei", str(2**60)),
        ("0.5", "0.5"),
        (".5", "0.5"),
        ("5.", "5"),
        ("12e-1", "1.2"),
        ("250m", "0.25"),
        ("1u", "0.000001"),
        ("1n", "1e-9"),
        ("1Ki", "1024"),
        ("007", "7"),
        ("0", "0"),
    ],
)
def test_what_the_api_server_takes_has_its_number(text: str, number: str) -> None:
    assert amount(text) == Decimal(number)


@pytest.mark.parametrize(
    "text",
    [
        *("", ".", "K", "1K", "1ki", "1mi", "1 Gi", "1Gi ", "1Gi\n", "1GiB", "1Zi", "1e", "1e3Mi", "1e1.5", "1.2.3"),
        *("-1", "+1", "1_0", "NaN", "Infinity", "٣", "0x10", "1,5"),
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a Kubernetes quantity"):
        amount(text)


@given(some.from_regex(r"[0-9]{1,9}(\.[0-9]{0,9})?([numkMGTPE]|[KMGTPE]i|[eE][-+]?[0-9]{1,2})?", fullmatch=True))
def test_the_kubernetes_client_reads_the_same(text: str) -> None:
    if text.isascii():
        assert amount(text) == parse_quantity(text)
