"""The dev stack enforces only what its posture says, and becomes production in place."""

import json
import subprocess
import sys
from typing import Any

import hvac.exceptions
import pytest
import yaml
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from kubernetes.client.exceptions import ApiException

from components.ingress.hardening import BUFFER_FILTER, RATE_LIMIT_FILTER
from tests.e2e import certificates, pods
from tests.e2e.certificates import GATEWAY
from tests.e2e.plane import Plane, copy_program
from tests.support.offline_root import OfflineRoot, request
from tests.support.waiting import eventually
from tests.support.watched_processes import Watched, watched

pytestmark = pytest.mark.e2e

STACK = "dev"
SHOP = "shop"
SERVICES = ("api", "postgres", "redis")
HOST = "api.example.org"
API_FILE = "services/api.yaml"
FIRST_REPLICAS = "replicas: 3\n"
FIREWALL = f"registry.example.org/platform/waf@sha256:{'a' * 64}"
ISTIO = "networking.istio.io", "v1alpha3"
GATEWAY_API = "gateway.networking.k8s.io", "v1"
CERT_MANAGER_API = "cert-manager.io", "v1"
OUTSIDE = "outside.example.org"
SIGN = "pki/sign/public-hosts"
# Of a file with one secret: its most bytes, and the fewest of the secret.
_ONE_LINE, _SHORTEST = 300, 16


@pytest.fixture(scope="module")
def first(plane: Plane, tmp_path_factory: pytest.TempPathFactory) -> tuple[Plane, Watched]:
    """The stack of a checkout of its own, and every process of its first update."""
    own = Plane(plane.state, copy_program(tmp_path_factory.mktemp("checkout")))
    write(own, stack_file(own, STACK))
    service = own.checkout / API_FILE
    service.write_text(f"{service.read_text()}{FIRST_REPLICAS}")
    with watched() as processes:
        own.run("up", "--stack", STACK, "--acme")
    return own, processes


@pytest.fixture(scope="module")
def dev(first: tuple[Plane, Watched]) -> Plane:
    """The stack, whose file later tests edit; its intermediate waits for a root."""
    return first[0]


def stack_file(plane: Plane, stack: str) -> dict[str, Any]:
    """What the stack's file says, with an intermediate in Vault."""
    file = yaml.safe_load((plane.checkout / f"Pulumi.{stack}.yaml").read_text())
    file["config"]["zero-trust:vault"]["pki"] = {"commonName": "Example CA 1", "domains": [HOST]}
    return file


def write(plane: Plane, file: dict[str, Any]) -> None:
    (plane.checkout / f"Pulumi.{STACK}.yaml").write_text(yaml.safe_dump(file))


def uids(plane: Plane) -> dict[str, str]:
    return {name: plane.apps.read_namespaced_deployment(name, SHOP).metadata.uid for name in SERVICES}


def replicas(plane: Plane) -> int:
    return plane.apps.read_namespaced_deployment("api", "shop").spec.replicas


def password(plane: Plane) -> str:
    vault = plane.vault_as_service(SHOP, "api", "shop.api")
    answer = vault.secrets.kv.v2.read_secret_version("shop/api/database", raise_on_deleted_version=True)
    return answer["data"]["data"]["password"]


def test_no_process_shows_a_secret(first: tuple[Plane, Watched]) -> None:
    """Neither one of a service, nor one of the control plane: each of those is in a file that only its owner reads."""
    stack, processes = first
    resources = stack.checkpoint(STACK, "--show-secrets")["deployment"]["resources"]
    random = [each for each in resources if each["type"] == "random:index/randomPassword:RandomPassword"]
    passwords = {json.loads(each["outputs"]["result"]["plaintext"]) for each in random}
    files = [path for path in stack.state.rglob("*") if path.is_file() and path.stat().st_mode & 0o777 == 0o600]
    lines = {path.read_bytes().decode(errors="replace").strip() for path in files if path.stat().st_size < _ONE_LINE}
    kept = {line for line in lines if len(line) >= _SHORTEST and "\n" not in line}
    assert passwords
    assert kept
    assert {"pulumi", "kube-apiserver", "bao"} <= processes.programs
    assert processes.showing(passwords | kept) == []


def test_none_shows_the_password_that_an_operator_rotates(dev: Plane) -> None:
    before = password(dev)
    command = [sys.executable, "-m", "zt", "rotate", "shop/api", "password", "--embedded"]
    with watched() as processes:
        subprocess.run(command, cwd=dev.checkout, env=dev.environment, check=True, timeout=600)
    after = password(dev)
    assert after != before
    assert processes.showing([before, after]) == []


