"""SecureService: what follows from a declaration, in every combination of layers, and nothing more."""

import re
from dataclasses import astuple
from itertools import product
from typing import Any

import pulumi
import pulumi_vault
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pulumi_kubernetes import Provider
from pulumi_kubernetes.core.v1 import Namespace

from components.kube.service_ref import ServiceRef
from components.schema.problem import ConfigError
from components.service.args.network import Peer
from components.service.args.resolve import services_args
from components.service.args.service import ApiRuleArgs, SecretArgs, SecureServiceArgs
from components.service.file.directory import parse_service
from components.service.file.service import ServiceSpec
from components.service.manifests.authorization import authorization_policy
from components.service.manifests.egress import sidecar
from components.service.manifests.network_policy import challenge_policy, network_policy_spec
from components.service.manifests.route import ingress_manifest, public_url
from components.service.manifests.vault import injector_annotations, mesh_annotations, render_file, vault_policy
from components.service.manifests.workload import deployment_spec
from components.service.secure_service import SecureService
from tests.support.monitor import Recording, record
from tests.support.stacks import platform, service
from tests.unit.service.test_directory import SMALL

PLATFORM = ("istio-system", "kube-system")
LAYERS = list(product((False, True), (False, True), ("off", "dry-run", "enforce"), (False, True)))


def run(args: SecureServiceArgs) -> Recording:
    def program() -> None:
        cluster = Provider("cluster")
        vault = pulumi_vault.Provider("vault", address="https://v:8200")
        namespace = Namespace("shop", metadata={"name": "shop"}, opts=pulumi.ResourceOptions(provider=cluster))
        opts = pulumi.ResourceOptions(providers=[cluster, vault], depends_on=[namespace], deleted_with=namespace)
        SecureService(args.key, args, opts)

    return record(program)


def pod(args: SecureServiceArgs) -> dict[str, Any]:
    return deployment_spec(args)["template"]["spec"]


@pytest.mark.parametrize(("vault", "mesh", "authorization", "network"), LAYERS)
def test_each_layer_brings_its_own_objects_and_no_other(
    vault: bool, mesh: bool, authorization: str, network: bool
) -> None:
    facts = platform(vault=vault, injection=vault, mesh=mesh, authorization=authorization, network_policies=network)
    made = run(service(platform=facts, called_by=[Peer(ServiceRef("shop", "web"), 8080)]))
    assert bool(made.of("AuthBackendRole")) == bool(made.of("SecretV2")) == vault
    assert bool(made.of("kubernetes:core/v1:Secret")) == (not vault)
    assert bool(made.of("NetworkPolicy")) == network
    assert bool(made.of("AuthorizationPolicy")) == (authorization != "off")
    assert len(made.of("Deployment")) == len(made.of("ServiceAccount")) == 1
    assert not made.of("Role")


