"""Exceptions: what a service file may ask for, for how long, and the object that it becomes."""

import subprocess
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from components.config.commit_date import commit_date
from components.schema.problem import ConfigError, FieldError
from components.service.args.resolve import services_args
from components.service.file.directory import Admission, parse_service, read_services
from components.service.file.service import ServiceSpec
from components.service.manifests.exceptions import condition_name, exception_manifest, workload_expression
from components.service.secure_service import SecureService
from tests.support import stacks
from tests.support.monitor import record

pytestmark = pytest.mark.unit

GRANTED = date(2026, 3, 1)
SMALL = "namespace: shop\nteam: commerce\nimage: r.example.org/shop/x:v1\nport: 8080\n"


def file_with(rule: str = "disallow-privileged", days: int = 30, **changes: str) -> str:
    entry = {
        "rule": rule,
        "reason": "the vendor's image needs it until 5.0",
        "owner": "commerce",
        "granted": GRANTED.isoformat(),
        "expires": (GRANTED + timedelta(days)).isoformat(),
    }
    lines = [f"    {key}: {value}" for key, value in (entry | changes).items() if value]
    return SMALL + "exceptions:\n  - " + "\n".join(lines).lstrip() + "\n"


def read(tmp_path: Path, text: str, as_of: Callable[[], date | None] = lambda: GRANTED) -> tuple[ServiceSpec, ...]:
    services = tmp_path / "services"
    services.mkdir(exist_ok=True)
    (services / "x.yaml").write_text(text)
    return read_services(services, Admission((), api_server_reachable=True, as_of=as_of))


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (file_with(reason=""), r"x\.yaml:\d+: exceptions\[0\]\.reason: missing"),
        (file_with(reason="because"), "shorter than 10 characters"),
        (file_with(owner=""), "owner: missing"),
        (file_with(granted=""), "granted: missing"),
        (file_with(expires=""), "expires: missing"),
        (file_with(expires="soon"), r"exceptions\[0\]\.expires"),
        (file_with(days=0), r"expires: not after granted, which is \d"),
        (
            file_with() + "  - {rule: disallow-privileged, reason: twice is too often, owner: a, granted: 2026-03-01, "
            "expires: 2026-03-02}\n",
            "exceptions: two are from one rule: keep one, found 'disallow-privileged'",
        ),
        (file_with(until="2026-04-01"), "unknown key"),
    ],
)
def test_an_exception_says_why_who_and_until_when(text: str, error: str) -> None:
    with pytest.raises(ConfigError, match=error):
        parse_service(text, "services/x.yaml")


def test_an_unknown_rule_is_refused_with_its_line_and_the_rules(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"services/x\.yaml:6: exceptions\[0\]\.rule: .*'no-root'.*disallow-privileged"
    ):
        read(tmp_path, file_with("no-root"))


def test_a_rule_that_generates_has_no_exceptions(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no validating rule"):
        read(tmp_path, file_with("default-deny"))


def test_a_critical_rule_is_excepted_for_ninety_days_at_most(tmp_path: Path) -> None:
    assert read(tmp_path, file_with(days=90))[0].exceptions[0].days == 90
    with pytest.raises(
        ConfigError, match=r"x\.yaml:10: exceptions\[0\]\.expires: 91 days for a critical rule, 90 at most"
    ):
        read(tmp_path, file_with(days=91))


def test_an_exception_ends_on_the_day_it_names(tmp_path: Path) -> None:
    text = file_with(days=30)
    last = GRANTED + timedelta(29)
    assert read(tmp_path, text, lambda: last)
    with pytest.raises(ConfigError, match=r"exceptions\[0\]\.expires: expired as of 2026-03-31"):
        read(tmp_path, text, lambda: last + timedelta(1))


def test_one_from_the_future_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"granted: 2026-03-01 is in the future"):
        read(tmp_path, file_with(), lambda: GRANTED - timedelta(1))


def test_without_a_day_none_expires(tmp_path: Path) -> None:
    assert read(tmp_path, file_with(), lambda: None)


def test_the_day_is_asked_only_when_there_is_an_exception(tmp_path: Path) -> None:
    def never() -> date:
        raise AssertionError("no exception, no day")

    assert read(tmp_path, SMALL, never)


