"""What each kind of change means: from files to sentences and classes, and what must hold for all of them."""

from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.kyverno.library import REGISTRY_RULE, load_library
from tests.unit.zt.changes.cases import SERVICE_CASES
from tests.unit.zt.changes.cases_facts import FACT_CASES
from tests.unit.zt.changes.cases_layers import LAYER_CASES
from tests.unit.zt.changes.cases_network import NETWORK_CASES
from tests.unit.zt.changes.cases_platform import PLATFORM_CASES
from tests.unit.zt.changes.cases_workload import WORKLOAD_CASES
from tests.unit.zt.changes.files import SMALL, Case, Files, posture
from zt.changes.compare import Change, changes
from zt.changes.comparisons import Class, day, image, limit, more_is_stronger, more_is_weaker, scale, seal, switched
from zt.changes.directions import ACTION, CLEAR_TEXT, DATABASE, EXEMPTION, GRANTS, MOVED, PLATFORM, RULE_TEXT, SERVICE
from zt.changes.rule_parameters import LISTS, PARAMETERS
from zt.facts.model import COMMIT_DAY, SIDE, Fact, Grant, PlatformSetting, ServiceSetting, Setting, Side, key_of
from zt.facts.rules import RuleParameter

CASES = [*SERVICE_CASES, *WORKLOAD_CASES, *NETWORK_CASES, *PLATFORM_CASES, *LAYER_CASES]


def said(found: tuple[Change, ...]) -> list[tuple[str, str]]:
    return [(change.means.value, change.sentence) for change in found]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_change_of_files(case: Case) -> None:
    # The keys of files that no other fact tells of are in test_file_keys.
    found = changes(case.before.side(), case.after.side())
    assert said(tuple(change for change in found if change.kind != "file-key")) == sorted_lines(case.lines)


@pytest.mark.parametrize("case", FACT_CASES, ids=[case[0] for case in FACT_CASES])
def test_a_change_that_only_the_program_can_make(case: tuple[str, list[Fact], list[Fact], list[str]]) -> None:
    _, before, after, lines = case
    found = changes(Side("production", frozenset(before)), Side("production", frozenset(after)))
    assert said(found) == sorted_lines(lines)


def sorted_lines(lines: list[str]) -> list[tuple[str, str]]:
    """The lines as `weaker: sentence`, in the order of a diff."""
    split = [(means, sentence) for means, _, sentence in (line.partition(": ") for line in lines)]
    assert [Class(means) for means, _ in split] == sorted((Class(m) for m, _ in split), key=list(Class).index)
    return split


def every_change() -> list[Change]:
    found = [change for case in CASES for change in changes(case.before.side(), case.after.side())]
    for _, before, after, _ in FACT_CASES:
        found += changes(Side("production", frozenset(before)), Side("production", frozenset(after)))
    return found


class TestTheTables:
    def test_every_kind_of_fact_has_a_case(self) -> None:
        kinds = {kind.__dataclass_fields__["kind"].default for kind in get_args(Fact)}
        assert {change.kind for change in every_change()} == kinds

    def test_every_setting_has_a_case(self) -> None:
        sentences = [change.sentence for change in every_change()]
        labels = [direction.label for table in (PLATFORM, SERVICE, DATABASE) for direction in table.values()]
        assert [label for label in labels if not any(line.startswith(label) for line in sentences)] == []

    def test_every_kind_of_grant_has_a_direction(self) -> None:
        kinds = {kind.__dataclass_fields__["kind"].default for kind in get_args(Grant)}
        assert GRANTS.keys() == kinds - {"rule-item"}

    def test_every_direction_has_a_reason(self) -> None:
        tables = (PLATFORM, SERVICE, DATABASE, PARAMETERS, GRANTS, LISTS)
        one_by_one = (ACTION, CLEAR_TEXT, MOVED, EXEMPTION, RULE_TEXT)
        assert all(direction.reason for table in tables for direction in table.values())
        assert all(direction.reason for direction in one_by_one)

    def test_every_parameter_of_the_library_has_a_direction(self) -> None:
        parameters = {
            f"{rule.name}.{name}": value
            for rule in load_library().rules.values()
            for name, value in rule.parameters.items()
        }
        lists = {name for name, value in parameters.items() if isinstance(value, list)}
        assert LISTS.keys() == lists - {f"{REGISTRY_RULE}.registries"}
        assert PARAMETERS.keys() == parameters.keys() - lists

    def test_every_setting_of_a_plan_is_in_a_table(self) -> None:
        facts = SMALL.side().facts
        assert {fact.name for fact in facts if isinstance(fact, PlatformSetting)} <= PLATFORM.keys()
        assert {fact.name for fact in facts if isinstance(fact, ServiceSetting)} <= SERVICE.keys()


