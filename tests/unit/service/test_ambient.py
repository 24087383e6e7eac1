"""The ambient data plane: where it may be chosen, what it refuses, and that nothing of it needs a proxy in the pod."""

import json
from pathlib import Path
from typing import Any

import pytest

from components.config.settings import Settings
from components.kube.mesh_labels import KUBELET_PROBES
from components.kube.service_ref import ServiceRef
from components.program.plan import plan
from components.program.stack import read_stack
from components.schema.problem import ConfigError
from components.service.args.jobs import JobArgs
from components.service.args.network import EgressArgs, JwtArgs, MetricsArgs, Peer, PlaintextPortArgs
from components.service.args.probes import ProbeArgs, ProbesArgs
from components.service.args.service import SecureServiceArgs
from components.service.file.directory import Admission, read_services
from components.service.manifests.authorization import authorization_policy
from components.service.manifests.job import job_spec, workload_of
from components.service.manifests.network_policy import mesh_objects, network_policy_spec
from components.service.manifests.workload import deployment_spec, metrics_annotations, pod_metadata
from tests.support.consents import agreeing
from tests.support.monitor import Recording
from tests.support.stacks import plan_of, platform, service, settings, stack
from tests.unit.program.test_program import run
from tests.unit.service.test_directory import SMALL, write
from zt.facts.model import OutsideHost, Reach
from zt.facts.read_network import network_facts

pytestmark = pytest.mark.unit

AMBIENT = {"dataPlane": "ambient"}
CLOSED = {"networkPolicies": {"value": True}}
TRACING = {"namespace": "observability", "service": "otel"}
SCRAPER = {"scraper": ServiceRef("monitoring", "prometheus")}
WEB = Peer(ServiceRef("shop", "web"), 8080)
ADDRESSES = [{"ipBlock": {"cidr": network}} for network in KUBELET_PROBES]

# All that `handleRule` of istiod's ambient index takes without a warning, and a builder here may write.
FOUR_LAYERS = {"principals", "ipBlocks", "notPrincipals", "ports"}


def ambient(**changes: Any) -> SecureServiceArgs:
    return service(**{"platform": platform(ambient=True, **SCRAPER), **changes})


def everything(**changes: Any) -> SecureServiceArgs:
    """A service that asks for all that the ambient mode can hold."""
    full: dict[str, Any] = {
        "host": "api.example.org",
        "paths": ["/v1"],
        "calls": [Peer(ServiceRef("shop", "redis"), 6379)],
        "called_by": [WEB],
        "egress": [EgressArgs("db.example.org", 5432, "tcp", ["192.0.2.0/28"])],
        "metrics": MetricsArgs(9090, "/metrics"),
        "plaintext_ports": [PlaintextPortArgs(8080, ["10.0.0.0/24"], "an old till", "ann", "2026-02-01")],
        "jobs": [JobArgs("migrate", calls=[ServiceRef("shop", "redis")])],
    }
    return ambient(**{**full, **changes})


def refused(environment: str, **changes: Any) -> dict[str, str]:
    """The keys that are refused, each with what is said of it."""
    try:
        settings(environment, **changes)
    except ConfigError as error:
        return {problem.key.removeprefix("zero-trust:"): str(problem) for problem in error.problems}
    return {}


