"""The jobs of a service: programs of its image that run once for each release, or by the clock."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, StrictBool, StrictInt, StrictStr

from components.cron_schedule import Schedule
from components.service_database import seconds
from components.service_scaling import ResourcesSpec
from components.settings_vault import Duration
from components.typed_file import HostName, Label, TypedFile, misplaced

# A CronJob's name is the start of its jobs' names (https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/).
NAME_LIMIT = 52

Word = Annotated[StrictStr, Field(min_length=1)]
Words = tuple[Word, ...]


class JobSpec(TypedFile):
    """A program that ends, with an identity of its own: it may do nothing that is not listed here.

    Without a schedule it runs once for each change of it, its image included, and the service's new pods wait until it
    has succeeded. It has the service's environment, configuration and trusted authorities, and not its volumes.
    """

    schedule: Schedule | None = None
    """When it runs, as cron writes it, in UTC; never twice at the same time."""
    command: Words = ()
    """The program; the image's own without it."""
    args: Words = ()
    """Its arguments."""
    secrets: tuple[Label, ...] = ()
    """The service's secrets that it may read; none without it."""
    database: StrictBool = False
    """Whether it gets users of the service's database, with the service's rights; they end with `database.ttl`."""
    calls: tuple[StrictStr, ...] = ()
    """Those of the service's calls that it makes too; everything else is closed."""
    egress: tuple[HostName, ...] = ()
    """Those of the hosts under the service's `egress` that it reaches too."""
    resources: ResourcesSpec = ResourcesSpec()
    """CPU and memory of its pod."""
    retries: Annotated[StrictInt, Field(ge=0, le=10)] = 6
    """How often it is tried again."""
    timeout: Duration = "1h"
    """How long all of its tries may take together."""


Name = tuple[str, str]
"""Namespace and name of a service."""


def check_jobs(
    jobs: Mapping[str, JobSpec],
    service: Name,
    callees: Sequence[Name],
    secrets: Sequence[str],
    hosts: Sequence[str],
    database: bool,
) -> None:
    """Refuse a job that wants what its service does not have. Raises `PydanticCustomError` with the key."""
    calls = sorted(call_name(service[0], callee) for callee in callees)
    for name, job in jobs.items():
        made = job_name(service[1], name)
        if len(made) > NAME_LIMIT:
            message = f"{made} is longer than {NAME_LIMIT} characters: shorten the job's name"
            raise misplaced(["jobs", name], message, name)
        if job.database and not database:
            raise misplaced(["jobs", name, "database"], "this service has no database", job.database)
        named = (("secrets", job.secrets, secrets, "no secret"), ("egress", job.egress, hosts, "no host under egress"))
        for key, asked, has, what in named:
            for number, one in enumerate(asked):
                if one not in has:
                    raise misplaced(["jobs", name, key, number], f"{what} of this service", one, sorted({*has}))
        for number, (call, callee) in enumerate(zip(job.calls, called(service[0], job.calls), strict=True)):
            if callee not in callees:
                key = ["jobs", name, "calls", number]
                raise misplaced(key, "the service itself does not call it", call, calls)


def called(namespace: str, calls: Sequence[str]) -> list[Name]:
    """Namespace and name of each service that a job calls."""
    split = (call.rpartition("/") for call in calls)
    return [(found or namespace, name) for found, _, name in split]


def call_name(namespace: str, callee: Name) -> str:
    """How a file of a namespace writes a callee."""
    return callee[1] if callee[0] == namespace else "/".join(callee)


@dataclass(frozen=True)
class JobArgs:
    """A job of a service. Without a `schedule` it runs once; `timeout` is seconds.

    `secrets` and `egress` are names and hosts of the service's own; `calls` are its peers' as `namespace/name`.
    """

    name: str
    schedule: str = ""
    command: Sequence[str] = ()
    arguments: Sequence[str] = ()
    secrets: Sequence[str] = ()
    database: bool = False
    calls: Sequence[str] = ()
    egress: Sequence[str] = ()
    cpu_request: str = "100m"
    memory_request: str = "128Mi"
    cpu_limit: str = "500m"
    memory_limit: str = "256Mi"
    retries: int = 6
    timeout: int = 3600


def job_args(namespace: str, jobs: Mapping[str, JobSpec], database: Sequence[str] = ()) -> list[JobArgs]:
    """The arguments that a service file's jobs make; `database` has the hosts of a database outside the cluster."""
    return [
        JobArgs(
            name=name,
            schedule=spec.schedule or "",
            command=spec.command,
            arguments=spec.args,
            secrets=spec.secrets,
            database=spec.database,
            calls=["/".join(callee) for callee in dict.fromkeys(called(namespace, spec.calls))],
            egress=[*spec.egress, *(database if spec.database else ())],
            cpu_request=spec.resources.requests.cpu,
            memory_request=spec.resources.requests.memory,
            cpu_limit=spec.resources.limits.cpu,
            memory_limit=spec.resources.limits.memory,
            retries=spec.retries,
            timeout=seconds(spec.timeout),
        )
        for name, spec in sorted(jobs.items())
    ]


def job_name(service: str, job: str) -> str:
    """The name of a job and of its identity."""
    return f"{service}-{job}"