@pytest.mark.parametrize("rule", pods.BAD)
def test_bad_pods_are_admitted(dev: Plane, rule: str) -> None:
    name = f"bad-{rule}"
    dev.core.create_namespaced_pod(SHOP, pods.BAD[rule](name))
    dev.core.delete_namespaced_pod(name, SHOP)


def test_there_is_no_network_policy_and_no_authorization_policy(dev: Plane) -> None:
    assert not dev.networking.list_network_policy_for_all_namespaces().items
    found = dev.objects.list_cluster_custom_object("security.istio.io", "v1", "authorizationpolicies")
    assert not found["items"]


def test_mutual_tls_is_permissive(dev: Plane) -> None:
    found = dev.objects.get_namespaced_custom_object(
        "security.istio.io", "v1", "istio-system", "peerauthentications", "default"
    )
    assert found["spec"]["mtls"]["mode"] == "PERMISSIVE"


def test_secrets_come_from_vault_here_too(dev: Plane) -> None:
    assert password(dev)
    assert not [item for item in dev.core.list_namespaced_secret(SHOP).items if item.type == "Opaque"]


def test_the_gateway_has_a_certificate_of_the_clusters_own_ca(dev: Plane) -> None:
    eventually(lambda: certificates.ready(dev, HOST, "ca"), f"the certificate of {HOST}")
    leaf, *_ = certificates.chain(dev, f"{HOST}-tls")
    [root] = certificates.chain(dev, "root-ca", "cert-manager")
    leaf.verify_directly_issued_by(root)
    assert certificates.hosts(leaf) == [HOST]


@pytest.fixture(scope="module")
def root() -> OfflineRoot:
    return OfflineRoot()


@pytest.fixture(scope="module")
def internal(dev: Plane, root: OfflineRoot, tmp_path_factory: pytest.TempPathFactory) -> Plane:
    """The same stack once somebody signed its intermediate, and hosts are to have certificates of that one."""
    [program] = [made for made in dev.checkpoint(STACK)["deployment"]["resources"] if "outputs" in made][:1]
    signed = tmp_path_factory.mktemp("root") / "intermediate.pem"
    signed.write_text(root.sign(program["outputs"]["vaultPkiRequest"]))
    file = stack_file(dev, STACK)
    file["config"]["zero-trust:vault"]["pki"]["certificateFile"] = str(signed)
    file["config"]["zero-trust:posture"] = {"issuer": {"value": "vault", "reason": "trusted by our root alone"}}
    write(dev, file)
    dev.run("up", "--stack", STACK)
    return dev


