"""Whose the namespaces and operators in the cluster are, and which Pod Security level the pods of the stack pass."""

from dataclasses import replace
from typing import Any

import pytest

from components.kyverno.library import load_library
from components.service.args.exceptions import ExceptionArgs
from tests.unit.zt.preflight.stack import (
    ADMISSION,
    CREATED,
    DEFINITIONS,
    FakeCluster,
    helm,
    lines,
    metadata,
    one,
    results,
    session,
)
from zt.preflight.checks import namespaces, operators
from zt.preflight.line import Line, Result
from zt.preflight.session import Session

NAMESPACES = "/api/v1/namespaces"
LEVEL = "pod-security.kubernetes.io/enforce"
DEPLOYMENTS = "/apis/apps/v1/deployments"
VALIDATING = f"{ADMISSION}/validatingwebhookconfigurations"
MUTATING = f"{ADMISSION}/mutatingwebhookconfigurations"
APPLIED = [{"manager": "pulumi-kubernetes-1dd8ecac"}]


def labelled(name: str, level: str, **more: Any) -> Any:
    return metadata(name, labels={LEVEL: level}, **more)


def pod_security(*present: Any, of: Session | None = None) -> list[Line]:
    at = {NAMESPACES: list(present)}
    made = (
        session(cluster=FakeCluster(at))
        if of is None
        else replace(of, cluster=session(cluster=FakeCluster(at)).cluster)
    )
    return lines(namespaces.THEME, made, "pod-security")


@pytest.mark.parametrize(
    ("name", "level", "result", "word"),
    [
        ("shop", "restricted", "ok", ""),
        ("shop", "baseline", "ok", ""),
        ("shop", "privileged", "warns", "admits any pod"),
        ("vault", "restricted", "ok", ""),
        ("vault", "privileged", "warns", "admits any pod"),
        ("istio-system", "privileged", "ok", ""),
        ("istio-system", "restricted", "fails", "the stack sets privileged"),
        ("kyverno", "baseline", "fails", "the stack sets restricted"),
        ("shop", "strict", "fails", "is none of"),
        ("somebody-elses", "privileged", "ok", ""),
    ],
)
def test_the_level_of_a_namespace(name: str, level: str, result: str, word: str) -> None:
    (line,) = pod_security(labelled(name, level))
    assert (line.result.value, word in line.found) == (result, True), line
    assert result == "ok" or f"namespace {name} " in line.fix


def excepted(rule: str) -> Session:
    of = session()
    first, *others = of.planned.services
    exception = ExceptionArgs(rule, "reason", "ann@example.org", "2027-01-01")
    return replace(of, planned=replace(of.planned, services=[replace(first, exceptions=[exception]), *others]))


@pytest.mark.parametrize(
    ("rule", "level", "result"),
    [
        ("require-run-as-non-root", "restricted", "fails"),
        ("require-run-as-non-root", "baseline", "ok"),
        ("disallow-privileged", "baseline", "fails"),
        ("disallow-host-path", "privileged", "ok"),
        ("require-probes", "restricted", "ok"),
    ],
)
def test_a_service_with_an_exception_passes_a_looser_level_only(rule: str, level: str, result: str) -> None:
    (line,) = pod_security(labelled("shop", level), of=excepted(rule))
    assert line.result == result
    assert result == "ok" or rule in line.found


def test_every_rule_of_the_standards_is_in_the_table() -> None:
    critical = {rule.name for rule in load_library().tier("critical")}
    assert set(namespaces.PASSES_WITHOUT) <= critical
    # These are the platform's own: the standards say nothing of them.
    assert critical - set(namespaces.PASSES_WITHOUT) == {
        "disallow-default-service-account",
        "disallow-external-ips",
        "disallow-proxy-user",
        "disallow-token-automount",
        "require-read-only-root-filesystem",
        "restrict-image-registries",
    }


def existing(*present: Any, **at: Any) -> Line:
    return one(namespaces.THEME, "namespaces", session(cluster=FakeCluster({NAMESPACES: list(present), **at})))


def test_a_bare_cluster_has_no_namespace_of_the_stack() -> None:
    assert existing(metadata("default")).found == "none of the stack's"


@pytest.mark.parametrize(
    "marks",
    [
        {"managedFields": APPLIED},
        {"labels": {"app.kubernetes.io/managed-by": "pulumi"}},
    ],
)
def test_a_namespace_of_the_stack(marks: Any) -> None:
    assert existing(metadata("shop", **marks)).found == "this stack's: shop"


def test_a_namespace_without_labels_is_known_by_what_is_in_it() -> None:
    accounts = "/api/v1/namespaces/vault/serviceaccounts"
    own = existing(metadata("vault"), **{accounts: [metadata("platform-operator", "vault", managedFields=APPLIED)]})
    assert own.result is Result.OK
    other = existing(metadata("vault"), **{accounts: [metadata("platform-operator", "vault")]})
    assert other.result is Result.FAILS