@pytest.mark.parametrize(("vault", "mesh", "authorization", "network"), LAYERS)
@pytest.mark.parametrize("secrets", [False, True])
def test_the_pod_is_as_hard_on_every_platform(
    vault: bool, mesh: bool, authorization: str, network: bool, secrets: bool
) -> None:
    facts = platform(vault=vault, injection=vault, mesh=mesh, authorization=authorization, network_policies=network)
    args = service(platform=facts) if secrets else service(platform=facts, secrets=[])
    spec = pod(args)
    assert spec["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 1000,
        "runAsGroup": 1000,
        "fsGroup": 2000,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert spec["automountServiceAccountToken"] is spec["enableServiceLinks"] is False
    (container,) = spec["containers"]
    context = container["securityContext"]
    assert context["runAsNonRoot"] is context["readOnlyRootFilesystem"] is True
    assert context["allowPrivilegeEscalation"] is context["privileged"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert {"requests", "limits"} == set(container["resources"])
    assert {"livenessProbe", "readinessProbe"} <= set(container)
    assert "env" not in container
    assert "envFrom" not in container
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)


def test_the_application_never_holds_the_vault_token_while_the_agent_does() -> None:
    spec = pod(service())
    token = next(volume for volume in spec["volumes"] if volume["name"] == "vault-token")
    (source,) = token["projected"]["sources"]
    assert source["serviceAccountToken"]["audience"] == "vault"
    assert "vault-token" not in {mount["name"] for mount in spec["containers"][0]["volumeMounts"]}
    alone = pod(service(platform=platform(injection=False)))
    assert "vault-token" in {mount["name"] for mount in alone["containers"][0]["volumeMounts"]}


def test_the_annotations_bring_each_secret_as_a_file_of_its_own() -> None:
    notes = injector_annotations(service())
    prefix = "vault.hashicorp.com"
    assert notes[f"{prefix}/role"] == "shop.api"
    assert notes[f"{prefix}/agent-inject-secret-database"] == "secret/data/shop/api/database"
    assert notes[f"{prefix}/agent-inject-perms-database"] == "0400"
    assert notes[f"{prefix}/agent-service-account-token-volume-name"] == "vault-token"
    assert notes[f"{prefix}/agent-inject-template-database"] == (
        '{{- with secret "secret/data/shop/api/database" -}}\nP={{ .Data.data.password }}\n{{- end }}\n'
    )
    # The mesh's proxy is in the same pod, and needs none of them.
    assert notes[f"{prefix}/agent-inject-containers"] == "api"
    assert not any("env" in key for key in notes)
    assert injector_annotations(service(secrets=[])) == {}
    assert injector_annotations(service(platform=platform(injection=False))) == {}


def test_the_vault_role_is_bound_to_one_account() -> None:
    made = run(service())
    role = made.one("AuthBackendRole").inputs
    assert role["boundServiceAccountNames"] == ["api"]
    assert role["boundServiceAccountNamespaces"] == ["shop"]
    assert (role["audience"], role["tokenTtl"], role["tokenMaxTtl"]) == ("vault", 3600, 86400)
    assert role["tokenPolicies"] == [made.one("Policy").inputs["name"]] == ["shop.api"]


def test_generated_values_are_secret_wherever_they_go() -> None:
    made = run(service())
    stored = made.one("SecretV2")
    assert "dataJson" in stored.secret_inputs
    assert stored.inputs["dataJson"] == '{"host":"db","password":"generated-shop.api.database.password"}'
    assert stored.inputs["name"] == "shop/api/database"
    local = run(service(platform=platform(vault=False, injection=False)))
    fallback = local.one("kubernetes:core/v1:Secret")
    assert "stringData" in fallback.secret_inputs
    assert fallback.inputs["stringData"] == {"database": "P=generated-shop.api.database.password"}
    assert fallback.inputs["metadata"]["annotations"] == {"zero-trust.dev/insecure": "kubernetes-secret"}


def test_the_order_is_explicit() -> None:
    made = run(service(called_by=[Peer(ServiceRef("shop", "web"), 8080)], host="api.example.org"))
    behind = made.behind(made.one("Deployment"))
    assert {"shop", "shop.api.database", "shop.api.authorization", "shop.api.database.password"} <= behind
    for resource in made.resources:
        in_component = resource.parent.endswith("SecureService::shop.api")
        assert resource.custom is False or in_component or resource.name in ("cluster", "vault", "shop")
        if resource.type.startswith("vault:"):
            assert resource.deleted_with == made.one("Namespace").urn
    namespace = made.one("Namespace").urn
    inside = [r for r in made.resources if r.type.startswith("kubernetes:") and r.name != "shop"]
    assert all(namespace in resource.dependencies for resource in inside)


def test_a_small_service_stays_small() -> None:
    made = run(service(secrets=[], replicas=1))
    own = [resource for resource in made.resources if resource.custom and "SecureService" in resource.parent]
    # Account, Deployment, Service, NetworkPolicy, Sidecar and DestinationRule.
    assert len(own) == 6


@pytest.mark.parametrize(("replicas", "budgets"), [(1, 0), (2, 1), (3, 1)])
def test_several_replicas_have_a_budget(replicas: int, budgets: int) -> None:
    assert len(run(service(replicas=replicas)).of("PodDisruptionBudget")) == budgets


@pytest.mark.parametrize(
    ("route", "host", "kind"),
    [
        ("gateway-api", "a.example.org", "HTTPRoute"),
        ("ingress", "a.example.org", "Ingress"),
        ("", "a.example.org", ""),
        ("gateway-api", "", ""),
    ],
)
def test_a_public_service_has_the_route_of_its_platform(route: str, host: str, kind: str) -> None:
    args = service(host=host, platform=platform(route=route, ingress_class="nginx"))
    made = run(args)
    assert {k for k in ("HTTPRoute", "Ingress") if made.of(k)} == ({kind} if kind else set())
    assert bool(public_url(args)) == bool(kind)
    policy = authorization_policy(args)
    assert (policy is not None) == bool(kind)


def test_an_ingress_is_without_tls_only_without_an_issuer() -> None:
    args = service(host="a.example.org", platform=platform(route="ingress", ingress_class="nginx"))
    made = ingress_manifest(args)
    assert made["spec"]["tls"] == [{"hosts": ["a.example.org"], "secretName": "api-tls"}]
    assert made["metadata"]["annotations"] == {"cert-manager.io/cluster-issuer": "ca"}
    plain = service(host="a.example.org", platform=platform(route="ingress", ingress_class="nginx", issuer=""))
    assert "tls" not in ingress_manifest(plain)["spec"]


def test_an_ingress_controller_reaches_the_answer_to_an_acme_challenge() -> None:
    terms = {"ingress_class": "nginx", "gateway_namespace": "nginx", "network_policies": True}
    args = service(host="a.example.org", platform=platform(route="ingress", issuer="letsencrypt-prod", **terms))
    made = run(args)
    [challenge] = [policy for policy in made.of("NetworkPolicy") if policy.name.endswith(".acme")]
    assert challenge.inputs["spec"] == {
        "podSelector": {"matchLabels": {"acme.cert-manager.io/http01-solver": "true"}},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [
            {
                "from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "nginx"}}}],
                "ports": [{"port": 8089, "protocol": "TCP"}],
            }
        ],
    }


@pytest.mark.parametrize(
    ("route", "issuer", "host"),
    [
        ("ingress", "ca", "a.example.org"),
        ("ingress", "letsencrypt-prod", ""),
        ("gateway-api", "letsencrypt-prod", "a.example.org"),
    ],
)
def test_no_pod_answers_a_challenge_elsewhere(route: str, issuer: str, host: str) -> None:
    assert challenge_policy(service(host=host, platform=platform(route=route, issuer=issuer))) is None


def test_the_agent_reaches_vault_before_the_proxy_runs() -> None:
    inside = mesh_annotations(service())
    assert inside == {"traffic.sidecar.istio.io/excludeOutboundPorts": "8200"}
    outside = mesh_annotations(service(platform=platform(vault_networks=["10.0.0.9/32"], vault_port=443)))
    assert outside == {"traffic.sidecar.istio.io/excludeOutboundIPRanges": "10.0.0.9/32"}
    assert mesh_annotations(service(secrets=[])) == mesh_annotations(service(platform=platform(mesh=False))) == {}


def test_dry_run_is_marked() -> None:
    args = service(called_by=[Peer(ServiceRef("shop", "web"), 8080)], platform=platform(authorization="dry-run"))
    policy = authorization_policy(args)
    assert policy is not None
    assert policy["metadata"]["annotations"] == {"istio.io/dry-run": "true"}


def test_the_platforms_own_allows() -> None:
    egress = network_policy_spec(service())["egress"]
    ports = [[port["port"] for port in rule["ports"]] for rule in egress]
    assert ports == [[53, 53], [15012], [8200]]
    outside = platform(vault_networks=["10.0.0.9/32"], vault_port=443)
    rule = network_policy_spec(service(platform=outside))["egress"][-1]
    assert rule == {"to": [{"ipBlock": {"cidr": "10.0.0.9/32"}}], "ports": [{"port": 443, "protocol": "TCP"}]}
    assert len(network_policy_spec(service(secrets=[], platform=platform(mesh=False)))["egress"]) == 1


def test_rights_on_the_api_are_those_declared_and_stay_in_the_namespace() -> None:
    rule = ApiRuleArgs(["apps"], ["deployments"], ["get"])
    args = service(kubernetes_api=[rule], platform=platform(api_server_networks=["10.0.0.1/32"]))
    made = run(args)
    assert made.one("Role").inputs["rules"] == [{"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"]}]
    assert made.one("RoleBinding").inputs["subjects"][0]["namespace"] == "shop"
    assert not made.of("ClusterRole")
    assert {"ipBlock": {"cidr": "10.0.0.1/32"}} in network_policy_spec(args)["egress"][-1]["to"]


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "*"},
        {"namespace": ""},
        {"called_by": [Peer(ServiceRef("*", "web"), 80)]},
        {"calls": [Peer(ServiceRef("shop", "*"), 80)]},
        {"secrets": [SecretArgs("*", "f", {}, ["x"], "")]},
        {"secrets": [SecretArgs("../other", "f", {}, ["x"], "")]},
        {"kubernetes_api": [ApiRuleArgs([""], ["*"], ["get"])]},
    ],
)
def test_an_over_broad_grant_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"would grant|wildcard"):
        service(**changes)


