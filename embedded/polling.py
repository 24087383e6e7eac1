"""Asking again until something is so."""

from collections.abc import Callable
from typing import Any, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_result, stop_after_delay, wait_fixed

_Answer = TypeVar("_Answer")


def until(answer: Callable[[], _Answer], seconds: float, pause: float) -> _Answer:
    """Ask for the answer until it is true or the seconds have passed, with a pause in between. Returns the last one."""
    asking = Retrying(
        stop=stop_after_delay(seconds),
        wait=wait_fixed(pause),
        retry=retry_if_result(lambda given: not given),
        retry_error_callback=last_answer,
    )
    return asking(answer)


def last_answer(tried: RetryCallState) -> Any:
    """What came of the last try, for who gives up: its answer, or the exception that it ended with."""
    return tried.outcome.result() if tried.outcome else None
