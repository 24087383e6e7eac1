"""Who may call a service in the mesh: one rule for each edge, and none for anybody else."""

from itertools import product
from typing import Any

import pytest

from components.kube.service_ref import ServiceRef
from components.service.args.jobs import JobArgs
from components.service.args.network import JwtArgs, MetricsArgs, Peer, PlaintextPortArgs
from components.service.args.resolve import services_args
from components.service.args.service import SecureServiceArgs
from components.service.file.directory import parse_service
from components.service.manifests.authorization import (
    authorization_policy,
    destination_rule,
    peer_authentication,
    request_authentication,
)
from components.service.manifests.egress import sidecar
from components.service.manifests.job import workload_of
from components.service.manifests.network_policy import mesh_objects, network_policy_spec
from components.service.manifests.workload import deployment_spec, metrics_annotations, service_spec
from tests.support.stacks import plan_of, platform, service
from tests.unit.service.test_directory import SMALL

pytestmark = pytest.mark.unit

WEB = Peer(ServiceRef("shop", "web"), 8080)
JWT = JwtArgs("https://login.example.org", jwks_uri="https://login.example.org/keys", audiences=["shop"])
CLEAR = PlaintextPortArgs(8080, ["10.0.0.0/24"], "the old till has no certificate", "ann", "2026-02-01")
SCRAPED: dict[str, Any] = {"scraper": ServiceRef("monitoring", "prometheus")}
GATEWAY = "cluster.local/ns/istio-ingress/sa/public-istio"


def rules(**changes: Any) -> list[dict[str, Any]]:
    policy = authorization_policy(service(**changes))
    return policy["spec"]["rules"] if policy else []


def principals(rule: dict[str, Any]) -> list[str]:
    return rule["from"][0]["source"].get("principals", [])


def operation(rule: dict[str, Any]) -> dict[str, Any]:
    (to,) = rule["to"]
    return to["operation"]


@pytest.mark.parametrize("methods", [(), ("GET",), ("GET", "POST")])
@pytest.mark.parametrize("paths", [(), ("/orders",), ("/orders", "/orders/*")])
def test_an_edge_is_one_rule_by_identity_port_and_request(methods: tuple[str, ...], paths: tuple[str, ...]) -> None:
    (rule,) = rules(called_by=[Peer(ServiceRef("shop", "web"), 8080, methods, paths)])
    assert rule["from"] == [{"source": {"principals": ["cluster.local/ns/shop/sa/web"]}}]
    wanted: dict[str, Any] = {"ports": ["8080"]}
    wanted |= {"methods": list(methods)} if methods else {}
    wanted |= {"paths": list(paths)} if paths else {}
    assert operation(rule) == wanted
    assert "when" not in rule


def test_each_caller_has_a_rule_of_its_own() -> None:
    found = rules(called_by=[WEB, Peer(ServiceRef("bank", "till"), 8080, ("POST",), ("/pay",))])
    assert [principals(rule) for rule in found] == [["cluster.local/ns/bank/sa/till"], ["cluster.local/ns/shop/sa/web"]]
    assert operation(found[0]) == {"ports": ["8080"], "methods": ["POST"], "paths": ["/pay"]}
    assert operation(found[1]) == {"ports": ["8080"]}


def test_the_trust_domain_is_the_first_part_of_an_identity() -> None:
    (rule,) = rules(called_by=[WEB], platform=platform(trust_domain="example.org"))
    assert principals(rule) == ["example.org/ns/shop/sa/web"] == [ServiceRef("shop", "web").principal("example.org")]


@pytest.mark.parametrize(
    ("paths", "allowed"),
    [
        (["/"], None),
        (["/v1", "/"], None),
        (["/v1"], ["/v1", "/v1/*"]),
        (["/v1/", "/v2"], ["/v1", "/v1/*", "/v2", "/v2/*"]),
    ],
)
def test_the_door_may_send_what_is_public(paths: list[str], allowed: list[str] | None) -> None:
    (rule,) = rules(host="api.example.org", paths=paths)
    assert principals(rule) == [GATEWAY]
    assert operation(rule).get("paths") == allowed


