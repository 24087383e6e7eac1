"""The production stack on real parts: what it blocks, what it admits, what each service may and may not do."""

import contextlib
import json
from typing import Any

import hvac.exceptions
import pytest
from kubernetes.client.exceptions import ApiException

from components.kube.names import OPERATOR
from tests.e2e import mesh_objects, pods
from tests.e2e.admission import Admission, RefusedError
from tests.e2e.plane import Plane
from tests.e2e.platform_network import PlatformNetwork
from tests.e2e.service_identities import Identities
from tests.policy import cases
from tests.policy.mutation_cases import lost
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e

STACK = "production"
SHOP = "shop"
RIGHT, WRONG = mesh_objects.right(), mesh_objects.wrong()


@pytest.fixture(scope="module")
def production(plane: Plane) -> Plane:
    plane.stand(STACK)
    return plane


def deployed(plane: Plane, name: str) -> Any:
    return plane.apps.read_namespaced_deployment(name, SHOP)


class TestAdmission:
    @pytest.mark.parametrize("rule", pods.BAD)
    def test_a_bad_pod_is_refused_with_the_message_of_its_rule(self, production: Plane, rule: str) -> None:
        with pytest.raises(ApiException) as refused:
            production.core.create_namespaced_pod(SHOP, pods.BAD[rule](f"bad-{rule}"))
        assert rule in json.loads(str(refused.value.body))["message"]

    def test_a_compliant_pod_is_admitted(self, production: Plane) -> None:
        production.core.create_namespaced_pod(SHOP, pods.pod("good"))
        production.core.delete_namespaced_pod("good", SHOP)

    @pytest.mark.parametrize("service", ["api", "postgres", "redis"])
    def test_the_services_of_the_stack_are_admitted_and_run(self, production: Plane, service: str) -> None:
        status = deployed(production, service).status
        assert status.ready_replicas == status.replicas >= 1

    def test_a_bad_ephemeral_container_is_refused(self, production: Plane) -> None:
        target = production.core.list_namespaced_pod(SHOP, label_selector="app=api").items[0].metadata.name
        [shell] = cases.pod_spec({"ephemeralContainer": {"image": "docker.io/attacker/shell:1"}})["ephemeralContainers"]
        with pytest.raises(ApiException, match="restrict-image-registries"):
            production.core.patch_namespaced_pod_ephemeralcontainers(
                target, SHOP, {"spec": {"ephemeralContainers": [shell]}}
            )

    def test_a_new_namespace_gets_its_default_deny_network_policy(self, production: Plane) -> None:
        production.core.create_namespace({"metadata": {"name": "newcomer"}})
        networking = production.networking

        def denied() -> bool:
            # The rule writes more than one, one after the other.
            return any(
                set(item.spec.policy_types) == {"Ingress", "Egress"}
                and not item.spec.ingress
                and not item.spec.egress
                and not item.spec.pod_selector.match_labels
                for item in networking.list_namespaced_network_policy("newcomer").items
            )

        try:
            eventually(denied, "a NetworkPolicy in newcomer that denies all")
        finally:
            production.core.delete_namespace("newcomer")

    def test_pods_of_a_service_carry_the_real_mesh_sidecar(self, production: Plane) -> None:
        found = production.core.list_namespaced_pod(SHOP, label_selector="app=api").items
        containers = [c.name for item in found for c in (item.spec.init_containers or []) + item.spec.containers]
        assert containers.count("istio-proxy") == len(found) >= 1

    @pytest.mark.parametrize("name", ["istio-validation", "istio-proxy"])
    def test_the_mesh_injects_what_the_rules_are_tried_with(self, production: Plane, name: str) -> None:
        """Without the mounts of Vault's injector, which does not run here."""
        pod: Any = production.core.list_namespaced_pod(SHOP, label_selector="app=api").items[0]
        written: Any = production.api.sanitize_for_serialization(pod)
        [real] = [container for container in written["spec"]["initContainers"] if container["name"] == name]
        [facts] = [c for c in cases.BASELINE["injected"]["initContainers"] if c["name"] == name]
        lists = ("env", "volumeMounts")
        other = set(lost({key: value for key, value in facts.items() if key not in lists}, real))
        # The networks that bypass the proxy, which a service with secrets names.
        assert other <= {f"/args/{facts['args'].index('-x') + 1 if '-x' in facts['args'] else ''}"}
        names, known = ({entry["name"] for entry in each.get("env", [])} for each in (real, facts))
        assert known - {"ISTIO_KUBE_APP_PROBERS"} <= names <= known
        real_mounts, mounts = ({entry["mountPath"] for entry in each.get("volumeMounts", [])} for each in (real, facts))
        assert mounts - {"/vault/secrets"} == real_mounts


