"""The dashboard of the rule library as data, and the checker that holds its queries against real metrics."""

import json
import re
from itertools import combinations
from typing import Any

import pytest

from components.kyverno.dashboard import NAME, UID, dashboard, dashboard_config_map
from components.kyverno.library import TIERS, VALIDATING_TIERS, Library, load_library
from tests.e2e.exposition import Selector, Series, labels_by_metric, parse, problems, selectors

LIBRARY = load_library()
MADE: Any = dashboard(LIBRARY)
PANELS: list[Any] = MADE["panels"]
CONFIG_MAP_LIMIT_BYTES = 1 << 20


def expressions(panel: Any) -> list[str]:
    return [target["expr"] for target in panel["targets"]]


def titled(title: str) -> Any:
    return next(panel for panel in PANELS if panel["title"] == title)


class TestDashboard:
    def test_it_is_the_same_every_time_and_survives_json(self) -> None:
        assert json.dumps(MADE) == json.dumps(dashboard(load_library()))
        assert json.loads(json.dumps(MADE)) == MADE

    @pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
    def test_every_panel_says_what_it_shows_and_asks_for_it(self, panel: Any) -> None:
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert all(expressions(panel))
        assert expressions(panel)

    def test_ids_and_titles_are_unique(self) -> None:
        assert len({panel["id"] for panel in PANELS}) == len(PANELS)
        assert len({panel["title"] for panel in PANELS}) == len(PANELS)

    @pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
    def test_the_queries_of_a_panel_have_letters_of_their_own(self, panel: Any) -> None:
        letters = [target["refId"] for target in panel["targets"]]
        assert len(set(letters)) == len(letters)

    def test_no_panel_lies_on_another_or_beside_the_page(self) -> None:
        places = [panel["gridPos"] for panel in PANELS]
        assert all(place["x"] >= 0 and place["x"] + place["w"] <= 24 for place in places)
        for one, other in combinations(places, 2):
            apart_across = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
            apart_down = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
            assert apart_across or apart_down

    def test_every_rule_is_in_one_tier_of_one_panel(self) -> None:
        by_tier = [*titled("Compliance over time, by tier")["targets"]]
        by_tier += titled("What the rules changed, made and verified")["targets"]
        found = {
            target["legendFormat"].partition(":")[0]: set(re.findall(r'policy_name=~"([^"]+)"', target["expr"]))
            for target in by_tier
        }
        named = {tier: rules.pop().split("|") for tier, rules in found.items() if len(rules) == 1}
        assert named == {tier: [rule.name for rule in LIBRARY.tier(tier)] for tier in TIERS if LIBRARY.tier(tier)}

    def test_every_query_asks_the_chosen_data_source(self) -> None:
        (chosen,) = (each for each in MADE["templating"]["list"] if each["type"] == "datasource")
        assert chosen["query"] == "prometheus"
        used = {json.dumps(each["datasource"]) for panel in PANELS for each in (panel, *panel["targets"])}
        assert used == {json.dumps({"type": "prometheus", "uid": f"${{{chosen['name']}}}"})}

    def test_every_variable_of_a_query_exists(self) -> None:
        known = {each["name"] for each in MADE["templating"]["list"]} | {"__rate_interval"}
        used = {name for panel in PANELS for query in expressions(panel) for name in re.findall(r"\[\$(\w+)\]", query)}
        assert used <= known

    def test_a_legend_names_labels_that_the_query_keeps(self) -> None:
        for panel in PANELS:
            for target in panel["targets"]:
                kept = {label for group in re.findall(r"by \(([^)]*)\)", target["expr"]) for label in group.split(", ")}
                assert set(re.findall(r"{{(\w+)}}", target.get("legendFormat", ""))) <= kept

    @pytest.mark.parametrize("tier", VALIDATING_TIERS)
    def test_tiers_without_a_rule_leave_no_empty_panel(self, tier: str) -> None:
        alone: Any = dashboard(Library({rule.name: rule for rule in LIBRARY.tier(tier)}))["panels"]
        assert all(panel["targets"] for panel in alone)
        assert "What the rules changed, made and verified" not in {panel["title"] for panel in alone}

    def test_a_tier_that_denies_is_shown_as_such_and_not_left_out(self) -> None:
        panel = titled("Compliance now, by tier")
        assert all(query.endswith(" or vector(-1)") for query in expressions(panel))
        assert "-1" in panel["fieldConfig"]["defaults"]["mappings"][0]["options"]


