"""An External Secrets Operator that others installed: each thing on which copies of secrets rely."""

from typing import Any

import pytest

from components.external_secrets.existing import existing_external_secrets
from tests.support.installed import HOOKS, RBAC, Living, external_secrets, hook, objecting

pytestmark = pytest.mark.unit

ACCOUNT = {"kind": "ServiceAccount", "name": "external-secrets", "namespace": "external-secrets"}


def said(living: Living, result: str = "fails") -> dict[str, str]:
    return objecting(list(existing_external_secrets(living.cluster, "external-secrets")), result)


def test_one_with_what_copies_rely_on_lacks_nothing() -> None:
    living = external_secrets()
    assert not said(living)
    assert not said(living, "warns")
    assert {call.method for call in living.calls} == {"GET"}


def test_an_empty_cluster_lacks_each_part() -> None:
    lacking = said(Living())
    assert "vault.externalSecrets.mode: helm" in lacking["External Secrets Operator"]
    assert set(lacking) >= {"its webhook", "kinds of External Secrets", "validation of stores and copies"}


@pytest.mark.parametrize(
    ("tag", "result"), [("v0.16.2", "ok"), ("v0.15.1", "fails"), ("v1.3.2", "warns"), ("main", "fails")]
)
def test_the_version(tag: str, result: str) -> None:
    living = external_secrets()
    container = living.deployment("external-secrets")["spec"]["template"]["spec"]["containers"][0]
    container["image"] = f"ghcr.io/external-secrets/external-secrets:{tag}"
    about = "version of External Secrets"
    lines = [each for each in existing_external_secrets(living.cluster, "external-secrets") if each.about == about]
    assert [line.result for line in lines] == [result]


def test_another_account_may_use_nobodys() -> None:
    living = external_secrets()
    living.deployment("external-secrets")["spec"]["template"]["spec"]["serviceAccountName"] = "eso"
    assert "serviceAccount.name: external-secrets" in said(living)["account of the operator"]


@pytest.mark.parametrize(
    ("hooks", "word"),
    [
        ([hook("secretstore-validate", "external-secrets", "Ignore")], "fails open"),
        ([hook("secretstore-validate", "elsewhere")], "no webhook leads"),
    ],
)
def test_a_webhook_that_fails_open_or_is_not_there(hooks: list[Any], word: str) -> None:
    living = external_secrets().with_(f"{HOOKS}/validatingwebhookconfigurations", hooks)
    assert word in said(living)["validation of stores and copies"]


def granted(*rules: dict[str, Any], role: str = "controller") -> Living:
    binding = {"metadata": {"name": "eso"}, "roleRef": {"name": "controller"}, "subjects": [ACCOUNT]}
    roles = [{"metadata": {"name": role}, "rules": list(rules)}]
    return external_secrets().with_(f"{RBAC}/clusterrolebindings", [binding]).with_(f"{RBAC}/clusterroles", roles)


@pytest.mark.parametrize(
    ("rule", "word"),
    [
        ({"apiGroups": [""], "resources": ["serviceaccounts/token"], "verbs": ["create"]}, "create on serviceaccounts"),
        ({"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "update"]}, "update on secrets"),
        ({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}, "* on *"),
        ({"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list"]}, ""),
        ({"apiGroups": [""], "resources": ["secrets"], "verbs": ["update"], "resourceNames": ["own"]}, ""),
        ({"apiGroups": ["apps"], "resources": ["*"], "verbs": ["*"]}, ""),
    ],
)
def test_wide_rights_are_remarked_on(rule: dict[str, Any], word: str) -> None:
    living = granted(rule)
    assert not said(living)
    remarks = said(living, "warns")
    assert bool(remarks) is bool(word)
    assert word in remarks.get("rights of the operator in every namespace", "")
    assert not said(granted(rule, role="somebody-elses"), "warns")


def test_a_role_that_reaches_tenants() -> None:
    label = {"rbac.authorization.k8s.io/aggregate-to-edit": "true"}
    rules = [{"apiGroups": ["external-secrets.io"], "verbs": ["create"]}]
    role = {"metadata": {"name": "external-secrets-edit", "labels": label}, "rules": rules}
    assert (
        "rbac.aggregateToEdit: false"
        in said(external_secrets().with_(f"{RBAC}/clusterroles", [role]))["roles of External Secrets"]
    )
