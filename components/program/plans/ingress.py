"""The arguments of `SecureIngress` and the terms of the gateway for public services, from a stack."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from components.config.action import Action
from components.config.ingress import HstsSettings, IngressSettings
from components.config.pem_file import read_pem
from components.ingress.cert_manager import CertManagerArgs
from components.ingress.hardening import FirewallArgs, HostLimits
from components.ingress.issuers import AcmeIssuer, CaIssuer, Issuer, VaultIssuer
from components.ingress.public_hosts import PublicHostsArgs
from components.ingress.routes import RouteRetries
from components.ingress.secure_ingress import SecureIngressArgs
from components.ingress.terms import HSTS, IngressTerms, PublicLimits, PublicTerms
from components.kube.names import (
    ACME_SERVERS,
    CA_ISSUER,
    VAULT_ISSUER,
)
from components.program.plans.addresses import cluster_address, gateway_of
from components.program.plans.network import cert_manager_policies, ingress_policies
from components.program.stack import Stack
from components.program.stack_exceptions import platform_namespaces
from components.program.stack_keys import stack_keys
from components.program.stack_teams import team_hosts
from components.service.args.service import SecureServiceArgs
from components.service.file.public_hosts import lent_hosts
from components.service.manifests.authorization import uses_jwt
from components.service.manifests.route import route_names, rule_name

_YEAR = HstsSettings.model_validate({"maxAge": 31_536_000})
_FIVE_MINUTES = HstsSettings.model_validate({"maxAge": 300})


def ingress_terms(stack: Stack) -> IngressTerms:
    """The terms of the gateway or ingress controller for the stack's services."""
    issuer = stack.posture.issuer
    return replace(
        gateway_of(stack),
        issuer="" if issuer == "none" else issuer,
        class_name=stack.settings.ingress.class_name or "",
        public=public_terms(stack),
    )


@stack_keys(
    kind="ingress.kind",
    ingress_class="ingress.className",
    tls_version="ingress.tls.minVersion",
    issuer="posture.issuer",
    email="ingress.acmeEmail",
    server="ingress.vault.server",
)
def ingress_args(stack: Stack, services: Sequence[SecureServiceArgs]) -> SecureIngressArgs:
    """The arguments of `SecureIngress`. Raises `ConfigError` at the key of a file that cannot be read."""
    settings, posture = stack.settings.ingress, stack.posture
    owners = {host: spec.namespace for spec in stack.public if spec.owner_of_host is None for host in spec.hosts}
    owners |= {host: namespace for namespace, hosts in team_hosts(stack.settings).items() for host in hosts}
    guests: dict[str, list[str]] = {}
    for namespace, hosts in sorted(lent_hosts(stack.services).items()):
        for host in hosts:
            guests.setdefault(host, []).append(namespace)
    return SecureIngressArgs(
        issuer=_issuer(stack),
        kind=settings.kind,
        ingress_class=settings.class_name,
        gateway_namespace=settings.gateway_namespace,
        hosts=tuple(sorted({*(host for args in services for host in args.hosts), *owners})),
        owners=owners,
        guests=guests,
        deny_by_default=posture.authorization != "off",
        tls_version=settings.tls.min_version,
        cipher_suites=settings.tls.ciphers,
        limits=(*_limits(services), *_team_limits(stack)),
        retries=tuple(_retries(services)),
        tokenless=any(
            route.without_token
            for args in services
            if uses_jwt(args)
            for public in args.public_ports
            for route in public.routes
        ),
        firewall=FirewallArgs(settings.waf.image, settings.waf.directives)
        if settings.waf and posture.authorization != "off"
        else None,
        enforce=posture.authorization == "enforce",
        revision=stack.settings.mesh.revision or "",
        network_policies=ingress_policies(stack, services),
        cert_manager_namespace=stack.settings.layers.cert_manager,
    )


def _limits(services: Sequence[SecureServiceArgs]) -> Iterator[HostLimits]:
    """The limits of each host; for one that is shared those of each of its services."""
    public = sorted(
        ((host, args, port) for args in services for port in args.public_ports for host in port.hosts),
        key=lambda one: (one[0], one[1].key),
    )
    times = Counter(host for host, *_ in public)
    for host, args, port in public:
        limits = HostLimits(host, args.limits.requests, args.limits.seconds, args.limits.max_request_bytes)
        yield replace(limits, service=args.key, routes=route_names(args, port)) if times[host] > 1 else limits


def _team_limits(stack: Stack) -> Iterator[HostLimits]:
    """The limits of the hosts of teams: the stack's own, since a team's file does not reach the gateway."""
    default = public_terms(stack).default
    for hosts in team_hosts(stack.settings).values():
        for host in hosts if stack.posture.authorization != "off" else ():
            yield HostLimits(host, default.requests, default.seconds, default.max_request_bytes)


