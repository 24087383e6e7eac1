"""Secrets by the real External Secrets Operator: a copy for the service whose they are, and for nobody else."""

import base64
from typing import Any

import hvac.exceptions
import pytest
import yaml
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from components.kube.names import EXTERNAL_SECRETS_ACCOUNT, EXTERNAL_SECRETS_NAMESPACE
from components.service.manifests.external_secrets import RULE
from tests.e2e.operator_commands import embedded
from tests.e2e.plane import Plane, copy_program
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e

STACK = "production"
SHOP = "shop"
COPY = "api.database"
API = "external-secrets.io", "v1", SHOP


@pytest.fixture(scope="module")
def production(plane: Plane, tmp_path_factory: pytest.TempPathFactory) -> Plane:
    """The production stack with copies in place of the agent, and the rule against Secrets in pods enforced."""
    own = Plane(plane.state, copy_program(tmp_path_factory.mktemp("checkout")))
    path = own.checkout / "Pulumi.production.yaml"
    file = yaml.safe_load(path.read_text())
    reason = "no injector can run on these nodes"
    delivery = {"delivery": "external-secrets", "deliveryReason": reason, "secrets": {"refresh": "2s"}}
    file["config"]["zero-trust:vault"] |= delivery
    file["config"].setdefault("zero-trust:phases", {})[RULE] = "enforce"
    path.write_text(yaml.safe_dump(file))
    own.run("up", "--stack", STACK, "--external-secrets", timeout=3600)
    return own


def stored(plane: Plane) -> dict[str, str]:
    """What is in Vault, as the service reads it."""
    vault = plane.vault_as_service(SHOP, "api", "shop.api")
    answer = vault.secrets.kv.v2.read_secret_version("shop/api/database", raise_on_deleted_version=True)
    return answer["data"]["data"]


def copy(plane: Plane, name: str = COPY) -> Any:
    """The copy; `None` where there is none."""
    try:
        return plane.core.read_namespaced_secret(name, SHOP)
    except ApiException as error:
        if error.status != 404:
            raise
        return None


def text(plane: Plane) -> str:
    return base64.b64decode(copy(plane).data["database"]).decode()


def may(plane: Plane, verb: str, resource: str, namespace: str, name: str = "") -> bool:
    """What the API server says of the operator's own account."""
    kind, _, sub = resource.partition("/")
    asked = client.V1ResourceAttributes(verb=verb, resource=kind, subresource=sub, namespace=namespace, name=name)
    spec = client.V1SelfSubjectAccessReviewSpec(resource_attributes=asked)
    operator: Any = client.AuthorizationV1Api(plane.client_as(EXTERNAL_SECRETS_NAMESPACE, EXTERNAL_SECRETS_ACCOUNT))
    return operator.create_self_subject_access_review(client.V1SelfSubjectAccessReview(spec=spec)).status.allowed


def test_the_copy_is_the_file_that_the_agent_would_write(production: Plane) -> None:
    secret = stored(production)
    expected = f"DB_HOST={secret['host']}\nDB_USER={secret['username']}\nDB_PASS={secret['password']}\n"
    assert text(production) == expected
    (owner,) = copy(production).metadata.owner_references
    assert (owner.kind, owner.name) == ("ExternalSecret", COPY)


def test_the_pods_mount_it_under_the_enforced_rule(production: Plane) -> None:
    deployment = production.apps.read_namespaced_deployment("api", SHOP)
    assert deployment.status.ready_replicas == deployment.spec.replicas
    (volume,) = (v for v in deployment.spec.template.spec.volumes if v.name == "secrets")
    assert [source.secret.name for source in volume.projected.sources] == ["api.cache", COPY]


def test_a_second_up_changes_nothing(production: Plane) -> None:
    production.run("pulumi", "preview", "--stack", STACK, "--expect-no-changes")