class TestTokens:
    def test_only_the_door_asks_for_a_token(self) -> None:
        claims = {"role": ["buyer", "seller"], "https://shop.example.org/plan": ["paid"]}
        jwt = JwtArgs("https://login.example.org", "https://l.example.org/k", "", ["shop"], claims)
        caller, gateway = rules(host="api.example.org", called_by=[WEB], jwt=jwt)
        assert caller["from"] == [{"source": {"principals": ["cluster.local/ns/shop/sa/web"]}}]
        assert "when" not in caller
        # One source: its parts must all hold.
        assert gateway["from"] == [
            {"source": {"principals": [GATEWAY], "requestPrincipals": ["https://login.example.org/*"]}}
        ]
        assert gateway["when"] == [
            {"key": "request.auth.claims[https://shop.example.org/plan]", "values": ["paid"]},
            {"key": "request.auth.claims[role]", "values": ["buyer", "seller"]},
        ]

    def test_the_token_is_judged_by_its_issuers_keys_and_its_audience(self) -> None:
        made = request_authentication(service(host="api.example.org", jwt=JWT))
        assert made is not None
        assert made["spec"] == {
            "selector": {"matchLabels": {"app": "api"}},
            "jwtRules": [
                {
                    "issuer": "https://login.example.org",
                    "audiences": ["shop"],
                    "jwksUri": "https://login.example.org/keys",
                }
            ],
        }

    def test_keys_may_be_in_the_file_and_the_token_handed_on(self) -> None:
        keys = '{"keys": [{"kty": "EC"}]}'
        jwt = JwtArgs("https://l.example.org", jwks=keys, audiences=["a"], forward_token=True)
        made = request_authentication(service(host="api.example.org", jwt=jwt))
        assert made is not None
        (rule,) = made["spec"]["jwtRules"]
        assert (rule["jwks"], rule["forwardOriginalToken"]) == (keys, True)
        assert "jwksUri" not in rule

    @pytest.mark.parametrize(
        ("changes", "layers"),
        [
            ({}, {"authorization": "off"}),
            ({}, {"route": ""}),
            ({"jwt": JwtArgs()}, {}),
        ],
    )
    def test_without_a_door_or_a_token_there_is_none(self, changes: dict[str, Any], layers: dict[str, Any]) -> None:
        given: dict[str, Any] = {"host": "api.example.org", "jwt": JWT, **changes}
        assert request_authentication(service(platform=platform(**layers), **given)) is None
        assert all("when" not in rule for rule in rules(platform=platform(**layers), **given))


class TestClearText:
    def test_one_port_is_permissive_and_the_others_keep_their_mode(self) -> None:
        made = peer_authentication(service(plaintext_ports=[CLEAR]))
        assert made is not None
        assert made["spec"] == {
            "selector": {"matchLabels": {"app": "api"}},
            "portLevelMtls": {"8080": {"mode": "PERMISSIVE"}},
        }
        assert made["metadata"]["annotations"] == {
            "zero-trust.dev/8080": "until 2026-02-01, by ann: the old till has no certificate"
        }

    def test_its_callers_are_known_by_their_network(self) -> None:
        args = service(plaintext_ports=[CLEAR])
        (rule,) = rules(plaintext_ports=[CLEAR])
        assert rule == {
            "from": [{"source": {"ipBlocks": ["10.0.0.0/24"], "notPrincipals": ["*"]}}],
            "to": [{"operation": {"ports": ["8080"]}}],
        }
        assert network_policy_spec(args)["ingress"] == [
            {"from": [{"ipBlock": {"cidr": "10.0.0.0/24"}}], "ports": [{"port": 8080, "protocol": "TCP"}]}
        ]

    def test_without_a_mesh_or_a_port_there_is_nothing_to_except(self) -> None:
        assert peer_authentication(service()) is None
        outside = platform(mesh=False, authorization="off")
        assert peer_authentication(service(plaintext_ports=[CLEAR], platform=outside)) is None


class TestIdentityOfTheCallee:
    def test_callers_accept_the_services_own_alone_and_never_speak_in_the_clear(self) -> None:
        rule = destination_rule(service(name="redis", platform=platform(trust_domain="example.org")))
        assert rule is not None
        assert rule["metadata"]["namespace"] == "shop"
        assert rule["spec"] == {
            "host": "redis.shop.svc.cluster.local",
            "trafficPolicy": {
                "tls": {"mode": "ISTIO_MUTUAL", "subjectAltNames": ["spiffe://example.org/ns/shop/sa/redis"]}
            },
        }

    def test_every_caller_sees_it(self) -> None:
        """The gateway and callers in other namespaces too: its host is the one that their Sidecars name."""
        rule = destination_rule(service(name="redis"))
        assert rule is not None
        assert "exportTo" not in rule["spec"]
        assert ServiceRef("shop", "redis").sidecar_host == f"shop/{rule['spec']['host']}"

    @pytest.mark.parametrize("layer", [{"strict": False}, {"ambient": True}, {"mesh": False}])
    def test_where_plaintext_is_accepted_and_without_a_proxy_in_the_pod_there_is_none(
        self, layer: dict[str, bool]
    ) -> None:
        assert destination_rule(service(platform=platform(**layer))) is None

    def test_nobody_calls_a_job(self) -> None:
        args = service(jobs=[JobArgs("migrate")])
        assert destination_rule(workload_of(args, args.jobs[0])) is None

    @pytest.mark.parametrize(("environment", "strict"), [("production", True), ("staging", True), ("dev", False)])
    def test_it_follows_the_posture(self, environment: str, strict: bool) -> None:
        services = plan_of(environment).services
        assert [bool(destination_rule(args)) for args in services] == [strict] * len(services)


