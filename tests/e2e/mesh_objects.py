"""The network half of a service with everything declared, as manifests, and others that are wrong on purpose."""

from copy import deepcopy
from typing import Any

from components.kube.service_ref import ServiceRef
from components.mesh.security import TracingArgs, telemetry
from components.service.args.network import EgressArgs, JwtArgs, MetricsArgs, Peer, PlaintextPortArgs
from components.service.args.service import ApiRuleArgs, SecureServiceArgs
from components.service.manifests.authorization import authorization_policy
from components.service.manifests.metadata import metadata
from components.service.manifests.network_policy import mesh_objects, network_policy_spec
from tests.support.stacks import platform, service

Manifest = dict[str, Any]

SECURITY = "security.istio.io/v1"
_KEY = '{{"keys": [{{"kty": "EC", "crv": "P-256", "x": "{}", "y": "{}"}}]}}'.format(
    "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
    "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
)
_CLAIMS = {"role": ["buyer", "seller"], "https://shop.example.org/plan": ["paid"]}


def _full() -> dict[str, SecureServiceArgs]:
    facts = platform(
        scraper=ServiceRef("monitoring", "prometheus"),
        collector=ServiceRef("observability", "collector"),
        collector_port=4317,
        api_server_networks=["10.9.0.1/32"],
    )
    shared: dict[str, Any] = {
        "platform": facts,
        "host": "full.example.org",
        "paths": ["/v1", "/v2"],
        "calls": [Peer(ServiceRef("shop", "redis"), 6379)],
        "called_by": [
            Peer(ServiceRef("shop", "web"), 8080),
            Peer(ServiceRef("bank", "till"), 8080, ("GET", "POST"), ("/pay", "/pay/*")),
        ],
        "kubernetes_api": [ApiRuleArgs([""], ["configmaps"], ["get"])],
        "metrics": MetricsArgs(9090, "/metrics"),
        "plaintext_ports": [
            PlaintextPortArgs(8080, ["10.0.0.0/24", "fd12::/64"], "no certificate yet", "ann", "2026-02-01")
        ],
        "egress": [
            EgressArgs("pay.example.org", 443),
            EgressArgs("pay.example.org", 80, "http"),
            EgressArgs("mail.example.org", 465, "https", ["203.0.113.0/24"]),
            EgressArgs("orders.example.net", 5432, "tcp", ["10.1.0.0/24", "fd13::/64"]),
            EgressArgs("orders.invalid", 5432, "tcp", ["10.3.0.9/32"]),
        ],
    }
    issuer = "https://login.example.org"
    fetched = JwtArgs(issuer, f"{issuer}/keys", "", ["shop"], _CLAIMS, forward_token=True)
    given = JwtArgs(issuer, "", _KEY, ["shop"], {})
    return {"fetched": service(name="full", jwt=fetched, **shared), "given": service(name="given", jwt=given, **shared)}


def right() -> dict[str, Manifest]:
    """What the builders make of everything that a file can declare, by kind and name."""
    told = telemetry(TracingArgs("observability", "collector"))
    # The stack has its own under the other name.
    found: list[Manifest] = [{**told, "metadata": {**told["metadata"], "name": "traced"}}]
    for args in _full().values():
        policy = authorization_policy(args)
        assert policy is not None
        found += [{"apiVersion": SECURITY, "kind": "AuthorizationPolicy", **policy}, *mesh_objects(args)]
        network: Manifest = {"metadata": metadata(args), "spec": network_policy_spec(args)}
        found.append({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", **network})
    return {f"{made['kind']} {made['metadata']['name']}": made for made in found}


def wrong() -> dict[str, Manifest]:
    """The same objects, each with one mistake that would open or close something unseen."""
    made = right()

    def changed(name: str, *path: str | int, value: object) -> Manifest:
        copy = deepcopy(made[name])
        place: Any = copy["spec"]
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        return copy

    policy, entry = "AuthorizationPolicy full", "ServiceEntry full.orders.example.net"
    return {
        "a source that names nobody": changed(policy, "rules", 0, "from", 0, "source", value={}),
        "an operation that names nothing": changed(policy, "rules", 0, "to", 0, "operation", value={}),
        "a port that is none": changed(policy, "rules", 0, "to", 0, "operation", "ports", value=["http"]),
        "an empty principal": changed(policy, "rules", 0, "from", 0, "source", "principals", value=[""]),
        "a template that is none": changed(policy, "rules", 0, "to", 0, "operation", "paths", value=["/{a*}"]),
        "a claim without a value": changed(policy, "rules", 2, "when", 0, "values", value=[]),
        "networks that the proxy would resolve": changed(entry, "resolution", value="DNS"),
        "every host": changed(entry, "hosts", value=["*"]),
        "a proxy that knows no namespace": changed("Sidecar full", "egress", 0, "hosts", value=["pay.example.org"]),
        "keys of no address": changed("RequestAuthentication full", "jwtRules", 0, "jwksUri", value="file:///keys"),
        "keys that are none": changed("RequestAuthentication given", "jwtRules", 0, "jwks", value="{}"),
        "a port of every workload": changed("PeerAuthentication full", "selector", value=None),
    }
