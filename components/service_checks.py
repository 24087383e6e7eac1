"""What only shows when service files are read together: names that two of them make, and rights that lead to another.

Paths in Vault are made of namespace, service and secret, none of which can hold a slash: with every workload's name
its own, no two secrets or database users share one.
"""

from collections.abc import Iterator, Sequence

from components.service_jobs import called, job_name
from components.service_spec import ApiRule, ServiceSpec
from components.service_storage import SHARED, claim_name

Key = tuple[int | str, ...]
Finding = tuple[ServiceSpec, Key, str, str, tuple[str, ...]]
"""The service, the key that is wrong, why, what was found there, and what is legal."""

# Who writes one of these decides which service account a pod runs as, and so whose identity its program has.
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
    """Every problem, in the order of the services."""
    owners: dict[tuple[str, str, str], str] = {}
    # Services first: a job's name is the one to change.
    for spec in specs:
        owners.setdefault((spec.namespace, "workload", spec.name), f"the service {spec.name}")
    for spec in specs:
        yield from _names(spec, owners)
        yield from _rights(spec, specs)


def _names(spec: ServiceSpec, owners: dict[tuple[str, str, str], str]) -> Iterator[Finding]:
    made = [(("jobs", job), "workload", job_name(spec.name, job)) for job in spec.jobs]
    made += [
        (("volumes", name), "claim", claim_name(spec.name, name))
        for name, volume in spec.volumes.items()
        if volume.access_mode == SHARED
    ]
    for key, kind, name in made:
        mine = f"the {key[0].removesuffix('s')} {key[1]} of {spec.name}"
        owner = owners.setdefault((spec.namespace, kind, name), mine)
        if owner != mine:
            yield spec, key, f"its {kind} is called {name}, as {owner} is in {spec.namespace}", repr(key[1]), ()


def _rights(spec: ServiceSpec, specs: Sequence[ServiceSpec]) -> Iterator[Finding]:
    others = sorted(other.name for other in specs if other.namespace == spec.namespace and other.name != spec.name)
    for number, rule in enumerate(spec.kubernetes_api):
        if others and (wide := _pods(rule)):
            message = (
                f"{wide} would let it run a program as any service account of {spec.namespace}, "
                f"such as that of {others[0]}: move it to a namespace of its own"
            )
            yield spec, ("kubernetesApi", number, "verbs"), message, repr(list(rule.verbs)), _harmless(rule)


def _pods(rule: ApiRule) -> str:
    verbs, resources = sorted({*rule.verbs} & _WRITES), sorted({*rule.resources} & _MAKES_PODS)
    return f"{', '.join(verbs)} on {', '.join(resources)}" if verbs and resources else ""


def _harmless(rule: ApiRule) -> tuple[str, ...]:
    return tuple(verb for verb in rule.verbs if verb not in _WRITES)


def job_calls(spec: ServiceSpec, owner: tuple[str, str], call: str) -> Iterator[Finding]:
    """The jobs with users of a database that is a service of the cluster, and no leave to call it."""
    for name, job in spec.jobs.items():
        if job.database and owner not in called(spec.namespace, job.calls):
            message = f"the database is the service {call}, which only its callers reach"
            yield spec, ("jobs", name, "calls"), message, repr(list(job.calls)), (*job.calls, call)
