"""The NetworkPolicy of a service, derived from its calls, its callers and its egress."""

from components.kube.manifest import Manifest, blocks_without, ip_blocks, namespace_selector, pods, tcp_rule
from components.kube.mesh_labels import HBONE_PORT, KUBELET_PROBES
from components.kube.names import ACME_SERVERS
from components.service.args.service import SecureServiceArgs
from components.service.manifests.authorization import (
    destination_rule,
    peer_authentication,
    request_authentication,
)
from components.service.manifests.egress import egress_rules, service_entries, sidecar
from components.service.manifests.metadata import metadata
from components.service.manifests.peers import peers_destination_rule, peers_rules
from components.service.manifests.probes import probed_ports
from components.service.manifests.vault import reaches_vault
from components.service.manifests.vault_inbound import vault_rules

_ISTIOD_PORT = 15012
_SOLVER_PORT = 8089


def network_policy_spec(args: SecureServiceArgs) -> Manifest:
    """The spec of the NetworkPolicy of a service: who may connect to it, and what it may connect to.

    In the ambient mode every connection within the mesh arrives at the port of the tunnel: the network policy decides
    who may connect, and the mesh to which port.
    """
    ingress = [tcp_rule("from", [peer.pods], [_arrival(args, peer.port)]) for peer in args.called_by]
    if public := sorted({_arrival(args, each.port) for each in args.public_ports}):
        ingress.append(tcp_rule("from", [args.platform.ingress.pods], public))
    if args.metrics.port and args.platform.mesh.scraper:
        # A network policy knows no service accounts: the mesh decides which pod of that namespace may scrape.
        metrics_ports = [_arrival(args, args.metrics.port)]
        ingress.append(tcp_rule("from", [namespace_selector(args.platform.mesh.scraper.namespace)], metrics_ports))
    ingress += [*peers_rules(args, "from"), *vault_rules(args)]
    ingress += [tcp_rule("from", ip_blocks(plaintext.networks), [plaintext.port]) for plaintext in args.plaintext_ports]
    ingress += _probes(args)
    egress = [
        *_platform_egress(args),
        *(tcp_rule("to", [peer.pods], [_arrival(args, peer.port)]) for peer in args.calls),
        *peers_rules(args, "to"),
        *egress_rules(args),
    ]
    spec: Manifest = {
        "podSelector": {"matchLabels": args.selector},
        "policyTypes": ["Ingress", "Egress"],
        "egress": egress,
    }
    return {**spec, "ingress": ingress} if ingress else spec


def _arrival(args: SecureServiceArgs, port: int) -> int:
    """The port at which connections to a port of a pod arrive: in the ambient mode that of the tunnel."""
    return HBONE_PORT if args.platform.mesh.ambient else port


def _probes(args: SecureServiceArgs) -> list[Manifest]:
    """The rule for probes in the ambient mode, which changes the kubelet's address. A node always reaches its own pods.

    https://istio.io/latest/docs/ambient/usage/networkpolicy/
    """
    # What ends has no probes.
    own = [] if args.ends else [(args.probes, args.probed_port)]
    probed = [*own, *((each.probes, each.port) for each in args.sidecars)]
    numbers = {number for probes, port in probed for number in probed_ports(probes, port)}
    ports = sorted(args.probed_ports if args.package else numbers)
    return [tcp_rule("from", ip_blocks(KUBELET_PROBES), ports)] if args.platform.mesh.ambient and ports else []


def mesh_objects(args: SecureServiceArgs) -> list[Manifest]:
    """The objects of a service for the mesh, without its AuthorizationPolicy."""
    optional = (
        *(sidecar(args), destination_rule(args), peers_destination_rule(args)),
        *(request_authentication(args), peer_authentication(args)),
    )
    return [*(manifest for manifest in optional if manifest), *service_entries(args)]


def _platform_egress(args: SecureServiceArgs) -> list[Manifest]:
    platform = args.platform
    rules = [platform.dns.rule()]
    if platform.mesh.sidecars:
        rules.append(tcp_rule("to", [pods(platform.layers.mesh, {"app": "istiod"})], [_ISTIOD_PORT]))
    if platform.mesh.on and platform.mesh.collector:
        collector = namespace_selector(platform.mesh.collector.namespace)
        rules.append(tcp_rule("to", [collector], [platform.mesh.collector_port]))
    if reaches_vault(args):
        vault_pods = [pods("vault", {"app.kubernetes.io/name": "vault", "component": "server"})]
        vault = blocks_without(platform.networks.without(platform.vault.networks))
        rules.append(tcp_rule("to", vault or vault_pods, [platform.vault.port]))
    if args.kubernetes_api:
        api_server = blocks_without(platform.networks.without(platform.api_server_networks))
        rules.append(tcp_rule("to", api_server, platform.api_server_ports))
    return rules


def challenge_policy(args: SecureServiceArgs) -> Manifest | None:
    """The NetworkPolicy that lets an ingress controller reach the ACME solver for the service's hosts.

    `None` where no solver runs in the service's namespace: that of the Gateway runs in the Gateway's.
    https://cert-manager.io/docs/configuration/acme/http01/
    """
    platform = args.platform
    if not (args.public and platform.ingress.route == "ingress" and platform.ingress.issuer in ACME_SERVERS):
        return None
    spec: Manifest = {
        "podSelector": {"matchLabels": {"acme.cert-manager.io/http01-solver": "true"}},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [tcp_rule("from", [args.platform.ingress.pods], [_SOLVER_PORT])],
    }
    return {"metadata": {**metadata(args), "name": f"{args.name}.acme"}, "spec": spec}
