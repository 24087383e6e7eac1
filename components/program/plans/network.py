"""The network policies of the platform's namespaces, from a stack: what each component needs to reach."""

import ipaddress
from collections.abc import Sequence
from urllib.parse import urlsplit

from components.config.checks import vault_networks
from components.config.database import DatabaseSettings
from components.config.vault import VaultSeal
from components.external_secrets.network import external_secrets_network
from components.ingress.network import (
    PublicBackend,
    cert_manager_network,
    gateway_network,
)
from components.kube.manifest import Manifest, blocks_without, ip_blocks, namespace_selector, pods, tcp_rule
from components.kube.mesh_labels import HBONE_PORT
from components.kube.names import ACME_SERVERS, VAULT_ISSUER, VAULT_NAMESPACE, VAULT_PORT
from components.kube.platform_network import ClusterNetwork
from components.kube.service_ref import ServiceRef
from components.kyverno.image_signatures import PUBLIC_REKOR
from components.kyverno.network import kyverno_network
from components.mesh.network import istiod_rule, mesh_network
from components.program.plans.addresses import (
    cluster_address,
    cluster_dns,
    gateway_of,
    open_networks,
    port,
    port_for_vault,
)
from components.program.stack import Stack
from components.program.stack_teams import team_hosts
from components.service.args.service import SecureServiceArgs
from components.vault.network import SERVERS, vault_network

_HTTP, _HTTPS = 80, 443
_API_SERVER = ServiceRef("default", "kubernetes")
# Where a pod gets its cloud's identity: the agent of EKS Pod Identity, Workload Identity of GKE, managed identities of
# Azure. https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html and
# https://cloud.google.com/kubernetes-engine/docs/how-to/workload-identity
_IDENTITY_SERVERS = {
    "awskms": (("169.254.170.23/32", 80), ("fd00:ec2::23/128", 80)),
    "gcpckms": (("169.254.169.254/32", 80), ("169.254.169.252/32", 988)),
    "azurekeyvault": (("169.254.169.254/32", 80),),
}


def cluster_network(stack: Stack) -> ClusterNetwork:
    """What the platform's pods have to know of the stack's cluster."""
    settings, scraper = stack.settings, stack.settings.mesh.scraper
    return ClusterNetwork(
        api_server_networks=settings.api_server_cidrs,
        api_server_ports=settings.api_server_ports,
        webhook_networks=settings.webhook_cidrs,
        scraper_namespace=scraper.namespace if scraper else "",
        dns=cluster_dns(stack),
        networks=open_networks(stack),
    )


def kyverno_policies(stack: Stack) -> tuple[Manifest, ...]:
    """The policies of Kyverno's namespace; none where the posture has none."""
    if not stack.posture.network_policies:
        return ()
    signers = stack.settings.kyverno.image_signatures
    logs = [signer.rekor_url or PUBLIC_REKOR for signer in signers if signer.public_key is None]
    if not signers:
        return kyverno_network(cluster_network(stack))
    asked = [*(f"https://{image}" for image in stack.settings.approved_images), *logs]
    return kyverno_network(cluster_network(stack), sorted({*map(port, asked), _HTTPS}), _front(stack, asked))


def mesh_policies(stack: Stack) -> tuple[Manifest, ...]:
    """The policies of the mesh's namespace; none where the posture has none."""
    if not stack.posture.network_policies:
        return ()
    keys = [token.jwks_uri for spec in stack.services for token in spec.tokens if token.jwks_uri]
    ports = sorted({*map(port, keys)})
    return mesh_network(cluster_network(stack), ports, stack.ambient, _front(stack, keys))


def cert_manager_policies(stack: Stack) -> tuple[Manifest, ...]:
    """The policies of the namespace of cert-manager; none where the posture has none."""
    issuer, settings = stack.posture.issuer, stack.settings.ingress
    if not stack.posture.network_policies:
        return ()
    directory = settings.acme_server.directory if settings.acme_server else ""
    acme_port = port(directory) if issuer in ACME_SERVERS else 0
    front = gateway_of(stack).front([_HTTP])
    signer = _signer(stack) if issuer == VAULT_ISSUER else None
    return cert_manager_network(cluster_network(stack), acme_port, front, signer)


def ingress_policies(stack: Stack, services: Sequence[SecureServiceArgs]) -> tuple[Manifest, ...]:
    """The policies of the Gateway's namespace; none without a Gateway, and where the posture has none."""
    issuer, settings = stack.posture.issuer, stack.settings.ingress
    if not stack.posture.network_policies or issuer == "none" or settings.kind != "gateway-api":
        return ()
    backends = [
        PublicBackend(ServiceRef(args.namespace, args.name), HBONE_PORT if stack.ambient else port, *args.selector)
        for args in services
        for port in sorted({public.port for public in args.public_ports})
    ]
    # Which of a team's pods is public, and at which port, is in that team's stack: its own policy decides.
    teams = [{"to": [namespace_selector(namespace)]} for namespace in sorted(team_hosts(stack.settings))]
    further = [*teams, *_collector(stack), *_module_registry(stack)]
    control_plane = istiod_rule(stack.settings.layers.mesh)
    acme, cluster = issuer in ACME_SERVERS, cluster_network(stack)
    return gateway_network(cluster, settings.gateway_namespace, backends, control_plane, acme, further)


