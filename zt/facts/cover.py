"""Which grants include which others, so that a narrower one makes no line of its own."""

from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network, ip_network

from components.schema.host_pattern import is_covered
from zt.facts.gateway import CrossOrigin, Public, WithoutToken
from zt.facts.model import (
    ANYTHING,
    INTERNET,
    ApiRight,
    Consent,
    DatabaseRight,
    Egress,
    Grant,
    OutsideHost,
    Reach,
    TeamGrant,
    VaultAccess,
    Writable,
)
from zt.facts.rules import Registry, RuleItem


def covers(grant: Grant, other: Grant) -> bool:
    """Whether a grant includes everything that another one allows."""
    match grant:
        case Reach() if isinstance(other, Reach):
            same = (grant.target, grant.port, grant.protocol) == (other.target, other.port, other.protocol)
            return same and _peer_covers(grant.source, other.source) and _requests_cover(grant, other)
        case Egress() if isinstance(other, Egress):
            # A policy without a port opens all ports of all protocols.
            port = grant.port == 0 or (grant.port, grant.protocol) == (other.port, other.protocol)
            source = grant.source in (ANYTHING, other.source)
            return port and source and _peer_covers(grant.target, other.target)
        case OutsideHost() if isinstance(other, OutsideHost):
            return replace(grant, host="") == replace(other, host="") and host_covers(grant.host, other.host)
        case Public() | WithoutToken() | CrossOrigin():
            return _gateway_covers(grant, other)
        case Consent() if isinstance(other, Consent) and grant.path and other.path:
            return replace(grant, path="") == replace(other, path="") and _below(other.path, grant.path)
        case _:
            return grant == other or _rights_cover(grant, other)


def _gateway_covers(grant: Public | WithoutToken | CrossOrigin, other: Grant) -> bool:
    match grant:
        case Public() if isinstance(other, Public):
            same = (grant.service, grant.port, grant.host) == (other.service, other.port, other.host)
            # A prefix ends at a slash: /v1 covers /v1/users and not /v10.
            arrives = _below(other.rewrite or other.path, grant.rewrite or grant.path)
            return same and arrives and _below(other.path, grant.path)
        case WithoutToken() if isinstance(other, WithoutToken):
            return grant.service == other.service and _below(other.path, grant.path)
        case CrossOrigin() if isinstance(other, CrossOrigin):
            same = grant.service == other.service and grant.origin in (ANYTHING, other.origin)
            return same and grant.credentials in ("credentials", other.credentials) and _below(other.path, grant.path)
        case _:
            return False


def _rights_cover(grant: Grant, other: Grant) -> bool:
    match grant:
        case VaultAccess() if isinstance(other, VaultAccess):
            path = grant.path.endswith("*") and other.path.startswith(grant.path[:-1])
            return path and (grant.service, grant.capability) == (other.service, other.capability)
        case ApiRight() if isinstance(other, ApiRight):
            what = grant.verb in (ANYTHING, other.verb) and grant.resource in (ANYTHING, other.resource)
            return what and grant.service == other.service and grant.cluster_wide >= other.cluster_wide
        case DatabaseRight() if isinstance(other, DatabaseRight):
            same = replace(grant, name="") == replace(other, name="")
            # In Redis a name is the beginning of those of keys or channels.
            begins = not grant.schema and other.name.startswith(grant.name)
            return same and (begins or grant.name in (ANYTHING, other.name))
        case Registry() if isinstance(other, Registry):
            return _below(other.registry, grant.registry)
        case TeamGrant() if isinstance(other, TeamGrant):
            same = (grant.team, grant.what) == (other.team, other.what)
            return same and (_peer_covers(grant.value, other.value) or host_covers(grant.value, other.value))
        case RuleItem() if isinstance(other, RuleItem):
            same = (grant.rule, grant.parameter) == (other.rule, other.parameter)
            return same and _peer_covers(grant.item, other.item)
        case Writable() if isinstance(other, Writable):
            return grant.service == other.service and _below(other.path, grant.path)
        case _:
            return False


def _requests_cover(grant: Reach, other: Reach) -> bool:
    # A path that ends in a star covers every path with that prefix.
    below = grant.path.endswith("*") and other.path.startswith(grant.path[:-1])
    return grant.method in ("", other.method) and (grant.path in ("", other.path) or below)


def _below(path: str, parent: str) -> bool:
    return f"{path.rstrip('/')}/".startswith(f"{parent.rstrip('/')}/")


def _peer_covers(peer: str, other: str) -> bool:
    """Whether a peer of a network policy has another one in it: anything, a namespace's pods, or a network."""
    if peer in (ANYTHING, other):
        return True
    if peer.endswith(f"/{ANYTHING}"):
        return other.startswith(peer[:-1])
    if peer == INTERNET:
        inner = _network(other)
        return inner is not None and inner.is_global
    return network_covers(peer, other)


def network_covers(network: str, other: str) -> bool:
    """Whether a network has another one in it. A text that is no network has none."""
    outer, inner = _network(network), _network(other)
    if isinstance(outer, IPv4Network):
        return isinstance(inner, IPv4Network) and inner.subnet_of(outer)
    return isinstance(outer, IPv6Network) and isinstance(inner, IPv6Network) and inner.subnet_of(outer)


def _network(text: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(text)
    except ValueError:
        return None


def host_covers(host: str, other: str) -> bool:
    """Whether a host, or all below a domain (`*.example.org`), has another one in it."""
    return host == ANYTHING or is_covered(other, [host])