class TestVault:
    def test_a_service_reads_its_own_secret(self, production: Plane) -> None:
        vault = production.vault_as_service(SHOP, "api", "shop.api")
        secret = vault.secrets.kv.v2.read_secret_version("shop/api/database", raise_on_deleted_version=True)
        assert secret["data"]["data"]["password"]

    @pytest.mark.parametrize("role", ["shop.api", "shop.postgres"])
    def test_a_service_cannot_take_the_role_of_another(self, production: Plane, role: str) -> None:
        with pytest.raises((hvac.exceptions.Forbidden, hvac.exceptions.InvalidRequest)):
            production.vault_as_service(SHOP, "redis", role)

    @pytest.mark.parametrize(
        "path",
        [
            "secret/data/shop/postgres/superuser",
            "secret/data/shop/redis/other",
            "secret/metadata/shop",
            "secret/metadata/shop/api",
            "sys/mounts",
            "sys/policies/acl/shop.api",
            "auth/kubernetes/role/shop.api",
        ],
    )
    def test_a_service_reads_nothing_else(self, production: Plane, path: str) -> None:
        vault = production.vault_as_service(SHOP, "api", "shop.api")
        for read in (vault.read, vault.list):
            with pytest.raises(hvac.exceptions.Forbidden):
                read(path)

    def test_a_service_cannot_write_its_own_secret(self, production: Plane) -> None:
        vault = production.vault_as_service(SHOP, "api", "shop.api")
        with pytest.raises(hvac.exceptions.Forbidden):
            vault.secrets.kv.v2.create_or_update_secret("shop/api/database", {"password": "mine"})

    def test_a_token_without_the_audience_of_vault_is_refused(self, production: Plane) -> None:
        with pytest.raises((hvac.exceptions.Forbidden, hvac.exceptions.InvalidRequest)):
            production.vault().auth.kubernetes.login(role="shop.api", jwt=production.token(SHOP, "api"))

    def test_the_token_of_a_service_lives_an_hour_and_a_day_at_most(self, production: Plane) -> None:
        vault = production.vault_as_service(SHOP, "api", "shop.api")
        found = vault.auth.token.lookup_self()["data"]
        assert found["ttl"] <= 3600
        assert found["policies"] == ["default", "shop.api"] or found["policies"] == ["shop.api"]

    def test_no_secret_is_in_the_state_in_the_clear(self, production: Plane) -> None:
        vault = production.vault_as_service(SHOP, "api", "shop.api")
        secret = vault.secrets.kv.v2.read_secret_version("shop/api/database", raise_on_deleted_version=True)
        state = json.dumps(production.checkpoint(STACK))
        assert secret["data"]["data"]["password"] not in state
        assert "BEGIN PRIVATE KEY" not in state
        assert "BEGIN RSA PRIVATE KEY" not in state

    def test_no_container_of_a_service_takes_a_secret_from_its_environment(self, production: Plane) -> None:
        for service in ("api", "postgres", "redis"):
            spec = deployed(production, service).spec.template.spec
            for container in spec.containers + (spec.init_containers or []):
                assert not container.env_from
                assert not [entry.name for entry in container.env or [] if entry.value_from]


