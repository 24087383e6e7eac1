"""What a service reaches outside the cluster, and what its proxy knows of."""

import ipaddress
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from components.kube.manifest import namespace_selector, pods
from components.kube.names import GATEWAY_LABEL
from components.kube.networks import OpenNetworks
from components.kube.service_ref import ServiceRef
from components.program.plan import plan
from components.program.plans.addresses import gateway_of
from components.program.stack import Stack
from components.schema.problem import ConfigError
from components.service.args.network import EgressArgs, Peer
from components.service.args.service import ApiRuleArgs
from components.service.file.directory import parse_service
from components.service.manifests.egress import egress_rules, service_entries, sidecar
from components.service.manifests.network_policy import network_policy_spec
from tests.support.stacks import platform, service, settings, stack
from tests.unit.service.test_directory import SMALL
from tests.unit.service.test_secure_service import run

pytestmark = pytest.mark.unit

PAYMENTS = EgressArgs("pay.example.org", 443)
ORDERS = EgressArgs("orders.example.net", 5432, "tcp", ["10.1.0.0/24", "10.2.0.0/24"])
PRIVATE = [
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "169.254.169.254",
    "168.63.129.16",
    "192.0.0.192",
    "224.0.0.1",
    "0.0.0.1",
    "::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fe80::1",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
]


def reached(address: str, args: Any) -> bool:
    """Whether one of the rules lets a connection to an address out."""
    wanted = ipaddress.ip_address(address)
    blocks = [peer["ipBlock"] for rule in egress_rules(args) for peer in rule["to"]]
    return any(
        wanted in ipaddress.ip_network(block["cidr"])
        and not any(wanted in ipaddress.ip_network(excepted) for excepted in block.get("except", []))
        for block in blocks
    )


GATEWAY_PODS = pods("istio-ingress", {GATEWAY_LABEL: "public"})


class TestTheOwnGateway:
    """What it serves is behind it: within the cluster the address of a load balancer leads to its pods."""

    @pytest.mark.parametrize(
        ("host", "networks", "ports"),
        [
            ("login.example.org", [], [443]),
            ("login.example.org", ["203.0.113.0/24"], [443]),
            ("api.apps.example.org", [], [443]),
            ("apps.example.org", [], []),
            ("pay.example.net", [], []),
        ],
    )
    def test_it_is_open_for_its_hosts_alone(self, host: str, networks: list[str], ports: list[int]) -> None:
        gateway = replace(platform().ingress, hosts=["login.example.org", "*.apps.example.org"])
        outside = EgressArgs(host, 443, networks=networks)
        rules = egress_rules(service(egress=[outside], platform=replace(platform(), ingress=gateway)))
        found = [port["port"] for rule in rules if GATEWAY_PODS in rule["to"] for port in rule["ports"]]
        assert found == ports

    def test_at_which_port_a_controller_listens_its_chart_says(self) -> None:
        controller = ServiceRef("traefik", "public")
        gateway = replace(platform().ingress, route="ingress", gateway=controller, hosts=["login.example.org"])
        rules = egress_rules(
            service(egress=[EgressArgs("login.example.org", 443)], platform=replace(platform(), ingress=gateway))
        )
        assert {"to": [namespace_selector("traefik")]} in rules

    def test_a_stack_knows_the_hosts_of_its_services_its_teams_and_its_domain(self) -> None:
        teams = {"pay": {"namespaces": ["pay"], "hosts": {"pay": ["pay.example.net"]}}}
        given = {
            "ingress": {
                "acmeEmail": "ops@example.org",
                "domain": "example.com",
                "hosts": {"shop": ["old.example.net", "*"]},
            },
            "teams": teams,
        }
        hosts = gateway_of(stack("production", **given)).hosts
        own = {"api.example.org", "pay.example.net", "old.example.net", "example.com", "*.example.com"}
        assert own <= {*hosts}
        assert "*" not in hosts


