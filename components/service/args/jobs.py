"""The arguments of a service's jobs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from components.kube.service_ref import ServiceRef
from components.schema.fields import seconds
from components.service.args.scaling import ResourceArgs
from components.service.args.storage import VolumeArgs, volume_args
from components.service.file.database import OWNER
from components.service.file.jobs import JobSpec, RunSpec, job_callees

_NONE: Mapping[str, Sequence[str]] = MappingProxyType({})


@dataclass(frozen=True)
class RunArgs:
    """How a program that ends runs: once without a `schedule`; `timeout` is seconds, and 0 for one that stays."""

    schedule: str = ""
    retries: int = 0
    timeout: int = 0


@dataclass(frozen=True)
class JobArgs(ResourceArgs):
    """A job of a service. Without a `schedule` it runs once; `timeout` is seconds.

    `secrets`, `calls` and `egress` are those of the service that the job has too. `databases` are the names of those in
    which it has users with the service's rights, `owns` of those in which its users are the owner's.
    """

    name: str
    schedule: str = ""
    command: Sequence[str] = ()
    arguments: Sequence[str] = ()
    secrets: Sequence[str] = ()
    databases: Sequence[str] = ()
    owns: Sequence[str] = ()
    calls: Sequence[ServiceRef] = ()
    egress: Sequence[str] = ()
    reads: Sequence[str] = ()
    """The volumes of the service that it may read."""
    writes: Sequence[str] = ()
    """Those that it may write to."""
    own_volumes: Sequence[VolumeArgs] = ()
    placement: str = ""
    """The class of nodes, by its name on the platform."""
    retries: int = 6
    timeout: int = 3600

    @property
    def run(self) -> RunArgs:
        """How it runs."""
        return RunArgs(self.schedule, self.retries, self.timeout)


def run_args(spec: RunSpec) -> RunArgs:
    """How a program of a service file runs."""
    return RunArgs(spec.schedule or "", spec.retries, seconds(spec.timeout))


def job_args(
    namespace: str, jobs: Mapping[str, JobSpec], databases: Mapping[str, Sequence[str]] = _NONE
) -> list[JobArgs]:
    """The arguments of the jobs in a service file; `databases` has the hosts of each one outside the cluster."""
    return [
        JobArgs(
            name=name,
            schedule=spec.schedule or "",
            command=spec.command,
            arguments=spec.args,
            secrets=spec.secrets,
            databases=[database for database, access in spec.accesses.items() if access != OWNER],
            owns=[database for database, access in spec.accesses.items() if access == OWNER],
            calls=list(dict.fromkeys(job_callees(namespace, spec.calls))),
            egress=[*spec.egress, *(host for database in spec.accesses for host in databases.get(database, ()))],
            cpu_request=spec.resources.requests.cpu,
            memory_request=spec.resources.requests.memory,
            cpu_limit=spec.resources.limits.cpu,
            memory_limit=spec.resources.limits.memory,
            disk_request=spec.resources.requests.ephemeral_storage or "",
            disk_limit=spec.resources.limits.ephemeral_storage or "",
            reads=[volume for volume, access in spec.volumes.items() if access == "read"],
            writes=[volume for volume, access in spec.volumes.items() if access == "write"],
            own_volumes=volume_args(spec.own_volumes),
            placement=spec.placement.class_ if spec.placement else "",
            retries=spec.retries,
            timeout=seconds(spec.timeout),
        )
        for name, spec in sorted(jobs.items())
    ]