def test_rendering_without_vault_is_what_the_agent_writes() -> None:
    assert render_file("A={{ .Data.data.a }};{{.Data.data.b}}\n", {"a": "1", "b": r"\1"}) == r"A=1;\1"


names = st.from_regex(r"[a-z]([-a-z0-9]{0,6}[a-z0-9])?", fullmatch=True)


@st.composite
def scenarios(draw: st.DrawFn) -> list[ServiceSpec]:
    keys = draw(st.lists(st.tuples(names, names), min_size=2, max_size=6, unique=True))
    specs: list[ServiceSpec] = []
    for number, (namespace, name) in enumerate(keys):
        others = [f"{ns}/{n}" for ns, n in keys if (ns, n) != (namespace, name)]
        specs.append(
            ServiceSpec.model_validate(
                {
                    "name": name,
                    "namespace": namespace,
                    "team": "t",
                    "image": "r.example.org/x:v1",
                    "port": 8000 + number,
                    "calls": draw(st.lists(st.sampled_from(others), max_size=3, unique=True)),
                    "secrets": {s: {"generate": ["x"]} for s in draw(st.lists(names, max_size=2, unique=True))},
                }
            )
        )
    return specs


@settings(max_examples=40, deadline=None)
@given(scenarios())
def test_no_service_reads_anothers_secret(specs: list[ServiceSpec]) -> None:
    made = services_args(specs, platform(), 1)
    policies = {args.key: re.findall(r'path "([^"]+)"', vault_policy(args)) for args in made}
    assert len(policies) == len(specs)
    readable = [path for paths in policies.values() for path in paths]
    assert len(readable) == len(set(readable))
    for args in made:
        prefix = f"secret/data/{args.namespace}/{args.name}/"
        assert all(path.startswith(prefix) and "/" not in path.removeprefix(prefix) for path in policies[args.key])
        text = vault_policy(args)
        assert "*" not in text
        assert "+" not in text
        assert set(re.findall(r"capabilities = (\[.*\])", text)) <= {'["read"]'}