class TestMetrics:
    def test_the_scraper_may_read_one_path_and_nothing_else(self) -> None:
        args = service(metrics=MetricsArgs(9090, "/metrics"), platform=platform(**SCRAPED))
        policy = authorization_policy(args)
        assert policy is not None
        (rule,) = policy["spec"]["rules"]
        assert principals(rule) == ["cluster.local/ns/monitoring/sa/prometheus"]
        assert operation(rule) == {"ports": ["9090"], "methods": ["GET"], "paths": ["/metrics"]}
        (ingress,) = network_policy_spec(args)["ingress"]
        assert ingress == {
            "from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
            "ports": [{"port": 9090, "protocol": "TCP"}],
        }

    def test_without_a_scraper_nobody_may(self) -> None:
        args = service(metrics=MetricsArgs(9090, "/metrics"))
        assert authorization_policy(args) is None
        assert "ingress" not in network_policy_spec(args)

    @pytest.mark.parametrize(("port", "ports"), [(9090, [8080, 9090]), (8080, [8080])])
    def test_the_pod_shows_them_on_a_port_of_its_own(self, port: int, ports: list[int]) -> None:
        args = service(metrics=MetricsArgs(port, "/m"))
        (container,) = deployment_spec(args)["template"]["spec"]["containers"]
        assert [found["containerPort"] for found in container["ports"]] == ports
        assert [found["port"] for found in service_spec(args)["ports"]] == ports
        assert metrics_annotations(args) == {
            "prometheus.io/scrape": "true",
            "prometheus.io/port": str(port),
            "prometheus.io/path": "/m",
            "prometheus.istio.io/merge-metrics": "false",
        }
        assert metrics_annotations(service()) == {}


@pytest.mark.parametrize(
    ("authorization", "network", "mesh"), list(product(("off", "dry-run", "enforce"), (False, True), (False, True)))
)
def test_every_allow_follows_the_posture(authorization: str, network: bool, mesh: bool) -> None:
    facts = platform(mesh=mesh, authorization=authorization, network_policies=network, **SCRAPED)
    full: dict[str, Any] = {"called_by": [WEB], "plaintext_ports": [CLEAR], "metrics": MetricsArgs(9090, "/m")}
    args = service(platform=facts, host="api.example.org", jwt=JWT, **full)
    policy = authorization_policy(args)
    assert (policy is not None) == (authorization != "off")
    if policy:
        assert len(policy["spec"]["rules"]) == 4
        assert ("annotations" in policy["metadata"]) == (authorization == "dry-run")
        assert all(operation(rule)["ports"] for rule in policy["spec"]["rules"])
    assert (peer_authentication(args) is not None) == mesh


def ends(calls: str) -> dict[str, SecureServiceArgs]:
    """The till, with these calls, and the ledger."""
    texts = {"till": SMALL + calls, "ledger": SMALL}
    specs = [parse_service(found, f"services/{name}.yaml").spec for name, found in texts.items()]
    return {args.name: args for args in services_args(specs, platform(), 1)}


@pytest.mark.parametrize("call", ["calls: [ledger]", "calls: [{service: ledger, methods: [GET], paths: ['/v1/*']}]"])
def test_an_edge_that_goes_takes_everything_of_it_along(call: str) -> None:
    def everything(args: SecureServiceArgs) -> str:
        return str([authorization_policy(args), network_policy_spec(args), *mesh_objects(args)])

    there, gone = ends(call), ends("")
    assert "sa/till" in everything(there["ledger"])
    assert "'app': 'ledger'" in everything(there["till"])
    assert "shop/ledger.shop.svc" in str(sidecar(there["till"]))
    assert authorization_policy(gone["ledger"]) is None
    assert "till" not in everything(gone["ledger"])
    assert "ledger" not in everything(gone["till"])
