"""Who may talk to whom, derived from the calls: network policy and authorization policy."""

from collections.abc import Sequence
from typing import Any, TypeAlias

from components.service_args import SecureServiceArgs
from components.service_vault import uses_vault

# A manifest is open: its schema is the API server's.
Manifest: TypeAlias = dict[str, Any]

_DNS_PORT = 53
_ISTIOD_PORT = 15012
_API_SERVER_PORTS = (443, 6443)


def network_policy_spec(args: SecureServiceArgs) -> Manifest:
    """The one NetworkPolicy of a service: its callers in, its callees and the platform's own services out."""
    ingress = [_rule("from", [_pods(peer.namespace, {"app": peer.name})], [args.port]) for peer in args.called_by]
    if args.public:
        ingress.append(_rule("from", [_gateway_pods(args)], [args.port]))
    egress = [*_platform_egress(args)]
    egress += [_rule("to", [_pods(peer.namespace, {"app": peer.name})], [peer.port]) for peer in args.calls]
    spec: Manifest = {
        "podSelector": {"matchLabels": args.selector},
        "policyTypes": ["Ingress", "Egress"],
        "egress": egress,
    }
    return {**spec, "ingress": ingress} if ingress else spec


def _platform_egress(args: SecureServiceArgs) -> list[Manifest]:
    platform = args.platform
    dns = _rule("to", [_pods("kube-system", {"k8s-app": "kube-dns"})], [_DNS_PORT])
    dns["ports"] = [{"port": _DNS_PORT, "protocol": "UDP"}, {"port": _DNS_PORT, "protocol": "TCP"}]
    rules = [dns]
    if platform.mesh:
        rules.append(_rule("to", [_pods("istio-system", {"app": "istiod"})], [_ISTIOD_PORT]))
    if uses_vault(args):
        inside = [_pods("vault", {"app.kubernetes.io/name": "vault", "component": "server"})]
        rules.append(_rule("to", _blocks(platform.vault_networks) or inside, [platform.vault_port]))
    if args.kubernetes_api:
        rules.append(_rule("to", _blocks(platform.api_server_networks), _API_SERVER_PORTS))
    return rules


def _rule(direction: str, peers: Sequence[Manifest], ports: Sequence[int]) -> Manifest:
    return {direction: list(peers), "ports": [{"port": port, "protocol": "TCP"} for port in ports]}


def _pods(namespace: str, labels: dict[str, str]) -> Manifest:
    return {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "podSelector": {"matchLabels": labels},
    }


def _blocks(networks: Sequence[str]) -> list[Manifest]:
    return [{"ipBlock": {"cidr": network}} for network in networks]


def _gateway_pods(args: SecureServiceArgs) -> Manifest:
    platform = args.platform
    if platform.route == "gateway-api":
        return _pods(platform.gateway_namespace, {"gateway.networking.k8s.io/gateway-name": platform.gateway_name})
    # The labels of an ingress controller's pods are its chart's choice; its namespace is the platform's.
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": platform.gateway_namespace}}}


def principal(trust_domain: str, namespace: str, account: str) -> str:
    """A workload's identity in the mesh, as an AuthorizationPolicy names it."""
    return f"{trust_domain}/ns/{namespace}/sa/{account}"


def authorization_policy(args: SecureServiceArgs) -> Manifest | None:
    """The ALLOW for the service's callers, by identity and port; `None` when nobody may call it.

    Without an ALLOW the mesh's default deny holds. https://istio.io/latest/docs/reference/config/security/authorization-policy/
    """
    platform = args.platform
    principals = [principal(platform.trust_domain, peer.namespace, peer.name) for peer in args.called_by]
    if args.public:
        principals.append(principal(platform.trust_domain, platform.gateway_namespace, platform.gateway_account))
    if platform.authorization == "off" or not principals:
        return None
    metadata: Manifest = {"name": args.name, "namespace": args.namespace, "labels": dict(args.labels)}
    if platform.authorization == "dry-run":
        metadata["annotations"] = {"istio.io/dry-run": "true"}
    return {
        "metadata": metadata,
        "spec": {
            "selector": {"matchLabels": args.selector},
            "action": "ALLOW",
            "rules": [
                {
                    "from": [{"source": {"principals": sorted(principals)}}],
                    "to": [{"operation": {"ports": [str(args.port)]}}],
                }
            ],
        },
    }