class TestSettings:
    @pytest.mark.parametrize("environment", ["production", "staging", "dev", "local"])
    @pytest.mark.parametrize("mesh", [{}, {"dataPlane": "sidecar"}])
    def test_pods_have_their_own_proxies_unless_the_file_says_otherwise(
        self, environment: str, mesh: dict[str, str]
    ) -> None:
        chosen = stack(environment, mesh=mesh)
        assert chosen.settings.mesh.data_plane == "sidecar"
        assert not chosen.ambient

    @pytest.mark.parametrize(
        ("environment", "posture", "key"),
        [
            ("production", {}, ""),
            ("staging", {}, ""),
            ("dev", {}, "mesh.dataPlane"),
            ("dev", CLOSED, ""),
            ("local", {}, "mesh.dataPlane"),
            ("local", CLOSED, "mesh.dataPlane"),
            ("production", {"networkPolicies": {"value": False, "reason": "no CNI"}}, "mesh.dataPlane"),
            ("production", {"authorization": {"value": "dry-run", "reason": "first week"}}, ""),
        ],
    )
    def test_it_needs_a_mesh_and_closed_networks(self, environment: str, posture: dict[str, Any], key: str) -> None:
        found = refused(environment, mesh=AMBIENT, posture=posture)
        assert set(found) == ({key} if key else set())
        if key:
            assert "found 'ambient'" in found[key]
            assert f"Pulumi.{environment}.yaml" in found[key]

    @pytest.mark.parametrize("value", ["Ambient", "waypoint", "", True, None])
    def test_a_wrong_value_is_refused_with_what_is_legal(self, value: object) -> None:
        assert "legal: sidecar, ambient" in refused("production", mesh={"dataPlane": value})["mesh.dataPlane"]

    def test_spans_need_a_proxy_in_the_pod(self) -> None:
        assert set(refused("production", mesh={**AMBIENT, "tracing": TRACING})) == {"mesh.tracing"}
        assert refused("production", mesh={"tracing": TRACING}) == {}

    @pytest.mark.parametrize(
        "mesh", [{"revision": "1-31-0"}, {"autoscaling": {}}, {"scraper": {"namespace": "m", "serviceAccount": "p"}}]
    )
    def test_what_is_the_control_planes_stays(self, mesh: dict[str, Any]) -> None:
        assert refused("production", mesh={**AMBIENT, **mesh}) == {}


JWT = "jwt: {issuer: 'https://l.example.org', jwksUri: 'https://l.example.org/k', audiences: [a]}"
REFUSED = [
    ("calls: [{service: b, methods: [GET]}]", r"a\.yaml:5: calls\[0\]\.methods: .* leave them out"),
    ("calls: [{service: b, paths: [/x]}]", r"a\.yaml:5: calls\[0\]\.paths: .* found \['/x'\]"),
    ("calls: [c, {service: b, methods: [GET]}]", r"calls\[1\]\.methods"),
    (f"host: a.example.org\n{JWT}", r"a\.yaml:6: jwt: ambient reads no token"),
    ("egress: [{host: x.example.org, port: 443}]", r"egress\[0\]\.protocol: .*'tls'; legal: tcp"),
    ("egress: [{host: x.example.org, port: 443, protocol: https}]", r"egress\[0\]\.protocol: .*'https'"),
    ("egress: [{host: x.example.org, port: 80, protocol: http}]", r"egress\[0\]\.protocol: .*'http'"),
    ("egress: [{host: x.example.org, port: 443, cidrs: [192.0.2.0/28]}]", r"egress\[0\]\.protocol: "),
    ("sticky: {cookie: seat}", r"a\.yaml:5: sticky: the proxies of the nodes see no request"),
    ("ports: {admin: {port: 9001, sticky: {header: x}}}", r"ports\.admin\.sticky: the proxies of the nodes"),
    ("metrics: {port: 8080}", r"metrics\.port: .* a port of their own"),
]
TIMED = "reason: an old till, owner: ann, granted: 2026-01-01, expires: 2026-01-09"
HELD = [
    "calls: [b, c]",
    "host: a.example.org\npaths: [/v1]",
    "egress: [{host: x.example.org, port: 5432, protocol: tcp, cidrs: [192.0.2.0/28]}]",
    "metrics: {port: 9090}",
    f"plaintextPorts: [{{port: 8080, cidrs: [10.0.0.0/24], {TIMED}}}]",
    "kubernetesApi: [{resources: [configmaps], verbs: [get]}]",
    "jobs: {migrate: {command: [x], calls: [b]}}\ncalls: [b]",
]


