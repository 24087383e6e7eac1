"""The services of a plan in a report, made from the facts that `zt diff` compares."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import groupby
from typing import TypeVar

from components.program.plan import Plan
from components.service.args.service import SecureServiceArgs
from components.service.manifests.job import workloads_of
from components.service.manifests.route import public_url
from components.service.manifests.secret_env import SECRETS_DIRECTORY
from components.service.manifests.vault import copied, injected
from zt.facts import model as facts
from zt.facts.cover import covers
from zt.report.model import Connection, OpenPort, Outside, PublicPath, Service, VaultPath

_Fact = TypeVar("_Fact")


def name_of(args: SecureServiceArgs) -> str:
    """The name of a service in a report."""
    return f"{args.namespace}/{args.name}"


def services(planned: Plan, known: Collection[facts.Fact]) -> tuple[Service, ...]:
    """Every service with what it may do."""
    return tuple(_service(args, [fact for fact in known if _is_of(fact, name_of(args))]) for args in planned.workloads)


def _is_of(fact: facts.Fact, service: str) -> bool:
    return service in (getattr(fact, "service", ""), getattr(fact, "target", ""))


def _service(args: SecureServiceArgs, service_facts: Sequence[facts.Fact]) -> Service:
    settings = {fact.name: fact.value for fact in _all(service_facts, facts.ServiceSetting)}
    issuer = settings.get("token", "off")
    return Service(
        name=name_of(args),
        team=args.team,
        image=args.image,
        port=args.port,
        protocol=args.protocol,
        ports=tuple(OpenPort(name=one.name, number=one.port, protocol=one.protocol) for one in args.open_ports),
        url=public_url(args),
        calls=tuple(dict.fromkeys(str(peer.service) for peer in args.calls)),
        called_by=tuple(sorted({fact.source for fact in _all(service_facts, facts.Reach)})),
        secrets=settings.get("secrets", ""),
        database=tuple(sorted(map(_right, _all(service_facts, facts.DatabaseRight)))),
        kubernetes_api=tuple(
            sorted(
                f"{fact.verb} {fact.resource}{' in every namespace' if fact.cluster_wide else ''}"
                for fact in _all(service_facts, facts.ApiRight)
            )
        ),
        writable=tuple(sorted(fact.path for fact in _all(service_facts, facts.Writable))),
        token="" if issuer == "off" else issuer,
        clear_text=tuple(sorted(f"{fact.port} until {fact.value}" for fact in _all(service_facts, facts.ClearText))),
    )


def _right(fact: facts.DatabaseRight) -> str:
    named = f"every {fact.relation}" if fact.name == facts.ANYTHING else f"{fact.relation} {fact.name}"
    return f"{fact.privilege} on {named} of {fact.database}, schema {fact.schema}"


def _all(known: Iterable[facts.Fact], kind: type[_Fact]) -> Iterator[_Fact]:
    return (fact for fact in known if isinstance(fact, kind))


def connections(planned: Plan, known: Collection[facts.Fact]) -> tuple[Connection, ...]:
    """Who may connect to whom. A declared call to a service that is open to anything is listed too."""
    declared = {facts.Reach(name_of(args), str(c.service), c.port) for args in planned.workloads for c in args.calls}
    names = {name_of(args) for args in planned.workloads}
    reached = set(_all(known, facts.Reach))
    covered = {call for call in declared if any(covers(reach, call) for reach in reached)}
    # Connections that differ only in method or path are one connection.
    reaches = sorted(reached | covered, key=_ends)
    return tuple(
        Connection(
            source=source,
            target=target,
            port=port,
            protocol=protocol,
            requests=_requests(list(same)),
            declared=facts.Reach(source, target, port) in declared or source not in (*names, facts.ANYTHING),
        )
        for (source, target, port, protocol), same in groupby(reaches, key=_ends)
    )


def _ends(reach: facts.Reach) -> tuple[str, str, int, str]:
    return reach.source, reach.target, reach.port, reach.protocol


def _requests(same: Sequence[facts.Reach]) -> tuple[str, ...]:
    if any(not reach.method and not reach.path for reach in same):
        return ()
    return tuple(sorted(f"{reach.method} {reach.path}".strip() for reach in same))


def open_pairs(names: Collection[str], open_connections: Iterable[Connection]) -> int:
    """The number of ordered pairs of services where the first may connect to the second."""
    pairs = {
        (source, c.target) for c in open_connections for source in (names if c.source == facts.ANYTHING else [c.source])
    }
    return sum(source in names and source != target for source, target in pairs)


def outside(known: Collection[facts.Fact]) -> tuple[Outside, ...]:
    """The places outside the services that they may reach, by network policy or through the mesh."""
    places = [
        *(
            Outside(source=f.source, target=f.target, port=f.port, protocol=f.protocol, layer="network policy")
            for f in _all(known, facts.Egress)
        ),
        *(
            Outside(source=f.service, target=f.host, port=f.port, protocol=f.protocol, layer="mesh")
            for f in _all(known, facts.OutsideHost)
        ),
    ]
    return tuple(sorted(places, key=lambda place: (place.source, place.target, place.port, place.protocol)))


def public(planned: Plan, known: Collection[facts.Fact]) -> tuple[PublicPath, ...]:
    """The public paths, which anybody may request."""
    schemes = {name_of(args): public_url(args).partition(":")[0] for args in planned.workloads}
    paths = (
        PublicPath(service=fact.service, url=f"{schemes[fact.service]}://{fact.host}{fact.path}", port=fact.port)
        for fact in _all(known, facts.Public)
    )
    return tuple(sorted(paths, key=lambda path: (path.url, path.service)))


def vault_paths(planned: Plan, known: Collection[facts.Fact]) -> tuple[VaultPath, ...]:
    """The paths of Vault that the role of each service and of each job may use."""
    workloads = [each for args in planned.workloads for each in workloads_of(args)]
    files = {key: file for args in workloads for key, file in _files(args)}
    roles = {name_of(args): args.key for args in workloads}
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
    """The file in the pod for each path, or none if the application itself reads Vault."""
    if not (copied(args) or injected(args)):
        return
    for secret in args.secrets:
        path = f"{args.platform.vault.kv_mount}/data/{args.secret_path(secret)}"
        yield (name_of(args), path), f"{SECRETS_DIRECTORY}/{secret.file}"
    for database in args.databases:
        files = ", ".join(f"{SECRETS_DIRECTORY}/{file}" for file in (database.file, *database.files))
        yield (name_of(args), args.database_path(database)), files
