"""What the commands of `zt` say of packages: consents, exceptions, verdicts and facts."""

import json
from datetime import date
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from components.kyverno.library import load_library
from components.program.plan import plan
from tests.support.packages import API, DAYS, FILE, Manifest, objects, role, stack_of, write
from tests.support.stacks import ROOT
from zt.check.kyverno_result import Result
from zt.check.plan import parse_plan
from zt.check.verdicts import Outcome, read_service_texts, verdicts
from zt.cli import app
from zt.facts.model import Exemption, Granted, Public, Reach, VaultAccess
from zt.facts.read import facts_of

pytestmark = pytest.mark.unit

RULE = "require-run-as-non-root"
EXCEPTION = {"rule": RULE, "workload": "web", **DAYS}
CALLING: Manifest = {**API, "calls": ["guests/guestbook"], "callers": ["guests/guestbook"]}
PACKAGE = "zero-trust:platform:Package"
URN = "urn:pulumi:production::zero-trust::"


def zt(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    return done.exit_code, done.stdout


def test_consents_are_written_into_the_files_of_packages(tmp_path: Path) -> None:
    called = {**FILE, "calls": [{"service": "shop/api", "workloads": ["web"]}]}
    write(tmp_path, objects(), called, api={**API, "calls": ["guests/guestbook"]})
    code, text = zt("consent", "--project", str(tmp_path), "--format", "json")
    missing = {(row["file"], row["caller"]) for row in json.loads(text)["missing"]}
    assert (code, missing) == (1, {("packages/guestbook.yaml", "shop/api"), ("services/api.yaml", "guests/guestbook")})
    assert zt("consent", "--project", str(tmp_path), "--write")[0] == 0
    assert yaml.safe_load((tmp_path / "packages/guestbook.yaml").read_text())["callers"] == ["shop/api"]
    assert stack_of(tmp_path).packages


def test_exceptions_and_grants_are_listed_until_their_day(tmp_path: Path) -> None:
    grant = {"kind": "ClusterRole", "names": ["nodes"], **DAYS}
    clear = {"workload": "web", "port": 8080, "cidrs": ["10.0.0.0/24"], **DAYS}
    file = {**FILE, "exceptions": [EXCEPTION], "grants": [grant], "plaintextPorts": [clear]}
    write(tmp_path, objects(), file)
    for shared in ("policies", "Pulumi.production.yaml"):
        (tmp_path / shared).symlink_to(ROOT / shared)
    arguments = ("exceptions", "--project", str(tmp_path), "--format", "json", "--as-of")
    code, text = zt(*arguments, "2026-11-20")
    rows = {(row["service"], row["rule"], row["tier"], row["daysLeft"]) for row in json.loads(text)["exceptions"]}
    assert code == 0
    assert rows == {
        ("guests/web", RULE, "critical", 11),
        ("guests/guestbook", "grant:ClusterRole/nodes", "grant", 11),
        ("guests/web", "mtls:8080", "mesh", 11),
    }
    assert zt(*arguments, "2026-12-01")[0] == 1


def test_facts_have_each_workload_and_both_ends_of_its_calls(tmp_path: Path) -> None:
    called = {**FILE, "callers": ["shop/api"], "calls": [{"service": "shop/api", "workloads": ["web"]}]}
    stack = stack_of(write(tmp_path, objects(), {**called, "exceptions": [EXCEPTION]}, api=CALLING))
    facts = set(facts_of(stack, plan(stack), load_library()))
    reaches = {(fact.source, fact.target, fact.port) for fact in facts if isinstance(fact, Reach)}
    assert reaches == {
        ("shop/api", "guests/web", 8080),
        ("guests/web", "shop/api", 8080),
        ("guests/web", "guests/store", 6379),
    }
    assert {(fact.service, fact.rule) for fact in facts if isinstance(fact, Exemption)} == {("guests/web", RULE)}


def test_facts_have_what_a_package_is_granted_where_it_is_public_and_what_it_reads(tmp_path: Path) -> None:
    nodes = role("ClusterRole", "nodes", {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]})
    file = {
        **FILE,
        "expose": [{"service": "web", "port": 80, "host": "guests.example.org"}],
        "secrets": {"session": {"workload": "web", "generate": ["key"]}},
        "grants": [{"kind": "ClusterRole", "names": ["nodes"], **DAYS}],
    }
    stack = stack_of(write(tmp_path, [*objects(), nodes], file))
    facts = set(facts_of(stack, plan(stack), load_library()))
    assert Granted("guests/guestbook", "ClusterRole nodes", "2026-12-01") in facts
    assert {(fact.service, fact.host) for fact in facts if isinstance(fact, Public)} == {
        ("guests/web", "guests.example.org")
    }
    assert {(fact.service, fact.path) for fact in facts if isinstance(fact, VaultAccess)} == {
        ("guests/web", "secret/data/guests/guestbook/session")
    }


