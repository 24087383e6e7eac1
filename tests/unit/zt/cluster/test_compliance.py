"""Compliance from policy reports as Kyverno writes them: what counts, what is left out, whose it is."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.clusters import FakeCluster, workload
from zt.cluster.compliance import Compliance, Owner, Violation, measure

RULE = "require-tea"


def violation(name: str = "x") -> Violation:
    return Violation("commerce", "Deployment", "shop", name, "no tea")


class TestMeasure:
    def test_pass_and_fail_are_counted_over_workloads(self) -> None:
        cluster = FakeCluster(
            workload("api", results={"pass": [RULE]}),
            workload("web", results={"fail": [RULE]}),
            workload("db", results={"pass": [RULE], "fail": ["other"]}),
        )
        found = measure(RULE, cluster)
        assert (found.compliant, found.measured, found.percent) == (2, 3, 66.6)
        assert [v.object for v in found.violations] == ["Deployment shop/web"]
        assert found.violations[0].message == "web has no tea"

    def test_no_result_of_the_rule_is_not_measured(self) -> None:
        for cluster in (FakeCluster(), FakeCluster(workload("api", results={"pass": ["other"]}))):
            found = measure(RULE, cluster)
            assert (found.measured, found.percent) == (0, 0.0)
            assert not found.reaches(1)

    @pytest.mark.parametrize(
        ("kind", "owner"),
        [
            ("Pod", "ReplicaSet"),
            ("ReplicaSet", "Deployment"),
            ("Job", "CronJob"),
            ("Pod", "StatefulSet"),
            ("Pod", "Job"),
        ],
    )
    def test_what_a_workload_made_says_nothing_its_owner_does_not(self, kind: str, owner: str) -> None:
        made = workload("api-1", kind=kind, owner=Owner(owner, "api"), results={"fail": [RULE]})
        found = measure(RULE, FakeCluster(workload("api", results={"fail": [RULE]}), made))
        assert (found.measured, found.owned) == (1, 1)

    def test_the_pods_of_a_controller_that_no_rule_reads_count_as_that_controller_once(self) -> None:
        pods = [
            workload(f"r-{n}", kind="ReplicaSet", owner=Owner("Rollout", "r"), results={verdict: [RULE]})
            for n, verdict in enumerate(["pass", "fail", "fail"])
        ]
        found = measure(RULE, FakeCluster(*pods))
        assert (found.compliant, found.measured, found.owned) == (0, 1, 0)
        assert found.violations[0].object == "Rollout shop/r"
        assert found.violations[0].message == "r-1 has no tea; r-2 has no tea"

    def test_a_report_of_an_object_that_is_gone_is_left_out(self) -> None:
        gone = workload("old", results={"fail": [RULE]}, live=False)
        found = measure(RULE, FakeCluster(workload("api", results={"pass": [RULE]}), gone))
        assert (found.measured, found.stale, found.percent) == (1, 1, 100.0)

    def test_an_object_that_was_made_again_under_its_name_is_another(self) -> None:
        before = workload("api", results={"fail": [RULE]}, live=False, uid="before")
        found = measure(RULE, FakeCluster(before, workload("api", results={"pass": [RULE]}, uid="after")))
        assert (found.compliant, found.measured, found.stale) == (1, 1, 1)

    @pytest.mark.parametrize("result", ["error", "warn"])
    def test_a_rule_that_could_not_say_pass_is_not_complied_with(self, result: str) -> None:
        found = measure(RULE, FakeCluster(workload("api", results={result: [RULE]})))
        assert (found.compliant, found.measured) == (0, 1)
        assert found.violations[0].message == f"{result}: api has no tea"

    def test_an_excepted_workload_is_in_no_count(self) -> None:
        found = measure(
            RULE, FakeCluster(workload("api", results={"pass": [RULE]}), workload("old", results={"skip": [RULE]}))
        )
        assert (found.compliant, found.measured, found.excepted) == (1, 1, 1)

    def test_several_results_of_one_object_are_one_workload_and_the_worst_counts(self) -> None:
        found = measure(
            RULE, FakeCluster(workload("api", results={"pass": [RULE, RULE], "fail": [RULE], "skip": [RULE]}))
        )
        assert (found.compliant, found.measured) == (0, 1)

    def test_a_report_without_an_object_is_left_out(self) -> None:
        nameless = workload("api", results={"fail": [RULE]})
        del nameless.report["scope"]
        assert measure(RULE, FakeCluster(nameless)).measured == 0

    def test_each_kind_is_listed_once(self) -> None:
        cluster = FakeCluster(*(workload(f"w{n}", results={"pass": [RULE]}) for n in range(5)))
        measure(RULE, cluster)
        assert sorted(cluster.asked) == [("apps/v1", "Deployment"), ("v1", "Namespace")]


class TestTeam:
    @pytest.mark.parametrize(
        ("labels", "namespaces", "team"),
        [
            ({"team": "payments"}, {"shop": {"team": "commerce"}}, "payments"),
            ({}, {"shop": {"team": "commerce"}}, "commerce"),
            ({"team": ""}, {"shop": {"team": "commerce"}}, "commerce"),
            ({}, {"shop": {}, "other": {"team": "commerce"}}, "unknown"),
            ({}, {}, "unknown"),
        ],
    )
    def test_the_objects_own_label_then_its_namespaces(
        self, labels: dict[str, str], namespaces: Mapping[str, dict[str, str]], team: str
    ) -> None:
        cluster = FakeCluster(workload("api", labels=labels, results={"fail": [RULE]}), namespaces=namespaces)
        assert measure(RULE, cluster).violations[0].team == team

    def test_an_object_of_no_namespace_has_its_own_label_or_none(self) -> None:
        gateway = workload("edge", kind="GatewayClass", namespace="", results={"fail": [RULE]})
        found = measure(RULE, FakeCluster(gateway)).violations[0]
        assert (found.team, found.object) == ("unknown", "GatewayClass edge")

    def test_violations_are_sorted_by_team_then_place(self) -> None:
        found = measure(
            RULE,
            FakeCluster(
                workload("b", labels={"team": "z"}, results={"fail": [RULE]}),
                workload("b", labels={"team": "a"}, namespace="two", results={"fail": [RULE]}),
                workload("a", labels={"team": "a"}, namespace="two", results={"fail": [RULE]}),
                workload("c", labels={"team": "a"}, namespace="one", results={"fail": [RULE]}),
            ),
        )
        assert [(v.team, v.namespace, v.name) for v in found.violations] == [
            ("a", "one", "c"),
            ("a", "two", "a"),
            ("a", "two", "b"),
            ("z", "shop", "b"),
        ]


class TestThreshold:
    @pytest.mark.parametrize(
        ("compliant", "wrong", "threshold", "reached"),
        [
            (9, 1, 90, True),
            (899, 101, 90, False),
            (8, 1, 90, False),
            (1, 0, 100, True),
            (999, 1, 100, False),
            (0, 1, 1, False),
        ],
    )
    def test_the_edge(self, compliant: int, wrong: int, threshold: int, reached: bool) -> None:
        assert Compliance(compliant, (violation(),) * wrong).reaches(threshold) is reached

    def test_what_is_shown_is_rounded_down(self) -> None:
        assert Compliance(8999, (violation(),) * 1001).percent == 89.9

    @given(st.integers(0, 300), st.integers(0, 300), st.integers(1, 100))
    def test_what_is_shown_never_contradicts_the_decision(self, compliant: int, wrong: int, threshold: int) -> None:
        found = Compliance(compliant, (violation(),) * wrong)
        assert found.reaches(threshold) is (found.percent >= threshold and found.measured > 0)


@given(st.lists(st.sampled_from(["pass", "fail", "error", "skip"]), max_size=20), st.randoms())
def test_every_workload_is_in_exactly_one_count_in_any_order(verdicts: list[str], random: Any) -> None:
    made = [workload(f"w{n}", results={verdict: [RULE]}) for n, verdict in enumerate(verdicts)]
    found = measure(RULE, FakeCluster(*made))
    assert found.compliant + len(found.violations) + found.excepted == len(verdicts)
    random.shuffle(made)
    assert measure(RULE, FakeCluster(*made)) == found
