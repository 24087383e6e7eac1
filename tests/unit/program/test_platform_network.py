"""The platform's own namespaces: closed in every posture that closes, and open for the connections that are needed."""

import json
import runpy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from components.kube.cluster_dns import ClusterDns
from components.kube.manifest import Manifest
from components.program.plans import network
from components.schema.metadata_services import METADATA_SERVICES
from components.service.manifests.metadata import metadata
from components.service.manifests.network_policy import network_policy_spec as service_policy_spec
from components.vault.snapshots import network_policy_spec
from tests.support.monitor import Recording, record
from tests.support.stacks import ENVIRONMENTS, ROOT, plan_of, pulumi_config, settings, stack, values
from zt.attack.network import Address, End, Pod, egress, ingress

pytestmark = pytest.mark.unit

PLATFORM = ("kyverno", "istio-system", "cert-manager", "istio-ingress", "vault", "external-secrets")


@cache
def recorded(environment: str) -> Recording:
    """What the program registers for a stack file."""
    config = pulumi_config(values(environment))
    return record(lambda: runpy.run_path(str(ROOT / "__main__.py"), run_name="__main__") and None, environment, config)


@cache
def planned(environment: str, changes: str = "{}") -> tuple[Manifest, ...]:
    """Every network policy that the program plans for a stack file with these changes, as JSON."""
    plan = plan_of(environment, **json.loads(changes))
    layers = (plan.policies, plan.mesh, plan.certificates, plan.ingress, plan.vault, plan.external_secrets)
    platform = [policy for layer in layers if layer for policy in layer.network_policies]
    snapshots = {
        "metadata": {"name": "vault-snapshots", "namespace": "vault"},
        "spec": network_policy_spec(ClusterDns()),
    }
    services = [{"metadata": metadata(args), "spec": service_policy_spec(args)} for args in plan.services]
    return (*platform, snapshots, *services)


def production(**changes: object) -> tuple[Manifest, ...]:
    return planned("production", json.dumps(changes, sort_keys=True))


def pod(namespace: str, labels: Mapping[str, str] | None = None) -> Pod:
    name = {"kubernetes.io/metadata.name": namespace}
    return Pod(namespace, labels or {}, ip="10.244.0.9", namespace_labels=name)


COMPONENT, NAME = "app.kubernetes.io/component", "app.kubernetes.io/name"
DNS = pod("kube-system", {"k8s-app": "kube-dns"})
ADMISSION = pod("kyverno", {COMPONENT: "admission-controller"})
BACKGROUND = pod("kyverno", {COMPONENT: "background-controller"})
CLEANUP = pod("kyverno", {COMPONENT: "cleanup-controller"})
HOOK = pod("kyverno", {"job-name": "kyverno-remove-webhooks"})
ISTIOD = pod("istio-system", {"app": "istiod", "istio": "pilot"})
CNI = pod("istio-system", {"k8s-app": "istio-cni-node"})
ZTUNNEL = pod("istio-system", {"app": "ztunnel"})
CERT_MANAGER = pod("cert-manager", {COMPONENT: "controller"})
CA_INJECTOR = pod("cert-manager", {COMPONENT: "cainjector"})
CERT_WEBHOOK = pod("cert-manager", {COMPONENT: "webhook"})
STARTUP_CHECK = pod("cert-manager", {COMPONENT: "startupapicheck"})
GATEWAY = pod("istio-ingress", {"gateway.networking.k8s.io/gateway-name": "public"})
SOLVER = pod("istio-ingress", {"acme.cert-manager.io/http01-solver": "true"})
VAULT = pod("vault", {NAME: "vault", "component": "server"})
INJECTOR = pod("vault", {NAME: "vault-agent-injector", "component": "webhook"})
SNAPSHOTS = pod("vault", {NAME: "vault-snapshots"})
OPERATOR = pod("external-secrets", {NAME: "external-secrets"})
OPERATOR_WEBHOOK = pod("external-secrets", {NAME: "external-secrets-webhook"})
API, POSTGRES = pod("shop", {"app": "api"}), pod("shop", {"app": "postgres"})
SCRAPER = pod("monitoring", {"app": "prometheus"})
STRANGER = pod("team", {"app": "any"})