def git(directory: Path, *arguments: str, date: str = "") -> None:
    moment = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date} if date else {}
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(
        ["git", *identity, "-C", str(directory), *arguments], check=True, capture_output=True, env=moment or None
    )


def test_the_day_is_that_of_the_commit_in_utc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(tmp_path, "init")
    git(tmp_path, "commit", "--allow-empty", "--message", "x", date="2026-05-01T23:30:00-0500")
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    assert commit_date(tmp_path) == date(2026, 5, 2)


def test_outside_a_checkout_the_stack_file_has_to_say_the_day(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"zero-trust:asOf: .*set it to a date"):
        commit_date(tmp_path)


def excepted(*rules: str) -> ServiceSpec:
    return parse_service(file_with(), "services/x.yaml").spec.model_copy(
        update={
            "exceptions": tuple(parse_service(file_with(rule), "services/x.yaml").spec.exceptions[0] for rule in rules)
        }
    )


def test_only_a_rule_that_is_on_has_exceptions() -> None:
    spec = excepted("disallow-privileged", "disallow-host-path")
    platform = stacks.platform(rules=("disallow-privileged",))
    assert [e.rule for e in services_args([spec], platform, 2)[0].exceptions] == ["disallow-privileged"]


def test_the_object_holds_for_one_workload_and_one_rule() -> None:
    args = services_args([excepted("disallow-privileged")], stacks.platform(rules=("disallow-privileged",)), 2)[0]
    made: Any = exception_manifest("shop", "x", args.exceptions[0], "kyverno")
    assert made["metadata"]["name"] == "shop.x.disallow-privileged"
    assert made["metadata"]["namespace"] == "kyverno"
    assert made["spec"]["policyRefs"] == [{"name": "disallow-privileged", "kind": "ValidatingPolicy"}]
    assert made["spec"]["expiresAt"] == "2026-03-31T00:00:00Z"
    assert made["metadata"]["annotations"]["zero-trust.dev/owner"] == "commerce"
    [condition] = made["spec"]["matchConditions"]
    assert condition["expression"] == workload_expression("shop", "x")
    assert 'object.metadata.namespace == "shop"' in condition["expression"]
    assert "ownerReferences" not in condition["expression"]


def test_the_deployment_waits_until_its_exceptions_are_in_force() -> None:
    args = services_args([excepted("disallow-privileged")], stacks.platform(rules=("disallow-privileged",)), 2)[0]
    recording = record(lambda: SecureService(args.key, args))
    made = recording.one("PolicyException")
    deployment = recording.one("Deployment")
    assert made.urn in deployment.dependencies
    assert made.hooks == ("shop.x.in-force",)
    assert deployment.inputs["metadata"]["annotations"]["zero-trust.dev/exceptions"] == f"{made.name}-id"


def test_a_change_makes_it_anew_since_it_may_have_ended_and_be_gone() -> None:
    args = services_args([excepted("disallow-privileged")], stacks.platform(rules=("disallow-privileged",)), 2)[0]
    made = record(lambda: SecureService(args.key, args)).one("PolicyException")
    assert made.replace_on_changes == ("*",)


@pytest.mark.parametrize("account", ["default", "workload"])
def test_an_account_that_everybody_may_use_gets_none(account: str) -> None:
    with pytest.raises(FieldError, match="every pod of a namespace may have this account"):
        workload_expression("shop", account)


def test_without_exceptions_nothing_waits() -> None:
    args = services_args([parse_service(SMALL, "services/x.yaml").spec], stacks.platform(), 2)[0]
    recording = record(lambda: SecureService(args.key, args))
    assert not recording.of("PolicyException")
    assert not [made.name for made in recording.resources if made.hooks]


def test_the_name_of_a_condition_is_one_that_a_native_policy_may_have() -> None:
    assert condition_name("shop", "legacy") == "shop.legacy"
    long = [condition_name("n" * 63, "s" * 62 + end) for end in "ab"]
    assert [len(name) <= 63 for name in long] == [True, True]
    assert long[0] != long[1]