class TestConfigMap:
    MADE: Any = dashboard_config_map("monitoring", LIBRARY)

    def test_grafanas_sidecar_finds_it(self) -> None:
        metadata = self.MADE["metadata"]
        assert (self.MADE["apiVersion"], self.MADE["kind"]) == ("v1", "ConfigMap")
        assert (metadata["name"], metadata["namespace"]) == (NAME, "monitoring")
        assert metadata["labels"] == {"grafana_dashboard": "1"}
        assert metadata["annotations"] == {"grafana_folder": "Zero trust"}

    def test_it_holds_the_dashboard(self) -> None:
        assert {name: json.loads(text) for name, text in self.MADE["data"].items()} == {f"{UID}.json": MADE}

    def test_the_api_server_takes_it(self) -> None:
        assert len(json.dumps(self.MADE).encode()) < CONFIG_MAP_LIMIT_BYTES


SCRAPED = parse(
    """
# HELP rules_total Results, by {rule}.
# TYPE rules_total counter
rules_total{rule="a",result="pass",note="a \\"quoted\\" {brace}"} 3
rules_total{rule="b",result="fail"} 1 1700000000
build_info 1
latency_bucket{le="0.1"} 2
"""
)
EXPOSED = labels_by_metric(SCRAPED)


class TestChecker:
    def test_it_reads_the_text_format(self) -> None:
        assert [one.metric for one in SCRAPED] == ["rules_total", "rules_total", "build_info", "latency_bucket"]
        assert SCRAPED[0].labels == {"rule": "a", "result": "pass", "note": 'a "quoted" {brace}'}
        assert EXPOSED["rules_total"] == {"rule", "result", "note"}

    @pytest.mark.parametrize(
        "query",
        [
            'sum by (rule) (increase(rules_total{result=~"pass|fail"}[$window]))',
            "1 - (sum(rate(rules_total[5m])) or 0 * build_info) / (build_info > 0.5)",
            "histogram_quantile(0.99, sum by (le) (rate(latency_bucket[$__rate_interval])))",
            'sum by (of) (label_replace(rules_total, "of", "$1", "rule", "(.+)"))',
            "sum by (rule) (rules_total * on (rule) group_left (result) rules_total)",
            "vector(0)",
        ],
    )
    def test_what_is_exposed_passes(self, query: str) -> None:
        assert problems(query, EXPOSED) == []

    @pytest.mark.parametrize(
        ("query", "typo"),
        [
            ("sum(increase(rule_total[$window]))", "rule_total"),
            ("build_inf", "build_inf"),
            ("rules_total / bulid_info", "bulid_info"),
            ('rules_total{rules="a"}', "rules"),
            ('rules_total{result="pass",rulename!="a"}', "rulename"),
            ("sum by (rul) (rules_total)", "rul"),
            ("sum(rules_total) by (rul)", "rul"),
            ("rules_total * on (rule, reslt) build_info", "reslt"),
            ("rules_total * on (rule) group_left (teams) build_info", "teams"),
            ('label_replace(rules_total, "of", "$1", "rul", "(.+)")', "rul"),
            ('sum by (off) (label_replace(rules_total, "of", "$1", "rule", "(.+)"))', "off"),
        ],
    )
    def test_a_typo_is_named(self, query: str, typo: str) -> None:
        (problem,) = problems(query, EXPOSED)
        assert re.search(rf"\bno (metric|label) {typo}\b", problem)

    @pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
    def test_it_sees_a_metric_in_every_query_of_the_dashboard(self, panel: Any) -> None:
        assert all(selectors(query) for query in expressions(panel))
        assert all(problems(query, {}) for query in expressions(panel))

    @pytest.mark.parametrize(
        ("matcher", "selected"),
        [
            (("rule", "=", "a"), True),
            (("rule", "!=", "a"), False),
            (("rule", "=~", "a|c"), True),
            (("rule", "=~", "A"), False),
            (("rule", "!~", "b.*"), True),
            (("absent", "=", ""), True),
        ],
    )
    def test_a_selector_selects_as_prometheus_does(self, matcher: tuple[str, str, str], selected: bool) -> None:
        assert Selector("rules_total", (matcher,)).selects(Series("rules_total", {"rule": "a"})) is selected

    def test_a_selector_selects_its_own_metric_alone(self) -> None:
        assert not Selector("rules_total", ()).selects(Series("build_info", {}))
