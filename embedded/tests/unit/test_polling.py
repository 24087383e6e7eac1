"""Asking again until something is so."""

import pytest

from embedded.polling import until

pytestmark = pytest.mark.unit


def test_it_asks_until_the_answer_is_true() -> None:
    answers = iter([0, None, 3, 4])
    assert until(lambda: next(answers), seconds=5, pause=0) == 3


@pytest.mark.parametrize("seconds", [-1.0, 0.0, 0.02])
def test_it_gives_up_with_the_last_answer_after_one_at_least(seconds: float) -> None:
    asked: list[int] = []
    assert until(lambda: asked.append(0), seconds, pause=0.01) is None
    assert asked


def test_an_error_is_the_askers() -> None:
    def broken() -> bool:
        raise LookupError("gone")

    with pytest.raises(LookupError, match="gone"):
        until(broken, seconds=5, pause=0)
