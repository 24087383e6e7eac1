"""Who may run a program as a service: what an account with the role `edit` in its namespace tries, and cannot."""

from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes import client

from components.kube.names import OBJECTS
from tests.e2e.admission import Admission
from tests.e2e.plane import Plane
from tests.policy import cases
from tests.support.waiting import eventually

_SHOP = "shop"
_REFUSED = "may not run a program as service account"
_RBAC = "rbac.authorization.k8s.io"


def _workload(kind: str, account: str) -> dict[str, Any]:
    made = cases.wrap(kind, "evil", {**cases.pod_spec({}), "serviceAccountName": account}, cases.BASELINE["labels"])
    return {**made, "metadata": {**made["metadata"], "namespace": _SHOP}}


def refused(message: str) -> bool:
    """Whether this is a refusal. What is a service's own is refused by two policies, and the API server names one."""
    return _REFUSED in message or OBJECTS in message


def _role(plane: Plane, name: str, **rule: Any) -> None:
    rbac: Any = client.RbacAuthorizationV1Api(plane.api)
    rbac.create_namespaced_role(_SHOP, {"metadata": {"name": name}, "rules": [{"apiGroups": [""], **rule}]})
    _grant(plane, "Role", name)


def _grant(plane: Plane, kind: str, role: str) -> None:
    rbac: Any = client.RbacAuthorizationV1Api(plane.api)
    subject = {"kind": "ServiceAccount", "name": "builder", "namespace": "default"}
    reference = {"apiGroup": _RBAC, "kind": kind, "name": role}
    body = {"metadata": {"name": f"builder-{role}"}, "roleRef": reference, "subjects": [subject]}
    rbac.create_namespaced_role_binding(_SHOP, body)


class Identities:
    """Tests of a plane with the production stack."""

    @pytest.fixture(scope="class")
    @classmethod
    def builder(cls, production: Plane) -> Iterator[Admission]:
        """The API server as an account that may do all that the role `edit` holds in the namespace sees it."""
        rbac: Any = client.RbacAuthorizationV1Api(production.api)
        production.core.create_namespaced_service_account("default", {"metadata": {"name": "builder"}})
        _grant(production, "ClusterRole", "edit")
        _role(production, "debug", resources=["pods/ephemeralcontainers"], verbs=["update", "patch"])
        yield Admission(production, ["none"], production.client_as("default", "builder"))
        for role in ("edit", "debug"):
            rbac.delete_namespaced_role_binding(f"builder-{role}", _SHOP)
        rbac.delete_namespaced_role("debug", _SHOP)
        production.core.delete_namespaced_service_account("builder", "default")

    @pytest.mark.parametrize("kind", cases.KINDS)
    def test_a_workload_of_its_own_is_no_service(self, builder: Admission, kind: str) -> None:
        said = f"{_REFUSED} postgres of shop"
        # Its rights are there a moment after they are given.
        eventually(lambda: said in builder.dry_run("POST", _workload(kind, "postgres"), _SHOP).message, said)
        assert _REFUSED not in builder.dry_run("POST", _workload(kind, "workload"), _SHOP).message

    def test_a_service_is_not_changed_into_another_program(self, builder: Admission) -> None:
        head = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "postgres"}}
        body = builder.request("GET", head, _SHOP)
        body["metadata"]["labels"]["seen"] = "yes"
        assert _REFUSED not in builder.dry_run("PUT", body, _SHOP).message
        body["spec"]["replicas"] = 0
        assert _REFUSED not in builder.dry_run("PUT", body, _SHOP).message
        body["spec"]["template"]["spec"]["containers"][0]["image"] = "registry.example.org/shop/api:v1.2.3"
        assert refused(builder.dry_run("PUT", body, _SHOP).message)

    def test_a_running_pod_is_neither_entered_nor_debugged_nor_changed(self, builder: Admission) -> None:
        pod = builder.plane.core.list_namespaced_pod(_SHOP, label_selector="app=postgres").items[0].metadata.name
        path = f"/api/v1/namespaces/{_SHOP}/pods/{pod}"
        for shell in ("exec?command=sh&stdout=true", "attach?stdout=true"):
            assert f"{_REFUSED} of any pod" in builder.answer("POST", f"{path}/{shell}")
        services = f"/api/v1/namespaces/{_SHOP}/services"
        for way in (f"{path}/portforward?ports=5432", f"{path}/proxy/", f"{services}/postgres:5432/proxy/"):
            assert "may not open a port of any pod" in builder.answer("POST", way)
        head = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": pod}}
        body = builder.request("GET", head, _SHOP)
        body["spec"]["containers"][-1]["image"] = "registry.example.org/shop/api:v1.2.3"
        assert refused(builder.dry_run("PUT", body, _SHOP).message)
        added = {**cases.BASELINE["container"], "name": "debug"}
        for key in ("resources", "livenessProbe", "readinessProbe"):
            added.pop(key)
        body = {**builder.request("GET", head, _SHOP)}
        body["spec"]["ephemeralContainers"] = [added]
        assert refused(builder.dry_run("PUT", body, _SHOP, "ephemeralcontainers").message)

    def test_no_token_is_made_for_it(self, builder: Admission) -> None:
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": ["vault"]}}
        path = f"/api/v1/namespaces/{_SHOP}/serviceaccounts"
        assert f"{_REFUSED} postgres" in builder.answer("POST", f"{path}/postgres/token", request)
        annotations = {"kubernetes.io/service-account.name": "postgres"}
        kind = "kubernetes.io/service-account-token"
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "evil", "annotations": annotations}}
        assert f"{_REFUSED} postgres" in builder.dry_run("POST", {**secret, "type": kind}, _SHOP).message
        assert not builder.dry_run("POST", secret, _SHOP).message

    def test_the_right_to_one_account_is_a_right_to_that_one(self, builder: Admission, production: Plane) -> None:
        rbac: Any = client.RbacAuthorizationV1Api(production.api)
        _role(production, "redis", resources=["serviceaccounts"], resourceNames=["redis"], verbs=["use"])
        try:
            eventually(
                lambda: _REFUSED not in builder.dry_run("POST", _workload("Job", "redis"), _SHOP).message,
                "it may use it",
            )
            assert _REFUSED in builder.dry_run("POST", _workload("Job", "postgres"), _SHOP).message
        finally:
            rbac.delete_namespaced_role_binding("builder-redis", _SHOP)
            rbac.delete_namespaced_role("redis", _SHOP)
