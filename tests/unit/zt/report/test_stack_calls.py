"""Calls between stacks in `zt report`: which of the two halves are there, and which is missing."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from components.service.args.service import SecureServiceArgs
from components.service.args.team import team_args
from components.service.manifests.metadata import metadata
from components.service.manifests.network_policy import network_policy_spec
from tests.unit.service.test_team import SMALL, TEAMS, platform
from tests.unit.zt.report import stack as stacks
from zt.cluster.access import Access
from zt.report.build import Request, report
from zt.report.model import Report
from zt.report.page import page

pytestmark = pytest.mark.unit

NOW = datetime(2026, 3, 1, tzinfo=UTC)
LEDGER = SMALL.replace("payments", "ledger")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A stack whose service calls one team, and agrees to another."""
    web = stacks.service("shop", "web", calls=["ledger/book:8080"], callers=["payments/checkout"])
    (tmp_path / "project").mkdir()
    return stacks.project(tmp_path / "project", {"web": web}, {"teams": TEAMS})


def team(tmp_path: Path, name: str, file: str, team: str) -> SecureServiceArgs:
    path = tmp_path / f"{name}.yaml"
    path.write_text(file)
    return team_args(path, platform(team=team), lambda: date(2026, 3, 1))


def policy(args: SecureServiceArgs) -> dict[str, Any]:
    """The network policy of a service as the API server has it."""
    return {"metadata": metadata(args), "spec": network_policy_spec(args)}


def read(project: Path, *deployed: SecureServiceArgs, cluster: bool = True) -> Report:
    live = stacks.ReportCluster(policies=[policy(args) for args in deployed])
    access = Access() if cluster else None
    return report(Request("production", project, NOW, NOW.date(), access), lambda _: live)


def halves(found: Report) -> dict[tuple[str, str], tuple[str, str]]:
    return {(call.caller, call.callee): (call.caller_half, call.callee_half) for call in found.stack_calls}


def test_without_a_cluster_a_stack_knows_its_own_halves(project: Path) -> None:
    assert halves(read(project, cluster=False)) == {
        ("shop/web", "ledger/book"): ("there", "not measured"),
        ("payments/checkout", "shop/web"): ("not measured", "there"),
    }


def test_a_half_that_the_other_stack_has_not_made_is_missing(project: Path) -> None:
    assert halves(read(project)) == {
        ("shop/web", "ledger/book"): ("there", "missing"),
        ("payments/checkout", "shop/web"): ("missing", "there"),
    }


def test_both_halves(project: Path, tmp_path: Path) -> None:
    book = team(tmp_path, "book", LEDGER + "callers: [shop/web]\n", "ledger")
    checkout = team(tmp_path, "checkout", SMALL + "calls: [shop/web:8080]\n", "payments")
    assert set(halves(read(project, book, checkout)).values()) == {("there", "there")}


def test_a_call_that_this_stack_s_service_has_not_agreed_to(project: Path, tmp_path: Path) -> None:
    other = team(tmp_path, "other", SMALL + "calls: [shop/web:8080]\n", "payments")
    assert halves(read(project, other))["payments/other", "shop/web"] == ("there", "missing")


def test_a_call_between_two_teams(project: Path, tmp_path: Path) -> None:
    checkout = team(tmp_path, "checkout", SMALL + "calls: [ledger/book:8080]\n", "payments")
    book = team(tmp_path, "book", LEDGER + "callers: [payments/checkout]\n", "ledger")
    edge = ("payments/checkout", "ledger/book")
    assert halves(read(project, checkout))[edge] == ("there", "missing")
    assert halves(read(project, book))[edge] == ("missing", "there")
    assert halves(read(project, book, checkout))[edge] == ("there", "there")


def test_a_call_within_a_team_is_none_between_stacks(project: Path, tmp_path: Path) -> None:
    checkout = team(tmp_path, "checkout", SMALL + "calls: [payments/risk:8080]\n", "payments")
    assert ("payments/checkout", "payments/risk") not in halves(read(project, checkout))


def test_the_page_shows_them(project: Path) -> None:
    assert "Calls between stacks" in page(read(project))