class TestTheNetwork:
    @pytest.mark.parametrize("address", PRIVATE)
    def test_the_internet_is_without_what_is_private_or_metadata(self, address: str) -> None:
        assert not reached(address, service(egress=[PAYMENTS]))

    @pytest.mark.parametrize("address", ["203.0.113.10", "8.8.8.8", "2606:4700::1111"])
    def test_the_internet_is_everything_else(self, address: str) -> None:
        assert reached(address, service(egress=[PAYMENTS]))

    @given(st.ip_addresses())
    @example(ipaddress.ip_address("::ffff:0:0"))
    def test_nothing_private_is_part_of_it(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
        if address.is_private or address.is_link_local or address.is_loopback or address.is_multicast:
            # What Python calls private beside that is documentation and benchmark networks, which are nobody's.
            nobody = [ipaddress.ip_network(n) for n in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")]
            nobody += [
                ipaddress.ip_network(n) for n in ("2001::/23", "2001:db8::/32", "3fff::/20", "100::/63", "5f00::/16")
            ]
            # What is mapped into version 6 travels as version 4, and the API server takes no policy that names it.
            nobody.append(ipaddress.ip_network("::ffff:0:0/96"))
            if not any(address in network for network in nobody):
                assert not reached(str(address), service(egress=[PAYMENTS]))

    def test_each_exception_is_inside_its_block(self) -> None:
        for network, excepted in OpenNetworks().internet().items():
            for inner in excepted:
                assert ipaddress.ip_network(inner).subnet_of(ipaddress.ip_network(network))  # pyright: ignore[reportArgumentType]

    def test_a_host_with_networks_is_reached_there_alone_and_at_its_port(self) -> None:
        assert egress_rules(service(egress=[ORDERS])) == [
            {
                "to": [{"ipBlock": {"cidr": "10.1.0.0/24"}}, {"ipBlock": {"cidr": "10.2.0.0/24"}}],
                "ports": [{"port": 5432, "protocol": "TCP"}],
            }
        ]
        (rule,) = egress_rules(service(egress=[PAYMENTS]))
        assert rule["ports"] == [{"port": 443, "protocol": "TCP"}]

    def test_it_is_part_of_the_services_network_policy(self) -> None:
        args = service(egress=[PAYMENTS, ORDERS])
        assert network_policy_spec(args)["egress"][-2:] == egress_rules(args)
        assert egress_rules(service()) == []


class TestTheEntries:
    @pytest.mark.parametrize(("protocol", "shown"), [("tls", "TLS"), ("https", "HTTPS"), ("http", "HTTP")])
    @pytest.mark.parametrize("networks", [[], ["10.1.0.0/24"]])
    def test_a_host_is_known_in_its_namespace_and_resolved_by_the_proxy(
        self, protocol: str, shown: str, networks: list[str]
    ) -> None:
        (entry,) = service_entries(service(egress=[EgressArgs("pay.example.org", 443, protocol, networks)]))
        assert entry["metadata"]["name"] == "api.pay.example.org"
        assert entry["metadata"]["namespace"] == "shop"
        assert entry["spec"] == {
            "hosts": ["pay.example.org"],
            "exportTo": ["."],
            "location": "MESH_EXTERNAL",
            "ports": [{"number": 443, "name": f"{protocol}-443", "protocol": shown}],
            "resolution": "DNS",
        }

    def test_tcp_is_held_by_its_networks(self) -> None:
        (entry,) = service_entries(service(egress=[ORDERS]))
        # The mesh takes networks with a fixed resolution alone.
        assert (entry["spec"]["addresses"], entry["spec"]["resolution"]) == (["10.1.0.0/24", "10.2.0.0/24"], "NONE")

    def test_two_ports_of_a_host_are_one_entry(self) -> None:
        (entry,) = service_entries(service(egress=[PAYMENTS, EgressArgs("pay.example.org", 80, "http")]))
        assert [port["number"] for port in entry["spec"]["ports"]] == [443, 80]

    def test_without_a_mesh_there_is_nobody_to_tell(self) -> None:
        assert service_entries(service(egress=[PAYMENTS], platform=platform(mesh=False, authorization="off"))) == []


class TestTheSidecar:
    def test_the_proxy_knows_its_callees_its_hosts_and_the_platform(self) -> None:
        args = service(
            calls=[Peer(ServiceRef("shop", "redis"), 6379), Peer(ServiceRef("bank", "ledger"), 80)],
            called_by=[Peer(ServiceRef("shop", "web"), 8080)],
            egress=[PAYMENTS, ORDERS],
        )
        made = sidecar(args)
        assert made is not None
        assert made["spec"] == {
            "workloadSelector": {"labels": {"app": "api"}},
            "outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"},
            "egress": [
                {
                    "hosts": [
                        "istio-system/*",
                        "kube-system/kube-dns.kube-system.svc.cluster.local",
                        "bank/ledger.bank.svc.cluster.local",
                        "shop/redis.shop.svc.cluster.local",
                        "./orders.example.net",
                        "./pay.example.org",
                    ]
                }
            ],
        }

    def test_no_host_is_a_wildcard_but_the_meshs_own(self) -> None:
        made = sidecar(service(calls=[Peer(ServiceRef("shop", "redis"), 6379)], egress=[PAYMENTS]))
        assert made is not None
        assert [host for host in made["spec"]["egress"][0]["hosts"] if "*" in host] == ["istio-system/*"]

    def test_the_platforms_own_hosts_follow_what_the_service_uses(self) -> None:
        rights = [ApiRuleArgs([""], ["configmaps"], ["get"])]
        traced = platform(collector=ServiceRef("observability", "collector"), collector_port=4317)
        made = sidecar(service(kubernetes_api=rights, platform=traced))
        assert made is not None
        hosts = made["spec"]["egress"][0]["hosts"]
        assert "default/kubernetes.default.svc.cluster.local" in hosts
        assert "observability/collector.observability.svc.cluster.local" in hosts
        assert {
            "to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "observability"}}}],
            "ports": [{"port": 4317, "protocol": "TCP"}],
        } in network_policy_spec(service(platform=traced))["egress"]

    @pytest.mark.parametrize(
        ("mesh", "authorization", "network"), list(product((False, True), ("off", "dry-run", "enforce"), (False, True)))
    )
    def test_it_closes_where_the_posture_closes(self, mesh: bool, authorization: str, network: bool) -> None:
        facts = platform(mesh=mesh, authorization=authorization, network_policies=network)
        closed = mesh and (network or authorization == "enforce")
        assert (sidecar(service(platform=facts)) is not None) == closed


def test_the_component_creates_them_before_the_pods() -> None:
    made = run(service(egress=[PAYMENTS, ORDERS]))
    assert {found.name for found in made.of("ServiceEntry")} == {
        "shop.api.serviceentry.pay.example.org",
        "shop.api.serviceentry.orders.example.net",
    }
    behind = made.behind(made.one("Deployment"))
    assert {"shop.api.sidecar", "shop.api.serviceentry.pay.example.org"} <= behind


GRANT = "{connection: orders, grants: [{schema: public, privileges: [SELECT], tables: all}]}"
DATABASE = {"host": "db.example.org", "database": "shop", "adminUser": "vault"}


def with_database(text: str, **database: Any) -> Any:
    chosen = settings("production", databases={"orders": {**DATABASE, **database}})
    spec = parse_service(SMALL + text, "services/x.yaml").spec
    (made,) = plan(Stack("Pulumi.production.yaml", chosen, chosen.decisions(), (spec,))).services
    return made


class TestDatabases:
    @pytest.mark.parametrize(
        ("database", "outside"),
        [
            ({"host": "10.0.9.9"}, EgressArgs("orders.invalid", 5432, "tcp", ("10.0.9.9/32",))),
            ({"host": "fd12::9", "port": 5433}, EgressArgs("orders.invalid", 5433, "tcp", ("fd12::9/128",))),
            ({"cidrs": ["10.0.9.0/24"]}, EgressArgs("db.example.org", 5432, "tcp", ("10.0.9.0/24",))),
        ],
    )
    def test_one_outside_the_cluster_is_open_to_who_uses_it(
        self, database: dict[str, Any], outside: EgressArgs
    ) -> None:
        assert list(with_database(f"database: {GRANT}", **database).egress) == [outside]
        assert list(with_database("", **database).egress) == []

    @pytest.mark.parametrize("host", ["127.0.0.1", "orders.shop.svc"])
    def test_one_of_the_cluster_is_no_outside_host(self, host: str) -> None:
        assert list(with_database(f"database: {GRANT}", host=host).egress) == []

    def test_a_name_needs_its_networks(self) -> None:
        with pytest.raises(ConfigError, match=r"zero-trust:databases\.orders\.cidrs: required for shop/x"):
            with_database(f"database: {GRANT}")
