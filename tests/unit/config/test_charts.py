"""Where a stack takes its charts from: the projects' own places, a mirror, an OCI registry, or a directory."""

from typing import Any, cast, get_args

import pytest

from components.config.charts import ChartName, Project
from components.kube.charts import CHARTS, GATEWAY_API_CRDS, ISTIOD, KYVERNO, REPOSITORIES, ChartSources
from components.schema.problem import ConfigError
from tests.support.stacks import plan_of, stack

pytestmark = pytest.mark.unit

DIGEST = f"sha256:{'0a' * 32}"


def sources(**charts: Any) -> ChartSources:
    made = plan_of("production", charts=charts).mesh
    assert made is not None
    return made.charts


def test_every_chart_and_project_may_be_named() -> None:
    assert set(get_args(ChartName)) == {chart.name for chart in CHARTS}
    assert set(get_args(Project)) == set(REPOSITORIES) == {chart.project for chart in CHARTS}


def test_istio_comes_from_where_it_is_published_since_1_31() -> None:
    assert ISTIOD.source(sources()) == {
        "chart": "istiod",
        "version": ISTIOD.version,
        "repositoryOpts": {"repo": "https://blob.istio.io/istio-release/charts"},
    }


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.name)
def test_a_mirror_is_an_https_repository_or_a_registry(chart: Any) -> None:
    mirrored = sources(repositories={chart.project: "https://mirror.example.org/charts/"})
    assert chart.source(mirrored)["repositoryOpts"] == {"repo": "https://mirror.example.org/charts"}
    registry = sources(repositories={chart.project: "oci://registry.example.org/charts"})
    assert chart.source(registry) == {
        "chart": f"oci://registry.example.org/charts/{chart.name}",
        "version": chart.version,
    }


def test_the_digest_of_a_chart_in_a_registry_is_part_of_its_name() -> None:
    named = sources(repositories={"kyverno": "oci://registry.example.org/charts"}, digests={"kyverno": DIGEST})
    assert KYVERNO.source(named) == {
        "chart": f"oci://registry.example.org/charts/kyverno@{DIGEST}",
        "version": KYVERNO.version,
    }


def test_without_a_network_a_directory_has_them_all() -> None:
    offline = sources(directory="/srv/charts")
    assert [chart.source(offline) for chart in CHARTS] == [{"chart": f"/srv/charts/{chart.name}"} for chart in CHARTS]
    assert GATEWAY_API_CRDS.source(offline) == "/srv/charts/gateway-api.yaml"


def test_the_definitions_of_the_gateway_api_have_an_address_of_their_own() -> None:
    address = "https://files.example.org/gateway-api.yaml"
    assert GATEWAY_API_CRDS.source(sources(gatewayApi=address)) == address
    assert GATEWAY_API_CRDS.source(sources()).endswith("/standard-install.yaml")


@pytest.mark.parametrize(
    ("charts", "key", "words"),
    [
        ({"repositories": {"istio": "http://mirror.example.org"}}, "charts.repositories.istio", "not a repository"),
        ({"repositories": {"istio": "oci://user@r.example.org/x"}}, "charts.repositories.istio", "not a repository"),
        ({"repositories": {"linkerd": "https://x.example.org"}}, "charts.repositories.linkerd", ""),
        ({"digests": {"kyverno": DIGEST}}, "charts.digests.kyverno", "OCI registries alone"),
        ({"digests": {"cert-manager": "sha256:1"}}, "charts.digests.cert-manager", "not a digest"),
        ({"directory": "charts"}, "charts.directory", "absolute"),
        (
            {"directory": "/srv", "repositories": {"istio": "https://x.example.org"}},
            "charts.repositories",
            "leave one of them out",
        ),
        ({"gatewayApi": "https://files.example.org"}, "charts.gatewayApi", "address of a file"),
    ],
)
def test_another_place_is_refused(charts: dict[str, Any], key: str, words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        stack("production", charts=charts)
    [problem] = cast("list[Any]", refused.value.problems)
    assert problem.key.endswith(key)
    assert words in problem.message