def _retries(services: Sequence[SecureServiceArgs]) -> Iterator[RouteRetries]:
    for args in services:
        for public in args.public_ports:
            for route in (each for each in public.routes if each.retries.attempts):
                name, retries = rule_name(args, public, route), route.retries
                yield RouteRetries(name, retries.attempts, retries.codes, retries.each, retries.backoff)


@stack_keys(replicas="ingress.replicas")
def cert_manager_args(stack: Stack) -> CertManagerArgs | None:
    """The arguments of `CertManager`; `None` where nothing is issued: no public host, and no server of Vault."""
    settings, posture = stack.settings, stack.posture
    if posture.issuer == "none" and not (posture.vault and settings.vault.issued):
        return None
    return CertManagerArgs(
        charts=stack.charts,
        replicas=settings.ingress.replicas,
        gateway_api=posture.issuer != "none" and settings.ingress.kind == "gateway-api",
        hub=settings.ingress.cert_manager.hub,
        network_policies=cert_manager_policies(stack),
        existing=settings.ingress.cert_manager.mode == "existing",
        namespace=settings.layers.cert_manager,
        definitions=settings.ingress.gateway_api.mode == "apply",
    )


@stack_keys(hosts="ingress.hosts")
def hosts_args(stack: Stack) -> PublicHostsArgs | None:
    """The arguments of `PublicHosts`, with the action of the critical rules; `None` when these are off.

    Raises `ConfigError` for a pattern of `ingress.hosts` that covers the host of another namespace.
    """
    if stack.posture.critical is Action.OFF:
        return None
    hosts = {namespace: list(patterns) for namespace, patterns in stack.settings.ingress.hosts.items()}
    for namespace, own in team_hosts(stack.settings).items():
        hosts[namespace] = [*hosts.get(namespace, []), *own]
    for spec in stack.public:
        if spec.owner_of_host is None:
            hosts[spec.namespace] = [*hosts.get(spec.namespace, []), *spec.hosts]
    lent = lent_hosts(stack.services)
    cert_manager = stack.settings.layers.cert_manager
    return PublicHostsArgs(stack.posture.critical, hosts, platform_namespaces(stack.settings), lent, cert_manager)


def _issuer(stack: Stack) -> Issuer | None:
    name, ingress, vault = stack.posture.issuer, stack.settings.ingress, stack.settings.vault
    if name in ACME_SERVERS:
        acme = ingress.acme_server
        bundle = read_pem(acme.ca_bundle_file, "ingress.acmeServer.caBundleFile") if acme else ""
        return AcmeIssuer(name, ingress.acme_email or "", acme.directory if acme else "", bundle)
    if name == CA_ISSUER:
        return CaIssuer(ingress.ca.key_pair if ingress.ca else "")
    if name != VAULT_ISSUER:
        return None
    engine = ingress.vault.model_dump(include={"mount", "role", "auth_mount", "auth_role"}) if ingress.vault else {}
    server = (ingress.vault and ingress.vault.server) or cluster_address(vault)
    bundle_file = ingress.vault.ca_bundle_file if ingress.vault else None
    bundle = (bundle_file, "ingress.vault.caBundleFile") if bundle_file else (vault.ca_cert_file, "vault.caCertFile")
    own = vault.issued and server == cluster_address(vault) and not bundle_file
    return VaultIssuer(server, **engine, ca_bundle=read_pem(*bundle), own=own)


def public_terms(stack: Stack) -> PublicTerms:
    """The default headers and limits of the stack's public services, and the annotations for them."""
    settings, on = stack.settings.ingress, stack.posture.authorization != "off"
    annotations = settings.annotations
    rate, size = settings.rate_limit, settings.max_request_bytes
    return PublicTerms(
        default=PublicLimits(
            headers=_headers(settings, stack.posture.issuer),
            requests=0 if rate == "none" else rate.requests,
            seconds=1 if rate == "none" else rate.seconds,
            max_request_bytes=0 if size == "none" else size,
        ),
        header_annotations=annotations.headers,
        rate_annotations=annotations.rate_limit,
        size_annotations=annotations.max_request_bytes,
        other_annotations={**annotations.tls, **(annotations.waf if on else {})},
        on=on,
    )


def _headers(settings: IngressSettings, issuer: str) -> dict[str, str]:
    headers = {} if settings.headers == "none" else dict(settings.headers)
    hsts = settings.hsts or (_YEAR if issuer == "letsencrypt-prod" else _FIVE_MINUTES)
    if hsts == "none" or issuer == "none" or settings.kind == "ingress":
        return headers
    return {HSTS: hsts.header, **headers}
