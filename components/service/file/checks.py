"""Checks across service files: names that two of them would give, and rights that reach another service.

A path in Vault consists of namespace, service and secret, none of which can contain a slash. So unique names of
workloads are enough to keep the paths of secrets and database users apart.
"""

import string
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from components.config.engines import ENGINES, POSTGRESQL
from components.kube.service_ref import ServiceRef
from components.schema.problem import Key
from components.schema.reached import of_own_metadata, own_metadata_message
from components.service.file.jobs import job_callees, job_name
from components.service.file.kubernetes_api import ApiRule
from components.service.file.network import peers_name
from components.service.file.placement import PlacementSpec
from components.service.file.service import ServiceSpec
from components.service.file.storage import SHARED, claim_name, replica_claim
from components.vault.terms import Delivery

Finding = tuple[ServiceSpec, Key, str, str, tuple[str, ...]]
"""The service, the key that is wrong, the message, the value there, and what is legal."""


class KnownDatabase(NamedTuple):
    """A database of the stack file: its host, and its engine in `components.config.engines`."""

    host: str
    engine: str = POSTGRESQL


# Whoever writes one of these chooses the service account of a pod, and so the identity of its program.
_MAKES_PODS = frozenset(
    {
        "pods",
        "deployments",
        "statefulsets",
        "daemonsets",
        "replicasets",
        "replicationcontrollers",
        "jobs",
        "cronjobs",
        "podtemplates",
    }
)
_WRITES = frozenset({"create", "update", "patch"})


def findings(specs: Sequence[ServiceSpec]) -> Iterator[Finding]:
    """The problems across these services, in their order."""
    owners: dict[tuple[str, str, str], str] = {}
    # Services first, so that the problem is reported for a job of the same name.
    for spec in specs:
        owners.setdefault((spec.namespace, "workload", spec.name), f"the service {spec.name}")
    for spec in specs:
        yield from _names(spec, owners)
        if spec.peers and (owner := owners.get((spec.namespace, "workload", peers_name(spec.name)))):
            message = f"the Service of its peers is called {peers_name(spec.name)}, as {owner} is in {spec.namespace}"
            yield spec, ("peers",), message, repr(list(spec.peers)), ()
        yield from _rights(spec, specs)
    yield from _claims_of_replicas(specs, owners)
    yield from _schemas(specs)


def _schemas(specs: Sequence[ServiceSpec]) -> Iterator[Finding]:
    """Schemas of one database that two services would own: each could drop what is the other's."""
    owners: dict[tuple[str, str], ServiceSpec] = {}
    for spec in specs:
        for name, database in spec.all_databases.items():
            for schema in database.schemas if spec.has_owner(name) else ():
                owner = owners.setdefault((database.connection, schema), spec)
                if owner.ref != spec.ref:
                    message = f"the schema {schema} of database {database.connection} is owned by {owner.ref} already"
                    yield spec, (*spec.database_key(name), "owns" if database.owns else "grants"), message, schema, ()


def _names(spec: ServiceSpec, owners: dict[tuple[str, str, str], str]) -> Iterator[Finding]:
    names = [(("jobs", job), "workload", job_name(spec.name, job)) for job in spec.jobs]
    names = [*names, *((key, "claim", name) for key, name in _claims(spec))]
    for key, kind, name in names:
        origin = f"the {'volume' if kind == 'claim' else 'job'} {'.'.join(key[1::2])} of {spec.name}"
        owner = owners.setdefault((spec.namespace, kind, name), origin)
        if owner != origin:
            yield spec, key, f"its {kind} is called {name}, as {owner} is in {spec.namespace}", repr(key[-1]), ()


def _claims(spec: ServiceSpec) -> Iterator[tuple[tuple[str, ...], str]]:
    """The key of each volume of a service and its jobs, with the name of its claim, or how those of replicas begin."""
    yield from ((("volumes", name), claim_of(spec, name)) for name in spec.volumes)
    for job, each in spec.jobs.items():
        full_name = job_name(spec.name, job)
        yield from ((("jobs", job, "ownVolumes", name), claim_name(full_name, name)) for name in each.own_volumes)


def claim_of(spec: ServiceSpec, volume: str) -> str:
    """The name of the claim of a volume, or how those of the replicas begin."""
    if spec.run is not None or spec.volumes[volume].access_mode == SHARED:
        return claim_name(spec.name, volume)
    return replica_claim(spec.name, volume)


def _claims_of_replicas(specs: Sequence[ServiceSpec], owners: Mapping[tuple[str, str, str], str]) -> Iterator[Finding]:
    """Volumes whose claims are called as that of a replica: its data would be there for both."""
    for spec in specs:
        for key, name in _claims(spec):
            start = name.rstrip(string.digits)
            owner = owners.get((spec.namespace, "claim", start)) if start != name else None
            if owner is not None:
                message = f"its claim is called {name}, as that of a replica with {owner} is in {spec.namespace}"
                yield spec, key, message, repr(key[-1]), ()


