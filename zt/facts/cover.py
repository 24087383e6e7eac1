"""Which grants include which others, so that a narrower one makes no line of its own."""

from dataclasses import replace

from zt.facts.gateway import CrossOrigin, Public, WithoutToken
from zt.facts.model import ANYTHING, Consent, DatabaseRight, Grant, Reach
from zt.facts.rules import Registry


def covers(grant: Grant, other: Grant) -> bool:
    """Whether a grant includes everything that another one allows."""
    match grant, other:
        case Reach(), Reach():
            same = (grant.target, grant.port, grant.protocol) == (other.target, other.port, other.protocol)
            return same and grant.source in (ANYTHING, other.source) and _requests_cover(grant, other)
        case Public(), Public():
            same = (grant.service, grant.port, grant.host) == (other.service, other.port, other.host)
            # A prefix ends at a slash: /v1 covers /v1/users and not /v10.
            arrives = _below(other.rewrite or other.path, grant.rewrite or grant.path)
            return same and arrives and _below(other.path, grant.path)
        case WithoutToken(), WithoutToken():
            return grant.service == other.service and _below(other.path, grant.path)
        case CrossOrigin(), CrossOrigin():
            same = grant.service == other.service and grant.origin in (ANYTHING, other.origin)
            return same and grant.credentials in ("credentials", other.credentials) and _below(other.path, grant.path)
        case Consent(), Consent() if grant.path and other.path:
            return replace(grant, path="") == replace(other, path="") and _below(other.path, grant.path)
        case DatabaseRight(), DatabaseRight():
            same = replace(grant, name="") == replace(other, name="")
            # In Redis a name is the beginning of those of keys or channels.
            begins = not grant.schema and other.name.startswith(grant.name)
            return same and (begins or grant.name in (ANYTHING, other.name))
        case Registry(), Registry():
            return _below(other.registry, grant.registry)
        case _:
            return grant == other


def _requests_cover(grant: Reach, other: Reach) -> bool:
    # A path that ends in a star covers every path with that prefix.
    below = grant.path.endswith("*") and other.path.startswith(grant.path[:-1])
    return grant.method in ("", other.method) and (grant.path in ("", other.path) or below)


def _below(path: str, parent: str) -> bool:
    return f"{path.rstrip('/')}/".startswith(f"{parent.rstrip('/')}/")