def test_the_report_has_the_workloads_of_packages(tmp_path: Path) -> None:
    public = {**FILE, "callers": ["shop/api"], "expose": [{"service": "web", "port": 80, "host": "guests.example.org"}]}
    write(tmp_path, objects(), public, api={**API, "calls": ["guests/guestbook"]})
    for shared in ("policies", "Pulumi.production.yaml"):
        (tmp_path / shared).symlink_to(ROOT / shared)
    code, text = zt("report", "--stack", "production", "--project", str(tmp_path), "--format", "json")
    report = json.loads(text)
    assert code == 0
    assert {row["name"]: row["calledBy"] for row in report["services"]} == {
        "shop/api": [],
        "guests/migrate": [],
        "guests/store": ["guests/web"],
        "guests/web": ["shop/api"],
    }
    assert [(row["service"], row["url"]) for row in report["public"]] == [("guests/web", "https://guests.example.org/")]
    assert {(row["source"], row["target"]) for row in report["connections"]} == {
        ("guests/web", "guests/store"),
        ("shop/api", "guests/web"),
    }


def test_facts_know_a_workload_whose_account_has_another_name(tmp_path: Path) -> None:
    made = objects()
    made[0]["metadata"]["name"] = made[3]["spec"]["template"]["spec"]["serviceAccountName"] = "front"
    called = {**FILE, "calls": [{"service": "shop/api", "workloads": ["web"]}]}
    stack = stack_of(write(tmp_path, made, called, api={**API, "callers": ["guests/guestbook"]}))
    reaches = [fact for fact in facts_of(stack, plan(stack), load_library()) if isinstance(fact, Reach)]
    assert ("guests/web", "shop/api") in {(fact.source, fact.target) for fact in reaches}


def _plan() -> str:
    """A plan with the Deployment of a package, its exception and the rule."""
    policy = {
        "apiVersion": "policies.kyverno.io/v1",
        "kind": "ValidatingPolicy",
        "metadata": {"name": RULE, "annotations": {"zero-trust.dev/service-key": "runAsUser"}},
        "spec": {"validationActions": ["Deny"]},
    }
    annotations = {"service": "guests/guestbook", "rule": RULE, "workload": "web", "expires": "2026-12-01"}
    exception = {
        "apiVersion": "policies.kyverno.io/v1",
        "kind": "PolicyException",
        "metadata": {"name": "e", "annotations": {f"zero-trust.dev/{key}": text for key, text in annotations.items()}},
        "spec": {"policyRefs": [{"name": RULE}]},
    }
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "guests"}}
    component = f"{URN}{PACKAGE}::guests.guestbook"
    states = [
        {"urn": component, "type": PACKAGE, "inputs": {}},
        {
            "urn": f"{URN}a::deployment",
            "type": "kubernetes:apps/v1:Deployment",
            "inputs": deployment,
            "parent": component,
        },
        {"urn": f"{URN}a::policy", "type": "kubernetes:policies.kyverno.io/v1:ValidatingPolicy", "inputs": policy},
        {"urn": f"{URN}a::e", "type": "kubernetes:policies.kyverno.io/v1:PolicyException", "inputs": exception},
    ]
    return json.dumps({"steps": [{"op": "create", "urn": state["urn"], "newState": state} for state in states]})


@pytest.mark.parametrize(
    ("day", "outcome", "place"),
    [
        (date(2026, 11, 20), Outcome.REFUSED, ("packages/guestbook.yaml", "manifests")),
        (date(2026, 12, 1), Outcome.EXPIRED, ("packages/guestbook.yaml", "exceptions[1].expires")),
    ],
)
def test_a_verdict_names_the_package_its_file_and_what_to_change(
    tmp_path: Path, day: date, outcome: Outcome, place: tuple[str, str]
) -> None:
    write(tmp_path, objects(), {**FILE, "exceptions": [{**EXCEPTION, "workload": "store"}, EXCEPTION]})
    identity = ("apps/v1", "Deployment", "guests", "web")
    read = parse_plan(_plan(), "plan")
    found = verdicts(read, [Result(RULE, identity, "fail", "no", ())], read_service_texts(tmp_path), day)
    verdict = next(each for each in found if each.outcome is outcome)
    assert (verdict.service, verdict.place.file, verdict.place.key) == ("guests.guestbook", *place)
    assert verdict.place.line > 1
