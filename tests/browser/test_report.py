"""The page of `zt report` in a real Chromium: links, filters, keyboard, both colour schemes, paper, fifty services."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open
from tests.unit.zt.report.stack import NAMES

# Whether two rotated rectangles overlap (separating axis theorem), for every pair of texts of a drawing.
OVERLAPS = """
texts => {
  const corners = text => {
    const box = text.getBBox(), matrix = text.getScreenCTM();
    return [[0, 0], [1, 0], [1, 1], [0, 1]].map(([x, y]) =>
      new DOMPoint(box.x + x * box.width, box.y + y * box.height).matrixTransform(matrix));
  };
  const axes = quad => [0, 1].map(i => [quad[i + 1].x - quad[i].x, quad[i + 1].y - quad[i].y]);
  const range = (quad, [x, y]) => quad.map(p => p.x * x + p.y * y);
  const apart = (a, b) => [...axes(a), ...axes(b)].some(axis => {
    const one = range(a, axis), other = range(b, axis);
    return Math.max(...one) <= Math.min(...other) || Math.max(...other) <= Math.min(...one);
  });
  const quads = texts.map(corners), found = [];
  for (let i = 0; i < quads.length; i++)
    for (let j = i + 1; j < quads.length; j++)
      if (!apart(quads[i], quads[j])) found.push([texts[i].textContent, texts[j].textContent]);
  return found;
}
"""
SIDEWAYS = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
# The contrast of an element's text with what lies behind it (WCAG 2, relative luminance).
CONTRAST = """
element => {
  const parse = colour => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(c => c / 255)
    .map(c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  let back = element;
  while (back && (parse(getComputedStyle(back).backgroundColor)[3] ?? 1) === 0) back = back.parentElement;
  const [a, b] = [getComputedStyle(element).color, getComputedStyle(back).backgroundColor].map(parse).map(light);
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}
"""
TEXTS = ".badge, .small, .none, .words, .team, dt, thead th, tbody th, td, main a, nav a, .tile b, .tile span, code"


def shown(page: Page, section: str) -> list[str]:
    """The first cell of every row of a section that is on the page."""
    return page.locator(f"#{section} [data-row]:visible").locator("th[scope=row], h3").all_inner_texts()


class TestLinks:
    def test_every_section_is_one_click_away(self, visit: Open) -> None:
        page = visit().page
        for link in page.locator("nav a").all():
            link.click()
            target = page.locator(link.get_attribute("href") or "")
            expect(target.locator("h2")).to_be_in_viewport()

    def test_a_service_leads_to_its_card_and_on_to_its_callee(self, visit: Open) -> None:
        page = visit().page
        page.locator("svg .rows a", has_text="shop/web").click()
        card = page.locator("[id='service-shop.web']")
        expect(card).to_be_in_viewport()
        expect(card).to_be_focused()
        card.get_by_role("link", name="shop/api").click()
        expect(page.locator("[id='service-shop.api']")).to_be_focused()

    def test_a_link_to_what_is_filtered_out_shows_it(self, visit: Open) -> None:
        page = visit().page
        page.get_by_label("Filter").fill("shop/api/database")
        expect(page.locator("[id='service-shop.api']")).to_be_hidden()
        page.locator("#vault").get_by_role("link", name="shop/api").click()
        expect(page.locator("[id='service-shop.api']")).to_be_focused()
        expect(page.get_by_label("Filter")).to_have_value("")

    def test_a_link_from_elsewhere_opens_at_its_service(self, visit: Open, site: str) -> None:
        page = visit().page
        page.goto(f"{site}/fifty.html#service-shop.postgres")
        expect(page.locator("[id='service-shop.postgres']")).to_be_in_viewport()


class TestFilter:
    def test_words_must_all_be_there(self, visit: Open) -> None:
        page = visit().page
        assert len(shown(page, "services")) == len(NAMES)
        page.get_by_label("Filter").fill("payments/postgres WORKER")
        assert set(shown(page, "services")) == {"payments/postgres", "payments/worker"}
        page.get_by_label("Filter").fill("payments/postgres")
        assert set(shown(page, "services")) == {f"payments/{name}" for name in ("api", "import", "postgres", "worker")}
        assert set(shown(page, "vault")) == {"payments/postgres"}
        expect(page.locator("#exceptions .nothing")).to_be_visible()
        expect(page.locator("#shown")).to_have_text(re.compile(r"^\d+ of \d+ shown$"))

    def test_a_team_sees_its_own(self, visit: Open) -> None:
        page = visit().page
        page.get_by_label("Team").select_option("payments")
        assert {name.partition("/")[0] for name in shown(page, "services")} == {"payments"}
        assert {name.partition("/")[0] for name in shown(page, "vault")} == {"payments"}
        assert shown(page, "exceptions") == ["payments/import"]
        # Who calls it is its business as well.
        assert {"payments/api", "shop/web"} & set(shown(page, "access")) == {"payments/api"}

    def test_what_needs_attention(self, visit: Open) -> None:
        page = visit().page
        page.get_by_label("needs attention").check()
        assert shown(page, "posture") == ["important rules", "best practice"]
        assert not any(text == "valid" for text in page.locator("#certificates .badge:visible").all_inner_texts())
        assert (
            page.locator("#attacks .badge.good:visible", has_text="blocked").locator("xpath=ancestor::tr").count() == 0
        )
        page.get_by_role("button", name="Clear").click()
        # The page answers a reset after the form is empty, and so after the click.
        expect(page.locator("#shown")).to_have_text("")
        assert len(shown(page, "posture")) == 11

    def test_the_graph_keeps_its_shape_and_steps_back(self, visit: Open) -> None:
        page = visit().page
        page.get_by_label("Filter").fill("shop/api")
        bright = page.locator("svg .cells rect:not(.dim)")
        ends = {(cell.get_attribute("data-caller"), cell.get_attribute("data-callee")) for cell in bright.all()}
        assert ends
        assert all("shop/api" in pair for pair in ends)
        assert page.locator("svg .cells rect").count() > len(ends)
        # The names at the other end are what one looks for.
        names = page.locator("svg text:not(.dim)").evaluate_all("all => all.map(text => text.dataset.name)")
        assert set(names) == {name for pair in ends for name in pair}

    def test_what_is_typed_is_no_pattern(self, visit: Open) -> None:
        page = visit().page
        page.get_by_label("Filter").fill("(.*")
        assert shown(page, "services") == []


class TestKeyboard:
    def test_the_first_tab_skips_to_the_content(self, visit: Open) -> None:
        page = visit().page
        page.keyboard.press("Tab")
        expect(page.locator(".skip")).to_be_focused()
        expect(page.locator(".skip")).to_be_in_viewport()
        page.keyboard.press("Enter")
        expect(page.locator("main")).to_be_focused()

    def test_a_slash_filters_and_escape_stops(self, visit: Open) -> None:
        page = visit().page
        page.keyboard.press("/")
        expect(page.get_by_label("Filter")).to_be_focused()
        page.keyboard.type("redis/")
        expect(page.get_by_label("Filter")).to_have_value("redis/")
        page.keyboard.press("Escape")
        expect(page.get_by_label("Filter")).to_have_value("")
        expect(page.locator("#shown")).to_have_text("")
        assert len(shown(page, "services")) == len(NAMES)

    def test_the_tab_key_reaches_everything_that_a_click_does(self, visit: Open) -> None:
        page = visit("open").page
        wanted = page.locator("a:not(svg .columns a), input, select, button, [role=region]").count()
        reached: set[Any] = set()
        for _ in range(wanted + 5):
            page.keyboard.press("Tab")
            reached.add(page.evaluate("() => [...document.querySelectorAll('*')].indexOf(document.activeElement)"))
        # The last presses leave the page for the browser and come back to the body.
        assert len(reached - {-1}) >= wanted

    def test_the_graph_is_also_a_table(self, visit: Open) -> None:
        page = visit().page
        cells = page.locator("svg .cells rect:not(.public)")
        rows = page.get_by_role("table", name="Connections").locator("tbody [data-row]")
        assert cells.count() == rows.count() > 0
        assert page.locator("svg").get_attribute("role") == "group"


class TestLooks:
    @pytest.mark.parametrize("scheme", ["light", "dark"])
    @pytest.mark.parametrize("name", ["fifty", "open"])
    def test_every_text_can_be_read(self, visit: Open, scheme: str, name: str) -> None:
        page = visit(name, color_scheme=scheme).page
        lightness = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
        assert (int(re.findall(r"\d+", lightness)[0]) < 60) == (scheme == "dark")
        contrasts = page.locator(TEXTS).evaluate_all(f"all => all.map(e => [e.className, ({CONTRAST})(e)])")
        assert [one for one in contrasts if one[1] < 4.5] == []

    @pytest.mark.parametrize("width", [1280, 800, 360])
    def test_no_page_is_wider_than_its_window(self, visit: Open, width: int) -> None:
        page = visit().page
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate(SIDEWAYS) == 0

    def test_no_label_of_fifty_services_covers_another(self, visit: Open) -> None:
        page = visit().page
        texts = page.locator("svg text")
        assert texts.count() == 2 * len(NAMES) + 1
        assert texts.evaluate_all(OVERLAPS) == []

    def test_the_labels_lie_inside_the_drawing_and_off_the_cells(self, visit: Open) -> None:
        page = visit().page
        drawing = page.locator("svg").bounding_box()
        assert drawing is not None
        boxes = page.locator("svg text").evaluate_all(
            "all => all.map(e => e.getBoundingClientRect()).map(b => [b.left, b.top, b.right, b.bottom])"
        )
        right, bottom = drawing["x"] + drawing["width"], drawing["y"] + drawing["height"]
        assert all(b[0] >= drawing["x"] and b[1] >= drawing["y"] and b[2] <= right and b[3] <= bottom for b in boxes)
        grid = page.locator("svg .grid").bounding_box()
        assert grid is not None
        rows = page.locator("svg .rows text").evaluate_all("all => all.map(e => e.getBoundingClientRect().right)")
        assert max(rows) <= grid["x"]

    def test_fifty_services_fit_a_laptop_at_a_size_that_can_be_read(self, visit: Open) -> None:
        page = visit().page
        drawing = page.locator("svg").bounding_box()
        assert drawing is not None
        assert drawing["width"] <= 1280
        scale = drawing["width"] / float(page.locator("svg").get_attribute("width") or 0)
        assert 12 * scale >= 10

    def test_without_script_everything_is_there_but_the_filter(self, visit: Open) -> None:
        page = visit(java_script_enabled=False).page
        expect(page.locator("#filter")).to_be_hidden()
        expect(page.locator("[id='service-shop.api']")).to_be_visible()


class TestPaper:
    def test_it_is_white_without_controls_and_with_everything(self, visit: Open) -> None:
        page = visit(color_scheme="dark").page
        page.emulate_media(media="print")
        assert page.evaluate("() => getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        for control in page.locator("form :is(label, input, select, button)").all():
            expect(control).to_be_hidden()
        expect(page.locator("nav ul")).to_be_hidden()
        assert len(shown(page, "services")) == len(NAMES)
        assert page.evaluate("() => getComputedStyle(document.querySelector('.scroll')).overflowX") == "visible"

    def test_a_filter_is_said_on_paper(self, visit: Open) -> None:
        page = visit().page
        page.get_by_label("Filter").fill("shop/api")
        page.emulate_media(media="print")
        expect(page.locator("#shown")).to_be_visible()
        before = page.evaluate("() => getComputedStyle(document.querySelector('output'), '::before').content")
        assert before == '"Filtered: "'

    def test_a_graph_of_fifty_fits_the_sheet(self, visit: Open) -> None:
        page = visit().page
        # A4 without its margins, in CSS pixels.
        page.set_viewport_size({"width": 688, "height": 1017})
        page.emulate_media(media="print")
        drawing = page.locator("svg").bounding_box()
        assert drawing is not None
        assert drawing["width"] <= 688
        assert drawing["height"] <= 1017
        assert page.evaluate(SIDEWAYS) == 0
        assert page.pdf(format="A4")[:5] == b"%PDF-"
