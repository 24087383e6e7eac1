"""Addresses that several plans read of a stack."""

from urllib.parse import urlsplit

from components.config.database import DatabaseSettings
from components.config.vault import VaultSettings
from components.ingress.terms import IngressTerms
from components.kube.cluster_dns import ClusterDns
from components.kube.names import (
    GATEWAY,
    GATEWAY_ACCOUNT,
    VAULT_INBOUND,
    VAULT_NAMESPACE,
    VAULT_PORT,
    VAULT_RELEASE,
)
from components.kube.networks import OpenNetworks
from components.kube.service_ref import ServiceRef
from components.program.stack import Stack
from components.program.stack_teams import team_hosts


def cluster_dns(stack: Stack) -> ClusterDns:
    """Where the cluster answers names."""
    settings = stack.settings.dns
    return ClusterDns(settings.namespace, settings.labels, settings.servers)


def open_networks(stack: Stack) -> OpenNetworks:
    """What network policies leave out of the networks that they open."""
    return OpenNetworks(stack.settings.metadata_cidrs)


def gateway_of(stack: Stack) -> IngressTerms:
    """The gateway or ingress controller, and the public hosts that lead to it: those of a team's stack are known by the
    team's hosts and by the stack's domain."""
    settings = stack.settings.ingress
    domain, controller = settings.domain, settings.controller
    patterns = [*settings.hosts.values(), *team_hosts(stack.settings).values(), *(spec.hosts for spec in stack.public)]
    hosts = {pattern for each in patterns for pattern in each if pattern != "*"}
    return IngressTerms(
        route=stack.route,
        gateway=ServiceRef(controller.namespace if controller else settings.gateway_namespace, GATEWAY),
        account=controller.service_account if controller else GATEWAY_ACCOUNT,
        hosts=sorted({*hosts, *([domain, f"*.{domain}"] if domain else [])}),
    )


def cluster_address(settings: VaultSettings) -> str:
    """Vault's address as seen from the cluster; empty when there is none."""
    if settings.mode == "helm":
        return f"https://{VAULT_RELEASE}.{VAULT_NAMESPACE}.svc:{VAULT_PORT}"
    return settings.address or ""


def port_for_vault(stack: Stack, database: DatabaseSettings) -> int:
    """The port at which Vault reaches a database: its own, or that which the proxy of a service has for Vault."""
    if not database.server:
        return database.own_port
    closed = stack.posture.mtls == "STRICT" and not stack.ambient
    return VAULT_INBOUND if closed else port_of(stack, database)


def port_of(stack: Stack, database: DatabaseSettings) -> int:
    """The port at which services reach a database."""
    ports = (spec.port for spec in stack.services if spec.ref == database.server)
    return next(ports, None) or database.own_port


def port(address: str | None) -> int:
    """The port of an https address."""
    return urlsplit(address or "").port or 443
