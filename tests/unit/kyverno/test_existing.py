"""A Kyverno that others installed: each setting on which the rules rely, taken away in turn."""

import json
from typing import Any

import pytest

from components.kyverno.existing import existing_kyverno
from components.kyverno.policy_set import kyverno_values
from tests.support.installed import APPS, KYVERNO_CONFIG, RBAC, UNJUDGED, Living, deployment, kyverno, objecting

pytestmark = pytest.mark.unit

RULES = ("require-run-as-non-root", "disallow-privileged")


def said(living: Living, result: str = "fails") -> dict[str, str]:
    return objecting(list(existing_kyverno(living.cluster, "kyverno", UNJUDGED, RULES)), result)


def with_args(component: str, *args: str) -> Living:
    living = kyverno()
    living.deployment(f"kyverno-{component}")["spec"]["template"]["spec"]["containers"][0]["args"] = list(args)
    return living


def without(component: str, flag: str, instead: str = "") -> Living:
    given = kyverno().deployment(f"kyverno-{component}")["spec"]["template"]["spec"]["containers"][0]["args"]
    kept = [arg for arg in given if not arg.startswith(f"--{flag}=")]
    return with_args(component, *kept, *([f"--{flag}={instead}"] if instead else []))


def configured(**data: str) -> Living:
    living = kyverno()
    living.at[KYVERNO_CONFIG]["data"] |= data
    return living


def selecting(*expressions: Any, **more: Any) -> Living:
    return configured(webhooks=json.dumps({"namespaceSelector": {"matchExpressions": list(expressions)}, **more}))


def test_one_with_what_the_rules_rely_on_lacks_nothing() -> None:
    living = kyverno()
    assert not said(living)
    assert not said(living, "warns")
    assert {call.method for call in living.calls} == {"GET"}


def test_an_empty_cluster_lacks_each_part() -> None:
    lacking = said(Living())
    assert "policies.kyverno.io/v1" in lacking["kinds of Kyverno"]
    for component in ("admission", "background", "reports", "cleanup"):
        assert "kyverno.mode: helm" in lacking[f"Kyverno's {component} controller"]
    assert "ConfigMap kyverno/kyverno" in lacking["configuration of Kyverno"]


@pytest.mark.parametrize(
    ("component", "flag", "instead"),
    [
        ("admission-controller", "enablePolicyException", "false"),
        ("admission-controller", "enablePolicyException", ""),
        ("admission-controller", "exceptionNamespace", "*"),
        ("admission-controller", "exceptionNamespace", ""),
        ("admission-controller", "generateValidatingAdmissionPolicy", "false"),
        ("admission-controller", "generateValidatingAdmissionPolicy", ""),
        ("admission-controller", "forceFailurePolicyIgnore", "true"),
        ("reports-controller", "validatingAdmissionPolicyReports", "false"),
        ("reports-controller", "validatingAdmissionPolicyReports", ""),
        ("reports-controller", "backgroundScan", "false"),
    ],
)
def test_a_flag_that_is_missing_or_other(component: str, flag: str, instead: str) -> None:
    lacking = said(without(component, flag, instead))
    (about,) = lacking
    assert f"--{flag}" in about
    assert lacking[about].startswith(instead or "absent")
    # The value of the chart that mends it.
    assert "set features." in lacking[about]


@pytest.mark.parametrize("flag", ["forceFailurePolicyIgnore", "backgroundScan"])
def test_a_flag_whose_default_is_right_may_be_absent(flag: str) -> None:
    component = "admission-controller" if flag.startswith("force") else "reports-controller"
    assert not said(without(component, flag))


def test_the_last_of_two_flags_counts() -> None:
    args = ["--enablePolicyException=true", "--exceptionNamespace=kyverno", "--generateValidatingAdmissionPolicy"]
    assert not said(with_args("admission-controller", *args))
    assert said(with_args("admission-controller", *args, "--exceptionNamespace="))