class TestServiceFiles:
    @pytest.mark.parametrize(("more", "error"), REFUSED)
    def test_what_only_a_proxy_in_the_pod_holds_is_refused(self, tmp_path: Path, more: str, error: str) -> None:
        folder = write(tmp_path, **agreeing({"a": SMALL + more, "b": SMALL, "c": SMALL}))
        assert read_services(folder, Admission((), api_server_reachable=True))
        with pytest.raises(ConfigError, match=error) as caught:
            read_services(folder, Admission((), api_server_reachable=True, ambient=True))
        (problem,) = caught.value.problems
        assert "set the stack's mesh.dataPlane to sidecar" in problem.message

    @pytest.mark.parametrize("more", HELD)
    def test_what_identity_port_and_network_hold_is_legal(self, tmp_path: Path, more: str) -> None:
        folder = write(tmp_path, **agreeing({"a": SMALL + more, "b": SMALL, "c": SMALL}))
        assert len(read_services(folder, Admission((), api_server_reachable=True, ambient=True))) == 3

    def test_every_stack_judges_by_its_own_data_plane(self, tmp_path: Path) -> None:
        write(tmp_path, a=SMALL.replace("r.example.org", "registry.example.org") + "metrics: {port: 8080}")
        scraper = {"scraper": {"namespace": "m", "serviceAccount": "p"}}

        def read(chosen: Settings) -> object:
            return read_stack(tmp_path, "Pulumi.production.yaml", chosen)

        assert read(settings("production", mesh=scraper))
        with pytest.raises(ConfigError, match=r"services/a\.yaml:5: metrics\.port"):
            read(settings("production", mesh={**AMBIENT, **scraper}))


class TestArguments:
    @pytest.mark.parametrize(
        ("changes", "lost"),
        [
            ({"calls": [Peer(ServiceRef("shop", "web"), 80, ("GET",))]}, "requests by method or path"),
            ({"called_by": [Peer(ServiceRef("shop", "web"), 8080, (), ("/x",))]}, "requests by method or path"),
            ({"egress": [EgressArgs("x.example.org", 443)]}, "egress by host name"),
            (
                {
                    "host": "api.example.org",
                    "jwt": JwtArgs("https://l.example.org", jwks='{"keys": [{"kty": "EC"}]}', audiences=["a"]),
                },
                "a token",
            ),
            ({"metrics": MetricsArgs(8080, "/m")}, "the path of metrics"),
        ],
    )
    def test_the_component_refuses_by_itself(self, changes: dict[str, Any], lost: str) -> None:
        assert service(**changes)
        with pytest.raises(ValueError, match=f"^shop.api: ambient cannot hold {lost}"):
            ambient(**changes)

    def test_all_that_it_holds_is_taken(self) -> None:
        assert everything()


class TestNetwork:
    def test_both_ends_of_an_edge_are_open_at_the_tunnels_port_alone(self) -> None:
        spec = network_policy_spec(ambient(called_by=[WEB], calls=[Peer(ServiceRef("shop", "redis"), 6379)]))
        tunnel = [{"port": 15008, "protocol": "TCP"}]
        inside = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}}

        def pods(name: str) -> dict[str, Any]:
            return {**inside, "podSelector": {"matchLabels": {"app": name}}}

        assert {"from": [pods("web")], "ports": tunnel} in spec["ingress"]
        assert {"to": [pods("redis")], "ports": tunnel} in spec["egress"]
        opened = [port["port"] for rule in spec["ingress"] if rule["from"] != ADDRESSES for port in rule["ports"]]
        assert opened == [15008]
        assert 6379 not in [port["port"] for rule in spec["egress"] for port in rule["ports"]]

    def test_the_gateway_and_the_scraper_come_through_the_tunnel_too(self) -> None:
        spec = network_policy_spec(everything(plaintext_ports=[]))
        others = [rule for rule in spec["ingress"] if rule["from"] != ADDRESSES]
        assert len(others) == 3
        assert {port["port"] for rule in others for port in rule["ports"]} == {15008}

    def test_plaintext_comes_past_it(self) -> None:
        spec = network_policy_spec(everything())
        rule = {"from": [{"ipBlock": {"cidr": "10.0.0.0/24"}}], "ports": [{"port": 8080, "protocol": "TCP"}]}
        assert rule in spec["ingress"]

    def test_istiod_is_the_nodes_to_reach(self) -> None:
        assert "istiod" in str(network_policy_spec(service()))
        assert "istiod" not in str(network_policy_spec(ambient()))

    @pytest.mark.parametrize(
        ("probes", "ports"),
        [
            (ProbesArgs(), [8080]),
            (ProbesArgs(readiness=ProbeArgs(5, 3, port=8081)), [8080, 8081]),
            (ProbesArgs(startup=ProbeArgs(5, 3, port=8082)), [8080, 8082]),
            (ProbesArgs(ProbeArgs(5, 3, command=["x"]), ProbeArgs(5, 3, command=["x"])), []),
        ],
    )
    def test_the_kubelet_may_ask_where_it_is_told_to(self, probes: ProbesArgs, ports: list[int]) -> None:
        spec = network_policy_spec(ambient(probes=probes))
        found = [rule for rule in spec.get("ingress", []) if rule["from"] == ADDRESSES]
        assert [port["port"] for rule in found for port in rule["ports"]] == ports
        assert KUBELET_PROBES[0] not in str(network_policy_spec(service(probes=probes)))

    def test_nobody_asks_a_job(self) -> None:
        args = everything()
        spec = network_policy_spec(workload_of(args, args.jobs[0]))
        assert "ingress" not in spec