class TestBootstrap:
    """The control plane started with an empty Vault: the first `pulumi up` did the rest."""

    def test_the_root_token_is_refused(self, production: Plane) -> None:
        token = str(bootstrapped(production, "--show-secrets")["root_token"])
        assert token
        assert token not in json.dumps(production.checkpoint(STACK))
        with pytest.raises(hvac.exceptions.Forbidden):
            production.vault(token).auth.token.lookup_self()

    def test_no_token_of_root_is_left(self, production: Plane) -> None:
        operator: Any = production.vault_as_service("vault", OPERATOR, OPERATOR)
        found: list[list[str]] = []
        for accessor in operator.list("auth/token/accessors")["data"]["keys"]:
            # One may end while they are asked for.
            with contextlib.suppress(hvac.exceptions.VaultError):
                found.append(operator.auth.token.lookup_accessor(accessor)["data"]["policies"])
        assert [OPERATOR] in found
        assert not [policies for policies in found if "root" in policies]

    def test_the_recovery_keys_are_a_secret_of_the_state(self, production: Plane) -> None:
        keys = bootstrapped(production, "--show-secrets")["recovery_keys"]
        assert len(keys) == 5
        state = json.dumps(production.checkpoint(STACK))
        assert not [key for key in keys if key in state]


def bootstrapped(plane: Plane, *options: str) -> dict[str, Any]:
    """What the initialisation of Vault gave, decrypted."""
    resources = plane.checkpoint(STACK, *options)["deployment"]["resources"]
    [outputs] = [made["outputs"] for made in resources if made["type"].endswith(":Initialisation")]
    return {name: json.loads(outputs[name]["plaintext"]) for name in ("root_token", "recovery_keys")}


class TestDeployer:
    """What the token of a `pulumi up` may do in Vault, and what else it may not."""

    @pytest.mark.parametrize(
        "path",
        [
            "sys/policies/acl/platform-deployer",
            "auth/cert/certs/platform-deployer",
            "auth/token/create",
            "sys/auth/userpass",
            "sys/seal",
            "sys/rotate",
            "sys/storage/raft/snapshot-force",
            "database/creds/any",
            "identity/entity",
        ],
    )
    def test_the_deployer_cannot_raise_itself(self, production: Plane, path: str) -> None:
        deployer = production.vault_as_deployer()
        with pytest.raises(hvac.exceptions.Forbidden):
            deployer.write(path, wrap_ttl=None)

    @pytest.mark.parametrize(
        "path",
        [
            "secret/data/shop/api/database",
            "secret/data/shop/postgres/superuser",
            "secret/metadata/shop/api/database",
            "secret/subkeys/shop/api/database",
            "secret/metadata",
            "secret/metadata/shop/api",
            "sys/policies/acl",
            "auth/kubernetes/role",
            "auth/token/accessors",
            "auth/cert/certs",
            "database/config",
            "sys/leases/lookup",
            "sys/storage/raft/snapshot",
            "identity/entity/id",
        ],
    )
    def test_the_deployer_reads_no_secret_and_no_list_of_them(self, production: Plane, path: str) -> None:
        deployer = production.vault_as_deployer()
        for read in (deployer.read, deployer.list):
            with pytest.raises(hvac.exceptions.Forbidden):
                read(path)

    def test_the_token_of_the_deployer_is_short_lived(self, production: Plane) -> None:
        found = production.vault_as_deployer().auth.token.lookup_self()["data"]
        assert 0 < found["ttl"] <= 1200
        assert found["policies"] == ["platform-deployer"]


