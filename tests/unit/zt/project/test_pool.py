"""What a pool does when its block is left early."""

import threading

import pytest

from zt.project.pool import Pool

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError])
def test_what_has_not_begun_is_given_up(error: type[BaseException]) -> None:
    began, go_on, ran = threading.Event(), threading.Event(), list[int]()

    def work(number: int) -> None:
        began.set()
        go_on.wait(10)
        ran.append(number)

    def left_early() -> None:
        with Pool(1) as pool:
            for number in range(5):
                pool.submit(work, number)
            began.wait(10)
            threading.Timer(0.1, go_on.set).start()
            raise error

    with pytest.raises(error):
        left_early()
    assert ran == [0]


def test_all_is_done_otherwise() -> None:
    ran = list[int]()
    with Pool(1) as pool:
        for number in range(5):
            pool.submit(ran.append, number)
    assert ran == [0, 1, 2, 3, 4]
