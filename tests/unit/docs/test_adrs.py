"""The decisions under docs/adr: each has its parts in order, a status, a date, what lost, and its line in the index."""

import re
from datetime import date
from pathlib import Path

import pytest

from tests.support.stacks import ROOT

pytestmark = pytest.mark.unit

DIRECTORY = ROOT / "docs" / "adr"
FILES = sorted(DIRECTORY.glob("[0-9]*.md"))
PARTS = ["Context", "Decision", "Alternatives", "Consequences"]
STATES = ("proposed", "accepted", "rejected", "replaced")
HEAD = re.compile(r"# (\d+)\. (.+)\n\n- Status: (\w+)(.*)\n- Date: (\d{4}-\d\d-\d\d)\n\n## ")
ROW = re.compile(r"^\| \[(\d+)\]\((.+)\) \| (.+) \| (\w+).* \| (.+) \|$", re.MULTILINE)


def head(path: Path) -> tuple[str, str, str, str]:
    found = HEAD.match(path.read_text(encoding="utf-8"))
    assert found, f"{path.name} begins with: # N. Title, - Status: and - Date:"
    number, title, status, _, day = found.groups()
    return number, title, status, day


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
class TestEveryDecision:
    def test_it_says_what_it_is_and_since_when(self, path: Path) -> None:
        number, _, status, day = head(path)
        assert path.name.startswith(f"{int(number):04}-")
        assert status in STATES
        assert date.fromisoformat(day)

    def test_it_has_its_parts_in_order(self, path: Path) -> None:
        assert re.findall(r"^## (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE) == PARTS

    def test_it_names_what_lost_each_with_the_reason(self, path: Path) -> None:
        text = path.read_text(encoding="utf-8").partition("## Alternatives\n")[2].partition("\n## ")[0]
        items = re.split(r"^- ", text, flags=re.MULTILINE)[1:]
        assert len(items) >= 2
        for item in items:
            assert re.match(r"\*\*[^*]+\*\*.*\.\s+\S|\*\*[^*]+\.\*\*\s+\S", item, re.DOTALL), item


def test_the_index_has_each_decision_as_it_is() -> None:
    rows = {file: (number, title, status, day) for number, file, title, status, day in index()}
    assert rows == {path.name: head(path) for path in FILES}


def test_the_index_is_in_order_and_leaves_no_number_out() -> None:
    assert [int(number) for number, *_ in index()] == list(range(1, len(FILES) + 1))


def index() -> list[tuple[str, str, str, str, str]]:
    return ROW.findall((DIRECTORY / "README.md").read_text(encoding="utf-8"))