def test_a_namespace_of_others() -> None:
    line = existing(metadata("shop", managedFields=[{"manager": "kubectl-create"}]))
    assert line.result is Result.FAILS
    assert "imports.namespaces: [shop]" in line.fix
    taken = session(cluster=FakeCluster({NAMESPACES: [metadata("shop")]}), imports={"namespaces": ["shop"]})
    assert one(namespaces.THEME, "namespaces", taken).found == "this stack's: none; imported: shop"


@pytest.mark.parametrize(("name", "result"), [("shop", "fails"), ("other", "ok")])
def test_a_namespace_that_is_being_deleted(name: str, result: str) -> None:
    gone = metadata(name, deletionTimestamp="2026-12-01T00:00:00Z")
    assert one(namespaces.THEME, "terminating", session(cluster=FakeCluster({NAMESPACES: [gone]}))).result == result


def operator_lines(**changes: Any) -> dict[str, Line]:
    return {line.about: line for line in lines(operators.THEME, session(**changes), "operators")}


def test_a_bare_cluster_has_no_operator() -> None:
    found = operator_lines()
    assert {line.result for line in found.values()} == {Result.OK}
    assert set(found) == {
        "Kyverno of others",
        "Istio of others",
        "cert-manager of others",
        "Gateway API of others",
        "Vault's agent injector of others",
    }


KYVERNOS = {"webhook.kyverno.io/managed-by": "kyverno"}
OWN = {
    DEFINITIONS: [
        metadata("clusterpolicies.kyverno.io", annotations=helm("kyverno", "kyverno")),
        metadata("gateways.networking.istio.io", annotations=helm("istio-base", "istio-system")),
        metadata("gateways.gateway.networking.k8s.io", managedFields=APPLIED),
        metadata("things.example.org"),
    ],
    DEPLOYMENTS: [
        metadata("cert-manager", "cert-manager", annotations=helm("cert-manager", "cert-manager")),
        metadata("istiod-1-30", "istio-system", annotations=helm("istiod-1-30", "istio-system")),
        metadata("shop-kyverno", "shop"),
    ],
    VALIDATING: [
        {
            **metadata("kyverno-resource-validating-webhook-cfg", labels=KYVERNOS),
            "webhooks": [{"clientConfig": {"service": {"namespace": "kyverno"}}}],
        }
    ],
}


def test_the_stacks_own_operators_are_not_others() -> None:
    assert {line.result for line in operator_lines(cluster=FakeCluster(OWN)).values()} == {Result.OK}


@pytest.mark.parametrize(
    ("at", "about", "word"),
    [
        ({DEFINITIONS: [metadata("clusterpolicies.kyverno.io")]}, "Kyverno", "crd clusterpolicies.kyverno.io"),
        ({DEFINITIONS: [metadata("policyreports.wgpolicyk8s.io")]}, "Kyverno", "policyreports"),
        (
            {DEFINITIONS: [metadata("sidecars.networking.istio.io", annotations=helm("base", "mesh"))]},
            "Istio",
            "helm uninstall base --namespace mesh",
        ),
        ({DEFINITIONS: [metadata("httproutes.gateway.networking.k8s.io")]}, "Gateway API", "--gateway-api=disabled"),
        ({DEPLOYMENTS: [metadata("istiod", "mesh")]}, "Istio", "deployment mesh/istiod"),
        ({DEPLOYMENTS: [metadata("cert-manager", "certs")]}, "cert-manager", "deployment certs/cert-manager"),
        ({MUTATING: [metadata("vault-agent-injector-cfg")]}, "Vault's agent injector", "vault.injector: false"),
        ({MUTATING: [metadata("cert-manager-webhook")]}, "cert-manager", "mutatingwebhookconfiguration"),
        (
            {
                VALIDATING: [
                    {
                        **metadata("kyverno-resource-validating-webhook-cfg", labels=KYVERNOS),
                        "webhooks": [{"clientConfig": {"service": {"namespace": "policy-system"}}}],
                    }
                ]
            },
            "Kyverno",
            "kyverno-resource-validating-webhook-cfg",
        ),
    ],
)
def test_an_operator_of_others(at: Any, about: str, word: str) -> None:
    found = operator_lines(cluster=FakeCluster(at))
    line = found.pop(f"{about} of others")
    assert line.result is Result.FAILS
    assert word in f"{line.details} {line.fix}"
    assert {other.result for other in found.values()} == {Result.OK}


def test_many_objects_are_counted() -> None:
    many = [metadata(f"kind{number}.kyverno.io") for number in range(20)]
    line = operator_lines(cluster=FakeCluster({DEFINITIONS: many}))["Kyverno of others"]
    assert line.found.startswith("20 objects")
    assert line.details[-1] == "and 14 more"


def test_external_secrets_matter_to_a_stack_with_them_alone() -> None:
    definition = FakeCluster({DEFINITIONS: [metadata("externalsecrets.external-secrets.io")]})
    assert "External Secrets of others" not in operator_lines(cluster=definition)
    release = replace(
        CREATED.releases[0], name="external-secrets", namespace="external-secrets", chart="external-secrets"
    )
    created = replace(CREATED, releases=(*CREATED.releases, release))
    line = operator_lines(cluster=definition, created=created)["External Secrets of others"]
    assert results([line]) == {"External Secrets of others": "fails"}
