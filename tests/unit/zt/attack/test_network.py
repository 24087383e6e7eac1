"""The evaluator of `zt attack`: NetworkPolicies as Kubernetes defines them."""

from dataclasses import replace
from typing import Any

import pytest

from zt.attack.network import Address, End, Pod, egress, ingress, is_same, pod_of

SHOP, PEER = {"kubernetes.io/metadata.name": "shop"}, {"kubernetes.io/metadata.name": "peer", "tier": "front"}
API = Pod("shop", {"app": "api"}, ip="10.1.0.1", namespace_labels=SHOP)
REDIS = Pod("shop", {"app": "redis"}, ip="10.1.0.3", namespace_labels=SHOP)
POSTGRES = Pod("shop", {"app": "postgres"}, ip="10.1.0.2", namespace_labels=SHOP, ports={"sql": 5432})
FOREIGN = Pod("peer", {"app": "api"}, ip="10.2.0.1", namespace_labels=PEER)
OUTSIDE = Address("203.0.113.10")
DENY = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def policy(spec: dict[str, Any], name: str = "p", namespace: str = "shop") -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace}, "spec": spec}


def into(*rules: Any, selector: Any = None) -> dict[str, Any]:
    return policy({"podSelector": selector or {}, "policyTypes": ["Ingress"], "ingress": list(rules)})


def out(*rules: Any) -> dict[str, Any]:
    return policy({"podSelector": {}, "policyTypes": ["Egress"], "egress": list(rules)})


def pods(labels: dict[str, str]) -> dict[str, Any]:
    return {"podSelector": {"matchLabels": labels}}


def namespaces(labels: dict[str, str]) -> dict[str, Any]:
    return {"namespaceSelector": {"matchLabels": labels}}


class TestIsolation:
    def test_without_a_policy_everything_is_let_through(self) -> None:
        decision = ingress([], FOREIGN, POSTGRES, 5432)
        assert (decision.allowed, str(decision)) == (True, "no policy")
        assert egress([], POSTGRES, OUTSIDE, 443).allowed

    def test_a_policy_without_rules_lets_nothing_through(self) -> None:
        decision = ingress([policy(DENY)], API, POSTGRES, 5432)
        assert (decision.allowed, decision.by) == (False, ("shop/p",))
        assert not egress([policy(DENY)], API, OUTSIDE, 443).allowed

    def test_a_policy_of_another_namespace_or_of_other_pods_isolates_nobody(self) -> None:
        assert ingress([policy(DENY, namespace="peer")], API, POSTGRES, 5432).allowed
        other = policy({**DENY, "podSelector": {"matchLabels": {"app": "redis"}}})
        assert ingress([other], API, POSTGRES, 5432).allowed

    @pytest.mark.parametrize(
        ("spec", "lets_in", "lets_out"),
        [
            ({"podSelector": {}}, False, True),
            ({"podSelector": {}, "egress": [{"to": []}]}, False, True),
            ({"podSelector": {}, "egress": [{"to": [pods({"app": "none"})]}]}, False, False),
            ({"podSelector": {}, "policyTypes": ["Egress"]}, True, False),
        ],
    )
    def test_types_that_are_absent_follow_the_rules(self, spec: dict[str, Any], lets_in: bool, lets_out: bool) -> None:
        assert ingress([policy(spec)], API, POSTGRES, 5432).allowed is lets_in
        assert egress([policy(spec)], API, POSTGRES, 5432).allowed is lets_out

    def test_no_policy_keeps_a_pod_from_itself(self) -> None:
        named = replace(API, name="api-1")
        assert ingress([policy(DENY)], named, named, 5432).allowed
        assert egress([policy(DENY)], named, named, 5432).allowed
        assert not ingress([policy(DENY)], replace(API, name="api-2"), named, 5432).allowed

    def test_policies_add_up(self) -> None:
        found = [policy(DENY, "default-deny"), into({"from": [pods({"app": "api"})]})]
        assert ingress(found, API, POSTGRES, 5432).by == ("shop/p",)
        assert ingress(found, REDIS, POSTGRES, 5432).by == ("shop/default-deny", "shop/p")


