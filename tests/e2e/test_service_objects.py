"""What belongs to a service: what somebody with the role `edit` or `admin` in its namespace tries, and cannot.

Each attack is sent as a dry run, so that nothing of it is stored. While the policy only reports, the API server admits
every one of them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from kubernetes import client

from components.config.action import Action
from components.kube.names import OBJECTS, PUBLIC_HOSTS
from components.service.native_policy import binding_spec
from components.service.objects import native_policy, objects_args
from tests.e2e import data_attacks as data
from tests.e2e import object_attacks as attacks
from tests.e2e.admission import Admission
from tests.e2e.attack_weakenings import ADMISSION, call, collection
from tests.e2e.object_attacks import Attack, run
from tests.e2e.plane import Plane
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e

STACK = "production"
SHOP = "shop"
DATA = data.NAMESPACE
_RBAC = "rbac.authorization.k8s.io"
_ROLES = {
    "edit": ("ClusterRole", "edit"),
    "admin": ("ClusterRole", "admin"),
    # Every right in the namespace but the verb `use`.
    "more": ("Role", "more"),
}
_MORE = [
    {
        "apiGroups": ["*"],
        "resources": ["*"],
        "verbs": ["get", "list", "create", "update", "patch", "delete", "deletecollection"],
    }
]


def as_user(plane: Plane, user: str) -> Admission:
    """The API server as a user sees it, by impersonation."""
    return Admission(plane, ["none"], plane.client_of(user))


@contextmanager
def reporting(plane: Plane, policy: str) -> Iterator[None]:
    """The policy denies nothing. A deleted binding would come back with another owner of all its fields."""
    path = f"{collection(ADMISSION, 'validatingadmissionpolicybindings')}/{policy}"
    call(plane, "PATCH", path, {"spec": {"validationActions": ["Audit"]}})
    try:
        yield
    finally:
        call(plane, "PATCH", path, {"spec": {"validationActions": ["Deny"]}})


def bind(plane: Plane, namespace: str, role: str, kind: str, name: str) -> None:
    rbac: Any = client.RbacAuthorizationV1Api(plane.api)
    rbac.create_namespaced_role_binding(
        namespace,
        {
            "metadata": {"name": f"tenant-{role}"},
            "roleRef": {"apiGroup": _RBAC, "kind": kind, "name": name},
            "subjects": [{"apiGroup": _RBAC, "kind": "User", "name": f"tenant-{role}"}],
        },
    )


def unbind(plane: Plane, namespace: str, role: str) -> None:
    rbac: Any = client.RbacAuthorizationV1Api(plane.api)
    rbac.delete_namespaced_role_binding(f"tenant-{role}", namespace)


@pytest.fixture(scope="module")
def production(plane: Plane) -> Plane:
    plane.stand(STACK)
    return plane


@pytest.fixture(scope="module")
def tenants(production: Plane) -> Iterator[dict[str, Admission]]:
    """Users with one role each in the namespace of the services."""
    rbac: Any = client.RbacAuthorizationV1Api(production.api)
    rbac.create_namespaced_role(SHOP, {"metadata": {"name": "more"}, "rules": _MORE})
    for role, (kind, name) in _ROLES.items():
        bind(production, SHOP, role, kind, name)
    users = {role: as_user(production, f"tenant-{role}") for role in _ROLES}
    mine = attacks.ALLOWED["its own ConfigMap"]
    for user in users.values():
        # Rights are there a moment after they are given.
        eventually(lambda user=user: not mine(user, SHOP), "the tenant has its rights")
    yield users
    for role in _ROLES:
        unbind(production, SHOP, role)
    rbac.delete_namespaced_role("more", SHOP)


@pytest.fixture(scope="module", autouse=True)
def any_host(production: Plane, tenants: dict[str, Admission]) -> Iterator[None]:
    """Which hosts a namespace may name is the matter of another policy, which only reports meanwhile."""
    own = attacks.ALLOWED["its own Ingress"]
    with reporting(production, PUBLIC_HOSTS):
        # A tenant is asked: the deployer may name any host while the policy denies, too.
        eventually(lambda: not own(tenants["edit"], SHOP), "a host that no list has is admitted")
        yield


OF_ROLES = [(role, name) for role in ("edit", "admin") for name in attacks.OF_EDIT]
OF_ROLES += [("more", name) for name in attacks.OF_MORE]
EVERY: dict[str, Attack] = {**attacks.OF_EDIT, **attacks.OF_MORE}


class TestTenant:
    @pytest.mark.parametrize(("role", "attack"), OF_ROLES)
    def test_what_belongs_to_a_service_is_out_of_reach(
        self, tenants: dict[str, Admission], role: str, attack: str
    ) -> None:
        refusal = EVERY[attack](tenants[role], SHOP)
        assert OBJECTS in refusal
        assert "needs the verb use" in refusal

    @pytest.mark.parametrize("role", _ROLES)
    @pytest.mark.parametrize("request_", attacks.ALLOWED)
    def test_what_is_its_own_is_not(self, tenants: dict[str, Admission], role: str, request_: str) -> None:
        assert not attacks.ALLOWED[request_](tenants[role], SHOP)

    @pytest.mark.parametrize("request_", attacks.ALLOWED_MORE)
    def test_nor_is_it_of_the_platforms_kinds(self, tenants: dict[str, Admission], request_: str) -> None:
        assert not attacks.ALLOWED_MORE[request_](tenants["more"], SHOP)

    def test_a_pod_goes_where_the_scheduler_says(self, tenants: dict[str, Admission]) -> None:
        """The pod runs already, so that the request would be refused without the policy, too."""
        assert "touches all services" in attacks.bind_a_pod(tenants["more"], SHOP)

    @pytest.mark.parametrize("role", _ROLES)
    def test_a_pod_may_be_ended(self, tenants: dict[str, Admission], production: Plane, role: str) -> None:
        """Its controller makes a new one."""
        name = production.core.list_namespaced_pod(SHOP, label_selector="app=redis").items[0].metadata.name
        assert not attacks.delete("v1", "Pod", name)(tenants[role], SHOP)

    def test_while_it_reports_each_attack_is_admitted(self, tenants: dict[str, Admission], production: Plane) -> None:
        """The policy is what refuses them, and nothing else."""
        with reporting(production, OBJECTS):
            probe = attacks.OF_EDIT["no Service"]
            eventually(lambda: not probe(tenants["edit"], SHOP), "it only reports")
            refused = {name: EVERY[name](tenants[role], SHOP) for role, name in OF_ROLES}
        eventually(lambda: OBJECTS in probe(tenants["edit"], SHOP), "it denies again")
        assert not {name: refusal for name, refusal in refused.items() if refusal}


class TestUse:
    """Who has the verb on one account may change that service, and nothing that is of all."""

    @pytest.fixture(scope="class")
    @classmethod
    def of_redis(cls, production: Plane, tenants: dict[str, Admission]) -> Iterator[Admission]:
        rbac: Any = client.RbacAuthorizationV1Api(production.api)
        rule = {"apiGroups": [""], "resources": ["serviceaccounts"], "resourceNames": ["redis"], "verbs": ["use"]}
        rbac.create_namespaced_role(SHOP, {"metadata": {"name": "use-redis"}, "rules": [rule]})
        body = {
            "metadata": {"name": "use-redis"},
            "roleRef": {"apiGroup": _RBAC, "kind": "Role", "name": "use-redis"},
            "subjects": [{"apiGroup": _RBAC, "kind": "User", "name": "tenant-edit"}],
        }
        rbac.create_namespaced_role_binding(SHOP, body)
        yield tenants["edit"]
        rbac.delete_namespaced_role_binding("use-redis", SHOP)
        rbac.delete_namespaced_role("use-redis", SHOP)

    def test_its_own_service_may_change(self, of_redis: Admission) -> None:
        changed = attacks.OF_EDIT["another selector for redis"]
        eventually(lambda: not changed(of_redis, SHOP), "it may use the account")

    def test_no_other_service_may(self, of_redis: Admission) -> None:
        assert OBJECTS in attacks.delete("v1", "Service", "postgres")(of_redis, SHOP)

    @pytest.mark.parametrize("attack", ["the policy of redis changed", "a way to every service", "no default"])
    def test_nor_what_all_services_have(self, of_redis: Admission, attack: str) -> None:
        assert f"{OBJECTS}" in attacks.OF_EDIT[attack](of_redis, SHOP)

    def test_its_pod_runs_as_that_account(self, of_redis: Admission) -> None:
        refused = run("Pod", {"app": "redis"}, "workload")
        eventually(lambda: "must run as service account redis" in refused(of_redis, SHOP), "another account is refused")
        assert not run("Pod", {"app": "redis"}, "redis")(of_redis, SHOP)


class TestTheCluster:
    """What works on a service's objects for a living."""

    def test_the_deployer_changes_and_deletes_a_service(self, production: Plane) -> None:
        deployer = Admission(production, ["none"])
        for attack in ("another selector for redis", "no policy of redis", "no service account", "no Deployment"):
            assert not attacks.OF_EDIT[attack](deployer, SHOP)

    def test_the_deployer_does_not_take_over_what_somebody_else_made(
        self, tenants: dict[str, Admission], production: Plane
    ) -> None:
        """An apply under the name of a new service would add to what is there."""
        made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "newcomer-config"}, "data": {"own": "a"}}
        tenants["edit"].request("POST", made, SHOP)
        try:
            labels = {"metadata": {"labels": attacks.stamped(SHOP)}, "data": {"service": "b"}}
            adopt = attacks.change("v1", "ConfigMap", "newcomer-config", labels)
            assert "somebody made this object before" in adopt(Admission(production, ["none"]), SHOP)
        finally:
            production.core.delete_namespaced_config_map("newcomer-config", SHOP)

    def test_a_controller_makes_the_pods_of_a_service(self, production: Plane) -> None:
        controller = as_user(production, "system:serviceaccount:kube-system:replicaset-controller")
        assert not run("Pod", {"app": "redis"}, "redis")(controller, SHOP)

    @pytest.fixture(scope="class")
    @classmethod
    def driver(cls, production: Plane) -> Iterator[Admission]:
        """A service account of another namespace, with rights in all of them, and none of the verb `use`."""
        rbac: Any = client.RbacAuthorizationV1Api(production.api)
        groups = [
            {"apiGroups": [""], "resources": ["pods", "pods/status", "resourcequotas"], "verbs": _MORE[0]["verbs"]}
        ]
        subject = {"kind": "ServiceAccount", "namespace": "default", "name": "driver"}
        reference = {"apiGroup": _RBAC, "kind": "ClusterRole", "name": "driver"}
        metadata = {"name": "driver"}
        rbac.create_cluster_role({"metadata": metadata, "rules": groups})
        rbac.create_cluster_role_binding({"metadata": metadata, "roleRef": reference, "subjects": [subject]})
        driver = as_user(production, "system:serviceaccount:default:driver")
        eventually(lambda: not attacks.OF_A_DRIVER["a quota"](driver, SHOP), "the driver has its rights")
        yield driver
        rbac.delete_cluster_role_binding("driver")
        rbac.delete_cluster_role("driver")

    @pytest.mark.parametrize("request_", attacks.OF_A_DRIVER)
    def test_a_driver_writes_what_it_does(self, driver: Admission, request_: str) -> None:
        assert not attacks.OF_A_DRIVER[request_](driver, SHOP)

    def test_a_driver_changes_no_service(self, driver: Admission) -> None:
        assert OBJECTS in attacks.annotate_a_pod("ambient.istio.io/redirection")(driver, SHOP)
        assert OBJECTS in attacks.relabel_a_pod(driver, SHOP)

    def test_kyverno_makes_a_default_again(self, production: Plane) -> None:
        production.networking.delete_namespaced_network_policy("default-deny", SHOP)

        def names() -> list[str]:
            return [item.metadata.name for item in production.networking.list_namespaced_network_policy(SHOP).items]

        eventually(lambda: "default-deny" in names(), "Kyverno has made it again")

    def test_a_deleted_endpoint_slice_comes_back(self, production: Plane) -> None:
        slices: Any = client.DiscoveryV1Api(production.api)
        label = "kubernetes.io/service-name=redis"
        slices.delete_collection_namespaced_endpoint_slice(SHOP, label_selector=label)
        # Its controller misses those alone that it wrote since it started: another pod has it look again.
        production.core.delete_collection_namespaced_pod(SHOP, label_selector="app=redis")
        eventually(lambda: slices.list_namespaced_endpoint_slice(SHOP, label_selector=label).items, "it is there")


