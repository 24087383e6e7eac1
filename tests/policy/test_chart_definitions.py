"""The definitions of each chart are templates of its release: Helm brings those up to date, and no folder `crds`.

https://helm.sh/docs/chart_best_practices/custom_resource_definitions/
"""

import re
from pathlib import Path

import pytest
import yaml

from components.kube.charts import CHARTS
from embedded.toolchain.charts import stage_charts
from embedded.toolchain.table import CLUSTER, PREVIOUS, Module
from tests.policy.test_chart_images import upgraded
from tests.support.vault_chart import FACTS

pytestmark = pytest.mark.policy

DEFINITION = "CustomResourceDefinition"
_IS_ONE = re.compile(rf"^kind: {DEFINITION}\s*$", re.MULTILINE)
_GROUP = re.compile(r"^  group: (\S+)$", re.MULTILINE)
# A group of each chart's definitions; the others bring none.
GROUPS: dict[str, str] = {
    "kyverno": "policies.kyverno.io",
    "base": "security.istio.io",
    "cert-manager": "cert-manager.io",
    "external-secrets": "external-secrets.io",
}
RENDERED = ("kyverno", "cert-manager", "external-secrets", "istiod", "cni", "ztunnel", "base")


def in_folders(chart: Path) -> list[str]:
    """The definitions that Helm would install once, and never change: those of a folder `crds` of a chart."""
    return [
        str(file.relative_to(chart))
        for folder in chart.rglob("crds")
        # A subchart or a folder of templates may have this name as well.
        if (folder.parent / "Chart.yaml").is_file() and not (folder / "Chart.yaml").is_file()
        for file in folder.rglob("*.y*ml")
    ]


@pytest.mark.parametrize("lines", [CLUSTER, PREVIOUS], ids=["pinned", "before"])
def test_no_chart_has_definitions_that_helm_leaves_behind(lines: Module) -> None:
    places = [place for place in stage_charts(lines).iterdir() if place.is_dir()]
    assert {place.name for place in places} >= GROUPS.keys()
    assert {place.name: in_folders(place) for place in places} == {place.name: [] for place in places}


def test_a_chart_with_such_a_folder_is_found(tmp_path: Path) -> None:
    (tmp_path / "crds").mkdir()
    (tmp_path / "Chart.yaml").write_text("name: x\nversion: 1.0.0\n")
    (tmp_path / "crds" / "one.yaml").write_text(yaml.safe_dump({"kind": DEFINITION}))
    assert in_folders(tmp_path) == ["crds/one.yaml"]


@pytest.mark.parametrize("chart", RENDERED)
def test_an_upgrade_renders_them(tmp_path: Path, chart: str) -> None:
    made = [part for part in re.split("^---", upgraded(tmp_path, chart), flags=re.MULTILINE) if _IS_ONE.search(part)]
    groups = {found[1] for part in made if (found := _GROUP.search(part))}
    assert groups & {*GROUPS.values()} == ({GROUPS[chart]} if chart in GROUPS else set())


def test_every_chart_of_the_program_was_looked_at() -> None:
    # Those of Vault and OpenBao bring none: what the official one renders is recorded.
    assert {chart.name for chart in CHARTS} == {*RENDERED, "vault", "openbao"}
    assert DEFINITION not in FACTS.read_text()