class TestMesh:
    @pytest.mark.parametrize("authorization", ["enforce", "dry-run"])
    def test_no_policy_has_a_field_that_a_node_cannot_judge(self, authorization: str) -> None:
        policy = authorization_policy(
            everything(platform=platform(ambient=True, authorization=authorization, **SCRAPER))
        )
        assert policy is not None
        found: set[str] = set()
        for rule in policy["spec"]["rules"]:
            assert set(rule) == {"from", "to"}
            for one in (*(one["source"] for one in rule["from"]), *(one["operation"] for one in rule["to"])):
                found |= set(one)
        assert found == FOUR_LAYERS
        assert policy["spec"]["action"] == "ALLOW"

    def test_an_edge_is_held_by_identity_and_port(self) -> None:
        policy = authorization_policy(ambient(called_by=[WEB]))
        assert policy == authorization_policy(service(called_by=[WEB]))

    def test_only_plaintext_has_an_object_of_its_own(self) -> None:
        assert [made["kind"] for made in mesh_objects(everything())] == ["PeerAuthentication"]
        assert mesh_objects(everything(plaintext_ports=[])) == []

    def test_no_pod_is_told_of_a_proxy(self) -> None:
        args = everything(platform=platform(ambient=True, revision="1-31-0", **SCRAPER))
        for made in (
            deployment_spec(args)["template"]["metadata"],
            job_spec(workload_of(args, args.jobs[0]))["template"]["metadata"],
        ):
            text = json.dumps(made)
            assert made["labels"]["istio.io/dataplane-mode"] == "ambient"
            assert not [word for word in ("sidecar", "istio.io/rev", "prometheus.istio.io") if word in text]
        assert "istio.io" not in json.dumps(deployment_spec(args)["selector"])
        assert metrics_annotations(args)["prometheus.io/port"] == "9090"

    def test_a_change_of_the_data_plane_makes_the_pods_again(self) -> None:
        # A service without secrets has no other word of the mesh in its template.
        plain = {"secrets": []}
        assert pod_metadata(service(**plain)) != pod_metadata(ambient(**plain))


def rules_of(made: Recording, kinds: tuple[str, ...]) -> dict[str, object]:
    return {one.name: one.inputs["spec"] for kind in kinds for one in made.of(kind)}


@pytest.fixture(scope="module")
def production() -> Recording:
    return run("production", mesh=AMBIENT)