class TestKubernetesAccess:
    @pytest.mark.parametrize("service", ["api", "postgres", "redis"])
    @pytest.mark.parametrize("namespace", ["default", "kube-system", "kyverno", "vault", SHOP])
    def test_a_service_account_lists_nothing(self, production: Plane, service: str, namespace: str) -> None:
        own = production.core_as(SHOP, service)
        for listing in (own.list_namespaced_pod, own.list_namespaced_secret, own.list_namespaced_config_map):
            with pytest.raises(ApiException) as refused:
                listing(namespace)
            assert refused.value.status == 403

    def test_a_service_account_creates_no_pod(self, production: Plane) -> None:
        own = production.core_as(SHOP, "api")
        with pytest.raises(ApiException) as refused:
            own.create_namespaced_pod(SHOP, pods.pod("evil"))
        assert refused.value.status == 403


class TestServiceIdentities(Identities):
    """Who may create pods in a namespace may not run one as its services."""


class TestPlatformNetwork(PlatformNetwork):
    """The platform's own parts reach what they need, and nothing else."""


class TestMesh:
    def test_mutual_tls_is_strict_in_the_whole_mesh(self, production: Plane) -> None:
        found = production.objects.get_namespaced_custom_object(
            "security.istio.io", "v1", "istio-system", "peerauthentications", "default"
        )
        assert found["spec"]["mtls"]["mode"] == "STRICT"

    def test_the_gateway_runs(self, production: Plane) -> None:
        """Its Deployment is made by istiod from the Gateway, and its pods pass the rules of their namespace."""

        def ready() -> bool:
            found = production.apps.list_namespaced_deployment("istio-ingress").items
            return bool(found) and all(item.status.ready_replicas == item.spec.replicas for item in found)

        eventually(ready, "the gateway's Deployment is ready")

    def test_istiod_refuses_a_wrong_authorization_policy(self, production: Plane) -> None:
        wrong = {
            "apiVersion": "security.istio.io/v1",
            "kind": "AuthorizationPolicy",
            "metadata": {"name": "wrong", "namespace": SHOP},
            "spec": {"action": "ALLOW", "rules": [{"from": [{"source": {}}]}]},
        }
        with pytest.raises(ApiException, match=r"validation\.istio\.io"):
            production.objects.create_namespaced_custom_object(
                "security.istio.io", "v1", SHOP, "authorizationpolicies", wrong
            )

    @pytest.mark.parametrize("name", RIGHT)
    def test_what_a_service_may_declare_is_admitted(self, production: Plane, name: str) -> None:
        Admission(production, ()).request("POST", RIGHT[name], dry_run=True)

    @pytest.mark.parametrize("mistake", WRONG)
    def test_a_mistake_in_it_is_refused(self, production: Plane, mistake: str) -> None:
        with pytest.raises(RefusedError, match=r"validation\.istio\.io|is invalid"):
            Admission(production, ()).request("POST", WRONG[mistake], dry_run=True)

    def test_a_proxy_knows_no_more_than_its_callees(self, production: Plane) -> None:
        scope = production.objects.get_namespaced_custom_object("networking.istio.io", "v1", SHOP, "sidecars", "redis")
        assert scope["spec"]["outboundTrafficPolicy"] == {"mode": "REGISTRY_ONLY"}
        (listener,) = scope["spec"]["egress"]
        assert not [host for host in listener["hosts"] if host.startswith((f"{SHOP}/", "*", "./"))]


class TestTheProgram:
    def test_a_second_up_changes_nothing(self, production: Plane) -> None:
        preview = production.run("pulumi", "preview", "--stack", STACK, "--expect-no-changes", "--diff")
        assert "unchanged" in preview.stdout

    def test_the_summary_names_each_service(self, production: Plane) -> None:
        printed = production.run("up", "--stack", STACK).stdout
        for word in ("api", "postgres", "redis", "api.example.org", "kubeconfig"):
            assert word in printed

    def test_tracked_files_stay_as_they_were(self, production: Plane) -> None:
        assert "encryptionsalt" not in (production.checkout / f"Pulumi.{STACK}.yaml").read_text()
