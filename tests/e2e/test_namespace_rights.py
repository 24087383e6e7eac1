"""What a right in one namespace opens: nothing of the platform's API groups, and none of the rules."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kubernetes import client

from components.kube.names import CLEANUP_ACCOUNT, KYVERNO_NAMESPACE, RULE_INTEGRITY
from components.kyverno.expired_exceptions import NAME as EXPIRED_EXCEPTIONS
from components.kyverno.rule_integrity import EXCEPTIONS, POLICIES, REPORTS
from tests.e2e import pods
from tests.e2e.admission import Admission
from tests.e2e.attack_weakenings import ADMISSION, KYVERNO, RBAC, added, call, collection, patched
from tests.e2e.plane import Plane
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e

STACK = "production"
TENANT, EVE, NAME = "tenant", "eve", "opened"
ROLES = ("admin", "edit", "view")
# What each role may do on the kinds that the platform brings, as `group/resource: verbs`. Nobody has agreed to more.
REVIEWED: dict[str, dict[str, set[str]]] = {role: {} for role in ROLES}
RULE = "disallow-privileged"
KINDS = {
    group: [*EXCEPTIONS.get(group, ()), *POLICIES.get(group, ()), *REPORTS.get(group, ())]
    for group in (*POLICIES, *REPORTS)
}
_VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]


@pytest.fixture(scope="module")
def production(plane: Plane) -> Plane:
    plane.stand(STACK)
    return plane


@pytest.fixture(scope="module")
def tenant(production: Plane) -> Iterator[Plane]:
    """A namespace whose administrator has the built-in role there, and nothing anywhere else."""
    production.core.create_namespace({"metadata": {"name": TENANT}})
    call(production, "POST", collection(RBAC, "rolebindings", TENANT), bound("ClusterRole", "admin"))
    yield production
    production.core.delete_namespace(TENANT)
    # The namespace controller deletes the reports in it, which nobody else may.
    eventually(
        lambda: call(production, "GET", f"/api/v1/namespaces/{TENANT}", fails=False).get("code") == 404, "it is gone"
    )


@pytest.fixture(scope="module")
def eve(tenant: Plane) -> Admission:
    """The API server as that administrator sees it."""
    return Admission(tenant, ["none"], tenant.client_of(EVE))


@pytest.fixture
def given_by_hand(tenant: Plane) -> Iterator[None]:
    """The rights that the charts would aggregate into `admin`."""
    rules = [{"apiGroups": [group], "resources": names, "verbs": _VERBS} for group, names in KINDS.items()]
    role = {"apiVersion": RBAC, "kind": "Role", "metadata": {"name": NAME}, "rules": rules}
    with (
        added(tenant, collection(RBAC, "roles", TENANT), role),
        added(tenant, collection(RBAC, "rolebindings", TENANT), bound("Role", NAME)),
    ):
        yield


@pytest.fixture
def unguarded(tenant: Plane) -> Iterator[None]:
    """The guard, without this namespace."""
    path = f"{collection(ADMISSION, 'validatingadmissionpolicybindings')}/{RULE_INTEGRITY}"
    elsewhere = {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": [TENANT]}
    selector = {"namespaceSelector": {"matchExpressions": [elsewhere]}}
    with patched(tenant, path, {"matchResources": selector}, {"matchResources": None}):
        yield


def bound(kind: str, role: str) -> dict[str, Any]:
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": EVE}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role}
    return {"metadata": {"name": role}, "roleRef": reference, "subjects": [subject]}


def exception(rule: str = RULE, expression: str = "true") -> dict[str, Any]:
    return {
        "apiVersion": KYVERNO,
        "kind": "PolicyException",
        "metadata": {"name": NAME},
        "spec": {
            "policyRefs": [{"name": rule, "kind": "ValidatingPolicy"}],
            "matchConditions": [{"name": "everything", "expression": expression}],
        },
    }


def mutation() -> dict[str, Any]:
    """Rewrites the command of each pod in the namespace, whoever made it."""
    made = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    command = "Object{spec: Object.spec{containers: [Object.spec.containers{name: 'api', command: ['steal']}]}}"
    return {
        "apiVersion": KYVERNO,
        "kind": "NamespacedMutatingPolicy",
        "metadata": {"name": NAME},
        "spec": {
            "autogen": {"podControllers": {"controllers": []}},
            "matchConstraints": {"resourceRules": [made]},
            "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": command}}],
        },
    }


def report() -> dict[str, Any]:
    return {"apiVersion": "wgpolicyk8s.io/v1alpha2", "kind": "PolicyReport", "metadata": {"name": NAME}}


def update_request() -> dict[str, Any]:
    of = {"requestType": "generate", "policy": "default-deny", "rule": "r", "deleteDownstream": True, "context": {}}
    spec = {**of, "resource": {"kind": "Namespace", "name": TENANT}}
    return {"apiVersion": "kyverno.io/v2", "kind": "UpdateRequest", "metadata": {"name": NAME}, "spec": spec}


ATTACKS = {made["kind"]: made for made in (exception(), mutation(), report(), update_request())}


class TestBuiltInRoles:
    """What `admin`, `edit` and `view` hold after aggregation, over every kind that the platform has brought."""

    @pytest.mark.parametrize("role", ROLES)
    def test_they_may_do_what_was_reviewed_and_no_more(self, production: Plane, role: str) -> None:
        assert rights_of(production, role) == REVIEWED[role]

    def test_all_that_is_aggregated_into_them_is_kubernetes_own(self, production: Plane) -> None:
        labels = [f"rbac.authorization.k8s.io/aggregate-to-{role}" for role in ROLES]
        made = call(production, "GET", collection(RBAC, "clusterroles"))["items"]
        found = {role["metadata"]["name"] for role in made if set(labels) & set(role["metadata"].get("labels") or {})}
        assert found == {"edit", "view", *(f"system:aggregate-to-{role}" for role in ROLES)}

    def test_a_right_that_somebody_aggregates_is_found(self, production: Plane) -> None:
        rule = {"apiGroups": ["policies.kyverno.io"], "resources": ["policyexceptions"], "verbs": ["create"]}
        labels = {"rbac.authorization.k8s.io/aggregate-to-edit": "true"}
        role = {"metadata": {"name": NAME, "labels": labels}, "rules": [rule]}
        with added(production, collection(RBAC, "clusterroles"), role):
            for holder in ("edit", "admin"):
                eventually(
                    lambda holder=holder: (
                        rights_of(production, holder) == {"policies.kyverno.io/policyexceptions": {"create"}}
                    ),
                    f"{holder} has the right",
                )


def rights_of(plane: Plane, role: str) -> dict[str, set[str]]:
    """The verbs that the cluster role has on each custom resource, and on its subresources."""
    rules = call(plane, "GET", f"{collection(RBAC, 'clusterroles')}/{role}")["rules"]
    verbs = {name: set(verbs_on(rules, *name.split("/", 1))) for name in custom_resources(plane)}
    return {name: found for name, found in verbs.items() if found}


def custom_resources(plane: Plane) -> Iterator[str]:
    definitions = plane.extensions.list_custom_resource_definition().items
    assert len({item.spec.group for item in definitions}) > 5
    for item in definitions:
        name = f"{item.spec.group}/{item.spec.names.plural}"
        yield from (name, f"{name}/status", f"{name}/scale")


def verbs_on(rules: Iterable[dict[str, Any]], group: str, resource: str) -> Iterator[str]:
    kind, _, subresource = resource.partition("/")
    names = {"*", resource, *([f"*/{subresource}", f"{kind}/*"] if subresource else [])}
    for rule in rules:
        if {"*", group} & set(rule.get("apiGroups", [])) and names & set(rule.get("resources", [])):
            yield from rule["verbs"]


class TestNamespaceAdmin:
    """Who administers one namespace neither weakens a rule, nor rewrites pods, nor says how the cluster complies."""

    @pytest.mark.parametrize("kind", ATTACKS)
    def test_the_role_alone_has_no_right_to_it(self, eve: Admission, kind: str) -> None:
        refused = f'User "{EVE}" cannot create resource'
        assert refused in eve.dry_run("POST", ATTACKS[kind], TENANT).message

    @pytest.mark.usefixtures("given_by_hand")
    @pytest.mark.parametrize("kind", ATTACKS)
    def test_with_a_right_to_it_the_guard_refuses(self, eve: Admission, kind: str) -> None:
        refused = f"ValidatingAdmissionPolicy '{RULE_INTEGRITY}'"
        eventually(lambda: refused in eve.dry_run("POST", ATTACKS[kind], TENANT).message, f"{refused}: {kind}")

    @pytest.mark.usefixtures("given_by_hand")
    def test_no_report_is_deleted(self, eve: Admission, tenant: Plane) -> None:
        with added(tenant, collection("wgpolicyk8s.io/v1alpha2", "policyreports", TENANT), report()):
            path = f"{collection('wgpolicyk8s.io/v1alpha2', 'policyreports', TENANT)}/{NAME}?dryRun=All"
            eventually(lambda: f"{EVE} may not delete policyreports" in eve.answer("DELETE", path), "it is refused")

    def test_an_exception_elsewhere_is_refused_to_everybody(self, tenant: Plane) -> None:
        deployer = Admission(tenant, ["none"])
        assert "counts in the namespace kyverno alone" in deployer.dry_run("POST", exception(), TENANT).message
        assert not deployer.dry_run("POST", mutation(), TENANT).message

    @pytest.mark.usefixtures("given_by_hand", "unguarded")
    @pytest.mark.parametrize("kind", ATTACKS)
    def test_without_the_guard_it_is_admitted(self, eve: Admission, kind: str) -> None:
        eventually(lambda: not eve.dry_run("POST", ATTACKS[kind], TENANT).message, f"{kind} is admitted")

    @pytest.mark.usefixtures("given_by_hand", "unguarded")
    def test_without_the_guard_one_exception_switches_a_rule_off_everywhere(
        self, eve: Admission, tenant: Plane
    ) -> None:
        deployer = Admission(tenant, [RULE])
        bad = pods.privileged(NAME)
        bad["spec"]["serviceAccountName"] = "redis"
        assert RULE in deployer.dry_run("POST", bad, "shop").message
        eventually(lambda: not eve.dry_run("POST", exception(), TENANT).message, "it is admitted")
        eve.request("POST", exception(), TENANT)
        try:
            eventually(lambda: RULE not in deployer.dry_run("POST", bad, "shop").message, "the rule is off")
        finally:
            deployer.request("DELETE", exception(), TENANT)
        eventually(lambda: RULE in deployer.dry_run("POST", bad, "shop").message, "the rule is on")


class TestCleanupController:
    """What ends exceptions may delete exceptions, in the one namespace where they count."""

    @pytest.mark.parametrize(
        ("verb", "group", "resource", "namespace", "allowed"),
        [
            ("delete", "policies.kyverno.io", "policyexceptions", KYVERNO_NAMESPACE, True),
            ("delete", "policies.kyverno.io", "policyexceptions", TENANT, False),
            ("create", "policies.kyverno.io", "policyexceptions", KYVERNO_NAMESPACE, False),
            ("update", "policies.kyverno.io", "policyexceptions", KYVERNO_NAMESPACE, False),
            ("patch", "policies.kyverno.io", "policyexceptions", KYVERNO_NAMESPACE, False),
            ("delete", "policies.kyverno.io", "validatingpolicies", "", False),
            ("update", "policies.kyverno.io", "namespaceddeletingpolicies", KYVERNO_NAMESPACE, False),
            ("create", "admissionregistration.k8s.io", "validatingwebhookconfigurations", "", False),
            ("delete", "admissionregistration.k8s.io", "validatingadmissionpolicies", "", False),
            ("delete", "", "pods", KYVERNO_NAMESPACE, False),
            ("get", "", "secrets", TENANT, False),
            ("list", "", "configmaps", TENANT, False),
        ],
    )
    def test_its_rights(
        self, tenant: Plane, verb: str, group: str, resource: str, namespace: str, allowed: bool
    ) -> None:
        asked = client.V1ResourceAttributes(verb=verb, group=group, resource=resource, namespace=namespace)
        review = client.V1SelfSubjectAccessReview(spec=client.V1SelfSubjectAccessReviewSpec(resource_attributes=asked))
        controller: Any = client.AuthorizationV1Api(tenant.client_as(KYVERNO_NAMESPACE, CLEANUP_ACCOUNT))
        assert controller.create_self_subject_access_review(review).status.allowed is allowed

    def test_it_looks_each_minute(self, production: Plane) -> None:
        path = f"{collection(KYVERNO, 'namespaceddeletingpolicies', KYVERNO_NAMESPACE)}/{EXPIRED_EXCEPTIONS}"

        def age() -> timedelta:
            last = call(production, "GET", path).get("status", {}).get("lastExecutionTime", "2000-01-01T00:00:00Z")
            return datetime.now(UTC) - datetime.fromisoformat(last)

        eventually(lambda: age() < timedelta(seconds=90), "it has looked")

    def test_it_has_no_webhook(self, production: Plane) -> None:
        made = call(production, "GET", collection(ADMISSION, "validatingwebhookconfigurations"))["items"]
        assert not [item for item in made if "ttl" in item["metadata"]["name"] or "cleanup" in item["metadata"]["name"]]
