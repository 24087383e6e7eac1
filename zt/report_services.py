"""The services of a plan as a report shows them, from the facts that `zt diff` compares."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import groupby
from typing import TypeVar

from components.plan import Plan
from components.service_args import SecureServiceArgs
from components.service_route import public_url
from components.service_vault import SECRETS_DIRECTORY, copied, uses_vault
from zt import diff_facts as facts
from zt.report_model import Connection, Outside, PublicPath, Service, VaultPath

_Fact = TypeVar("_Fact")


def name_of(args: SecureServiceArgs) -> str:
    """A service's name in a report."""
    return f"{args.namespace}/{args.name}"


def services(wanted: Plan, known: Collection[facts.Fact]) -> tuple[Service, ...]:
    """Every service and what it may do."""
    return tuple(_service(args, [fact for fact in known if _is_of(fact, name_of(args))]) for args in wanted.services)


def _is_of(fact: facts.Fact, service: str) -> bool:
    return service in (getattr(fact, "service", ""), getattr(fact, "target", ""))


def _service(args: SecureServiceArgs, own: Sequence[facts.Fact]) -> Service:
    settings = {fact.name: fact.value for fact in _all(own, facts.ServiceSetting)}
    issuer = settings.get("token", "off")
    return Service(
        name=name_of(args),
        team=args.team,
        image=args.image,
        port=args.port,
        protocol=args.protocol,
        url=public_url(args),
        calls=tuple(f"{peer.namespace}/{peer.name}" for peer in args.calls),
        called_by=tuple(sorted({fact.source for fact in _all(own, facts.Reach)})),
        secrets=settings.get("secrets", ""),
        database=tuple(sorted(map(_right, _all(own, facts.DatabaseRight)))),
        kubernetes_api=tuple(sorted(f"{fact.verb} {fact.resource}" for fact in _all(own, facts.ApiRight))),
        writable=tuple(sorted(fact.path for fact in _all(own, facts.Writable))),
        token="" if issuer == "off" else issuer,
        clear_text=tuple(sorted(f"{fact.port} until {fact.value}" for fact in _all(own, facts.ClearText))),
    )


def _right(fact: facts.DatabaseRight) -> str:
    named = f"every {fact.relation}" if fact.name == facts.ANYTHING else f"{fact.relation} {fact.name}"
    return f"{fact.privilege} on {named} of {fact.database}, schema {fact.schema}"


def _all(known: Iterable[facts.Fact], kind: type[_Fact]) -> Iterator[_Fact]:
    return (fact for fact in known if isinstance(fact, kind))


def connections(wanted: Plan, known: Collection[facts.Fact]) -> tuple[Connection, ...]:
    """Who may open a connection to whom; a declared call to a service that is open to anything is one as well."""
    declared = {
        facts.Reach(name_of(args), f"{c.namespace}/{c.name}", c.port) for args in wanted.services for c in args.calls
    }
    names = {name_of(args) for args in wanted.services}
    reached = set(_all(known, facts.Reach))
    covered = {call for call in declared if any(facts.covers(reach, call) for reach in reached)}
    # What a call is narrowed down to does not make it another call.
    found = sorted(reached | covered, key=_ends)
    return tuple(
        Connection(
            source=source,
            target=target,
            port=port,
            protocol=protocol,
            requests=_requests(list(same)),
            declared=facts.Reach(source, target, port) in declared or source not in (*names, facts.ANYTHING),
        )
        for (source, target, port, protocol), same in groupby(found, key=_ends)
    )


def _ends(reach: facts.Reach) -> tuple[str, str, int, str]:
    return reach.source, reach.target, reach.port, reach.protocol


def _requests(same: Sequence[facts.Reach]) -> tuple[str, ...]:
    if any(not reach.method and not reach.path for reach in same):
        return ()
    return tuple(sorted(f"{reach.method} {reach.path}".strip() for reach in same))


def open_pairs(names: Collection[str], found: Iterable[Connection]) -> int:
    """How many ordered pairs of services there are of which one may open a connection to the other."""
    pairs = {(source, c.target) for c in found for source in (names if c.source == facts.ANYTHING else [c.source])}
    return sum(source in names and source != target for source, target in pairs)


def outside(known: Collection[facts.Fact]) -> tuple[Outside, ...]:
    """The places beside the services that they may reach, by network policy or through the mesh."""
    found = [
        *(
            Outside(source=f.source, target=f.target, port=f.port, protocol=f.protocol, layer="network policy")
            for f in _all(known, facts.Egress)
        ),
        *(
            Outside(source=f.service, target=f.host, port=f.port, protocol=f.protocol, layer="mesh")
            for f in _all(known, facts.OutsideHost)
        ),
    ]
    return tuple(sorted(found, key=lambda one: (one.source, one.target, one.port, one.protocol)))


def public(wanted: Plan, known: Collection[facts.Fact]) -> tuple[PublicPath, ...]:
    """What anybody may ask for."""
    schemes = {name_of(args): public_url(args).partition(":")[0] for args in wanted.services}
    found = (
        PublicPath(service=fact.service, url=f"{schemes[fact.service]}://{fact.host}{fact.path}", port=fact.port)
        for fact in _all(known, facts.Public)
    )
    return tuple(sorted(found, key=lambda one: (one.url, one.service)))


def vault_paths(wanted: Plan, known: Collection[facts.Fact]) -> tuple[VaultPath, ...]:
    """The paths of Vault that each service's role may use."""
    files = {key: file for args in wanted.services for key, file in _files(args)}
    roles = {name_of(args): args.key for args in wanted.services}
    access = sorted(_all(known, facts.VaultAccess), key=_place)
    return tuple(
        VaultPath(
            service=service,
            role=roles[service],
            path=path,
            capabilities=tuple(sorted(fact.capability for fact in same)),
            file=files.get((service, path), ""),
        )
        for (service, path), same in groupby(access, key=_place)
    )


def _place(fact: facts.VaultAccess) -> tuple[str, str]:
    return fact.service, fact.path


def _files(args: SecureServiceArgs) -> Iterator[tuple[tuple[str, str], str]]:
    """The file in the pod that each path makes; none where the application itself asks Vault."""
    if not (copied(args) or (uses_vault(args) and args.platform.injection)):
        return
    for secret in args.secrets:
        path = f"{args.platform.kv_mount}/data/{args.secret_path(secret.name)}"
        yield (name_of(args), path), f"{SECRETS_DIRECTORY}/{secret.file}"
    if args.database.connection:
        yield (name_of(args), args.database_path), f"{SECRETS_DIRECTORY}/{args.database.file}"