def _rights(spec: ServiceSpec, specs: Sequence[ServiceSpec]) -> Iterator[Finding]:
    others = sorted(other.name for other in specs if other.namespace == spec.namespace and other.name != spec.name)
    for number, rule in enumerate(spec.kubernetes_api):
        if others and (rights := _pod_rights(rule)):
            message = (
                f"{rights} would let it run a program as any service account of {spec.namespace}, "
                f"such as that of {others[0]}: move it to a namespace of its own"
            )
            yield spec, ("kubernetesApi", number, "verbs"), message, repr(list(rule.verbs)), _reading_verbs(rule)


def _pod_rights(rule: ApiRule) -> str:
    verbs, resources = sorted({*rule.verbs} & _WRITES), sorted({*rule.resources} & _MAKES_PODS)
    return f"{', '.join(verbs)} on {', '.join(resources)}" if verbs and resources else ""


def _reading_verbs(rule: ApiRule) -> tuple[str, ...]:
    return tuple(verb for verb in rule.verbs if verb not in _WRITES)


def job_calls(spec: ServiceSpec, database: str, owner: ServiceRef, call: str) -> Iterator[Finding]:
    """The problems of jobs that use a database of the cluster, the service `owner`, and do not declare the call."""
    for name, job in spec.jobs.items():
        if database in job.accesses and owner not in job_callees(spec.namespace, job.calls):
            message = f"the database is the service {call}, which only its callers reach"
            yield spec, ("jobs", name, "calls"), message, repr(list(job.calls)), (*job.calls, call)


def engine_findings(specs: Sequence[ServiceSpec], databases: Mapping[str, KnownDatabase]) -> Iterator[Finding]:
    """The rights in databases that their engines don't have."""
    for spec in specs:
        for name, database in spec.all_databases.items():
            if known := databases.get(database.connection):
                for key, message in database.problems(known.engine, ENGINES[known.engine]):
                    yield spec, (*spec.database_key(name), *key), message, "", ()


_READ_BY_ALL = (
    "where Vault's agent writes them, every init container can read all secrets of its service as soon as one can: "
    "name them all in each, or move the work to a job, which reads its own alone"
)
_COPIED_BY_ITS_IMAGE = (
    "where Vault's agent writes them, every init container can read all secrets of its service as soon as one can, and "
    "its own image copies this: name them all in it, or none in those under init"
)
_LOGS_IN = "no agent runs in the pods of this stack, and a token for Vault would show it all secrets of the service"


def delivery_findings(specs: Sequence[ServiceSpec], delivery: Delivery) -> Iterator[Finding]:
    """The containers that would read more than they name, with this delivery of the secrets.

    The injector mounts all that the agent writes for the service into every init container, and the agent runs before
    them if one reads a secret (https://developer.hashicorp.com/vault/docs/platform/k8s/injector/annotations). Where the
    application logs in by itself, a container would have the token of the whole service.
    """
    for spec in specs:
        reading = [(key, each) for key, each in spec.containers if each.reads]
        if delivery is Delivery.APPLICATION:
            if spec.secret_env:
                yield (
                    spec,
                    ("secretEnv",),
                    "no agent writes files in the pods of this stack, of which it reads some",
                    "",
                    (),
                )
            for key, each in reading:
                below = next(name for name in ("secrets", "database", "databases") if getattr(each, name))
                yield spec, (*key, below), _LOGS_IN, repr(list(each.reads)), ()
        if delivery is Delivery.AGENT and any(key[0] == "init" for key, _ in reading):
            every = (*spec.secrets, *spec.all_databases)
            for name, each in spec.init.items():
                if set(every) - set(each.reads):
                    yield spec, ("init", name, "secrets"), _READ_BY_ALL, repr(list(each.reads)), every
            for key, each in spec.containers:
                # What copies for a sidecar is an init container of the sidecar's image.
                if each.writable_copies and key[0] != "init" and set(every) - set(each.reads):
                    yield spec, (*key, "writableCopies"), _COPIED_BY_ITS_IMAGE, repr(list(each.writable_copies)), ()


def metadata_findings(specs: Sequence[ServiceSpec], own: Sequence[str]) -> Iterator[Finding]:
    """What services would reach at one of the cluster's own metadata services."""
    for spec in specs:
        for key, value, network in of_own_metadata(spec, own):
            yield spec, key, own_metadata_message(network), repr(value), ()


def placement_findings(specs: Sequence[ServiceSpec], classes: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    """The classes of nodes that the stack has not, or not for this namespace."""
    for spec in specs:
        legal = tuple(sorted(name for name, spaces in classes.items() if not spaces or spec.namespace in spaces))
        chosen: list[tuple[Key, PlacementSpec | None]] = [(("placement",), spec.placement)]
        chosen += [(("jobs", name, "placement"), job.placement) for name, job in spec.jobs.items()]
        for key, placement in chosen:
            if placement is not None and placement.class_ not in legal:
                known = placement.class_ in classes
                message = (
                    f"the stack keeps it from {spec.namespace}" if known else "no class under the stack's placement"
                )
                yield spec, (*key, "class"), message, repr(placement.class_), legal
