"""Who may talk to whom on the network, derived from what the service's file declares."""

from collections.abc import Sequence
from typing import Any, TypeAlias

from components.ingress_issuers import ACME_SERVERS
from components.mesh_metadata import HBONE_PORT, KUBELET_PROBES
from components.service_args import SecureServiceArgs, metadata
from components.service_calls import peer_authentication, request_authentication
from components.service_egress import egress_rules, service_entries, sidecar
from components.service_probes import probed_ports
from components.service_vault import reaches_vault

# A manifest is open: its schema is the API server's.
Manifest: TypeAlias = dict[str, Any]

_DNS_PORT = 53
_ISTIOD_PORT = 15012
_API_SERVER_PORTS = (443, 6443)
_SOLVER_PORT = 8089


def network_policy_spec(args: SecureServiceArgs) -> Manifest:
    """The one NetworkPolicy of a service: who may connect to it, and what it may connect to.

    In the ambient mode every connection within the mesh arrives at the tunnel's port: who may open one is the network's
    to say, for which port it is the mesh's.
    """
    ingress = [
        _rule("from", [_pods(peer.namespace, {"app": peer.name})], [_arrival(args, args.port)])
        for peer in args.called_by
    ]
    if args.public:
        ingress.append(_rule("from", [_gateway_pods(args)], [_arrival(args, args.port)]))
    if args.metrics.port and args.platform.scraper_namespace:
        # A network policy knows no account: which of the pods there may scrape is the mesh's to say.
        scraped = [_arrival(args, args.metrics.port)]
        ingress.append(_rule("from", [_namespace(args.platform.scraper_namespace)], scraped))
    ingress += [_rule("from", _blocks(clear.networks), [clear.port]) for clear in args.plaintext_ports]
    ingress += _probes(args)
    egress = [*_platform_egress(args)]
    egress += [
        _rule("to", [_pods(peer.namespace, {"app": peer.name})], [_arrival(args, peer.port)]) for peer in args.calls
    ]
    egress += egress_rules(args)
    spec: Manifest = {
        "podSelector": {"matchLabels": args.selector},
        "policyTypes": ["Ingress", "Egress"],
        "egress": egress,
    }
    return {**spec, "ingress": ingress} if ingress else spec


def _arrival(args: SecureServiceArgs, port: int) -> int:
    """Where a connection that is for a port arrives at a pod."""
    return HBONE_PORT if args.platform.ambient else port


def _probes(args: SecureServiceArgs) -> list[Manifest]:
    """What lets the kubelet ask, whose address the ambient mode changes. Otherwise every pod may be asked by its node.

    https://istio.io/latest/docs/ambient/usage/networkpolicy/
    """
    # A job is asked nothing.
    ports = [] if args.job_of else probed_ports(args.probes, args.port)
    return [_rule("from", _blocks(KUBELET_PROBES), ports)] if args.platform.ambient and ports else []


def mesh_objects(args: SecureServiceArgs) -> list[Manifest]:
    """What a service has in the mesh beside its AuthorizationPolicy."""
    alone = (sidecar(args), request_authentication(args), peer_authentication(args))
    return [*(made for made in alone if made), *service_entries(args)]


def _platform_egress(args: SecureServiceArgs) -> list[Manifest]:
    platform = args.platform
    dns = _rule("to", [_pods("kube-system", {"k8s-app": "kube-dns"})], [_DNS_PORT])
    dns["ports"] = [{"port": _DNS_PORT, "protocol": "UDP"}, {"port": _DNS_PORT, "protocol": "TCP"}]
    rules = [dns]
    if platform.sidecars:
        rules.append(_rule("to", [_pods("istio-system", {"app": "istiod"})], [_ISTIOD_PORT]))
    if platform.mesh and platform.tracing_namespace:
        rules.append(_rule("to", [_namespace(platform.tracing_namespace)], [platform.tracing_port]))
    if reaches_vault(args):
        inside = [_pods("vault", {"app.kubernetes.io/name": "vault", "component": "server"})]
        rules.append(_rule("to", _blocks(platform.vault_networks) or inside, [platform.vault_port]))
    if args.kubernetes_api:
        rules.append(_rule("to", _blocks(platform.api_server_networks), _API_SERVER_PORTS))
    return rules


def challenge_policy(args: SecureServiceArgs) -> Manifest | None:
    """What lets an ingress controller reach the pod that answers an ACME challenge for the service's hosts.

    `None` where there is no such pod: behind the Gateway it runs in the Gateway's namespace.
    https://cert-manager.io/docs/configuration/acme/http01/
    """
    platform = args.platform
    if not (args.public and platform.route == "ingress" and platform.issuer in ACME_SERVERS):
        return None
    spec: Manifest = {
        "podSelector": {"matchLabels": {"acme.cert-manager.io/http01-solver": "true"}},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [_rule("from", [_gateway_pods(args)], [_SOLVER_PORT])],
    }
    return {"metadata": {**metadata(args), "name": f"{args.name}.acme"}, "spec": spec}


def _rule(direction: str, peers: Sequence[Manifest], ports: Sequence[int]) -> Manifest:
    return {direction: list(peers), "ports": [{"port": port, "protocol": "TCP"} for port in ports]}


def _pods(namespace: str, labels: dict[str, str]) -> Manifest:
    return {
        **_namespace(namespace),
        "podSelector": {"matchLabels": labels},
    }


def _namespace(name: str) -> Manifest:
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}


def _blocks(networks: Sequence[str]) -> list[Manifest]:
    return [{"ipBlock": {"cidr": network}} for network in networks]


def _gateway_pods(args: SecureServiceArgs) -> Manifest:
    platform = args.platform
    if platform.route == "gateway-api":
        return _pods(platform.gateway_namespace, {"gateway.networking.k8s.io/gateway-name": platform.gateway_name})
    # The labels of an ingress controller's pods are its chart's choice; its namespace is the platform's.
    return _namespace(platform.gateway_namespace)
