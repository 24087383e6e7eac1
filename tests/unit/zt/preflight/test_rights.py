"""Which rights the stack needs follows from what the program creates; what is missing is named."""

from typing import Any

import pytest

from components.kube.charts import CHARTS
from components.kube.kinds import CLUSTER_KINDS
from tests.support.stacks import stack
from tests.unit.zt.preflight.stack import CREATED, FakeCluster, one, planned_of, session
from zt.preflight.chart_objects import CHART_KINDS
from zt.preflight.checks import rights
from zt.preflight.created import Created, created_by
from zt.preflight.kinds import plural, resource_of
from zt.preflight.line import Line, Result


@pytest.fixture(scope="module")
def created() -> Created:
    return created_by(*planned_of("production"))


def asked(denied: Any, created: Created = CREATED) -> Line:
    return one(rights.THEME, "kubernetes-rights", session(cluster=FakeCluster(denied=denied), created=created))


def test_a_cluster_admin_is_asked_once() -> None:
    cluster = FakeCluster()
    line = one(rights.THEME, "kubernetes-rights", session(cluster=cluster))
    assert line.result is Result.OK
    assert [call.path for call in cluster.calls].count("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews") == 1


def test_all_rights_one_by_one_are_enough() -> None:
    line = asked(lambda right: "*" in (right["verb"], right["resource"]))
    assert (line.result, line.found) == (Result.OK, "deployer may do all that the stack needs")


def test_a_missing_verb_is_named_with_its_place() -> None:
    def denied(right: dict[str, Any]) -> bool:
        if right["verb"] == "*":
            return True
        return right["resource"] == "deployments" and right.get("namespace") == "shop" and right["verb"] == "patch"

    line = asked(denied)
    assert line.result is Result.FAILS
    assert line.details == ("namespace shop: patch on deployments.apps",)
    assert "--clusterrole=cluster-admin --user=deployer" in line.fix


@pytest.mark.parametrize(("verb", "resource"), [("escalate", "clusterroles"), ("bind", "roles")])
def test_whoever_writes_roles_needs_their_rights_or_the_verb_for_it(verb: str, resource: str) -> None:
    line = asked(lambda right: right["verb"] == "*" or (right["verb"], right["resource"]) == (verb, resource))
    assert f"{verb} on {resource}.rbac.authorization.k8s.io" in "\n".join(line.details)


def test_resources_with_the_same_missing_verbs_are_in_one_sentence() -> None:
    line = asked(lambda right: right.get("group") == "rbac.authorization.k8s.io" or right["verb"] == "*")
    assert len(line.details) < 12


def test_the_rights_follow_from_the_program(created: Created) -> None:
    due = rights.rights_of(session(created=created))
    places = {(right.namespace, str(right.resource)) for right in due}
    assert ("", "validatingpolicies.policies.kyverno.io") in places
    assert ("", "customresourcedefinitions.apiextensions.k8s.io") in places
    assert ("shop", "networkpolicies.networking.k8s.io") in places
    assert ("vault", "statefulsets.apps") in places
    assert ("istio-system", "secrets") in places
    assert {right.verb for right in due if right.resource.name == "clusterroles"} >= {"escalate", "bind", "create"}
    # Nobody asks for a right in the whole cluster on what one namespace has.
    assert not [right for right in due if right.resource.name in ("secrets", "deployments") and not right.namespace]


def test_the_program_says_what_it_creates(created: Created) -> None:
    assert created.namespaces == ("cert-manager", "istio-ingress", "istio-system", "kyverno", "shop", "vault")
    assert {release.chart for release in created.releases} == {
        "base",
        "cert-manager",
        "cni",
        "istiod",
        "kyverno",
        "vault",
    }
    assert created.files
    assert {each.name for each in created.of("Deployment")} == {"api", "postgres", "redis"}


def test_a_local_stack_creates_its_services_alone() -> None:
    made, planned = planned_of("local")
    created = created_by(made, planned)
    assert not created.releases
    assert created.namespaces == made.namespaces


def test_the_first_password_of_a_database_is_not_needed() -> None:
    from components.program.plan import plan

    database = {"host": "db.example.org", "cidrs": ["10.0.0.0/8"], "database": "shop", "adminUser": "vault"}
    own = stack("production", databases={"orders": {**database, "adminSecret": "orders"}})
    assert created_by(own, plan(own)).releases


def test_every_chart_has_its_kinds() -> None:
    assert set(CHART_KINDS) == {chart.name for chart in CHARTS}
    kinds = {kind for kinds in CHART_KINDS.values() for _, kind in kinds}
    assert {kind for kind in kinds if kind.startswith("Cluster") or kind.endswith("Configuration")} <= CLUSTER_KINDS


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("NetworkPolicy", "networkpolicies"),
        ("Gateway", "gateways"),
        ("Ingress", "ingresses"),
        ("ServiceEntry", "serviceentries"),
        ("Endpoints", "endpoints"),
        ("Telemetry", "telemetries"),
        ("StorageClass", "storageclasses"),
        ("ConfigMap", "configmaps"),
    ],
)
def test_the_plural_of_a_kind(kind: str, name: str) -> None:
    assert plural(kind) == name


def test_the_group_of_a_kind() -> None:
    assert str(resource_of("v1", "Secret")) == "secrets"
    assert str(resource_of("apps/v1", "Deployment")) == "deployments.apps"