class TestData:
    """Claims, copied Secrets and configuration, by name, of a service that the stack has not: its policy is its own."""

    @pytest.fixture(scope="class")
    @classmethod
    def tenant(cls, production: Plane) -> Iterator[Admission]:
        production.core.create_namespace({"metadata": {"name": DATA}})
        Admission(production, ["none"]).furnish(DATA)
        for name in (data.AUTHORITIES, "store-config"):
            production.core.create_namespaced_config_map(DATA, {"metadata": {"name": name}})
        bind(production, DATA, "edit", "ClusterRole", "edit")
        policy = replace(native_policy(objects_args(Action.DENY, data.SERVICES)), name=f"{OBJECTS}-data")
        manifest: dict[str, Any] = {"metadata": {"name": policy.name}}
        production.admission.create_validating_admission_policy({**manifest, "spec": policy.spec})
        production.admission.create_validating_admission_policy_binding({**manifest, "spec": binding_spec(policy)})
        tenant = as_user(production, "tenant-edit")
        # A missing control should be seen by its own tests, so this one is not of claims.
        eventually(lambda: OBJECTS in data.ATTACKS["its configuration"](tenant, DATA), "the policy is in force")
        yield tenant
        production.admission.delete_validating_admission_policy_binding(policy.name)
        production.admission.delete_validating_admission_policy(policy.name)
        production.core.delete_namespace(DATA)

    @pytest.mark.parametrize("attack", data.ATTACKS)
    def test_the_data_of_a_service_is_out_of_reach(self, tenant: Admission, attack: str) -> None:
        assert f"of {DATA}: it touches service store, so" in data.ATTACKS[attack](tenant, DATA)

    @pytest.mark.parametrize("attack", data.NUMBERED)
    def test_a_number_in_a_name_is_not_taken_for_a_replicas(self, tenant: Admission, attack: str) -> None:
        owner, send = data.NUMBERED[attack]
        assert f"of {DATA}: it touches service {owner}, so" in send(tenant, DATA)

    @pytest.mark.parametrize("attack", data.OF_ALL)
    def test_what_may_be_the_data_of_any_service_is_too(self, tenant: Admission, attack: str) -> None:
        assert f"of {DATA}: it touches all services" in data.OF_ALL[attack](tenant, DATA)

    @pytest.mark.parametrize("request_", data.ALLOWED)
    def test_what_only_looks_like_it_is_not(self, tenant: Admission, request_: str) -> None:
        assert not data.ALLOWED[request_](tenant, DATA)

    def test_while_it_reports_each_attack_is_admitted(self, tenant: Admission, production: Plane) -> None:
        with reporting(production, f"{OBJECTS}-data"):
            probe = data.ATTACKS["its configuration"]
            eventually(lambda: not probe(tenant, DATA), "it only reports")
            every = {**data.ATTACKS, **{name: send for name, (_, send) in data.NUMBERED.items()}, **data.OF_ALL}
            refused = {name: attack(tenant, DATA) for name, attack in every.items()}
        eventually(lambda: OBJECTS in probe(tenant, DATA), "it denies again")
        assert not {name: refusal for name, refusal in refused.items() if refusal and name != "the keys of its host"}
