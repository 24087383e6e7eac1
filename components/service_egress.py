"""What a service reaches outside the cluster, and all that its proxy knows of."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from components.network_args import EgressArgs
from components.network_spec import METADATA_NETWORKS
from components.posture import is_closed
from components.service_args import SecureServiceArgs, metadata

# A manifest is open: its schema is the API server's.
Manifest: TypeAlias = dict[str, Any]

NETWORKING_API = "networking.istio.io/v1"
INTERNET: Mapping[str, Sequence[str]] = {
    "0.0.0.0/0": (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "224.0.0.0/4",
        "240.0.0.0/4",
        # Public addresses at which a cloud answers its nodes.
        *(network for network in METADATA_NETWORKS if network.startswith("168.")),
    ),
    # Beside what is private, the ranges that stand for addresses of version 4. Those that are mapped into version 6
    # (::ffff:0:0/96) travel as version 4, and the API server takes no policy that names them.
    "::/0": (
        "::/96",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "2002::/16",
        "fc00::/7",
        "fe80::/10",
        "ff00::/8",
    ),
}
"""The internet: everything, except what is private, link-local, shared or a cloud's metadata."""

_CLUSTER_DOMAIN = "svc.cluster.local"
_ENTRY_PROTOCOLS = {"tls": "TLS", "https": "HTTPS", "http": "HTTP", "tcp": "TCP"}


def egress_rules(args: SecureServiceArgs) -> list[Manifest]:
    """The rules of the NetworkPolicy for what is outside: the host's networks, at its port alone."""
    return [{"to": _blocks(outside), "ports": [{"port": outside.port, "protocol": "TCP"}]} for outside in args.egress]


def _blocks(outside: EgressArgs) -> list[Manifest]:
    if outside.networks:
        return [{"ipBlock": {"cidr": network}} for network in outside.networks]
    return [{"ipBlock": {"cidr": network, "except": list(excepted)}} for network, excepted in INTERNET.items()]


def service_entries(args: SecureServiceArgs) -> list[Manifest]:
    """What makes each outside host known to the proxies of the namespace, which otherwise refuse it.

    Where a host name is in what is sent, the proxy resolves it by itself: no other address gets through under that
    name. None where pods have no proxy of their own: a node's refuses nothing, and the network policy alone holds what
    is outside, by its networks. https://istio.io/latest/docs/reference/config/networking/service-entry/
    """
    if not args.platform.sidecars:
        return []
    hosts = dict.fromkeys(outside.host for outside in args.egress)
    return [_entry(args, host, [outside for outside in args.egress if outside.host == host]) for host in hosts]


def _entry(args: SecureServiceArgs, host: str, ports: Sequence[EgressArgs]) -> Manifest:
    networks = sorted({network for port in ports if port.protocol == "tcp" for network in port.networks})
    spec: Manifest = {
        "hosts": [host],
        "exportTo": ["."],
        "location": "MESH_EXTERNAL",
        "ports": [
            {"number": port.port, "name": f"{port.protocol}-{port.port}", "protocol": _ENTRY_PROTOCOLS[port.protocol]}
            for port in ports
        ],
        **({"addresses": networks, "resolution": "NONE"} if networks else {"resolution": "DNS"}),
    }
    return {
        "apiVersion": NETWORKING_API,
        "kind": "ServiceEntry",
        "metadata": {**metadata(args), "name": f"{args.name}.{host}"},
        "spec": spec,
    }


def sidecar(args: SecureServiceArgs) -> Manifest | None:
    """All that the service's proxy knows of: its callees, its outside hosts and the platform's own.

    `None` on a platform that enforces neither network policies nor authorization: there an undeclared call works, and
    is to. Nor is there one for a node's proxy, which is every service's. https://istio.io/latest/docs/reference/config/networking/sidecar/
    """
    platform = args.platform
    if not platform.sidecars or not is_closed(platform.network_policies, platform.authorization):
        return None
    callees = sorted(_known(peer.namespace, peer.name) for peer in args.calls)
    outside = sorted({f"./{outside.host}" for outside in args.egress})
    spec: Manifest = {
        "workloadSelector": {"labels": args.selector},
        "outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"},
        "egress": [{"hosts": [*_platform_hosts(args), *callees, *outside]}],
    }
    return {"apiVersion": NETWORKING_API, "kind": "Sidecar", "metadata": metadata(args), "spec": spec}


def _platform_hosts(args: SecureServiceArgs) -> list[str]:
    platform = args.platform
    # A long answer of the DNS comes over TCP, which goes through the proxy.
    hosts = ["istio-system/*", _known("kube-system", "kube-dns")]
    if args.kubernetes_api:
        hosts.append(_known("default", "kubernetes"))
    if platform.tracing_namespace:
        hosts.append(_known(platform.tracing_namespace, platform.tracing_service))
    return hosts


def _known(namespace: str, name: str) -> str:
    return f"{namespace}/{name}.{namespace}.{_CLUSTER_DOMAIN}"