@settings(max_examples=40, deadline=None)
@given(scenarios())
def test_each_edge_has_both_ends_and_nothing_else_is_open(specs: list[ServiceSpec]) -> None:
    made = {(args.namespace, args.name): args for args in services_args(specs, platform(), 1)}
    edges = {(astuple(spec.ref), astuple(callee)) for spec in specs for callee in spec.callees()}
    opened_out, opened_in, allowed, known = set[Any](), set[Any](), set[Any](), set[Any]()
    for key, args in made.items():
        spec = network_policy_spec(args)
        assert set(spec["policyTypes"]) == {"Ingress", "Egress"}
        opened_out |= {(key, peer) for peer in _peers(spec["egress"], "to") if peer in made}
        opened_in |= {(peer, key) for peer in _peers(spec.get("ingress", []), "from")}
        scope = sidecar(args)
        hosts = [host.split("/") for host in scope["spec"]["egress"][0]["hosts"]] if scope else []
        known |= {(key, (namespace, host.split(".")[0])) for namespace, host in hosts if namespace not in PLATFORM}
        policy = authorization_policy(args)
        for rule in policy["spec"]["rules"] if policy else []:
            assert rule["to"] == [{"operation": {"ports": [str(args.port)]}}]
            (principal,) = rule["from"][0]["source"]["principals"]
            _, _, namespace, _, name = principal.split("/")
            assert ((namespace, name), key) not in allowed
            allowed.add(((namespace, name), key))
    assert opened_out == opened_in == allowed == known == edges


def _peers(rules: list[dict[str, Any]], direction: str) -> set[tuple[str, str]]:
    return {
        (
            peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"],
            peer["podSelector"]["matchLabels"].get("app", ""),
        )
        for rule in rules
        for peer in rule[direction]
    }


@pytest.mark.parametrize(("tail", "version"), [("", "0"), (", replaces: 3", "3")])
def test_first_values_are_written_over_the_version_that_the_file_names(tail: str, version: str) -> None:
    spec = parse_service(f"{SMALL}secrets: {{db: {{generate: [x]{tail}}}}}", "services/x.yaml").spec
    (args,) = services_args([spec], platform(), 1)
    stored = run(args).one("SecretV2").inputs
    assert (stored["options"], stored["disableRead"]) == ({"cas": version}, True)


@pytest.mark.parametrize("wrong", ["-1", "latest", "'1'"])
def test_a_version_is_a_number(wrong: str) -> None:
    with pytest.raises(ConfigError, match=r"secrets\.db\.replaces"):
        parse_service(f"{SMALL}secrets: {{db: {{generate: [x], replaces: {wrong}}}}}", "services/x.yaml")
