"""Teams with stacks of their own: what the platform's stack makes for each of them, and what a stack file may say."""

import json
from typing import Any

import pytest

from components.program.stack import read_stack
from components.schema.problem import ConfigError
from components.teams.rights import deployer_rules
from components.teams.vault_rights import deployer_policy, services_policy
from tests.support.monitor import Recording
from tests.support.stacks import ROOT, plan_of, platform, settings
from tests.unit.program.test_program import run

pytestmark = pytest.mark.unit

TEAMS: dict[str, Any] = {
    "payments": {
        "namespaces": ["payments"],
        "hosts": {"payments": ["pay.example.org"]},
        "deployedBy": {"users": ["ci:repo:shop/payments"], "groups": ["payments-ops"]},
    },
    "ledger": {"namespaces": ["ledger", "archive"]},
}


@pytest.fixture(scope="module")
def production() -> Recording:
    return run("production", teams=TEAMS)


@pytest.mark.parametrize(
    ("teams", "error"),
    [
        (
            {"a": {"namespaces": ["x"]}, "b": {"namespaces": ["x"]}},
            r"b\.namespaces\[0\]: .*that of team a already",
        ),
        ({"a": {"namespaces": ["x", "x"]}}, r"teams\.a\.namespaces\[1\]: it stands there twice"),
        ({"a": {"namespaces": []}}, r"teams\.a\.namespaces: fewer than 1"),
        ({"a": {"namespaces": ["shop"]}}, r"teams\.a\.namespaces\[0\]: the service shop/api of this stack runs there"),
        ({"a": {"namespaces": ["kyverno"]}}, r"teams\.a\.namespaces\[0\]: it is the platform's"),
        ({"a": {"namespaces": ["platform-teams"]}}, r"teams\.a\.namespaces\[0\]: it is the platform's"),
        (
            {"a": {"namespaces": ["x"], "hosts": {"y": ["y.example.org"]}}},
            r"a\.hosts\.y: no namespace of the team",
        ),
        ({"a": {"namespaces": ["x"], "hosts": {"x": ["api.example.org"]}}}, r"a host of the service shop/api"),
        (
            {
                "a": {"namespaces": ["x"], "hosts": {"x": ["h.example.org"]}},
                "b": {"namespaces": ["y"], "hosts": {"y": ["h.example.org"]}},
            },
            r"teams\.b\.hosts\.y\[0\]: it is a host of team a in x already",
        ),
        *(
            (
                {
                    "a": {"namespaces": ["x"], "deployedBy": {kind: ["ci"]}},
                    "b": {"namespaces": ["y"], "deployedBy": {kind: ["ci"]}},
                },
                rf"teams\.b\.deployedBy\.{kind}\[0\]: it is a deployer of team a already",
            )
            for kind in ("users", "groups")
        ),
    ],
)
def test_two_owners_are_refused(teams: dict[str, Any], error: str) -> None:
    with pytest.raises(ConfigError, match=error):
        read_stack(ROOT, "Pulumi.production.yaml", settings("production", teams=teams))


def test_each_team_has_an_account_bound_in_its_namespaces_alone(production: Recording) -> None:
    bindings = {
        (made.inputs["metadata"]["namespace"], made.inputs["subjects"][0]["name"])
        for made in production.of("RoleBinding")
        if made.inputs["roleRef"]["name"] == "team-deployer"
    }
    assert bindings == {("payments", "payments"), ("ledger", "ledger"), ("archive", "ledger")}


def test_whoever_deploys_as_a_team_gets_tokens_of_its_account_alone(production: Recording) -> None:
    (role,) = (made.inputs for made in production.of("Role") if made.inputs["metadata"]["name"].endswith(".tokens"))
    bindings = [made.inputs for made in production.of("RoleBinding")]
    (binding,) = (each for each in bindings if each["roleRef"]["name"] == "payments.tokens")
    assert role["metadata"] == binding["metadata"] == {"name": "payments.tokens", "namespace": "platform-teams"}
    assert [(rule["resources"], rule["verbs"], rule["resourceNames"]) for rule in role["rules"]] == [
        (["serviceaccounts/token"], ["create"], ["payments"]),
        (["serviceaccounts"], ["use"], ["payments"]),
    ]
    assert [(subject["kind"], subject["name"]) for subject in binding["subjects"]] == [
        ("User", "ci:repo:shop/payments"),
        ("Group", "payments-ops"),
    ]