API_SERVER = Address("10.9.0.4")
INTERNET = Address("203.0.113.10")
METADATA = Address("169.254.169.254")
MORE_METADATA = tuple(each.address for each in METADATA_SERVICES if each.address)


def is_open(policies: Sequence[Manifest], source: End, target: End, port: int, protocol: str = "TCP") -> bool:
    """Whether the policies of both ends let a connection through."""
    out = not isinstance(source, Pod) or egress(policies, source, target, port, protocol).allowed
    return out and (not isinstance(target, Pod) or ingress(policies, source, target, port, protocol).allowed)


NEEDED: dict[str, tuple[End, End, int]] = {
    "the API server calls Kyverno": (API_SERVER, ADMISSION, 9443),
    "the API server calls Kyverno's cleanup": (API_SERVER, CLEANUP, 9443),
    "the API server calls istiod": (API_SERVER, ISTIOD, 15017),
    "the API server calls cert-manager": (API_SERVER, CERT_WEBHOOK, 10250),
    "the API server calls Vault's injector": (API_SERVER, INJECTOR, 8080),
    "the API server calls through a pod of its tunnel": (pod("kube-system", {"app": "konnectivity"}), ADMISSION, 9443),
    **{
        f"{each} calls the API server": (each, API_SERVER, 6443)
        for each in (ADMISSION, BACKGROUND, HOOK, ISTIOD, CNI, CERT_MANAGER, CA_INJECTOR, CERT_WEBHOOK, STARTUP_CHECK)
    },
    "Vault calls the API server": (VAULT, API_SERVER, 443),
    "the injector calls the API server": (INJECTOR, API_SERVER, 443),
    "a service's proxy calls istiod": (API, ISTIOD, 15012),
    "the gateway calls istiod": (GATEWAY, ISTIOD, 15012),
    "the internet calls the gateway": (INTERNET, GATEWAY, 443),
    "the internet calls the gateway without TLS": (INTERNET, GATEWAY, 80),
    "a load balancer asks for the gateway": (INTERNET, GATEWAY, 15021),
    "the gateway calls a public service": (GATEWAY, API, 8080),
    "the gateway calls the solver of a challenge": (GATEWAY, SOLVER, 8089),
    "cert-manager calls Let's Encrypt": (CERT_MANAGER, INTERNET, 443),
    "cert-manager looks at its challenge from outside": (CERT_MANAGER, INTERNET, 80),
    "cert-manager looks at its challenge within the cluster": (CERT_MANAGER, GATEWAY, 80),
    "a service's agent calls Vault": (API, VAULT, 8200),
    "the deployer calls Vault": (INTERNET, VAULT, 8200),
    "Vault's servers forward requests": (VAULT, VAULT, 8200),
    "Vault's servers replicate": (VAULT, VAULT, 8201),
    "Vault calls its key service": (VAULT, INTERNET, 443),
    "a snapshot is taken": (SNAPSHOTS, VAULT, 8200),
}

REFUSED: dict[str, tuple[End, End, int]] = {
    "the gateway calls a metadata service": (GATEWAY, METADATA, 80),
    "the gateway calls the internet": (GATEWAY, INTERNET, 443),
    "the gateway calls the API server": (GATEWAY, API_SERVER, 443),
    "the gateway calls a service that is not public": (GATEWAY, POSTGRES, 5432),
    "the gateway calls another port of a public service": (GATEWAY, API, 9090),
    "the gateway calls Vault": (GATEWAY, VAULT, 8200),
    "the gateway calls istiod's debug interface": (GATEWAY, ISTIOD, 15014),
    "a pod calls istiod without TLS": (STRANGER, ISTIOD, 15010),
    "a pod calls istiod's debug interface": (STRANGER, ISTIOD, 8080),
    "a pod reads Kyverno's metrics": (STRANGER, ADMISSION, 8000),
    "a pod reads cert-manager's metrics": (STRANGER, CERT_MANAGER, 9402),
    "a pod reads the gateway's statistics": (STRANGER, GATEWAY, 15090),
    "a pod calls Vault's cluster port": (STRANGER, VAULT, 8201),
    "a pod calls the solver": (STRANGER, SOLVER, 8089),
    "the solver calls out": (SOLVER, INTERNET, 443),
    "the solver calls DNS": (SOLVER, DNS, 53),
    "a snapshot leaves": (SNAPSHOTS, INTERNET, 443),
    "istiod calls Vault": (ISTIOD, VAULT, 8200),
    "Kyverno calls a service": (ADMISSION, API, 8080),
    **{
        f"{each} calls a metadata service": (each, METADATA, 443)
        for each in (ADMISSION, ISTIOD, CNI, CERT_MANAGER, CA_INJECTOR, VAULT, INJECTOR)
    },
    **{f"Vault calls {address}": (VAULT, Address(address), 443) for address in MORE_METADATA},
}