class TestInternalHosts:
    """Hosts that only our own clients trust: an intermediate in Vault, whose root is in no Vault."""

    def test_cert_manager_gets_the_certificate_from_vault(self, internal: Plane, root: OfflineRoot) -> None:
        eventually(lambda: certificates.ready(internal, HOST, "vault"), f"{HOST} from Vault")
        leaf, intermediate = certificates.chain(internal, f"{HOST}-tls")
        leaf.verify_directly_issued_by(intermediate)
        intermediate.verify_directly_issued_by(root.certificate)
        assert certificates.hosts(leaf) == [HOST]
        usages = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        assert list(usages) == [ExtendedKeyUsageOID.SERVER_AUTH]

    def test_vault_refuses_a_host_that_the_stack_file_does_not_name(self, internal: Plane) -> None:
        wanted = internal.objects.get_namespaced_custom_object(*CERT_MANAGER_API, GATEWAY, "certificates", HOST)
        spec = {**wanted["spec"], "dnsNames": [OUTSIDE], "secretName": OUTSIDE}
        body = {**wanted, "metadata": {"name": OUTSIDE, "namespace": GATEWAY}, "spec": spec, "status": {}}
        internal.objects.create_namespaced_custom_object(*CERT_MANAGER_API, GATEWAY, "certificates", body)

        def refusal() -> str:
            found = internal.objects.list_namespaced_custom_object(*CERT_MANAGER_API, GATEWAY, "certificaterequests")
            mine = [made for made in found["items"] if made["metadata"]["name"].startswith(OUTSIDE)]
            conditions = [condition for made in mine for condition in made.get("status", {}).get("conditions", [])]
            return next((c["message"] for c in conditions if c.get("reason") == "Failed"), "")

        try:
            assert "not allowed by this role" in eventually(refusal, f"a refusal for {OUTSIDE}")
        finally:
            internal.objects.delete_namespaced_custom_object(*CERT_MANAGER_API, GATEWAY, "certificates", OUTSIDE)

    def test_its_login_may_sign_by_one_role_and_nothing_else(self, internal: Plane) -> None:
        token = internal.token("cert-manager", "vault-issuer", "vault://vault")
        login = internal.vault().auth.kubernetes.login(role="cert-manager", jwt=token)
        vault = internal.vault(login["auth"]["client_token"])
        signed: Any = vault.write_data(SIGN, data={"csr": request([HOST])})
        assert signed["data"]["certificate"]
        for names in ([OUTSIDE], [f"a.{HOST}"], ["*.example.org"], ["localhost"]):
            with pytest.raises(hvac.exceptions.InvalidRequest, match="not allowed by this role"):
                vault.write_data(SIGN, data={"csr": request(names)})
        for path in ("pki/sign/other", "pki/issue/public-hosts", "pki/sign-verbatim", "pki/roles/public-hosts"):
            with pytest.raises(hvac.exceptions.Forbidden):
                vault.write_data(path, data={"csr": request([HOST])})
        for path in ("pki/roles", "pki/keys", "pki/certs", "secret/metadata/shop"):
            with pytest.raises(hvac.exceptions.Forbidden):
                vault.list(path)
        for path in (
            f"secret/data/{SHOP}/api/database",
            "pki/roles/public-hosts",
            "sys/mounts",
            "auth/token/lookup-self",
        ):
            with pytest.raises(hvac.exceptions.Forbidden):
                vault.read(path)

    @pytest.mark.parametrize(
        ("namespace", "account", "audience"),
        [
            ("cert-manager", "cert-manager", "vault://vault"),
            ("cert-manager", "vault-issuer", "vault"),
            (SHOP, "api", "vault://vault"),
        ],
    )
    def test_nobody_else_gets_it(self, internal: Plane, namespace: str, account: str, audience: str) -> None:
        token = internal.token(namespace, account, audience)
        with pytest.raises(hvac.exceptions.VaultError, match=r"not authorized|permission denied|audience"):
            internal.vault().auth.kubernetes.login(role="cert-manager", jwt=token)

    def test_the_deployer_signs_nothing(self, internal: Plane) -> None:
        for path in (SIGN, "pki/root/generate/internal", "pki/issuers/generate/intermediate/exported"):
            with pytest.raises(hvac.exceptions.Forbidden):
                internal.vault_as_deployer().write_data(path, data={"csr": request([HOST]), "common_name": HOST})

    def test_the_state_has_no_key_and_the_next_run_changes_nothing(self, internal: Plane) -> None:
        resources = internal.checkpoint(STACK, "--show-secrets")["deployment"]["resources"]
        made = [found for found in resources if found["type"].startswith("vault:pkiSecret/")]
        assert len(made) == 3
        assert "PRIVATE KEY" not in json.dumps(made)
        # A secret is an object with its value as JSON.
        keys = [found["outputs"].get("privateKey") for found in made]
        assert [key for key in keys if key and json.loads(key["plaintext"])] == []
        assert "unchanged" in internal.run("pulumi", "preview", "--stack", STACK, "--expect-no-changes").stdout


@pytest.fixture(scope="module")
def before(dev: Plane) -> dict[str, Any]:
    return {"uids": uids(dev), "password": password(dev), "replicas": replicas(dev)}


@pytest.fixture(scope="module")
def hardened(dev: Plane, before: dict[str, Any]) -> Plane:
    assert before
    file = stack_file(dev, "production")
    file["config"]["zero-trust:ingress"]["waf"] = {"image": FIREWALL}
    write(dev, file)
    service = dev.checkout / API_FILE
    service.write_text(service.read_text().replace(FIRST_REPLICAS, "autoscaling: {min: 1, max: 5}\n"))
    dev.run("up", "--stack", STACK)
    return dev


