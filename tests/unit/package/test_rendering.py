"""A chart is rendered twice, to see that it always renders the same; helm's answers are made up."""

from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

import pytest
import yaml

from components.kube.charts import PUBLISHED
from components.package.file.chart import ChartSpec
from components.package.file.keys import PackageSpec
from components.package.rendered import helm
from components.package.rendered.helm import Renderer, RenderError

pytestmark = pytest.mark.unit

SPEC = PackageSpec.model_construct(
    name="guestbook", namespace="guests", manifests=None, values={}, chart=ChartSpec.model_construct(folder="chart")
)


def config_map(number: int) -> str:
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: luck}}\ndata: {{number: '{number}'}}\n"


@pytest.fixture
def renderer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Renderer:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "chart").mkdir()
    (tmp_path / "chart" / "Chart.yaml").touch()
    return Renderer(tmp_path, PUBLISHED)


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What helm renders from now on, each answer once."""
    answers: list[str] = []

    def run(arguments: Sequence[str], _: object) -> str:
        assert arguments[0] == "template"
        return answers.pop(0)

    monkeypatch.setattr(helm, "_helm", run)
    return answers


def test_what_came_out_twice_is_rendered_once(renderer: Renderer, rendered: list[str]) -> None:
    for renderings in (2, 1, 1):
        rendered += [config_map(1)] * renderings
        assert renderer.manifests(SPEC)[0]["data"] == {"number": "1"}
        assert not rendered


def test_a_chart_that_changed_is_rendered_twice_again(renderer: Renderer, rendered: list[str]) -> None:
    rendered += [config_map(1)] * 2 + [config_map(2)] * 2
    renderer.manifests(SPEC)
    renderer.manifests(SPEC)
    assert not rendered


def test_values_that_differ_each_time_are_refused_at_each_run(
    renderer: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers: Iterator[int] = count()
    monkeypatch.setattr(helm, "_helm", lambda *_: config_map(next(numbers)))
    for _ in range(3):
        with pytest.raises(RenderError, match="each rendering has other values in ConfigMap luck"):
            renderer.manifests(SPEC)


def test_a_cache_that_cannot_be_written_costs_the_second_rendering(
    renderer: Renderer, rendered: list[str], tmp_path: Path
) -> None:
    (tmp_path / "cache").touch()
    rendered += [config_map(1)] * 4
    renderer.manifests(SPEC)
    renderer.manifests(SPEC)
    assert not rendered


TEXTS = {
    "several": "---\n# Source: a\n" + config_map(1) + "---\n" + config_map(2),
    "one that begins in its line": "--- {apiVersion: v1, kind: List, metadata: {}}\n---\n" + config_map(2),
    "nothing between": "---\n---\n# only a comment\n---\n" + config_map(1),
    "a line of its own text": config_map(1) + "more: |\n  ---\n  text\n---\n" + config_map(2),
    "a directive": "%YAML 1.1\n---\n" + config_map(1) + "...\n%YAML 1.1\n---\n" + config_map(2),
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_text_is_read_as_yaml_reads_it(renderer: Renderer, rendered: list[str], text: str) -> None:
    rendered += [text]
    made = [each for each in yaml.safe_load_all(text) if each]
    assert renderer.manifests(SPEC, steady=False) == made


def test_a_document_is_read_once(renderer: Renderer, rendered: list[str]) -> None:
    """A chart with its definitions has megabytes, and `zt package init` renders it hundreds of times."""
    helm._read.cache_clear()
    definition = "---\n" + config_map(7)
    for number in (801, 802):
        rendered += [f"{definition}---\n{config_map(number)}"]
        renderer.manifests(SPEC, steady=False)
    # What stands before the first line of each, the definition, and the other one of each rendering.
    assert helm._read.cache_info().misses == 4