class TestDirections:
    @pytest.mark.parametrize(
        ("before", "after", "means"),
        [
            ("2", "1", "weaker"),
            ("1Gi", "1G", "weaker"),
            ("500m", "1", "stronger"),
            ("1", "1000m", "neutral"),
            ("1Ei", "1E", "weaker"),
        ],
    )
    def test_amounts(self, before: str, after: str, means: str) -> None:
        assert more_is_stronger(before, after) == means
        assert more_is_weaker(after, before) == means

    @pytest.mark.parametrize(
        ("before", "after", "means"),
        [("10", "unlimited", "weaker"), ("unlimited", "10", "stronger"), ("10", "20", "weaker")],
    )
    def test_limits(self, before: str, after: str, means: str) -> None:
        assert limit(before, after) == means

    @pytest.mark.parametrize(
        ("before", "after", "means"), [("a", "off", "weaker"), ("off", "a", "stronger"), ("a", "b", None)]
    )
    def test_switches(self, before: str, after: str, means: str | None) -> None:
        assert switched(before, after) == means

    def test_what_is_no_amount_has_no_direction(self) -> None:
        assert more_is_stronger("many", "1") is None
        assert more_is_weaker("1", "1Zi") is None

    def test_what_is_not_on_a_scale_has_no_direction(self) -> None:
        assert scale(False, True)("on", "sometimes") is None

    @pytest.mark.parametrize(
        ("before", "after", "means"),
        [
            ("r.io/a:1", "r.io/a:2", "neutral"),
            ("r.io/a:1@sha256:0", "r.io/a:1", "weaker"),
            ("r.io/a:1", "r.io/a@sha256:0", "stronger"),
            ("r.io/a:1", "r.io/b:1", None),
            ("r.io:5000/a:1", "r.io:5001/a:1", None),
        ],
    )
    def test_images(self, before: str, after: str, means: str | None) -> None:
        assert image(before, after) == means

    def test_seals(self) -> None:
        assert seal("awskms", "static") == "weaker"
        assert seal("static", "transit") == "stronger"
        assert seal("awskms", "transit") is None

    def test_days(self) -> None:
        assert day(COMMIT_DAY, "2026-01-01") == "weaker"
        assert day("2026-01-01", COMMIT_DAY) == "stronger"
        assert day("2026-02-01", "2026-01-01") == "weaker"

    def test_a_parameter_that_no_table_has_counts_as_weaker_both_ways(self) -> None:
        old, new = (Side("dev", frozenset({RuleParameter("r", "critical", "depth", value)})) for value in "12")
        for before, after in ((old, new), (new, old)):
            [found] = changes(before, after)
            assert (found.means, found.known) == (Class.WEAKER, False)
            assert "unknown" in found.reason


@cache
def pool() -> list[Fact]:
    found = {fact for case in CASES for files in (case.before, case.after) for fact in files.side().facts}
    return [*sorted(found, key=repr), *(fact for _, before, after, _ in FACT_CASES for fact in (*before, *after))]


def once(facts: set[Fact]) -> Side:
    # Of a setting a plan has one value.
    settings = {key_of(fact): fact for fact in sorted(facts, key=repr) if isinstance(fact, Setting)}
    return Side("production", frozenset({*settings.values(), *(f for f in facts if not isinstance(f, Setting))}))


# Deferred: the pool costs seconds, which a run of another test should not pay.
SIDES = st.deferred(lambda: st.sets(st.sampled_from(pool()), max_size=60)).map(once)


class TestWhatHoldsForAll:
    @given(SIDES)
    def test_a_plan_does_not_differ_from_itself(self, side: Side) -> None:
        assert changes(side, side) == ()

    @given(SIDES, SIDES)
    def test_the_way_back_is_the_opposite(self, one: Side, other: Side) -> None:
        def shape(change: Change, turn: Callable[[Class], Class]) -> tuple[object, ...]:
            means = turn(change.means) if change.known else change.means
            return (change.kind, change.layer, change.subject, means, *sorted((change.before, change.after)))

        there = Counter(shape(change, lambda means: means) for change in changes(one, other))
        back = Counter(shape(change, lambda means: means.reversed) for change in changes(other, one))
        assert there == back

    @given(SIDES, SIDES)
    def test_what_is_weaker_comes_first_and_has_a_reason(self, one: Side, other: Side) -> None:
        found = changes(one, other)
        assert [change.means for change in found] == sorted((c.means for c in found), key=list(Class).index)
        assert all(change.sentence and change.reason for change in found)

    @given(SIDES)
    def test_a_side_survives_the_way_between_two_processes(self, side: Side) -> None:
        assert SIDE.validate_json(SIDE.dump_json(side)) == side


class TestNames:
    def test_a_name_of_two_namespaces_is_said_in_full(self) -> None:
        other = {"namespace": "bank", "team": "bank", "image": "registry.example.org/bank/api:v1", "port": 8080}
        after = Files({"bank": {**other, "name": "api"}, "web": {"calls": ["bank/api", "redis"]}})
        assert [change.sentence for change in changes(SMALL.side(), after.side())] == [
            "web may now reach bank/api:8080",
            "web may now reach redis:6379",
            "bank/api is a new service of team bank",
        ]

    def test_a_stack_that_enforces_nothing_is_open_whatever_its_files_say(self) -> None:
        quiet = Files(environment="dev")
        more = Files({"web": {"calls": ["redis"]}}, environment="dev")
        assert changes(quiet.side(), more.side()) == ()

    def test_the_authorization_alone_holds_too(self) -> None:
        reason = posture(networkPolicies=False)
        found = changes(Files(stack=reason).side(), Files({"web": {"calls": ["redis"]}}, stack=reason).side())
        assert said(found) == [("weaker", "web may now reach redis:6379")]