@pytest.mark.parametrize("weakening", ["another secret", "environment"])
def test_the_exception_admits_no_other_secret(production: Plane, weakening: str) -> None:
    template: dict[str, Any] = {"spec": {"volumes": [{"name": "more", "secret": {"secretName": "redis.auth"}}]}}
    if weakening == "environment":
        source = {"secretKeyRef": {"name": COPY, "key": "database"}}
        template = {"spec": {"containers": [{"name": "api", "env": [{"name": "P", "valueFrom": source}]}]}}
    body = {"spec": {"template": template}}
    with pytest.raises(ApiException, match=RULE):
        production.apps.patch_namespaced_deployment("api", SHOP, body, dry_run="All")


def test_a_rotation_arrives(production: Plane) -> None:
    embedded(production, "rotate", "shop/api", "password", "--secret", "database")
    new = stored(production)["password"]
    eventually(lambda: f"DB_PASS={new}\n" in text(production), "the rotated password in the copy")


def test_the_path_of_another_service_is_refused(production: Plane) -> None:
    def point_at(path: str) -> None:
        spec = {"dataFrom": [{"extract": {"key": path}}]}
        production.objects.patch_namespaced_custom_object(*API, "externalsecrets", COPY, {"spec": spec})

    def ready(answer: str) -> bool:
        found = production.objects.get_namespaced_custom_object(*API, "externalsecrets", COPY)
        return any(c["type"] == "Ready" and c["status"] == answer for c in found["status"]["conditions"])

    before = text(production)
    foreign = "shop/postgres/superuser"
    point_at(foreign)
    try:
        eventually(lambda: ready("False"), "Vault's refusal")
        assert text(production) == before
        service = production.vault_as_service(SHOP, "api", "shop.api")
        with pytest.raises(hvac.exceptions.Forbidden):
            service.secrets.kv.v2.read_secret_version(foreign, raise_on_deleted_version=True)
    finally:
        point_at("shop/api/database")
    eventually(lambda: ready("True"), "the service's own path")


def test_the_operator_may_do_for_a_workload_what_its_role_says_and_no_more(production: Plane) -> None:
    assert may(production, "create", "serviceaccounts/token", SHOP, "api")
    assert may(production, "update", "secrets", SHOP, COPY)
    assert not may(production, "create", "serviceaccounts/token", SHOP, "default")
    assert not may(production, "create", "serviceaccounts/token", "kyverno", "kyverno-admission-controller")
    assert not may(production, "update", "secrets", SHOP, "another")
    assert not may(production, "create", "secrets", "kube-system")
    assert not may(production, "get", "secrets", "kube-system", "any")


def test_the_webhook_refuses_a_store_of_another_namespace_s_account(production: Plane) -> None:
    login = {"mountPath": "kubernetes", "role": "x", "serviceAccountRef": {"name": "x", "namespace": "kube-system"}}
    vault = {"server": "https://v", "path": "secret", "version": "v2", "auth": {"kubernetes": login}}
    bad = {
        "apiVersion": "external-secrets.io/v1",
        "kind": "SecretStore",
        "metadata": {"name": "bad", "namespace": SHOP},
        "spec": {"provider": {"vault": vault}},
    }
    with pytest.raises(ApiException, match=r"validate\.secretstore\.external-secrets\.io"):
        production.objects.create_namespaced_custom_object(*API, "secretstores", bad)


def test_without_the_service_the_copy_is_gone(production: Plane) -> None:
    services = production.checkout / "services"
    (services / "api.yaml").unlink()
    for name in ("postgres", "redis"):
        kept = yaml.safe_load((services / f"{name}.yaml").read_text())
        del kept["callers"]
        kept["secrets"].pop("api", None)
        for secret in kept["secrets"].values():
            secret.pop("readers", None)
        (services / f"{name}.yaml").write_text(yaml.safe_dump(kept))
    production.run("up", "--stack", STACK)
    eventually(lambda: copy(production) is None, "the end of the copy")
