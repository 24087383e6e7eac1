"""The owners of the files and the forms for issues: they name what is there, and GitHub takes them."""

import fnmatch
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.stacks import ROOT

pytestmark = pytest.mark.unit

GITHUB = ROOT / ".github"
FORMS = sorted(set((GITHUB / "ISSUE_TEMPLATE").glob("*.yml")) - {GITHUB / "ISSUE_TEMPLATE" / "config.yml"})
LINES = (GITHUB / "CODEOWNERS").read_text(encoding="utf-8").splitlines()
OWNED = [line.split() for line in LINES if line.startswith(("/", "*"))]
TEAM = re.compile(r"@example-org/[a-z-]+")


@pytest.mark.parametrize("line", OWNED, ids=lambda line: line[0])
def test_a_line_of_the_owners_names_teams_and_what_is_there(line: list[str]) -> None:
    pattern, *teams = line
    assert teams
    assert all(TEAM.fullmatch(team) for team in teams)
    assert pattern == "*" or list(ROOT.glob(pattern.strip("/")))


@pytest.mark.parametrize("path", ["Pulumi.production.yaml", "policies/baseline.yaml", "components/__init__.py"])
def test_what_a_stack_enforces_is_never_a_team_s_own(path: str) -> None:
    assert "@example-org/platform-security" in owners(path)
    assert "@example-org/application-teams" not in owners(path)


def test_a_service_belongs_to_its_team_unless_it_says_what_the_platform_approves() -> None:
    team = yaml.safe_load((ROOT / "services/redis.yaml").read_text(encoding="utf-8"))["team"]
    assert owners("services/redis.yaml") == [f"@example-org/{team}"]
    # It is public.
    assert owners("services/api.yaml") == ["@example-org/platform"]
    assert owners("services/another.yaml") == ["@example-org/platform"]


def owners(path: str) -> list[str]:
    """The teams of the last line that matches, as GitHub takes it."""

    def holds(pattern: str) -> bool:
        inside = pattern.strip("/")
        return pattern == "*" or fnmatch.fnmatch(path, inside) or (pattern[-1] == "/" and path.startswith(f"{inside}/"))

    return [teams for pattern, *teams in OWNED if holds(pattern)][-1]


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_a_form_has_what_github_asks_for(path: Path) -> None:
    form: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert form["name"]
    assert form["description"]
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert len({field["id"] for field in fields}) == len(fields)
    for field in fields:
        assert field["type"] in {"dropdown", "input", "textarea"}
        assert field["attributes"]["label"]
        assert field["type"] != "dropdown" or len(set(field["attributes"]["options"])) >= 2


def test_an_issue_has_a_form_and_a_vulnerability_another_way() -> None:
    chooser = yaml.safe_load((GITHUB / "ISSUE_TEMPLATE" / "config.yml").read_text(encoding="utf-8"))
    assert chooser["blank_issues_enabled"] is False
    assert any(link["url"].endswith("/security/advisories/new") for link in chooser["contact_links"])


def test_a_pull_request_is_asked_for_its_promise_its_test_and_what_it_weakens() -> None:
    text = (GITHUB / "pull_request_template.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert {"Which promise changes", "Which test proves it", "Does it weaken a posture"} <= set(headings)
    assert "Accept-weaker" in text
