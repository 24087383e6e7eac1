"""A cert-manager and a Gateway API that others installed: each thing on which certificates and routes rely."""

from typing import Any

import pytest

from components.ingress.cert_manager import cert_manager_values
from components.ingress.existing import existing_cert_manager, existing_gateway_api
from tests.support.installed import HOOKS, RBAC, Living, cert_manager, gateway_api, hook, objecting

pytestmark = pytest.mark.unit

POLICIES = "/apis/policy.cert-manager.io/v1alpha1/certificaterequestpolicies"


def said(living: Living, result: str = "fails", gateway: bool = True) -> dict[str, str]:
    return objecting(list(existing_cert_manager(living.cluster, "cert-manager", gateway)), result)


def with_args(*args: str) -> Living:
    living = cert_manager()
    living.deployment("cert-manager")["spec"]["template"]["spec"]["containers"][0]["args"] = list(args)
    return living


def test_one_with_what_certificates_rely_on_lacks_nothing() -> None:
    living = cert_manager()
    assert not said(living)
    assert not said(living, "warns")
    assert {call.method for call in living.calls} == {"GET"}


def test_an_empty_cluster_lacks_each_part() -> None:
    lacking = said(Living())
    for part in ("controller", "webhook", "cainjector"):
        assert "ingress.certManager.mode: helm" in lacking[f"cert-manager's {part}"]
    assert "Certificate" in lacking["kinds of cert-manager"]
    assert "webhook of cert-manager" in lacking


@pytest.mark.parametrize(
    ("tag", "result", "word"),
    [
        ("v1.21.2", "ok", ""),
        ("v1.20.0", "ok", ""),
        ("v1.19.3", "fails", "upgrade it to 1.20 to 1.21"),
        ("v1.22.0", "warns", "newer than 1.21"),
    ],
)
def test_the_version(tag: str, result: str, word: str) -> None:
    living = cert_manager()
    image = f"quay.io/jetstack/cert-manager-controller:{tag}"
    living.deployment("cert-manager")["spec"]["template"]["spec"]["containers"][0]["image"] = image
    lines = [
        each
        for each in existing_cert_manager(living.cluster, "cert-manager", True)
        if each.about == "version of cert-manager"
    ]
    assert [line.result for line in lines] == [result]
    assert word in f"{lines[0].found} {lines[0].fix}"


def test_another_account_is_known_to_nobody() -> None:
    living = cert_manager()
    living.deployment("cert-manager")["spec"]["template"]["spec"]["serviceAccountName"] = "certs"
    assert "serviceAccount.name: cert-manager" in said(living)["account of cert-manager"]


def test_challenges_through_a_gateway_need_the_feature() -> None:
    assert "enableGatewayAPI" in said(with_args())["Gateway API in cert-manager"]
    assert "Gateway API in cert-manager" in said(with_args("--enable-gateway-api=false"))
    assert not said(with_args(), gateway=False)


def test_settings_in_a_file_are_remarked_on() -> None:
    living = with_args("--config=/var/cert-manager/config/config.yaml")
    assert not said(living)
    assert "config.yaml" in said(living, "warns")["settings of cert-manager"]


def test_secrets_of_issuers_are_in_its_own_namespace() -> None:
    lacking = said(with_args("--enable-gateway-api", "--cluster-resource-namespace=issuers"))
    assert list(lacking) == ["namespace of ClusterIssuers' secrets"]


@pytest.mark.parametrize(
    ("controllers", "approves"),
    [
        ("", True),
        ("*", True),
        ("-certificates-metrics", True),
        ("*,-certificaterequests-approver", False),
        ("-certificaterequests-approver", False),
        ("certificates-issuing,clusterissuers", False),
        ("clusterissuers,certificaterequests-approver", True),
    ],
)
def test_who_approves_requests(controllers: str, approves: bool) -> None:
    living = with_args("--enable-gateway-api", *([f"--controllers={controllers}"] if controllers else []))
    about = "approver of certificate requests"
    assert (about not in said(living)) is approves
    # approver-policy with a policy may approve them: a person has to look.
    with_policy = living.with_(POLICIES, [{"metadata": {"name": "public"}}])
    assert not said(with_policy)
    assert (about in said(with_policy, "warns")) is not approves


def test_a_webhook_that_fails_open() -> None:
    path = f"{HOOKS}/validatingwebhookconfigurations"
    there = [hook("cert-manager-webhook", "cert-manager", "Ignore")]
    assert "fails open" in said(cert_manager().with_(path, there))["webhook of cert-manager"]


def test_roles_that_let_tenants_have_any_host_signed() -> None:
    label = {"rbac.authorization.k8s.io/aggregate-to-edit": "true"}
    rules: list[dict[str, Any]] = [{"apiGroups": ["cert-manager.io"], "verbs": ["create"]}]
    role = {"metadata": {"name": "cert-manager-edit", "labels": label}, "rules": rules}
    lacking = said(cert_manager().with_(f"{RBAC}/clusterroles", [role]))
    assert "global.rbac.aggregateClusterRoles: false" in lacking["roles of cert-manager"]


def test_every_setting_of_the_program_is_asked_for() -> None:
    values = cert_manager_values(2, gateway_api=True)
    # How many run, with what, where leases are, how the chart itself starts: nothing that a certificate rests on.
    assert set(values) == {
        *("crds", "replicaCount", "podDisruptionBudget", "webhook", "cainjector", "startupapicheck"),
        *("global", "extraArgs", "resources"),
    }
    assert set(values["global"]) == {"leaderElection", "rbac"}
    assert values["extraArgs"] == ["--enable-gateway-api"]


class TestGatewayApi:
    CORS = ("HTTPRoute", "filters", "cors")

    def said(self, living: Living, *used: tuple[str, ...], result: str = "fails") -> dict[str, str]:
        return objecting(list(existing_gateway_api(living.cluster, used)), result)

    def test_the_same_version_lacks_nothing(self) -> None:
        living = gateway_api("v1.6.0", "filters.cors", "name", "timeouts")
        assert not self.said(living, self.CORS, ("HTTPRoute", "name"), ("HTTPRoute", "timeouts"))
        assert not self.said(living, result="warns")

    def test_no_definitions(self) -> None:
        assert "ingress.gatewayApi.mode: apply" in self.said(Living())["kinds of the Gateway API"]

    def test_a_field_that_an_older_version_lacks(self) -> None:
        older = gateway_api("v1.2.1", "name")
        assert not self.said(older, ("HTTPRoute", "name"))
        assert list(self.said(older, self.CORS)) == ["HTTPRoute.spec.rules.filters.cors"]

    def test_a_newer_version_is_remarked_on(self) -> None:
        newer = gateway_api("v1.7.0")
        assert not self.said(newer)
        assert "newer than v1.6.0" in self.said(newer, result="warns")["version of the Gateway API"]
