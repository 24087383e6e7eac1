"""A configuration of CoreDNS that resolves no name outside but those that the stack and its services declare.

The cluster's DNS is not the program's, so it only writes the text. https://coredns.io/manual/configuration/
"""

import ipaddress
from collections.abc import Iterator
from urllib.parse import urlsplit

from components.config.ingress import IngressSettings
from components.config.settings import Settings
from components.kube.names import ACME_SERVERS
from components.kube.service_ref import ServiceRef
from components.kyverno.image_signatures import PUBLIC_REKOR
from components.program.stack import Stack
from components.program.stack_teams import team_hosts

_TEMPLATE = """\
cluster.local:53 in-addr.arpa:53 ip6.arpa:53 {{
    errors
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        pods insecure
        ttl 30
    }}
    cache 30
}}
{outside}.:53 {{
    errors
    health {{
        lameduck 5s
    }}
    ready
    prometheus :9153
    template ANY ANY {{
        rcode NXDOMAIN
    }}
    reload
}}
"""
_OUTSIDE = """\
{zones} {{
    errors
    forward . /etc/resolv.conf
    cache 30
}}
"""


def corefile(stack: Stack) -> str:
    """The Corefile: the cluster's own names, the declared ones with all below them, and no other."""
    zones = " ".join(f"{host}:53" for host in outside_names(stack))
    return _TEMPLATE.format(outside=_OUTSIDE.format(zones=zones) if zones else "")


def outside_names(stack: Stack) -> list[str]:
    """The names outside the cluster that the services declare and that the platform needs, sorted."""
    names = {*stack.settings.dns.allow, *_of_services(stack), *_of_platform(stack)}
    return sorted(name for name in names if _is_outside(name))


def _of_services(stack: Stack) -> Iterator[str]:
    yield from (host for hosts in team_hosts(stack.settings).values() for host in hosts)
    for spec in stack.services:
        # cert-manager looks at a public host as the ACME server does.
        yield from spec.hosts
        yield from (outside.host for outside in spec.egress)
        yield from (_host(token.jwks_uri) for token in spec.tokens if token.jwks_uri)


def _of_platform(stack: Stack) -> Iterator[str]:
    settings, issuer = stack.settings, stack.posture.issuer
    yield from (database.address for database in settings.databases.values())
    if settings.vault.mode == "external":
        yield _host(settings.vault.address or "")
    if settings.vault.seal and settings.vault.seal.transit:
        yield _host(settings.vault.seal.transit.address)
    if issuer in ACME_SERVERS:
        yield _host(_directory(settings.ingress, issuer))
    if settings.ingress.vault and settings.ingress.vault.server:
        yield _host(settings.ingress.vault.server)
    if settings.ingress.waf:
        yield _host(f"https://{settings.ingress.waf.image}")
    yield from _of_signatures(settings)


def _directory(ingress: IngressSettings, issuer: str) -> str:
    return ingress.acme_server.directory if ingress.acme_server else ACME_SERVERS[issuer]


def _of_signatures(settings: Settings) -> Iterator[str]:
    signers = settings.kyverno.image_signatures
    if signers:
        yield from (_host(f"https://{image}") for image in settings.approved_images)
    for signer in signers:
        if signer.public_key is None:
            yield _host(signer.rekor_url or PUBLIC_REKOR)


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


def _is_outside(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return bool(name) and ServiceRef.of_host(name) is None
    return False