def vault_policies(stack: Stack) -> tuple[Manifest, ...]:
    """The policies of Vault's namespace; none where the posture has none."""
    if not stack.posture.network_policies:
        return ()
    settings = stack.settings.vault
    databases = stack.settings.databases.values()
    outside = [_database(stack, database) for database in databases]
    cluster = cluster_network(stack)
    outside += _seal(cluster, settings.seal) if settings.seal else []
    tokens = settings.bootstrap.login.jwt if settings.bootstrap else None
    if tokens:
        outside += [_address(cluster, tokens.issuer), *_front(stack, [tokens.issuer])]
    elif settings.login.method == "jwt":
        # Who issues the tokens is known to Vault alone.
        outside += [tcp_rule("to", cluster.anywhere(), [_HTTPS]), *gateway_of(stack).front([_HTTPS])]
    if ServiceRef.of_host(urlsplit(settings.kubernetes_host).hostname or "") != _API_SERVER:
        outside.append(_address(cluster, settings.kubernetes_host))
    servers = settings.mode == "helm"
    return vault_network(cluster, servers, settings.client_cidrs, outside)


def external_secrets_policies(stack: Stack) -> tuple[Manifest, ...]:
    """The policies of the operator's namespace; none where the posture has none."""
    if not stack.posture.network_policies:
        return ()
    return external_secrets_network(cluster_network(stack), _vault(stack))


def _vault(stack: Stack) -> Manifest:
    settings = stack.settings.vault
    if settings.mode == "external":
        return tcp_rule("to", cluster_network(stack).blocks(vault_networks(settings)), [port(settings.address)])
    return tcp_rule("to", [pods(VAULT_NAMESPACE, SERVERS)], [VAULT_PORT])


def _signer(stack: Stack) -> Manifest:
    elsewhere = stack.settings.ingress.vault
    if elsewhere and elsewhere.server and elsewhere.server != cluster_address(stack.settings.vault):
        return _address(cluster_network(stack), elsewhere.server)
    return _vault(stack)


def _seal(cluster: ClusterNetwork, seal: VaultSeal) -> list[Manifest]:
    if seal.static:
        return []
    if seal.transit:
        return [_address(cluster, seal.transit.address)]
    endpoint = (seal.awskms and seal.awskms.endpoint) or ""
    # The key service, and the service that gives the pods their identity for it.
    rules = [tcp_rule("to", cluster.anywhere(), sorted({_HTTPS, port(endpoint)}))]
    servers = _IDENTITY_SERVERS.get(seal.type, ())
    return [*rules, *(tcp_rule("to", ip_blocks([network]), [number]) for network, number in servers)]


def _collector(stack: Stack) -> list[Manifest]:
    tracing = stack.settings.mesh.tracing
    return [tcp_rule("to", [namespace_selector(tracing.namespace)], [tracing.port])] if tracing else []


def _module_registry(stack: Stack) -> list[Manifest]:
    waf = stack.settings.ingress.waf
    if waf is None or stack.posture.authorization == "off":
        return []
    networks = open_networks(stack)
    places = blocks_without(networks.without(waf.cidrs) or networks.internet())
    registry = f"https://{waf.image}"
    return [tcp_rule("to", places, [port(registry)]), *_front(stack, [registry])]


def _front(stack: Stack, urls: Sequence[str]) -> list[Manifest]:
    """The rule for those of the URLs whose host the stack's own gateway serves."""
    gateway = gateway_of(stack)
    return gateway.front(port(url) for url in urls if gateway.leads_to(urlsplit(url).hostname or ""))


def _address(cluster: ClusterNetwork, url: str) -> Manifest:
    return _place(cluster, urlsplit(url).hostname or "", port(url))


def _database(stack: Stack, database: DatabaseSettings) -> Manifest:
    if not database.server:
        return _place(cluster_network(stack), database.address, database.own_port, database.networks)
    where = pods(database.server.namespace, {"app": database.server.name})
    return tcp_rule("to", [where], [port_for_vault(stack, database)])


def _place(cluster: ClusterNetwork, host: str, number: int, networks: Sequence[str] = ()) -> Manifest:
    """The rule for a host and port: its networks, its namespace if it is a Service, or else any network."""
    if networks:
        return tcp_rule("to", cluster.blocks(networks), [number])
    if reference := ServiceRef.of_host(host):
        return tcp_rule("to", [namespace_selector(reference.namespace)], [number])
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return tcp_rule("to", cluster.anywhere(), [number])
    return tcp_rule("to", ip_blocks([f"{address}/{address.max_prefixlen}"]), [number])
