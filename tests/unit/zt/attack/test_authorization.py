"""The evaluator of `zt attack`: AuthorizationPolicies and mutual TLS as Istio defines them."""

from typing import Any

import pytest

from components.kube.mesh_labels import DRY_RUN
from zt.attack.authorization import NOBODY, Peer, authorized, mtls_mode
from zt.attack.network import Pod

ROOT = "istio-system"
POSTGRES = Pod("shop", {"app": "postgres"}, "postgres")
API, REDIS = Peer("cluster.local", "shop", "api"), Peer("cluster.local", "shop", "redis")
FOREIGN = Peer("cluster.local", "peer", "api")
NOTHING = {"metadata": {"name": "deny-by-default", "namespace": ROOT}, "spec": {}}


def policy(spec: dict[str, Any], namespace: str = "shop", **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p", "namespace": namespace, **metadata}, "spec": spec}


def allow(*rules: dict[str, Any]) -> dict[str, Any]:
    return policy({"action": "ALLOW", "rules": list(rules)})


def source(**fields: Any) -> dict[str, Any]:
    return {"from": [{"source": fields}]}


def principals(*names: str) -> dict[str, Any]:
    return source(principals=list(names))


def passes(peer: Peer, *policies: dict[str, Any], port: int = 5432) -> bool:
    return authorized(policies, ROOT, POSTGRES, peer, port).allowed


class TestDefault:
    def test_without_a_policy_everybody_is_allowed(self) -> None:
        assert passes(NOBODY)

    @pytest.mark.parametrize("spec", [{}, None, {"action": "ALLOW"}, {"rules": []}])
    def test_an_allow_without_a_rule_denies_everybody(self, spec: Any) -> None:
        assert not passes(API, {**NOTHING, "spec": spec})

    def test_an_empty_rule_allows_everybody(self) -> None:
        assert passes(NOBODY, NOTHING, allow({}))

    def test_the_decision_names_the_policies(self) -> None:
        assert authorized([NOTHING, allow(principals(API.principal))], ROOT, POSTGRES, REDIS, 5432).by == (
            "istio-system/deny-by-default",
            "shop/p",
        )


class TestScope:
    def test_a_policy_of_another_namespace_does_not_apply(self) -> None:
        assert passes(API, policy({}, "peer"))

    def test_a_policy_of_other_workloads_does_not_apply(self) -> None:
        assert passes(API, policy({"selector": {"matchLabels": {"app": "redis"}}}))

    def test_a_dry_run_denies_nothing(self) -> None:
        assert passes(API, policy({}, ROOT, annotations={DRY_RUN: "true"}))

    def test_a_policy_of_a_gateway_is_not_the_workloads(self) -> None:
        assert passes(API, policy({"targetRefs": [{"kind": "Gateway", "name": "public"}]}))

    @pytest.mark.parametrize("action", ["AUDIT", "CUSTOM"])
    def test_what_neither_allows_nor_denies_decides_nothing(self, action: str) -> None:
        assert passes(API, policy({"action": action, "rules": [{}]}))


class TestRules:
    @pytest.mark.parametrize(
        ("rule", "allowed"),
        [
            (principals("cluster.local/ns/shop/sa/api"), {"API"}),
            (principals("cluster.local/ns/shop/*"), {"API", "REDIS"}),
            (principals("*/sa/api"), {"API", "FOREIGN"}),
            (principals("*"), {"API", "REDIS", "FOREIGN"}),
            (source(namespaces=["shop"]), {"API", "REDIS"}),
            (source(serviceAccounts=["shop/api"]), {"API"}),
            (source(notNamespaces=["peer"]), {"API", "REDIS", "NOBODY"}),
            (source(notPrincipals=["*"]), {"NOBODY"}),
            (source(namespaces=["shop"], notPrincipals=["*/sa/redis"]), {"API"}),
            (
                {"from": [{"source": {"namespaces": ["peer"]}}, {"source": {"principals": ["*/sa/redis"]}}]},
                {"FOREIGN", "REDIS"},
            ),
            ({"to": [{"operation": {"ports": ["5432"]}}]}, {"API", "REDIS", "FOREIGN", "NOBODY"}),
            ({"to": [{"operation": {"ports": ["80"]}}]}, set[str]()),
            ({**principals("*/sa/api"), "to": [{"operation": {"notPorts": ["5432"]}}]}, set[str]()),
            ({"when": [{"key": "source.namespace", "values": ["shop"]}]}, {"API", "REDIS"}),
            ({"when": [{"key": "source.principal", "notValues": ["*/sa/api"]}]}, {"REDIS", "NOBODY"}),
            ({"when": [{"key": "destination.port", "values": ["1"]}]}, set[str]()),
        ],
    )
    def test_an_allow_matches(self, rule: dict[str, Any], allowed: set[str]) -> None:
        peers = {"API": API, "REDIS": REDIS, "FOREIGN": FOREIGN, "NOBODY": NOBODY}
        assert {name for name, peer in peers.items() if passes(peer, NOTHING, allow(rule))} == allowed

    def test_a_deny_comes_first(self) -> None:
        deny = policy({"action": "DENY", "rules": [principals("*/sa/api")]})
        assert not passes(API, allow({}), deny)
        assert passes(REDIS, allow({}), deny)

    def test_a_deny_without_a_rule_denies_nothing(self) -> None:
        assert passes(API, policy({"action": "DENY"}))

    def test_what_is_not_judged_counts_for_the_attacker(self) -> None:
        path = {"to": [{"operation": {"paths": ["/admin"]}}]}
        claim = {"when": [{"key": "request.auth.claims[sub]", "values": ["ann"]}]}
        assert passes(API, NOTHING, allow(path))
        assert passes(API, NOTHING, allow(claim))
        assert passes(API, policy({"action": "DENY", "rules": [path]}))


class TestMutualTls:
    MESH = policy({"mtls": {"mode": "STRICT"}}, ROOT)

    def test_without_a_policy_it_is_permissive(self) -> None:
        assert mtls_mode([], ROOT, POSTGRES, 5432) == ("PERMISSIVE", "")

    def test_the_meshs_holds_for_every_workload(self) -> None:
        assert mtls_mode([self.MESH], ROOT, POSTGRES, 5432) == ("STRICT", "istio-system/p")

    def test_the_nearer_one_wins(self) -> None:
        of_namespace = policy({"mtls": {"mode": "PERMISSIVE"}})
        of_workload = policy({"selector": {"matchLabels": {"app": "postgres"}}, "mtls": {"mode": "DISABLE"}})
        assert mtls_mode([self.MESH, of_namespace], ROOT, POSTGRES, 5432)[0] == "PERMISSIVE"
        assert mtls_mode([self.MESH, of_namespace, of_workload], ROOT, POSTGRES, 5432)[0] == "DISABLE"

    def test_an_unset_mode_is_inherited(self) -> None:
        assert mtls_mode([self.MESH, policy({"mtls": {"mode": "UNSET"}}), policy({})], ROOT, POSTGRES, 1)[0] == "STRICT"

    def test_a_port_may_have_its_own(self) -> None:
        own = policy(
            {
                "selector": {"matchLabels": {"app": "postgres"}},
                "mtls": {"mode": "STRICT"},
                "portLevelMtls": {"5432": {"mode": "DISABLE"}},
            }
        )
        assert mtls_mode([own], ROOT, POSTGRES, 5432)[0] == "DISABLE"
        assert mtls_mode([own], ROOT, POSTGRES, 22)[0] == "STRICT"

    def test_of_two_the_older_one_wins(self) -> None:
        newer = policy({"mtls": {"mode": "DISABLE"}}, creationTimestamp="2026-02-01T00:00:00Z")
        older = policy({"mtls": {"mode": "STRICT"}}, creationTimestamp="2026-01-01T00:00:00Z")
        assert mtls_mode([newer, older], ROOT, POSTGRES, 5432)[0] == "STRICT"


class TestNames:
    """https://istio.io/latest/docs/reference/config/security/authorization-policy/#Source, and as istiod reads it."""

    PETS = Peer("pets.example.org", "shop", "api")

    @pytest.mark.parametrize(
        ("rule", "allowed"),
        [
            # cluster.local is a pointer to the mesh's own trust domain.
            (principals("cluster.local/ns/shop/sa/api"), True),
            (principals("cluster.local/ns/shop/*"), True),
            (source(notPrincipals=["cluster.local/ns/shop/sa/api"]), False),
            ({"when": [{"key": "source.principal", "values": ["cluster.local/ns/shop/sa/api"]}]}, True),
            (principals("cats.example.org/ns/shop/sa/api"), False),
            # An account without a namespace is one of the policy's namespace, and has no wildcard.
            (source(serviceAccounts=["api"]), True),
            (source(serviceAccounts=["redis"]), False),
            (source(serviceAccounts=["peer/api"]), False),
            (source(serviceAccounts=["shop/*"]), False),
            (source(notServiceAccounts=["api"]), False),
            ({"when": [{"key": "source.serviceAccount", "values": ["api"]}]}, True),
            # A namespace may have a star anywhere.
            (source(namespaces=["s*p"]), True),
            (source(namespaces=["s*q"]), False),
            (source(notNamespaces=["*op"]), False),
            (source(trustDomains=["pets.example.org"]), True),
            (source(trustDomains=["*.example.org"]), True),
            (source(trustDomains=["cluster.local"]), False),
            (source(notTrustDomains=["pets.example.org"]), False),
            ({"when": [{"key": "source.trustDomain", "notValues": ["pets*"]}]}, False),
        ],
    )
    def test_a_source(self, rule: dict[str, Any], allowed: bool) -> None:
        assert passes(self.PETS, NOTHING, allow(rule)) is allowed
        denying = policy({"action": "DENY", "rules": [rule]})
        assert passes(self.PETS, denying) is not allowed

    def test_an_account_of_the_roots_policy_is_one_of_the_roots(self) -> None:
        mesh_wide = policy({"rules": [source(serviceAccounts=["api"])]}, ROOT)
        assert not passes(self.PETS, mesh_wide)