@pytest.mark.parametrize("what", NEEDED)
def test_what_the_platform_needs_is_open(what: str) -> None:
    assert is_open(production(), *NEEDED[what])


@pytest.mark.parametrize("what", REFUSED)
def test_everything_else_is_closed(what: str) -> None:
    assert not is_open(production(), *REFUSED[what])


@pytest.mark.parametrize("source", [ADMISSION, ISTIOD, CNI, CERT_MANAGER, GATEWAY, VAULT, INJECTOR, SNAPSHOTS], ids=str)
def test_names_are_resolved(source: Pod) -> None:
    assert is_open(production(), source, DNS, 53, "UDP")
    assert is_open(production(), source, DNS, 53)


class TestEveryNamespace:
    @pytest.mark.parametrize("environment", ENVIRONMENTS)
    def test_it_has_a_pod_security_label(self, environment: str) -> None:
        for namespace in recorded(environment).of("Namespace"):
            labels = namespace.inputs["metadata"]["labels"]
            modes = {key.rpartition("/")[2]: level for key, level in labels.items() if "pod-security" in key}
            if namespace.inputs["metadata"]["name"] in PLATFORM:
                assert modes.get("enforce") in ("restricted", "baseline", "privileged"), namespace.name
            else:
                assert modes == {"warn": "restricted", "audit": "restricted"}, namespace.name

    def test_none_but_the_meshs_is_privileged(self) -> None:
        levels = {
            made.inputs["metadata"]["name"]: made.inputs["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
            for made in recorded("production").of("Namespace")
            if made.inputs["metadata"]["name"] in PLATFORM
        }
        assert levels.pop("istio-system") == "privileged"
        assert set(levels.values()) == {"restricted"}

    @pytest.mark.parametrize("environment", ENVIRONMENTS)
    def test_it_is_closed_where_the_posture_closes_and_nowhere_else(self, environment: str) -> None:
        made = recorded(environment)
        closed = {
            policy.inputs["metadata"]["namespace"]
            for policy in made.of("NetworkPolicy")
            if policy.inputs["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
        }
        namespaces = {each.inputs["metadata"]["name"] for each in made.of("Namespace")} & set(PLATFORM)
        assert closed == (namespaces if settings(environment).decisions().network_policies else set())
        assert len(namespaces) == (0 if environment == "local" else 5)

    def test_its_pods_wait_for_its_policies(self) -> None:
        made = recorded("production")
        for release in made.of("Release"):
            namespace = release.inputs["namespace"]
            own = {each.name for each in made.of("NetworkPolicy") if each.inputs["metadata"]["namespace"] == namespace}
            own.discard("vault-snapshots")
            assert own, release.name
            assert own <= made.behind(release), release.name
        gateway = made.behind(made.one("Gateway"))
        assert {name for name in gateway if name.startswith("ingress-istio-ingress-")}


class TestSettings:
    def test_the_api_server_is_where_the_stack_file_says(self) -> None:
        made = production(apiServerCidrs=["10.9.0.0/24"], apiServerPorts=[16443])
        assert is_open(made, ADMISSION, API_SERVER, 16443)
        assert not is_open(made, ADMISSION, API_SERVER, 6443)
        assert not is_open(made, ADMISSION, INTERNET, 16443)

    def test_webhooks_are_called_from_where_the_stack_file_says(self) -> None:
        made = production(webhookCidrs=["10.9.0.0/24"])
        for target, port in ((ADMISSION, 9443), (ISTIOD, 15017), (CERT_WEBHOOK, 10250), (INJECTOR, 8080)):
            assert is_open(made, API_SERVER, target, port)
            assert not is_open(made, STRANGER, target, port)

    def test_metrics_are_read_from_the_scrapers_namespace(self) -> None:
        made = production(mesh={"scraper": {"namespace": "monitoring", "serviceAccount": "prometheus"}})
        for target, port in (
            *((each, 8000) for each in (ADMISSION, BACKGROUND)),
            *((each, 15014) for each in (ISTIOD, CNI)),
            *((each, 9402) for each in (CERT_MANAGER, CA_INJECTOR, CERT_WEBHOOK)),
            *((GATEWAY, port) for port in (15020, 15090)),
        ):
            assert is_open(made, SCRAPER, target, port)
            assert not is_open(made, STRANGER, target, port)

    def test_vault_is_reached_from_where_the_stack_file_says(self) -> None:
        vault = {**values("production")["vault"], "clientCidrs": ["198.51.100.0/24"]}
        made = production(vault=vault)
        assert is_open(made, Address("198.51.100.7"), VAULT, 8200)
        assert is_open(made, API, VAULT, 8200)
        assert not is_open(made, INTERNET, VAULT, 8200)

    def test_a_key_service_that_asks_for_the_pods_identity_has_it(self) -> None:
        narrow = {"apiServerCidrs": ["10.9.0.0/24"]}
        seal = {"gcpckms": {"project": "p", "region": "r", "keyRing": "k", "cryptoKey": "c"}}
        made = production(**narrow, vault={**values("production")["vault"], "seal": seal})
        assert is_open(made, VAULT, METADATA, 80)
        assert is_open(made, VAULT, INTERNET, 443)
        assert not is_open(made, INJECTOR, METADATA, 80)
        # EKS has an agent for that, which tells nothing of the node.
        assert is_open(production(**narrow), VAULT, Address("169.254.170.23"), 80)
        assert not is_open(production(**narrow), VAULT, METADATA, 80)

    def test_an_unsealing_vault_elsewhere_is_reached(self) -> None:
        seal = {
            "transit": {"address": "https://seal.security.svc:8200", "keyName": "unseal", "tokenSecret": "seal-token"}
        }
        made = production(apiServerCidrs=["10.9.0.0/24"], vault={**values("production")["vault"], "seal": seal})
        assert is_open(made, VAULT, pod("security"), 8200)
        assert not is_open(made, VAULT, INTERNET, 443)

    @pytest.mark.parametrize(
        ("host", "networks", "reached"),
        [
            ("pg.data.svc", [], pod("data")),
            ("10.20.0.5", [], Address("10.20.0.5")),
            ("pg.example.org", ["10.30.0.0/24"], Address("10.30.0.9")),
        ],
    )
    def test_a_database_is_reached(self, host: str, networks: list[str], reached: End) -> None:
        database = {"host": host, "port": 5433, "database": "shop", "adminUser": "vault"}
        made = production(databases={"shop": {**database, **({"cidrs": networks} if networks else {})}})
        assert is_open(made, VAULT, reached, 5433)
        assert not is_open(made, VAULT, INTERNET, 5433)

    def test_signatures_are_asked_for_at_each_registry(self) -> None:
        signer = {"name": "ci", "issuer": "https://token.example.org", "subject": "repo:example/app"}
        registries = ["registry.example.org", "mirror.example.org:5000/team"]
        narrow = {"apiServerCidrs": ["10.9.0.0/24"], "registries": registries}
        made = production(**narrow, kyverno={"imageSignatures": [signer]})
        assert is_open(made, ADMISSION, INTERNET, 5000)
        assert is_open(made, ADMISSION, INTERNET, 443)
        assert not is_open(production(**narrow), ADMISSION, INTERNET, 443)

    def test_a_firewalls_module_is_fetched_from_its_registry(self) -> None:
        waf = {"image": f"registry.example.org:5000/waf@sha256:{'a' * 64}", "cidrs": ["198.51.100.0/28"]}
        given = {"registries": ["registry.example.org", "registry.example.org:5000"]}
        made = production(**given, ingress={**values("production")["ingress"], "waf": waf})
        assert is_open(made, GATEWAY, Address("198.51.100.7"), 5000)
        assert not is_open(made, GATEWAY, INTERNET, 5000)
        del waf["cidrs"]
        made = production(**given, ingress={**values("production")["ingress"], "waf": waf})
        assert is_open(made, GATEWAY, INTERNET, 5000)
        assert not is_open(made, GATEWAY, METADATA, 5000)
        assert not is_open(made, GATEWAY, Address("10.0.0.1"), 5000)

    def test_an_acme_server_of_ones_own_is_reached_at_its_port(self) -> None:
        acme = {"acmeServer": {"directory": "https://acme.example.org:14000/dir"}}
        made = production(ingress={**values("production")["ingress"], **acme})
        assert is_open(made, CERT_MANAGER, INTERNET, 14000)

    def test_a_vault_that_signs_is_reached_and_no_acme_server(self) -> None:
        posture = {"issuer": {"value": "vault", "reason": "internal names only"}}
        made = production(apiServerCidrs=["10.9.0.0/24"], posture=posture)
        assert is_open(made, CERT_MANAGER, VAULT, 8200)
        assert not is_open(made, CERT_MANAGER, INTERNET, 443)
        assert not is_open(made, CERT_MANAGER, INTERNET, 80)
        assert not is_open(made, GATEWAY, SOLVER, 8089)

    def test_an_external_vault_is_reached_by_its_networks(self) -> None:
        vault = {
            "mode": "external",
            "address": "https://vault.example.org",
            "cidrs": ["198.51.100.0/28"],
            "delivery": "external-secrets",
            "deliveryReason": "an operator of ours",
        }
        made = production(apiServerCidrs=["10.9.0.0/24"], vault=vault)
        assert is_open(made, OPERATOR, Address("198.51.100.7"), 443)
        assert not is_open(made, OPERATOR, INTERNET, 443)
        assert is_open(made, API_SERVER, OPERATOR_WEBHOOK, 10250)
        assert not is_open(made, STRANGER, OPERATOR, 8080)

    def test_spans_of_the_gateway_reach_the_collector(self) -> None:
        made = production(mesh={"tracing": {"namespace": "observability", "service": "otel", "port": 4317}})
        assert is_open(made, GATEWAY, pod("observability"), 4317)

    def test_a_nodes_proxy_reaches_istiod_and_the_gateway_its_tunnel(self) -> None:
        made = production(mesh={"dataPlane": "ambient"})
        assert is_open(made, ZTUNNEL, ISTIOD, 15012)
        assert not is_open(made, ZTUNNEL, API_SERVER, 443)
        assert is_open(made, GATEWAY, API, 15008)


def test_keys_of_a_token_are_fetched_by_istiod() -> None:
    here = stack("production")
    api = next(spec for spec in here.services if spec.name == "api")
    told = api.model_validate(
        {
            **api.model_dump(by_alias=True, exclude_unset=True),
            "jwt": {
                "issuer": "https://login.example.org",
                "jwksUri": "https://login.example.org:8443/keys",
                "audiences": ["shop"],
            },
        }
    )
    policies = network.mesh_policies(replace(here, services=(told,)))
    assert egress(policies, ISTIOD, INTERNET, 8443).allowed
    assert not egress(policies, ISTIOD, METADATA, 8443).allowed
    assert not egress(network.mesh_policies(here), ISTIOD, INTERNET, 8443).allowed


def test_an_ingress_controller_keeps_its_own_namespace() -> None:
    controller = {"namespace": "edge", "serviceAccount": "edge"}
    ingress_settings = {
        "kind": "ingress",
        "className": "haproxy",
        "acmeEmail": "ops@example.org",
        "controller": controller,
        "headers": "none",
        "rateLimit": "none",
        "maxRequestBytes": "none",
    }
    certificates = plan_of("production", ingress=ingress_settings).certificates
    assert certificates
    policies: list[Any] = list(certificates.network_policies)
    assert {policy["metadata"]["namespace"] for policy in policies} == {"cert-manager"}
    assert egress(policies, CERT_MANAGER, pod("edge"), 8080).allowed