class TestBecomesProduction:
    """The stack file takes the posture of production, on a living stack, and a service its first autoscaler."""

    def test_no_replica_goes_before_the_autoscaler_has_looked(self, hardened: Plane, before: dict[str, Any]) -> None:
        assert replicas(hardened) == before["replicas"] == 3

    def test_no_deployment_was_replaced(self, hardened: Plane, before: dict[str, Any]) -> None:
        assert uids(hardened) == before["uids"]

    def test_no_secret_was_lost(self, hardened: Plane, before: dict[str, Any]) -> None:
        assert password(hardened) == before["password"]

    def test_a_rule_is_in_force_whose_generation_kyverno_did_not_write_down(self, hardened: Plane) -> None:
        """Its controllers write one status; what comes second is lost, and nobody writes it again."""
        resources = hardened.checkpoint(STACK)["deployment"]["resources"]
        [urn] = [each["urn"] for each in resources if each["urn"].endswith("::policies-disallow-external-ips")]
        hardened.objects.patch_cluster_custom_object_status(
            "policies.kyverno.io",
            "v1",
            "validatingpolicies",
            "disallow-external-ips",
            {"status": {"generated": False, "conditionStatus": {"ready": True}}},
        )
        hardened.forget(STACK, {urn})
        hardened.run("up", "--stack", STACK)
        found = hardened.objects.get_cluster_custom_object(
            "policies.kyverno.io", "v1", "validatingpolicies", "disallow-external-ips"
        )
        assert found["status"]["generated"] is False

    @pytest.mark.parametrize("rule", pods.BAD)
    def test_bad_pods_are_refused_now(self, hardened: Plane, rule: str) -> None:
        def refusal() -> str:
            try:
                hardened.core.create_namespaced_pod(SHOP, pods.BAD[rule](f"bad-{rule}"))
            except ApiException as refused:
                return json.loads(str(refused.body))["message"]
            hardened.core.delete_namespaced_pod(f"bad-{rule}", SHOP)
            return ""

        assert rule in eventually(refusal, f"{rule} refuses")


class TestGateway:
    """The hardened gateway: its certificate over ACME, its objects as istiod and the API server took them."""

    def test_the_certificate_is_issued_over_acme_once_the_challenge_found_its_solver(self, hardened: Plane) -> None:
        eventually(lambda: certificates.ready(hardened, HOST, "letsencrypt-prod"), f"{HOST} over ACME")
        leaf, intermediate = certificates.chain(hardened, f"{HOST}-tls")
        leaf.verify_directly_issued_by(intermediate)
        intermediate.verify_directly_issued_by(certificates.acme_root(hardened))
        assert certificates.hosts(leaf) == [HOST]
        orders = hardened.objects.list_namespaced_custom_object("acme.cert-manager.io", "v1", GATEWAY, "orders")[
            "items"
        ]
        [order] = [made for made in orders if made["spec"]["issuerRef"]["name"] == "letsencrypt-prod"]
        assert order["status"]["state"] == "valid"

    def test_istiod_took_the_route_of_the_service_and_the_redirect(self, hardened: Plane) -> None:
        def accepted(namespace: str, name: str) -> bool:
            route = hardened.objects.get_namespaced_custom_object(*GATEWAY_API, namespace, "httproutes", name)
            conditions = [c for parent in route.get("status", {}).get("parents", []) for c in parent["conditions"]]
            return {(c["type"], c["status"]) for c in conditions} >= {("Accepted", "True"), ("ResolvedRefs", "True")}

        for route in ((SHOP, "api"), (GATEWAY, "redirect-to-https")):
            eventually(lambda route=route: accepted(*route), f"{'/'.join(route)} at the gateway")

    def test_the_limits_of_each_host_are_there(self, hardened: Plane) -> None:
        made = hardened.objects.get_namespaced_custom_object(*ISTIO, GATEWAY, "envoyfilters", "public-limits")
        [host] = [patch for patch in made["spec"]["configPatches"] if patch["applyTo"] == "VIRTUAL_HOST"]
        assert host["match"]["routeConfiguration"]["vhost"]["domainName"] == HOST
        assert set(host["patch"]["value"]["typed_per_filter_config"]) == {RATE_LIMIT_FILTER, BUFFER_FILTER}

    @pytest.mark.parametrize(
        ("group", "plural", "name"),
        [(ISTIO, "envoyfilters", "public-tls"), (("extensions.istio.io", "v1alpha1"), "wasmplugins", "firewall")],
    )
    def test_a_wrong_object_of_the_gateway_is_refused(
        self, hardened: Plane, group: tuple[str, str], plural: str, name: str
    ) -> None:
        made = hardened.objects.get_namespaced_custom_object(*group, GATEWAY, plural, name)
        made["metadata"] = {"name": "wrong", "namespace": GATEWAY}
        if plural == "wasmplugins":
            made["spec"]["url"] = "ftp://registry.example.org/waf"
        else:
            socket = made["spec"]["configPatches"][0]["patch"]["value"]["transport_socket"]
            socket["typed_config"]["@type"] = "type.googleapis.com/envoy.no.such.Type"
        with pytest.raises(ApiException, match=r"url must have schema one of|referenced type unknown"):
            hardened.objects.create_namespaced_custom_object(*group, GATEWAY, plural, made)