@pytest.mark.parametrize(
    ("image", "result", "word"),
    [
        ("kyverno:v1.19.1", "ok", ""),
        ("mirror.example.org:5000/kyverno:v1.19.0-rc.1@sha256:00", "ok", ""),
        ("kyverno:v1.18.4", "fails", "upgrade it to 1.19"),
        ("kyverno:v1.20.0", "warns", "newer than 1.19"),
        ("kyverno:v2.0.0", "warns", "newer than 1.19"),
        ("kyverno:latest", "fails", "neither an image's tag nor a label"),
        ("kyverno", "fails", "neither"),
        ("mirror.example.org:5000/kyverno", "fails", "neither"),
    ],
)
def test_the_version(image: str, result: str, word: str) -> None:
    living = kyverno()
    living.deployment("kyverno-admission-controller")["spec"]["template"]["spec"]["containers"][0]["image"] = image
    lines = [
        line
        for line in existing_kyverno(living.cluster, "kyverno", UNJUDGED, RULES)
        if line.about == "version of Kyverno"
    ]
    assert [line.result for line in lines] == [result]
    assert word in f"{lines[0].found} {lines[0].fix}"


def test_a_label_says_the_version_of_an_image_by_digest() -> None:
    living = kyverno()
    there = living.deployment("kyverno-admission-controller")
    there["spec"]["template"]["spec"]["containers"][0]["image"] = "mirror.example.org/kyverno@sha256:00"
    there["metadata"]["labels"]["app.kubernetes.io/version"] = "v1.19.1"
    assert not said(living)


def test_one_in_another_namespace_or_a_second_one_is_refused() -> None:
    living = kyverno()
    living.deployment("kyverno-admission-controller")["metadata"]["namespace"] = "policy"
    assert "policy/kyverno-admission-controller" in said(living)["Kyverno's admission controller"]
    living = kyverno()
    labels = living.deployment("kyverno-cleanup-controller")["spec"]["template"]["metadata"]["labels"]
    living.at[f"{APPS}/deployments"].append(deployment("policy", "second", labels, "kyverno:v1.19.1"))
    assert "no second one" in said(living)["Kyverno's cleanup controller"]


def test_a_controller_without_a_ready_pod() -> None:
    living = kyverno()
    living.deployment("kyverno-reports-controller")["status"] = {}
    assert "no pod that is ready" in said(living)["Kyverno's reports controller"]


def test_a_cleanup_controller_with_another_account_ends_nothing() -> None:
    living = kyverno()
    living.deployment("kyverno-cleanup-controller")["spec"]["template"]["spec"]["serviceAccountName"] = "cleaner"
    assert "cleanupController.rbac.serviceAccount.name" in said(living)["account of Kyverno's cleanup controller"]


@pytest.mark.parametrize(
    ("filters", "hidden"),
    [
        ("[ReplicaSet,*,*]", "[ReplicaSet,*,*]"),
        ("[Event,*,*]\n[Pod,*,*]", "[Pod,*,*]"),
        ("[*/*,shop,*]", "[*/*,shop,*]"),
        ("[*,team-?,*]", "[*,team-?,*]"),
        ("[Deployment]", "[Deployment,*,*]"),
        ("[Job,*,import-*]", "[Job,*,import-*]"),
        ("[*/*,kyverno,*]", "[*/*,kyverno,*]"),
        ("[PolicyException,*,*]", "[PolicyException,*,*]"),
    ],
)
def test_a_filter_that_hides_what_counts(filters: str, hidden: str) -> None:
    lacking = said(configured(resourceFilters=filters))
    assert list(lacking) == ["resource filters of Kyverno"]
    assert json.dumps([hidden]) in lacking["resource filters of Kyverno"]


@pytest.mark.parametrize("filters", ["", "[Event,*,*]", "[*/*,istio-system,*]", "[Pod/binding,*,*]", "[Node,*,*]"])
def test_a_filter_that_hides_nothing_of_the_sort(filters: str) -> None:
    assert not said(configured(resourceFilters=filters))


@pytest.mark.parametrize(
    "data",
    [
        {"excludeGroups": "system:nodes,system:serviceaccounts:ci"},
        {"excludeUsernames": "ann"},
        {"excludeRoles": "shop:admin"},
        {"excludeClusterRoles": "cluster-admin"},
    ],
)
def test_users_whom_nobody_judges(data: dict[str, str]) -> None:
    lacking = said(configured(**data))
    assert list(lacking) == ["users whom Kyverno does not judge"]
    assert next(iter(data.values())).rpartition(",")[2] in lacking["users whom Kyverno does not judge"]


