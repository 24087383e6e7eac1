"""What a stack file takes out of the rules: excluded namespaces, and exceptions of what no service file makes."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.config.action import Action
from components.config.settings import Settings
from components.config.stack_source import stack_lines
from components.kube.names import KYVERNO_NAMESPACE
from components.kyverno.library import VALIDATING_TIERS, load_library
from components.kyverno.policy_set import KyvernoPolicySet, exceptions, kyverno_values, policies
from components.program.plan import plan
from components.program.stack import Stack, read_stack
from components.schema.problem import ConfigError, FieldError
from tests.support import stacks
from tests.support.monitor import record
from zt.project.stack_file import StackFile

pytestmark = pytest.mark.unit

FILE = "Pulumi.production.yaml"
DAY = date(2026, 3, 15)
TIMED = {
    "reason": "the network plugin runs on the nodes",
    "owner": "platform",
    "granted": "2026-03-01",
    "expires": "2026-05-01",
}
AGENT = {**TIMED, "rule": "disallow-host-path", "namespace": "monitoring", "serviceAccount": "node-exporter"}


def read(tmp_path: Path, kyverno: dict[str, Any], as_of: Callable[[], date | None] = lambda: DAY) -> Stack:
    """The production stack with more in its section `kyverno`, read from files as a run reads it."""
    written = yaml.safe_load((stacks.ROOT / FILE).read_text())
    config = written["config"]
    config["zero-trust:kyverno"] = {**config.get("zero-trust:kyverno", {}), **kyverno}
    (tmp_path / FILE).write_text(yaml.safe_dump(written, sort_keys=False))
    if not (tmp_path / "services").exists():
        (tmp_path / "services").symlink_to(stacks.ROOT / "services")
    file = StackFile.read(tmp_path, "production")
    return read_stack(tmp_path, file.name, file.settings, as_of=as_of, line_of=stack_lines(file.text))


def excluded(name: str = "calico-system", **changes: Any) -> dict[str, Any]:
    return {"excludedNamespaces": {name: {**TIMED, **changes}}}


def widened(value: Any, rule: str = "restrict-sysctls", name: str = "allowedSysctls", **changes: Any) -> dict[str, Any]:
    return {"parameters": {rule: {name: value}}, "widened": {rule: {**TIMED, **changes}}}


def excepted(**changes: Any) -> dict[str, Any]:
    return {"exceptions": [{**AGENT, **changes}]}


@pytest.mark.parametrize(
    ("kyverno", "error"),
    [
        (excluded("shop"), "excludedNamespaces.shop: the rules hold where services run, such as api: leave it out"),
        (excluded("default"), "excludedNamespaces.default: what names no namespace lands there: give the workload"),
        (excluded("kube-system"), "excludedNamespaces.kube-system: no rule looks at the platform's: leave it out"),
        (excluded("vault"), "excludedNamespaces.vault: no rule looks at the platform's"),
        (excluded("calico-*"), "excludedNamespaces.calico-*: not a DNS label"),
        (excluded(reason="needed"), "excludedNamespaces.calico-system.reason: shorter than 10 characters"),
        (excluded(owner=""), "excludedNamespaces.calico-system.owner: shorter than 1 characters"),
        (excluded(expires="2026-03-01"), "excludedNamespaces.calico-system.expires: not after granted, which is"),
        (excluded(expires="2027-03-03"), "excludedNamespaces.calico-system.expires: 367 days, 366 at most after"),
        (excluded(granted="2026-03-16"), "excludedNamespaces.calico-system.granted: 2026-03-16 is in the future"),
        (excluded(expires="2026-03-15"), "excludedNamespaces.calico-system.expires: expired as of 2026-03-15"),
        (excepted(rule="require-tea"), "exceptions[0].rule: no validating rule of policies/ is called 'require-tea'"),
        (excepted(rule="default-deny"), "exceptions[0].rule: no validating rule of policies/ is called"),
        (excepted(namespace="istio-system"), "exceptions[0].namespace: no rule looks at it: leave the exception out"),
        (excepted(serviceAccount="default"), "exceptions[0].serviceAccount: an account that every pod of its"),
        (excepted(serviceAccount="workload"), "exceptions[0].serviceAccount: an account that every pod of its"),
        (
            excepted(namespace="shop", serviceAccount="api"),
            "exceptions[0].serviceAccount: the service shop/api has this account: write the exception into its file",
        ),
        (excepted(expires="2026-07-01"), "exceptions[0].expires: 122 days for a critical rule, 90 at most"),
        (excepted(expires="2026-03-15"), "exceptions[0].expires: expired as of 2026-03-15: remove it"),
        (excepted(granted="2026-03-16"), "exceptions[0].granted: 2026-03-16 is in the future"),
        (
            {"exceptions": [AGENT, {**AGENT, "owner": "somebody else"}]},
            "exceptions[1].rule: two exceptions of one workload from one rule: keep one",
        ),
        (
            {**excluded("monitoring"), **excepted()},
            "exceptions[0].namespace: excludedNamespaces has it, so no rule looks at it: leave one of the two out",
        ),
    ],
)
def test_what_is_refused(tmp_path: Path, kyverno: dict[str, Any], error: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, kyverno)
    (problem,) = caught.value.problems
    assert re.match(rf"{FILE}:\d+: zero-trust:kyverno\.{re.escape(error)}", str(problem))


@pytest.mark.parametrize("key", ["reason", "owner", "granted", "expires"])
def test_each_part_is_due(tmp_path: Path, key: str) -> None:
    parts = {name: value for name, value in TIMED.items() if name != key}
    with pytest.raises(ConfigError, match=rf"excludedNamespaces\.calico-system\.{key}: missing"):
        read(tmp_path, {"excludedNamespaces": {"calico-system": parts}})
    with pytest.raises(ConfigError, match=rf"exceptions\[0\]\.{key}: missing"):
        read(tmp_path, {"exceptions": [{name: value for name, value in AGENT.items() if name != key}]})


@pytest.mark.parametrize(
    ("section", "change", "namespace"),
    [
        ("ingress", {"gateway_namespace": "edge"}, "edge"),
        ("vault", {"delivery": "external-secrets"}, "external-secrets"),
    ],
)
def test_the_platforms_optional_namespaces_are_refused_too(
    tmp_path: Path, section: str, change: dict[str, str], namespace: str
) -> None:
    settings = Settings.model_validate({**stacks.values("production"), "kyverno": excluded(namespace)})
    changed = settings.model_copy(update={section: getattr(settings, section).model_copy(update=change)})
    (tmp_path / "services").mkdir()
    with pytest.raises(ConfigError, match=f"excludedNamespaces.{namespace}: no rule looks at the platform's"):
        read_stack(tmp_path, FILE, changed)


def test_git_is_only_asked_for_a_day_when_there_is_one_to_judge(tmp_path: Path) -> None:
    def never() -> date:
        raise AssertionError

    read(tmp_path, {}, never)
    with pytest.raises(AssertionError):
        read(tmp_path, excluded(), never)


def test_no_rule_of_any_tier_looks_at_an_excluded_namespace(tmp_path: Path) -> None:
    args = plan(read(tmp_path, excluded())).policies
    assert args is not None
    tiers = set[str]()
    for policy in policies(args):
        tiers.add(policy["metadata"]["labels"]["zero-trust/tier"])
        if policy["kind"] == "GeneratingPolicy":
            (condition,) = (c for c in policy["spec"]["matchConditions"] if c["name"] == "outside-the-platform")
            assert '"calico-system"' in condition["expression"]
            continue
        (selector,) = policy["spec"]["matchConstraints"]["namespaceSelector"]["matchExpressions"]
        assert (selector["key"], selector["operator"]) == ("kubernetes.io/metadata.name", "NotIn")
        assert {"calico-system", "kube-system"} <= set(selector["values"])
    assert tiers == {*VALIDATING_TIERS, "mutate", "generate"}
    (webhooks,) = kyverno_values(1, args.unjudged_namespaces)["config"]["webhooks"]["namespaceSelector"][
        "matchExpressions"
    ]
    assert "calico-system" in webhooks["values"]


def test_an_exception_is_bound_to_the_service_account(tmp_path: Path) -> None:
    args = plan(read(tmp_path, excepted())).policies
    assert args is not None
    (exception,) = exceptions(args)
    assert exception["metadata"]["namespace"] == KYVERNO_NAMESPACE
    assert exception["metadata"]["annotations"]["zero-trust.dev/workload"] == "monitoring/node-exporter"
    assert exception["spec"]["policyRefs"] == [{"name": "disallow-host-path", "kind": "ValidatingPolicy"}]
    assert exception["spec"]["expiresAt"] == "2026-05-01T00:00:00Z"
    (condition,) = exception["spec"]["matchConditions"]
    assert len(condition["name"]) <= 63
    assert 'object.metadata.namespace == "monitoring"' in condition["expression"]
    assert condition["expression"].endswith(".orValue('') == \"node-exporter\"")
    assert not {"labels", "ownerReferences", "metadata.name "} & set(re.findall(r"[\w. ]+", condition["expression"]))


def test_two_accounts_of_one_rule_have_conditions_of_their_own(tmp_path: Path) -> None:
    long = {"namespace": "n" * 63, "serviceAccount": "s" * 63}
    args = plan(read(tmp_path, {"exceptions": [AGENT, {**AGENT, **long}]})).policies
    assert args is not None
    names = [exception["spec"]["matchConditions"][0]["name"] for exception in exceptions(args)]
    assert len(set(names)) == 2
    assert all(len(name) <= 63 for name in names)


def test_a_rule_that_is_off_needs_no_exception(tmp_path: Path) -> None:
    args = plan(read(tmp_path, excepted())).policies
    assert args is not None
    assert len(exceptions(args)) == 1
    assert exceptions(replace(args, critical=Action.OFF)) == ()


def test_the_component_creates_it(tmp_path: Path) -> None:
    args = plan(read(tmp_path, excepted())).policies
    assert args is not None
    recorded = record(lambda: KyvernoPolicySet("policies", args))
    kinds = [resource.type for resource in recorded.resources if resource.type.endswith(":PolicyException")]
    assert len(kinds) == 1


SYSCTL = "net.core.somaxconn"
CAPABILITIES = ("drop-all-capabilities", "allowedCapabilities")


@pytest.mark.parametrize(
    ("kyverno", "error"),
    [
        *(
            ({"parameters": {rule: {name: [*own, item]}}}, f"parameters.{rule}: it lets through {item}")
            for rule, name, own, item in (
                (*CAPABILITIES, ["NET_BIND_SERVICE"], "SYS_ADMIN"),
                ("restrict-sysctls", "allowedSysctls", [], SYSCTL),
                ("restrict-volume-types", "allowedTypes", ["secret"], "hostPath"),
                ("restrict-selinux-options", "allowedTypes", [], "spc_t"),
                ("disallow-external-ips", "ingressNamespaces", ["istio-ingress"], "shop"),
            )
        ),
        (widened(["ALL"], *CAPABILITIES), "allowedCapabilities: with it the rule holds nothing back"),
        (widened(["*"], *CAPABILITIES), "allowedCapabilities: with it the rule holds nothing back"),
        *(
            (widened(["Unconfined"], rule, "allowedProfiles"), "allowedProfiles: with it the rule holds nothing back")
            for rule in ("require-seccomp-profile", "restrict-apparmor-profiles")
        ),
        (widened(["docker.io"], "restrict-image-registries", "registries"), "registries of the stack file says it"),
        (widened(["docker.io/x"], "disallow-proxy-user", "meshImages"), "platformImages of the stack file says it"),
        (widened([]), "widened.restrict-sysctls: kyverno.parameters lets nothing more through"),
        ({"widened": {"no-such": TIMED}}, "widened.no-such: kyverno.parameters lets nothing more through"),
        (widened(["app=shop"], "require-labels", "labels"), "widened.require-labels: kyverno.parameters lets nothing"),
        (widened([SYSCTL], reason="needed"), "widened.restrict-sysctls.reason: shorter than 10 characters"),
        (widened([SYSCTL], expires="2027-03-03"), "widened.restrict-sysctls.expires: 367 days, 366 at most"),
        (widened([SYSCTL], expires="2026-03-15"), "widened.restrict-sysctls.expires: expired as of 2026-03-15"),
        (widened([SYSCTL], granted="2026-03-16"), "widened.restrict-sysctls.granted: 2026-03-16 is in the future"),
    ],
)
def test_a_critical_rule_lets_more_through_by_agreement_alone(
    tmp_path: Path, kyverno: dict[str, Any], error: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, kyverno)
    assert f"kyverno.{error}" in str(caught.value) or error in str(caught.value)


@pytest.mark.parametrize(
    "kyverno",
    [
        widened([SYSCTL]),
        # What lets less through needs no words.
        {"parameters": {"drop-all-capabilities": {"allowedCapabilities": []}}},
        {"parameters": {"require-labels": {"labels": []}}},
    ],
)
def test_what_is_agreed_on_is_taken(tmp_path: Path, kyverno: dict[str, Any]) -> None:
    args = plan(read(tmp_path, kyverno)).policies
    assert args is not None
    assert dict(args.widened) == dict.fromkeys(kyverno.get("widened", {}), TIMED["expires"])


def test_each_parameter_of_a_critical_rule_is_a_list_of_what_it_lets_through() -> None:
    for rule in load_library().tier("critical"):
        assert all(isinstance(value, list) for value in rule.parameters.values()), rule.name


def test_code_agrees_on_it_too() -> None:
    args = plan(stacks.stack("production")).policies
    assert args is not None
    more = {"restrict-sysctls": {"allowedSysctls": [SYSCTL]}}
    with pytest.raises(FieldError, match=r"^parameters\.restrict-sysctls: it lets through net\.core\.somaxconn"):
        replace(args, parameters=more)
    assert replace(args, parameters=more, widened={"restrict-sysctls": "2026-05-01"})
