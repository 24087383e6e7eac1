"""Every link of the documentation that stays in the project: the file is there, and so is the heading."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.documentation import PAGES
from tests.support.stacks import ROOT

pytestmark = pytest.mark.unit

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_CODE = re.compile(r"`((?:components|policies|zt|embedded|tests)/[^`\s<*]*)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """The file and the anchor of each link, which may be empty; not those that leave the project."""
    for target in _LINK.findall(page.read_text()):
        if "://" not in target:
            path, _, anchor = target.partition("#")
            yield (page.parent / path if path else page), anchor


def anchors(page: Path) -> set[str]:
    """The headings of a page as a link names them."""
    return {
        re.sub(r"[^\w\- ]", "", text.lower()).strip().replace(" ", "-") for text in _HEADING.findall(page.read_text())
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for file, anchor in links(page):
        assert file.exists(), file
        assert not anchor or anchor in anchors(file), f"{file}#{anchor}"


def test_the_links_are_found() -> None:
    assert (ROOT / "docs/how-to/policies.md", "grant-an-exception") in [
        (file.resolve(), anchor) for file, anchor in links(ROOT / "docs/how-to/troubleshoot.md")
    ]


def test_what_the_table_of_places_names_is_there() -> None:
    places = _CODE.findall((ROOT / "CONTRIBUTING.md").read_text())
    assert len(places) > 40
    assert [place for place in places if not (ROOT / place).exists()] == []