class TestPeers:
    @pytest.mark.parametrize(
        ("peer", "allowed"),
        [
            (pods({"app": "api"}), {"API"}),
            (pods({}), {"API", "REDIS"}),
            (namespaces({}), {"API", "REDIS", "FOREIGN"}),
            (namespaces({"tier": "front"}), {"FOREIGN"}),
            ({**namespaces({}), **pods({"app": "api"})}, {"API", "FOREIGN"}),
            ({**namespaces({"kubernetes.io/metadata.name": "shop"}), **pods({"app": "api"})}, {"API"}),
            ({"ipBlock": {"cidr": "203.0.113.0/24"}}, {"OUTSIDE"}),
            ({"ipBlock": {"cidr": "203.0.113.0/24", "except": ["203.0.113.8/29"]}}, set()),
            ({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.2.0.0/16"]}}, {"API", "REDIS"}),
        ],
    )
    def test_a_peer_selects(self, peer: dict[str, Any], allowed: set[str]) -> None:
        ends: dict[str, End] = {"API": API, "REDIS": REDIS, "FOREIGN": FOREIGN, "OUTSIDE": OUTSIDE}
        rule = into({"from": [peer]})
        assert {name for name, end in ends.items() if ingress([rule], end, POSTGRES, 5432).allowed} == allowed
        assert {n for n, end in ends.items() if egress([out({"to": [peer]})], POSTGRES, end, 1).allowed} == allowed

    def test_a_pod_whose_address_is_unknown_is_in_no_block(self) -> None:
        unknown = Pod("shop", {"app": "new"}, namespace_labels=SHOP)
        assert not ingress([into({"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]})], unknown, POSTGRES, 5432).allowed

    @pytest.mark.parametrize("rule", [{}, {"from": []}, {"from": None}, {"ports": []}])
    def test_what_is_absent_means_all(self, rule: dict[str, Any]) -> None:
        assert ingress([into(rule)], OUTSIDE, POSTGRES, 5432).allowed

    @pytest.mark.parametrize(
        ("expression", "allowed"),
        [
            ({"key": "app", "operator": "In", "values": ["api", "web"]}, True),
            ({"key": "app", "operator": "NotIn", "values": ["api"]}, False),
            ({"key": "zone", "operator": "NotIn", "values": ["a"]}, True),
            ({"key": "app", "operator": "Exists"}, True),
            ({"key": "zone", "operator": "Exists"}, False),
            ({"key": "zone", "operator": "DoesNotExist"}, True),
        ],
    )
    def test_expressions(self, expression: dict[str, Any], allowed: bool) -> None:
        rule = into({"from": [{"podSelector": {"matchExpressions": [expression]}}]})
        assert ingress([rule], API, POSTGRES, 5432).allowed is allowed


class TestTheNodesNetwork:
    """A pod there is no pod to a policy, but its node's address, and a pod's own node is always open to it."""

    HERE, THERE = "192.0.2.1", "192.0.2.2"
    POD = replace(POSTGRES, node_ips=(HERE,))

    def agent(self, ip: str) -> Pod:
        return Pod(
            "shop", {"app": "api"}, "agent", "agent-1", ip, SHOP, {"sql": 5432}, host_network=True, node_ips=(ip,)
        )

    def test_no_policy_selects_it(self) -> None:
        assert ingress([policy(DENY)], OUTSIDE, self.agent(self.HERE), 5432).allowed
        assert egress([policy(DENY)], self.agent(self.HERE), OUTSIDE, 443).allowed

    @pytest.mark.parametrize(
        ("peer", "allowed"),
        [
            ({"podSelector": {}}, False),
            ({"namespaceSelector": {}, "podSelector": {}}, False),
            ({"ipBlock": {"cidr": "192.0.2.2/32"}}, True),
            ({"ipBlock": {"cidr": "192.0.2.1/32"}}, False),
        ],
    )
    def test_a_rule_knows_it_by_its_nodes_address(self, peer: dict[str, Any], allowed: bool) -> None:
        agent = self.agent(self.THERE)
        assert ingress([into({"from": [peer]})], agent, self.POD, 5432).allowed is allowed
        assert egress([out({"to": [peer]})], self.POD, agent, 5432).allowed is allowed

    def test_a_name_of_a_port_is_that_of_a_pod(self) -> None:
        rule = {"to": [{"ipBlock": {"cidr": "192.0.2.2/32"}}], "ports": [{"port": "sql"}]}
        assert not egress([out(rule)], self.POD, self.agent(self.THERE), 5432).allowed

    def test_the_own_node_is_open(self) -> None:
        for end in (self.agent(self.HERE), Address(self.HERE)):
            assert ingress([policy(DENY)], end, self.POD, 5432).allowed
            assert egress([policy(DENY)], self.POD, end, 22).allowed
        # A pod of the node has an address of its own.
        assert not ingress([policy(DENY)], replace(API, node_ips=(self.HERE,)), self.POD, 5432).allowed

    def test_two_that_share_the_address_are_not_one(self) -> None:
        other = replace(self.agent(self.THERE), name="agent-2")
        assert not is_same(other, self.agent(self.THERE))
        assert is_same(other, other)

    def test_it_is_read_from_the_pod(self) -> None:
        status = {"podIP": "192.0.2.2", "hostIP": "192.0.2.2", "hostIPs": [{"ip": "192.0.2.2"}, {"ip": "2001:db8::2"}]}
        containers = [{"name": "agent"}, {"name": "istio-proxy"}]
        manifest = {
            "metadata": {"name": "agent-1", "namespace": "shop"},
            "spec": {"hostNetwork": True, "containers": containers},
            "status": status,
        }
        read = pod_of(manifest, {"istio.io/dataplane-mode": "ambient"})
        assert (read.host_network, read.node_ips) == (True, ("192.0.2.2", "192.0.2.2", "2001:db8::2"))
        # The mesh's node proxy takes no traffic of the node's own network.
        assert (read.ambient, read.proxied, read.meshed) == (False, True, True)


class TestPorts:
    @pytest.mark.parametrize(
        ("ports", "port", "protocol", "allowed"),
        [
            ([{"port": 5432}], 5432, "TCP", True),
            ([{"port": 5432}], 5433, "TCP", False),
            ([{"port": 53, "protocol": "UDP"}], 53, "TCP", False),
            ([{"port": 53, "protocol": "UDP"}], 53, "UDP", True),
            ([{"protocol": "TCP"}], 1, "TCP", True),
            ([{"port": 5000, "endPort": 6000}], 5432, "TCP", True),
            ([{"port": 5000, "endPort": 5431}], 5432, "TCP", False),
            ([{"port": "sql"}], 5432, "TCP", True),
            ([{"port": "http"}], 5432, "TCP", False),
            ([{"port": 1}, {"port": 5432}], 5432, "TCP", True),
        ],
    )
    def test_a_port(self, ports: list[dict[str, Any]], port: int, protocol: str, allowed: bool) -> None:
        assert ingress([into({"ports": ports})], API, POSTGRES, port, protocol).allowed is allowed
        assert egress([out({"ports": ports})], API, POSTGRES, port, protocol).allowed is allowed

    def test_a_rule_needs_both_its_peer_and_its_port(self) -> None:
        rule = into({"from": [pods({"app": "api"})], "ports": [{"port": 5432}]})
        assert ingress([rule], API, POSTGRES, 5432).allowed
        assert not ingress([rule], API, POSTGRES, 22).allowed
        assert not ingress([rule], REDIS, POSTGRES, 5432).allowed
