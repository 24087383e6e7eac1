"""The dashboard's queries against what the running controllers and the API server expose of themselves."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from kubernetes.client.exceptions import ApiException

from components.kyverno.dashboard import dashboard
from components.kyverno.library import Library, load_library
from embedded.supervisor.controllers import CONTROLLERS
from embedded.supervisor.ports import LOOPBACK
from tests.e2e import pods
from tests.e2e.exposition import Selector, Series, labels_by_metric, parse, problems, selectors
from tests.e2e.plane import Plane
from tests.e2e.policy_reports import scanned

pytestmark = pytest.mark.e2e

STACK = "production"
SHOP = "shop"
DENIED = "disallow-privileged"
REPORTED = "disallow-latest-tag"
# kube-state-metrics is no part of the platform: https://github.com/kubernetes/kube-state-metrics/blob/main/docs/metrics/cluster/namespace-metrics.md
ELSEWHERE = {"kube_namespace_labels": frozenset({"namespace", "label_team"})}
POLICY_KINDS = ("validatingpolicies", "mutatingpolicies", "generatingpolicies", "imagevalidatingpolicies")


def scrape(plane: Plane) -> list[Series]:
    """All that the three controllers and the API server expose, each on its loopback port."""
    api_server = plane.api.call_api("GET", f"{plane.api.configuration.host}/metrics")
    return [*parse(api_server.read().decode()), *scrape_kyverno(plane)]


def scrape_kyverno(plane: Plane) -> Iterator[Series]:
    ports: dict[str, int] = json.loads((plane.state / "ports.json").read_text())
    for controller in CONTROLLERS:
        if controller.namespace == "kyverno":
            answer = requests.get(f"http://{LOOPBACK}:{ports[f'{controller.name}.metrics']}/metrics", timeout=600)
            answer.raise_for_status()
            yield from parse(answer.text)


def applied(plane: Plane) -> Library:
    """The rules that are on: a metric of a kind of rule that is off cannot exist."""
    found: list[Any] = [
        item
        for kind in POLICY_KINDS
        for item in plane.objects.list_cluster_custom_object("policies.kyverno.io", "v1", kind)["items"]
    ]
    names = {item["metadata"]["name"] for item in found}
    return Library({name: rule for name, rule in load_library().rules.items() if name in names})


def reported_pod(name: str) -> dict[str, Any]:
    made = pods.pod(name)
    container = made["spec"]["containers"][0]
    container["image"] = f"{container['image'].rpartition(':')[0]}:latest"
    return made


@pytest.fixture(scope="module")
def production(reported: Plane) -> Iterator[Plane]:
    """The stack with a pod that every rule admits, one that a rule reports, and one that was refused."""
    plane = reported
    plane.stand(STACK)
    made = (pods.pod("measured-good"), reported_pod("measured-reported"))
    for pod in made:
        plane.core.create_namespaced_pod(SHOP, pod)
    with pytest.raises(ApiException, match=DENIED):
        plane.core.create_namespaced_pod(SHOP, pods.BAD[DENIED]("measured-bad"))
    yield plane
    for pod in made:
        plane.core.delete_namespaced_pod(pod["metadata"]["name"], SHOP)


@pytest.fixture(scope="module")
def series(production: Plane) -> list[Series]:
    """What is exposed once the background scan has seen the reported pod."""
    failing = Selector(
        "kyverno_validating_policy_results_total",
        (
            ("policy_name", "=", REPORTED),
            ("resource_namespace", "=", SHOP),
            ("execution_cause", "=", "background_scan"),
            ("result", "=", "fail"),
        ),
    )

    def counted() -> bool:
        return any(failing.selects(one) for one in scrape_kyverno(production))

    scanned(production, counted, f"{REPORTED} counted by the background scan")
    return scrape(production)


@pytest.fixture(scope="module")
def queries(production: Plane) -> dict[str, list[str]]:
    """Every query of the dashboard, by the title of its panel."""
    panels: Any = dashboard(applied(production))["panels"]
    return {panel["title"]: [target["expr"] for target in panel["targets"]] for panel in panels}


def selected(query: str, series: list[Series]) -> list[Series]:
    used = selectors(query)
    return [one for one in series if any(selector.selects(one) for selector in used)]


def test_the_dashboard_uses_no_name_that_is_not_exposed(series: list[Series], queries: dict[str, list[str]]) -> None:
    exposed = labels_by_metric(series) | ELSEWHERE
    wrong = {query: found for panel in queries.values() for query in panel if (found := problems(query, exposed))}
    assert wrong == {}


def test_a_reported_pod_counts_in_the_tier_of_its_rule_alone(
    series: list[Series], queries: dict[str, list[str]]
) -> None:
    tier = load_library().rule(REPORTED).tier
    counted = {
        query
        for query in queries["Compliance now, by tier"]
        if any(found.labels["policy_name"] == REPORTED for found in selected(query, series))
    }
    assert len(counted) == 1
    assert load_library().tier(tier)[0].name in counted.pop()


def test_a_refused_pod_counts_under_the_name_of_its_rule(series: list[Series], queries: dict[str, list[str]]) -> None:
    policies = {one.labels["policy"] for query in queries["Refused in the window"] for one in selected(query, series)}
    assert policies == {f"vpol-{DENIED}"}


@pytest.mark.parametrize(
    "title",
    [
        "Compliance over time, by team",
        "Namespaces, the worst first",
        "Time that Kyverno adds to a request",
        "What the rules changed, made and verified",
        "Changes of policies and exceptions",
    ],
)
def test_every_query_of_a_panel_finds_something(
    title: str, series: list[Series], queries: dict[str, list[str]]
) -> None:
    assert [query for query in queries[title] if not selected(query, series)] == []


def results(plane: Plane) -> Counter[str]:
    """How many results of scans there are so far, by rule."""
    scans = Selector("kyverno_validating_policy_results_total", (("execution_cause", "=", "background_scan"),))
    counted = Counter[str]()
    for one in scrape_kyverno(plane):
        if scans.selects(one):
            counted[one.labels["policy_name"]] += int(one.value)
    return counted


def test_a_scan_leaves_out_the_rules_that_deny(production: Plane) -> None:
    """As the panels say of themselves: when a new Kyverno scans these too, they can show more.

    While a rule is new, before it is a native policy, a scan may still have looked at it.
    """
    found = production.objects.list_cluster_custom_object("policies.kyverno.io", "v1", "validatingpolicies")["items"]
    denying = {item["metadata"]["name"] for item in found if item["spec"]["validationActions"] == ["Deny"]}
    assert DENIED in denying
    before = results(production)
    scanned(production, lambda: results(production)[REPORTED] > before[REPORTED], "another scan")
    assert {rule for rule, number in results(production).items() if number > before[rule]}.isdisjoint(denying)
