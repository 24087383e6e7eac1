"""The page of a report: nothing from outside, nothing that a hostile text could start, and a readable graph."""

import base64
import hashlib
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.clusters import workload
from tests.unit.zt.report import stack as stacks
from zt.cluster.access import Access
from zt.report.build import Request, report
from zt.report.matrix import Label, Matrix, matrix
from zt.report.model import Report
from zt.report.page import page


class Page(HTMLParser):
    """Every element with its attributes, and the text of those that hold code."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.code: dict[str, str] = {}
        self.text: list[str] = []
        self._in = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._in = tag

    def handle_endtag(self, tag: str) -> None:
        del tag
        self._in = ""

    def handle_data(self, data: str) -> None:
        if self._in in ("script", "style"):
            self.code[self._in] = self.code.get(self._in, "") + data
        else:
            self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def made(directory: Path, stack: str = "production", *, measured: bool = True) -> Report:
    access, attacks = (Access(embedded=True), (stacks.attacks(directory),)) if measured else (None, ())
    request = Request(stack, directory, stacks.NOW, stacks.NOW.date(), access, attacks)
    return report(request, lambda _: stacks.cluster())


@pytest.fixture(scope="module")
def fifty(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return made(stacks.project(tmp_path_factory.mktemp("fifty")))


@pytest.fixture(scope="module")
def shown(fifty: Report) -> Page:
    return Page(page(fifty))


class TestNothingFromOutside:
    def test_no_element_loads_anything(self, shown: Page) -> None:
        loading = [
            (tag, a) for tag, a in shown.elements if tag in ("img", "iframe", "object", "embed", "base", "source")
        ]
        assert loading == []
        assert {a["href"] for a in shown.all("link")} == {"data:,"}
        assert all("src" not in attributes for _, attributes in shown.elements)
        assert all((a["href"] or "").startswith("#") for a in shown.all("a"))
        assert "url(" not in shown.code["style"]
        assert "@import" not in shown.code["style"]

    def test_the_policy_allows_the_two_blocks_of_the_page_by_their_digests(self, shown: Page) -> None:
        [policy] = [a["content"] or "" for a in shown.all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
        parts = dict(part.split(" ", 1) for part in policy.split("; "))
        digests = {
            tag: f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
            for tag, text in shown.code.items()
        }
        assert parts == {
            "default-src": "'none'",
            "style-src": digests["style"],
            "script-src": digests["script"],
            "img-src": "data:",
            "base-uri": "'none'",
            "form-action": "'none'",
        }
        assert len(shown.all("script")) == len(shown.all("style")) == 1

    def test_no_attribute_holds_code(self, shown: Page) -> None:
        names = {name for _, attributes in shown.elements for name in attributes}
        assert {name for name in names if name.startswith("on") or name == "style"} == set()


class TestLinks:
    def test_each_leads_to_an_element_that_there_is_once(self, shown: Page) -> None:
        ids = [a["id"] for _, a in shown.elements if "id" in a]
        assert len(ids) == len(set(ids))
        assert {(a["href"] or "")[1:] for a in shown.all("a")} <= set(ids)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> str:
    directory, text = tmp_path_factory.mktemp("hostile"), stacks.HOSTILE
    granted = stacks.exception("disallow-latest-tag", text, "2026-01-01", "2026-06-01", owner=text)
    service = stacks.service("shop", "api", host="api.example.org", exceptions=[granted])
    posture = {"generate": {"value": False, "reason": text}}
    project = stacks.project(directory, {"api": service}, {"posture": posture})
    bad = workload(text, labels={"team": text}, results={"fail": ["require-probes"]})
    bad.report["results"][0]["message"] = text
    held = stacks.certificate("api.example.org", None, ready=False, why=text)
    cluster = stacks.ReportCluster(bad, certificates=[held])
    cluster.where = text
    attack = {"name": text, "tried": text, "result": "blocked", "answer": text}
    control = {"layer": text, "component": text, "rules": []}
    tries = [{"number": 1, "title": text, "result": "blocked", "attempts": [{**attack, "control": control}]}]
    attacks = stacks.attacks(directory, service=text, cluster=text, attacks=tries)
    access = Access(embedded=True)
    return page(
        report(Request("production", project, stacks.NOW, stacks.NOW.date(), access, (attacks,)), lambda _: cluster)
    )


class TestHostileText:
    """Reasons, messages and answers are written by whoever may write a service file, a label or a certificate."""

    def test_it_stays_text(self, hostile: str) -> None:
        found = Page(hostile)
        assert len(found.all("script")) == 1
        assert found.all("img") == []
        assert all(not name.startswith("on") for _, attributes in found.elements for name in attributes)

    def test_it_is_shown_as_it_was_written(self, hostile: str) -> None:
        text = "".join(Page(hostile).text)
        assert text.count(stacks.HOSTILE) >= 10
        # No template of the page reads it either.
        assert "49" not in re.sub(r"sha256-\S+", "", text.replace("{{ 7*7 }}", ""))


class TestWhatIsNotMeasured:
    def test_it_is_said_where_a_number_would_be(self, tmp_path: Path) -> None:
        text = page(made(stacks.project(tmp_path), measured=False))
        assert "no cluster given (--embedded, --kubeconfig or --context)" in text
        assert "no result of zt attack given (--attacks FILE)" in text
        tiles = re.findall(r'<li class="tile (\w+)"><a href="#(\w+)"><b>([^<]+)</b>', text)
        unknown = {section for tone, section, value in tiles if (tone, value) == ("unknown", "not measured")}
        assert unknown == {"rules", "certificates", "attacks"}
        assert "<meter" not in text
        assert "Every workload that was measured" not in text

    def test_a_cluster_without_a_report_or_a_certificate_is_no_good_news(self, tmp_path: Path) -> None:
        project = stacks.project(tmp_path, {})
        request = Request("production", project, stacks.NOW, stacks.NOW.date(), Access(embedded=True))
        text = page(report(request, lambda _: stacks.ReportCluster()))
        assert '<li class="tile unknown"><a href="#rules"><b>not measured</b><span>violations</span>' in text
        assert '<li class="tile plain"><a href="#certificates"><b>0</b><span>certificates</span>' in text
        assert "no PolicyReport of the cluster has a result of any rule that is on" in text
        assert "Every workload that was measured" not in text

    def test_attacks_that_were_all_not_measured_are_no_success(self, tmp_path: Path) -> None:
        project = stacks.project(tmp_path, {})
        request = Request(
            "production", project, stacks.NOW, stacks.NOW.date(), None, (stacks.attacks(tmp_path, attacks=[]),)
        )
        assert '<li class="tile unknown"><a href="#attacks"><b>0</b>' in page(report(request))


class TestSmallAndEmpty:
    def test_a_stack_without_a_service(self, tmp_path: Path) -> None:
        text = page(made(stacks.project(tmp_path, {}), measured=False))
        assert "There is no service." in text
        assert "<svg" not in text

    @pytest.mark.parametrize("stack", ["production", "staging", "dev", "local"])
    def test_every_stack_has_a_page(self, tmp_path: Path, stack: str) -> None:
        project = stacks.project(tmp_path, {"api": stacks.service("shop", "api", host="api.example.org")})
        assert f"<title>Zero-trust report: {stack}</title>" in page(made(project, stack, measured=False))


class TestGraph:
    def test_every_connection_is_a_cell(self, fifty: Report) -> None:
        graph = matrix(fifty)
        drawn = {(cell.source, cell.target) for cell in graph.cells}
        assert drawn == {(c.source, c.target) for c in fifty.connections} | {
            ("the internet", path.service) for path in fifty.public
        }
        assert len({(cell.x, cell.y) for cell in graph.cells}) == len(graph.cells)

    def test_names_keep_their_namespace_when_there_are_several(self, fifty: Report) -> None:
        assert {"shop/api", "payments/api"} <= {label.shown for label in matrix(fifty).rows}

    def test_one_namespace_is_not_repeated(self, tmp_path: Path) -> None:
        services = {name: stacks.service("shop", name) for name in ("api", "web")}
        graph = matrix(made(stacks.project(tmp_path, services), measured=False))
        assert [label.shown for label in graph.columns] == ["api", "web"]

    def test_a_long_name_is_cut_and_kept_in_its_title(self, tmp_path: Path) -> None:
        name = "a" * 63
        services = {"one": stacks.service("b" * 63, name), "two": stacks.service("shop", "two")}
        graph = matrix(made(stacks.project(tmp_path, services), measured=False))
        [label] = [label for label in graph.rows if label.name == f"{'b' * 63}/{name}"]
        assert (len(label.shown), label.shown[-1]) == (34, "…")

    @pytest.mark.parametrize("stack", ["production", "dev"])
    def test_everything_lies_inside_the_drawing(self, tmp_path: Path, stack: str) -> None:
        graph = matrix(made(stacks.project(tmp_path), stack, measured=False))
        assert {label.name for label in graph.rows} >= {"the internet", *(column.name for column in graph.columns)}
        assert all(0 < x < graph.width and 0 < y < graph.height for x, y in _points(graph))
        # A row's text ends before the grid begins.
        assert all(label.x < graph.left for label in graph.rows)

    def test_labels_are_further_apart_than_their_letters_are_high(self, fifty: Report) -> None:
        graph = matrix(fifty)
        assert _closest(graph.rows, "y") >= 14
        # The distance of two parallel lines at 60 degrees.
        assert _closest(graph.columns, "x") * 0.866 >= 14


def _points(graph: Matrix) -> list[tuple[float, float]]:
    lines = [point for line in graph.lines for point in ((line.x1, line.y1), (line.x2, line.y2))]
    return [*lines, *((cell.x, cell.y) for cell in graph.cells), *((label.x, label.y) for label in graph.rows)]


def _closest(labels: tuple[Label, ...], axis: str) -> float:
    places = sorted(getattr(label, axis) for label in labels)
    return min(b - a for a, b in pairwise(places))
