"""The hosts outside the cluster that a service reaches, and the hosts that its proxy knows."""

from collections.abc import Sequence

from components.kube.manifest import Manifest, blocks_without, tcp_rule
from components.kube.names import NETWORKING_API
from components.kube.service_ref import ServiceRef
from components.service.args.network import EgressArgs
from components.service.args.service import SecureServiceArgs
from components.service.manifests.metadata import metadata
from components.service.manifests.peers import peers_of, peers_ref
from components.service.manifests.vault_inbound import vault_listeners

_CLUSTER_DNS = ServiceRef("kube-system", "kube-dns")
_API_SERVER = ServiceRef("default", "kubernetes")
_ENTRY_PROTOCOLS = {"tls": "TLS", "https": "HTTPS", "http": "HTTP", "tcp": "TCP"}


def egress_rules(args: SecureServiceArgs) -> list[Manifest]:
    """The NetworkPolicy's rules for hosts outside the cluster: the networks of each, at its port.

    A host that the platform's own gateway serves, such as that of an identity provider in the cluster, is behind it.
    """
    networks, ingress = args.platform.networks, args.platform.ingress
    rules = [
        tcp_rule("to", blocks_without(networks.without(outside.networks) or networks.internet()), [outside.port])
        for outside in args.egress
    ]
    own = [outside for outside in args.egress if ingress.leads_to(outside.host)]
    return rules + ingress.front(outside.port for outside in own)


def service_entries(args: SecureServiceArgs) -> list[Manifest]:
    """The ServiceEntries that make each outside host known to the proxies of the namespace, which refuse unknown hosts.

    For protocols with a host name the proxy resolves the name itself, so that a client cannot send it to another
    address. There are none without sidecars: in the ambient mode only the network policy restricts egress. https://istio.io/latest/docs/reference/config/networking/service-entry/
    """
    if not args.platform.mesh.sidecars:
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
    """The Sidecar of a service: the hosts that its proxy knows, which are callees, outside hosts and the platform's.

    `None` without sidecars, and on a platform that enforces neither network policies nor authorization, where
    undeclared calls must work. https://istio.io/latest/docs/reference/config/networking/sidecar/
    """
    platform = args.platform
    listeners = vault_listeners(args)
    if not platform.mesh.sidecars or not (platform.closed or listeners):
        return None
    selected: Manifest = {"workloadSelector": {"labels": args.selector}}
    if listeners:
        selected["ingress"] = listeners
    if not platform.closed:
        return _sidecar(args, selected)
    reached = [peer.reached_at for peer in args.calls]
    reached += [peers_of(peer.service) for peer in args.calls if peer.each]
    callees = sorted({each.sidecar_host for each in reached})
    callees += [peers_ref(args).sidecar_host] if args.peers else []
    outside = sorted({f"./{outside.host}" for outside in args.egress})
    spec: Manifest = {
        **selected,
        "outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"},
        "egress": [{"hosts": [*_platform_hosts(args), *callees, *outside]}],
    }
    return _sidecar(args, spec)


def _sidecar(args: SecureServiceArgs, spec: Manifest) -> Manifest:
    return {"apiVersion": NETWORKING_API, "kind": "Sidecar", "metadata": metadata(args), "spec": spec}


def _platform_hosts(args: SecureServiceArgs) -> list[str]:
    platform = args.platform
    # Long DNS answers come over TCP, which goes through the proxy.
    hosts = [f"{platform.layers.mesh}/*", _CLUSTER_DNS.sidecar_host]
    if args.kubernetes_api:
        hosts.append(_API_SERVER.sidecar_host)
    if platform.mesh.collector:
        hosts.append(platform.mesh.collector.sidecar_host)
    return hosts
