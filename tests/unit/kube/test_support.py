"""The release lines of the pinned charts, and what is said of one whose support ended."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from components.kube import support
from components.kube.charts import CHARTS
from components.kube.support import LINES, Kept, Line

pytestmark = pytest.mark.unit

END = date(2027, 3, 1)
DAY = timedelta(days=1)
LINE = Line("istio", "1.31.", "1.31", date(2026, 8, 31), "six weeks after 1.33", END, "https://istio.example.org")
KEPT = replace(LINE, kept=Kept("no newer one was run", END + 30 * DAY))


def test_each_pinned_chart_is_of_a_line() -> None:
    assert [c.name for c in CHARTS if not c.version.startswith(support.line_of(c.project).charts)] == []
    assert {line.project for line in LINES} == {chart.project for chart in CHARTS}


def test_each_line_says_where_its_end_is_written() -> None:
    assert all(line.policy.startswith("https://") and line.event for line in LINES)
    assert all(line.ends is None or line.released < line.ends for line in LINES)


@pytest.mark.parametrize(
    ("line", "day", "supported", "passes"),
    [
        (LINE, END - DAY, True, True),
        (LINE, END, False, False),
        (KEPT, END, False, True),
        (KEPT, END + 29 * DAY, False, True),
        (KEPT, END + 30 * DAY, False, False),
        (replace(LINE, ends=None), END + 1000 * DAY, True, True),
    ],
)
def test_support_ends_on_its_day_and_a_reason_on_its_own(line: Line, day: date, supported: bool, passes: bool) -> None:
    assert (line.supported(day), line.passes(day)) == (supported, passes)


def test_the_command_fails_for_what_is_out_of_support(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(support, "LINES", (LINE, KEPT))
    assert support.main(["--on", str(END - DAY)]) == 0
    assert capsys.readouterr().err == ""
    assert support.main(["--on", str(END)]) == 1
    written = capsys.readouterr()
    assert written.err == f"istio 1.31 is out of support since {END}: https://istio.example.org\n"
    assert [row.split(" | ")[3] for row in written.out.splitlines()[2:]] == ["out of support", "kept"]
