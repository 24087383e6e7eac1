"""Who has to approve a change: the table of approvals says it, per environment."""

from itertools import pairwise

import pytest

from components.config.approvals import APPROVALS, Approver, decided_by
from tests.unit.zt.changes.files import SMALL, Files
from zt.changes.compare import changes

pytestmark = pytest.mark.unit

EGRESS = {"web": {"egress": [{"host": "api.example.com", "port": 443}]}}
PATCH = {
    "web": {
        "patch": {
            "reason": "the image needs its own directory",
            "owner": "commerce",
            "granted": "2026-01-01",
            "expires": "2026-02-01",
            "containers": {"web": {"workingDir": "/app"}},
        }
    }
}
EXCEPTION = {
    "rule": "disallow-latest-tag",
    "reason": "the vendor has no other tag",
    "owner": "commerce",
    "granted": "2026-01-01",
    "expires": "2026-02-01",
}
CRITICAL = {**EXCEPTION, "rule": "require-read-only-root-filesystem"}
GPU = {"placement": {"gpu": {"priorityClass": "high"}}}


def approvals(after: Files, environment: str, before: Files = SMALL) -> set[str]:
    old, new = (Files(files.services, files.stack, files.rules, environment).side() for files in (before, after))
    return {change.approval for change in changes(old, new)}


@pytest.mark.parametrize(
    ("services", "production", "staging"),
    [
        (EGRESS, "platform", "team commerce"),
        (PATCH, "platform", "team commerce"),
        ({"web": {"exceptions": [CRITICAL]}}, "platform", "platform"),
        ({"web": {"exceptions": [EXCEPTION]}}, "platform", "team commerce"),
        ({"web": {"host": "w.example.org"}}, "platform", "platform"),
        # What a service does by itself is its team's in every environment.
        ({"web": {"writable": ["/var/cache"]}}, "team commerce", "team commerce"),
        ({"web": {"calls": ["redis"]}, "redis": {"callers": ["web"]}}, "team commerce", "team commerce"),
    ],
)
def test_a_service_file(services: dict[str, dict[str, object]], production: str, staging: str) -> None:
    files = Files(services)
    for environment, expected in (("production", production), ("staging", staging)):
        found = approvals(files, environment)
        assert expected in found
        assert found <= {expected, ""}


def test_a_class_of_nodes() -> None:
    chosen = Files({"web": {"placement": {"class": "gpu"}}}, GPU)
    assert approvals(chosen, "production", Files(stack=GPU)) == {"platform"}
    assert approvals(chosen, "dev", Files(stack=GPU)) == {"team commerce"}


def test_the_stack_file_is_the_platforms() -> None:
    registry = Files(stack={"registries": ["registry.example.org", "registry.example.net"]})
    assert approvals(registry, "production") == {"platform"}
    assert approvals(Files(stack={"teams": {"payments": {"namespaces": ["payments"]}}}), "production") == {"platform"}


def test_a_change_of_the_team_is_approved_by_the_one_that_has_the_service() -> None:
    assert "team commerce" in approvals(Files({"web": {"team": "other", "writable": ["/var/cache"]}}), "production")


def test_what_is_not_weaker_needs_nobody() -> None:
    assert approvals(SMALL, "production", Files(EGRESS)) == {""}


def test_each_environment_asks_for_what_the_one_before_does() -> None:
    asked = [set(decided_by(name, Approver.PLATFORM)) for name in ("local", "dev", "staging", "production")]
    assert all(less <= more for less, more in pairwise(asked))
    assert APPROVALS.keys() == {"local", "dev", "staging", "production"}
