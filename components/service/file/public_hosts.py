"""Public hosts that several services share, each at its own paths.

A host belongs to a namespace: its services share it without more. A service of another namespace needs both ends, as a
call does: `hostOwner` in its own file, and its paths under `hostUsers` in the owner's. Without that any team could take
a part of another's host, and answer for it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from components.kube.service_ref import ServiceRef
from components.schema.problem import Key
from components.service.file.checks import Finding
from components.service.file.service import ServiceSpec

_NOBODY = "no such service, and a later one of that name could have the paths"
_ONE_NAMESPACE = "services of one namespace share a host by their paths alone: leave it out"


@dataclass(frozen=True)
class Claim:
    """A service that is public at a host, and the file that says so."""

    spec: ServiceSpec
    file: str

    def key_of(self, host: str) -> Key:
        """The key with the host in its file."""
        return self.spec.key_of_host(host)


def host_findings(claims: Sequence[Claim]) -> Iterator[Finding]:
    """The problems of hosts that these services share, and of the consent to that."""
    by_ref = {claim.spec.ref: claim for claim in reversed(claims)}
    by_host: dict[str, list[Claim]] = {}
    # Two files of one service are another problem.
    claims = [claim for claim in claims if by_ref[claim.spec.ref] is claim]
    for claim in claims:
        for host in claim.spec.main_hosts:
            by_host.setdefault(host, []).append(claim)
    for host, sharing in by_host.items():
        own = [claim for claim in sharing if claim.spec.owner_of_host is None]
        foreign = [claim for claim in own if claim.spec.namespace != own[0].spec.namespace]
        yield from _of_namespaces(host, own, foreign)
        yield from _beside_each_other(host, [claim for claim in sharing if claim not in foreign])
    yield from _of_ports(claims, {host: sharing[0] for host, sharing in by_host.items()})
    for claim in claims:
        yield from _borrowed(claim, by_ref)
        yield from _lent(claim.spec, by_ref)


def _of_ports(claims: Sequence[Claim], owners: Mapping[str, Claim]) -> Iterator[Finding]:
    """Hosts of further ports that somebody has already: nobody shares one."""
    known = dict(owners)
    for claim in claims:
        for name, host in claim.spec.port_hosts.items():
            owner = known.setdefault(host, claim)
            if owner is not claim:
                message = f"{owner.file} already claims this host, and the host of a further port is that port's alone"
                yield claim.spec, ("ports", name, "host"), message, repr(host), ()


def _of_namespaces(host: str, own: Sequence[Claim], foreign: Sequence[Claim]) -> Iterator[Finding]:
    for claim in foreign:
        first = own[0]
        message = (
            f"{first.file} already claims this host, for namespace {first.spec.namespace}: write hostOwner: "
            f"{first.spec.ref} if its owners share it"
        )
        yield claim.spec, claim.key_of(host), message, repr(host), ()


def _beside_each_other(host: str, claims: Sequence[Claim]) -> Iterator[Finding]:
    yield from _of_protocols(host, claims)
    yield from _same_paths(host, claims)


def _of_protocols(host: str, claims: Sequence[Claim]) -> Iterator[Finding]:
    """A GRPCRoute and an HTTPRoute may not have one host (https://gateway-api.sigs.k8s.io/api-types/grpcroute/)."""
    for claim in claims[1:]:
        first, protocol = claims[0], claim.spec.protocol
        if (protocol == "grpc") != (first.spec.protocol == "grpc"):
            message = (
                f"{first.file} speaks {first.spec.protocol} at {host}, and a host has no route of gRPC beside another "
                "kind: http2 speaks gRPC too, with its services as paths"
            )
            yield claim.spec, ("protocol",), message, repr(protocol), ("http2",)


def _same_paths(host: str, claims: Sequence[Claim]) -> Iterator[Finding]:
    first: dict[str, Claim] = {}
    for claim in claims:
        spec = claim.spec
        for number, path in enumerate(spec.public_paths):
            owner = first.setdefault(path.rstrip("/"), claim)
            if owner is not claim:
                written = "paths" in spec.model_fields_set
                key: Key = ("paths", number) if written else claim.key_of(host)
                message = f"{owner.file} already claims {path} of the host {host}: write other paths"
                yield spec, key, message, repr(path if written else host), ()


def _borrowed(claim: Claim, by_ref: Mapping[ServiceRef, Claim]) -> Iterator[Finding]:
    spec, key = claim.spec, ("hostOwner",)
    ref, written = spec.owner_of_host, repr(spec.host_owner)
    owner = by_ref.get(ref) if ref else None
    if ref is None:
        return
    lenders = [each.spec.ref for each in by_ref.values() if spec.ref in each.spec.lent_paths()]
    legal = tuple(sorted(lender.seen_from(spec.namespace) for lender in lenders))
    if owner is None or owner.spec.owner_of_host is not None:
        message = "no such service" if owner is None else f"its host is that of {owner.spec.host_owner} itself"
        yield spec, key, message, written, legal
        return
    if ref.namespace == spec.namespace:
        yield spec, key, _ONE_NAMESPACE, written, ()
        return
    for host in spec.main_hosts:
        if host not in owner.spec.main_hosts:
            yield spec, claim.key_of(host), f"{owner.file} has no such host", repr(host), owner.spec.main_hosts
    yield from _without_consent(claim, owner)


def _without_consent(claim: Claim, owner: Claim) -> Iterator[Finding]:
    user, lent = str(claim.spec.ref), owner.spec.lent_paths().get(claim.spec.ref, ())
    if missing := [path for path in claim.spec.public_paths if not any(below(path, prefix) for prefix in lent)]:
        wanted = ", ".join([*lent, *missing])
        message = (
            f"{claim.file} has {', '.join(missing)} of its host, and it does not agree: add {user}: [{wanted}] here, "
            f"or take it out of {user}"
        )
        written = {name: list(paths) for name, paths in owner.spec.host_users.items()}
        yield owner.spec, ("hostUsers",), message, repr(written), ()


def _lent(spec: ServiceSpec, by_ref: Mapping[ServiceRef, Claim]) -> Iterator[Finding]:
    legal = tuple(sorted(str(ref) for ref in by_ref if ref.namespace != spec.namespace))
    if spec.host_owner and spec.host_users:
        yield spec, ("hostUsers",), f"the host is that of {spec.host_owner}, whose file says this: leave it out", "", ()
        return
    for name in spec.host_users:
        ref = ServiceRef.parse(name, spec.namespace)
        if ref.namespace == spec.namespace or ref not in by_ref:
            message = _ONE_NAMESPACE if ref.namespace == spec.namespace else _NOBODY
            yield spec, ("hostUsers", name), message, repr(name), legal


def tls_name(service: str) -> str:
    """The name of the Secret with the key of a service's hosts, where an Ingress has it."""
    return f"{service}-tls"


def key_findings(specs: Sequence[ServiceSpec]) -> Iterator[Finding]:
    """Services whose Secret would be that with the key of another one's host, on a stack that keeps both in Secrets."""
    keys = {(spec.namespace, tls_name(spec.name)): spec for spec in specs if spec.hosts}
    for spec in specs:
        if spec.secrets and (owner := keys.get((spec.namespace, spec.name))):
            message = f"the Secret of its secrets is called so, as that with the key of {owner.name}'s host is"
            yield spec, ("name",), message, repr(spec.name), ()


def below(path: str, prefix: str) -> bool:
    """Whether a path is a prefix, or below it: /v1 has /v1/users below it, and not /v10."""
    return f"{path.rstrip('/')}/".startswith(f"{prefix.rstrip('/')}/")


def lent_hosts(specs: Sequence[ServiceSpec]) -> Mapping[str, Mapping[str, Sequence[str]]]:
    """For each namespace the hosts of others where its services are public, each with the paths that they may have."""
    by_ref = {spec.ref: spec for spec in specs}
    lent: dict[str, dict[str, list[str]]] = {}
    for spec in specs:
        owner = by_ref.get(spec.owner_of_host) if spec.owner_of_host else None
        for host in spec.main_hosts if owner else ():
            paths = owner.lent_paths().get(spec.ref, ()) if owner else ()
            lent.setdefault(spec.namespace, {}).setdefault(host, []).extend(paths)
    return lent
