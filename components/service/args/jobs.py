"""The arguments of a service's jobs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from components.kube.service_ref import ServiceRef
from components.schema.fields import seconds
from components.service.file.jobs import JobSpec, job_callees


@dataclass(frozen=True)
class JobArgs:
    """A job of a service. Without a `schedule` it runs once; `timeout` is seconds.

    `secrets`, `calls` and `egress` are those of the service that the job has too.
    """

    name: str
    schedule: str = ""
    command: Sequence[str] = ()
    arguments: Sequence[str] = ()
    secrets: Sequence[str] = ()
    database: bool = False
    calls: Sequence[ServiceRef] = ()
    egress: Sequence[str] = ()
    cpu_request: str = "100m"
    memory_request: str = "128Mi"
    cpu_limit: str = "500m"
    memory_limit: str = "256Mi"
    retries: int = 6
    timeout: int = 3600


def job_args(namespace: str, jobs: Mapping[str, JobSpec], database: Sequence[str] = ()) -> list[JobArgs]:
    """The arguments of the jobs in a service file; `database` has the hosts of a database outside the cluster."""
    return [
        JobArgs(
            name=name,
            schedule=spec.schedule or "",
            command=spec.command,
            arguments=spec.args,
            secrets=spec.secrets,
            database=spec.database,
            calls=list(dict.fromkeys(job_callees(namespace, spec.calls))),
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