class TestProgram:
    def test_nothing_of_a_stack_belongs_to_a_proxy_in_a_pod(self, production: Recording) -> None:
        made = production
        assert made.of("Sidecar") == made.of("ServiceEntry") == made.of("RequestAuthentication") == []
        namespace = made.one("Namespace", "shop")
        labels = {"team": "commerce", "istio.io/dataplane-mode": "ambient"}
        assert labels.items() <= namespace.inputs["metadata"]["labels"].items()
        assert "istio-injection" not in namespace.inputs["metadata"]["labels"]
        for resource in made.resources:
            # The webhook of Vault's agent and the Gateway's own values have other words.
            text = json.dumps(resource.inputs, default=str)
            assert not any(word in text for word in ("istio-injection", "traffic.sidecar.istio.io", "nativeSidecar"))

    def test_the_nodes_are_ready_before_a_namespace_is_theirs(self, production: Recording) -> None:
        made = production
        releases = {one.inputs["name"]: one for one in made.of("Release")}
        assert {"istio-base", "istio-cni", "istiod", "ztunnel"} <= set(releases)
        assert {releases["istiod"].urn, releases["istio-cni"].urn} <= releases["ztunnel"].dependencies
        assert "mesh-ztunnel" in made.behind(made.one("Namespace", "shop"))

    def test_the_rules_of_identities_are_the_same_and_the_nodes_are_all_that_is_more(
        self, production: Recording
    ) -> None:
        kinds = ("PeerAuthentication", "AuthorizationPolicy")
        usual = run("production")
        assert rules_of(production, kinds) == rules_of(usual, kinds)
        assert {one.name for one in production.resources} - {one.name for one in usual.resources} == {
            "mesh-ztunnel",
            "mesh-istio-system-ztunnel",
        }

    def test_the_summary_says_who_carries_it_and_by_what_it_judges(self, production: Recording) -> None:
        rows = {row["layer"]: row for row in production.outputs["summary"]["layers"]}
        assert rows["mTLS"] == {"layer": "mTLS", "state": "STRICT, from node to node", "enforced": True}
        assert rows["authorization"]["state"] == "enforce, by identity and port"

    @pytest.mark.parametrize(("data_plane", "reach"), [("sidecar", None), ("ambient", False)])
    def test_the_generated_policy_opens_istiod_for_proxies_in_pods_alone(self, data_plane: str, reach: object) -> None:
        policies = plan_of("production", mesh={"dataPlane": data_plane}).policies
        assert policies is not None
        assert policies.parameters.get("allow-platform", {}).get("podsReachIstiod") is reach


class TestFacts:
    def test_who_reaches_whom_is_the_same_in_both_modes(self) -> None:
        found = [
            {
                fact
                for args in plan_of("production", mesh={"dataPlane": mode}).services
                for fact in network_facts(f"{args.namespace}/{args.name}", args)
                if isinstance(fact, Reach)
            }
            for mode in ("sidecar", "ambient")
        ]
        assert (
            found[0]
            == found[1]
            == {
                Reach("shop/api", "shop/postgres", 5432),
                Reach("shop/api", "shop/redis", 6379),
            }
        )

    def test_without_enforcement_a_tunnel_is_open_to_every_port(self) -> None:
        dry = platform(ambient=True, authorization="dry-run", **SCRAPER)
        args = ambient(platform=dry, called_by=[WEB], metrics=MetricsArgs(9090, "/metrics"))
        reached = {(fact.source, fact.port) for fact in network_facts("shop/api", args) if isinstance(fact, Reach)}
        assert reached == {(who, port) for who in ("shop/web", "monitoring/*") for port in (8080, 9090)}

    def test_a_call_is_no_way_out_and_no_host_is_held_by_name(self) -> None:
        facts = list(network_facts("shop/api", everything()))
        assert not [fact for fact in facts if isinstance(fact, OutsideHost)]
        assert "shop/redis" not in {getattr(fact, "target", "") for fact in facts}


def test_the_plan_of_every_posture_stands() -> None:
    for environment in ("production", "staging", "dev"):
        wanted = plan(stack(environment, mesh=AMBIENT, posture=CLOSED))
        assert wanted.mesh is not None
        assert wanted.mesh.ambient
        assert all(args.platform.mesh.ambient and not args.platform.mesh.sidecars for args in wanted.services)