NAME = "kubernetes.io/metadata.name"
ALL = {"key": NAME, "operator": "NotIn", "values": list(UNJUDGED)}


@pytest.mark.parametrize(
    ("living", "word"),
    [
        (selecting({**ALL, "values": [*UNJUDGED, "legacy"]}), "legacy"),
        (selecting(ALL, {"key": "policy", "operator": "NotIn", "values": ["off"]}), "labels that others write"),
        (selecting({**ALL, "operator": "In"}), "labels that others write"),
        (selecting(ALL, objectSelector={"matchLabels": {"policy": "on"}}), "which their author writes"),
        (configured(webhooks=json.dumps({"namespaceSelector": {"matchLabels": {"policy": "on"}}})), "labels"),
        (configured(webhooks="{"), "no JSON"),
        (configured(webhooks=json.dumps([{"objectSelector": {"matchLabels": {"a": "b"}}}])), "their author"),
    ],
)
def test_webhooks_that_leave_out_what_the_rules_hold_for(living: Living, word: str) -> None:
    lacking = said(living)
    assert list(lacking) == ["namespaces that Kyverno's webhooks look at"]
    assert word in lacking["namespaces that Kyverno's webhooks look at"]


def test_webhooks_that_look_at_the_platforms_namespaces_are_remarked_on() -> None:
    living = configured(webhooks="")
    assert not said(living)
    assert "istio-system" in said(living, "warns")["namespaces that Kyverno's webhooks look at"]


def test_conditions_of_all_webhooks_are_refused() -> None:
    living = configured(matchConditions=json.dumps([{"name": "not-ci", "expression": "true"}]))
    assert "not-ci" in said(living)["conditions of Kyverno's webhooks"]


def role(name: str, group: str, *verbs: str, to: str = "admin") -> dict[str, Any]:
    labels = {f"rbac.authorization.k8s.io/aggregate-to-{to}": "true"} if to else {}
    return {"metadata": {"name": name, "labels": labels}, "rules": [{"apiGroups": [group], "verbs": list(verbs)}]}


@pytest.mark.parametrize(
    ("given", "refused"),
    [
        (role("a", "policies.kyverno.io", "create"), True),
        (role("a", "wgpolicyk8s.io", "*", to="edit"), True),
        (role("a", "*", "delete", to="view"), True),
        (role("a", "kyverno.io", "get", "list", "watch"), False),
        (role("a", "policies.kyverno.io", "create", to=""), False),
        (role("a", "apps", "create"), False),
    ],
)
def test_roles_that_reach_tenants(given: dict[str, Any], refused: bool) -> None:
    lacking = said(kyverno().with_(f"{RBAC}/clusterroles", [given]))
    assert ("roles of Kyverno" in lacking) is refused
    assert not refused or "kubectl label clusterrole a" in lacking["roles of Kyverno"]


def exception(kind: str, rule: str, **metadata: Any) -> dict[str, Any]:
    refs = {"policyRefs": [{"name": rule}]} if kind == "policyRefs" else {"exceptions": [{"policyName": rule}]}
    return {"metadata": {"name": "old", "namespace": "shop", **metadata}, "spec": refs}


@pytest.mark.parametrize(("path", "kind"), [("policies.kyverno.io/v1", "policyRefs"), ("kyverno.io/v2", "exceptions")])
def test_an_exception_that_waits_for_a_rule_of_this_name(path: str, kind: str) -> None:
    path = f"/apis/{path}/policyexceptions"
    lacking = said(kyverno().with_(path, [exception(kind, RULES[0]), exception(kind, "something-else")]))
    assert f"shop/old: {RULES[0]}" in lacking["exceptions of others from the rules"]
    own = exception(kind, RULES[0], managedFields=[{"manager": "pulumi-kubernetes-1dd8ecac"}])
    assert not said(kyverno().with_(path, [own]))


def test_every_feature_that_the_program_sets_is_asked_for() -> None:
    """A feature that the values of the program switch on is known here, or named as one that nothing rests on."""
    features = set(kyverno_values(2, UNJUDGED)["features"])
    # These change what it costs, and nothing that holds.
    without_effect = {"admissionReports", "ttlController"}
    asked = {
        "generateValidatingAdmissionPolicy",
        "validatingAdmissionPolicyReports",
        "policyExceptions",
        "backgroundScan",
    }
    assert features == asked | without_effect