@pytest.mark.parametrize(
    ("kind", "value", "error"),
    [
        ("users", "", "not one exact value"),
        ("users", "repo:shop/*", "not one exact value"),
        ("users", "system:admin", "a user of the cluster's own"),
        ("users", "system:serviceaccount:ci", "a user of the cluster's own"),
        ("users", "system:serviceaccount:ci:default", "an account that every pod of its namespace may have"),
        *(("groups", f"system:{name}", "a group of the cluster's own") for name in ("masters", "authenticated")),
        ("groups", "system:serviceaccounts:ci", "a group of the cluster's own"),
    ],
)
def test_a_user_or_a_group_of_the_clusters_own_is_no_deployer(kind: str, value: str, error: str) -> None:
    with pytest.raises(ConfigError, match=rf"teams\.a\.deployedBy\.{kind}\[0\]: {error}"):
        settings("production", teams={"a": {"namespaces": ["x"], "deployedBy": {kind: [value]}}})


def test_a_service_account_deploys_as_a_team() -> None:
    account = "system:serviceaccount:ci:payments"
    assert settings("production", teams={"a": {"namespaces": ["x"], "deployedBy": {"users": [account]}}})


def test_the_role_reaches_nothing_that_gives_rights() -> None:
    rules = deployer_rules(platform())
    kinds = {(group, kind) for rule in rules for group in rule["apiGroups"] for kind in rule["resources"]}
    verbs = {verb for rule in rules for verb in rule["verbs"]}
    assert not {kind for _, kind in kinds} & {
        *("secrets", "roles", "rolebindings", "namespaces", "policyexceptions", "pods/exec", "serviceaccounts/token"),
        *("peerauthentications", "envoyfilters", "gateways", "virtualservices", "certificates", "resourcequotas"),
    }
    assert not verbs & {"*", "bind", "escalate", "impersonate"}
    assert not any("*" in kind for kind in kinds)
    assert all(rule["verbs"] == ["get", "list", "watch"] for rule in rules if "pods" in rule["resources"])


def test_the_policy_of_services_has_the_account_in_every_path() -> None:
    paths = [line for line in services_policy("auth_kubernetes_1").splitlines() if line.startswith("path")]
    assert len(paths) == 3
    for path in paths:
        for part in ("namespace", "name"):
            assert f"{{{{identity.entity.aliases.auth_kubernetes_1.metadata.service_account_{part}}}}}" in path


def test_the_policy_of_a_deployer_reads_no_secret_and_writes_no_right() -> None:
    text = deployer_policy(["payments"])
    paths = [line.split('"')[1] for line in text.splitlines() if line.startswith("path")]
    assert [path for path in paths if not path.startswith("auth/token/")] == ["secret/data/payments/+/+"]
    assert '"read"' not in text.split("secret/data/payments")[1]


def test_the_roles_in_vault_are_bound_to_the_team(production: Recording) -> None:
    roles = {made.inputs["roleName"]: made.inputs for made in production.of("AuthBackendRole")}
    deployer, services = roles["team_deployer_ledger"], roles["team_ledger"]
    assert deployer["boundServiceAccountNamespaces"] == ["platform-teams"]
    assert deployer["boundServiceAccountNames"] == ["ledger"]
    assert deployer["tokenPolicies"] == ["team_deployer_ledger"]
    assert services["boundServiceAccountNamespaces"] == ["archive", "ledger"]
    assert services["tokenPolicies"] == ["team_services"]


def test_their_accounts_are_identities(production: Recording) -> None:
    binding = production.one("ValidatingAdmissionPolicyBinding", "identities")
    [names] = binding.inputs["spec"]["matchResources"]["namespaceSelector"]["matchExpressions"]
    assert {"platform-teams", "payments", "ledger", "archive"} <= {*names["values"]}


def test_every_object_of_a_team_s_namespace_is_kept_by_the_right_to_all_its_accounts(production: Recording) -> None:
    policy = production.one("ValidatingAdmissionPolicy", "objects").inputs["spec"]
    opening = next(each["expression"] for each in policy["variables"] if each["name"] == "opening")
    assert "request.namespace in ['archive', 'ledger', 'payments']" in opening


def test_the_host_of_a_team_is_its_namespaces_alone(production: Recording) -> None:
    planned = plan_of("production", teams=TEAMS)
    assert planned.hosts
    assert planned.hosts.hosts["payments"] == ["pay.example.org"]
    assert planned.ingress.owners["pay.example.org"] == "payments"


def test_what_is_told_waits_for_the_authority_of_vault(production: Recording) -> None:
    told = json.loads(production.one("ConfigMap", "teams.payments").inputs["data"]["platform.json"])
    assert told["vault"]["role"] == "team_deployer_payments"
    assert told["vault"]["authority"]


def test_without_teams_nothing_is_made() -> None:
    assert not [made for made in run("production").resources if "TeamAccess" in made.type]


def test_a_platform_without_vault_has_teams_too() -> None:
    made = run("local", teams=TEAMS)
    assert not made.of("AuthBackendRole")
    assert "secrets" in made.one("ClusterRole", "teams").inputs["rules"][0]["resources"]
