"""The section `jobs` of a service file: programs of its image that run once per release, or on a schedule."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field, StrictInt, StrictStr

from components.kube.service_ref import ServiceRef
from components.schema.fields import DAY_SECONDS, Duration, HostName, Label, Words, seconds
from components.schema.problem import UNREPEATED
from components.schema.schedule import Schedule
from components.schema.typed_file import TypedFile, misplaced
from components.service.file.database import OWNER, SECRET_NAME, Access, DatabaseSpec
from components.service.file.placement import PlacementSpec
from components.service.file.reserved import reserved_name
from components.service.file.scaling import ResourcesSpec
from components.service.file.storage import SHARED, Place, VolumeName, VolumeSpec, clash

# A CronJob's name is the start of its jobs' names (https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/),
# and a StatefulSet's that of its revisions, which are labels of its pods.
NAME_LIMIT = 52
VolumeAccess = Literal["read", "write"]
"""What a job may do with a volume of its service."""


class RunSpec(TypedFile):
    """When a program that ends runs, how often it is retried, and how long it may take.

    Without a schedule it runs once after each change, such as a new image.
    """

    schedule: Schedule | None = None
    """When it runs, in cron format and UTC. Runs never overlap."""
    retries: Annotated[StrictInt, Field(ge=0, le=10)] = 6
    """How often it is retried after a failure."""
    timeout: Duration = "1h"
    """How long it may take, retries included."""


class JobSpec(RunSpec):
    """A program that ends, with its own identity: it may do only what is listed here.

    Without a schedule it runs once after each change, such as a new image, and the service's new pods wait until it has
    succeeded. It has the service's environment, configuration and trusted authorities, and those volumes alone that it
    names.
    """

    command: Words = ()
    """The program; by default the image's own."""
    args: Words = ()
    """The arguments of the program."""
    secrets: tuple[Label, ...] = ()
    """The service's secrets that it may read; by default none."""
    database: Access = False
    """Its users in the service's `database`: `true` for users with the service's rights, which end after
    `database.ttl`; `owner` for the owner of the service's schemas, whose users live as long as the job may take. What
    an owner creates is for the service to use, and not to change."""
    databases: dict[Label, Access] = Field(default_factory=dict)
    """The same for the service's `databases`, by name."""
    calls: tuple[StrictStr, ...] = ()
    """The services among the service's `calls` that it calls; by default none."""
    egress: tuple[HostName, ...] = ()
    """The hosts among the service's `egress` that it reaches; by default none."""
    volumes: dict[Label, VolumeAccess] = Field(default_factory=dict)
    """The service's `volumes` that it has at their paths, by name, to `read` or to `write` them. They have to be
    `ReadWriteMany`: of others each replica has its own."""
    own_volumes: dict[VolumeName, VolumeSpec] = Field(default_factory=dict)
    """Persistent volumes of its own, by name, which no other pod has. They stay between its runs."""
    resources: ResourcesSpec = ResourcesSpec()
    """CPU and memory of its pod."""
    placement: PlacementSpec | None = None
    """The class of nodes that its pod runs on, which is not that of the service."""

    @property
    def accesses(self) -> dict[str, bool | str]:
        """Its users in databases of the service, by the name of each database that it has some in."""
        return {name: access for name, access in {SECRET_NAME: self.database, **self.databases}.items() if access}


def check_jobs(
    jobs: Mapping[str, JobSpec],
    service: ServiceRef,
    callees: Sequence[ServiceRef],
    secrets: Sequence[str],
    hosts: Sequence[str],
    databases: Mapping[str, DatabaseSpec],
    volumes: Mapping[str, VolumeSpec],
    in_all: Sequence[Place],
) -> None:
    """Raise `PydanticCustomError`, with the key, for a job that uses what its service does not have.

    `in_all` are the directories that the pods of all jobs have.
    """
    calls = sorted({callee.seen_from(service.namespace) for callee in callees})
    for name, job in jobs.items():
        full_name = job_name(service.name, name)
        if len(full_name) > NAME_LIMIT:
            message = f"{full_name} is longer than {NAME_LIMIT} characters: shorten the job's name"
            raise misplaced(["jobs", name], message, name)
        if reason := reserved_name(full_name):
            raise misplaced(["jobs", name], f"it is called {full_name}: {reason}, so choose another", name)
        _check_databases(name, job, databases)
        _check_volumes(name, job, volumes, in_all)
        references = (
            ("secrets", job.secrets, secrets, "no secret"),
            ("egress", job.egress, hosts, "no host under egress"),
        )
        for key, values, legal, problem in references:
            for number, value in enumerate(values):
                if value not in legal:
                    raise misplaced(["jobs", name, key, number], f"{problem} of this service", value, sorted({*legal}))
        for number, (call, callee) in enumerate(zip(job.calls, job_callees(service.namespace, job.calls), strict=True)):
            if callee not in callees:
                key = ["jobs", name, "calls", number]
                raise misplaced(key, "the service itself does not call it", call, calls)


def _check_databases(name: str, job: JobSpec, databases: Mapping[str, DatabaseSpec]) -> None:
    if job.database and SECRET_NAME not in databases:
        raise misplaced(["jobs", name, "database"], "this service has no database", job.database)
    if job.database and SECRET_NAME in job.databases:
        raise misplaced(["jobs", name, "databases", SECRET_NAME], "it stands under database too: keep one", UNREPEATED)
    for database, access in job.accesses.items():
        key = ["jobs", name, "database"] if database not in job.databases else ["jobs", name, "databases", database]
        if database not in databases:
            raise misplaced(key, "no database of this service", database, sorted(databases))
        if access != OWNER:
            continue
        spec = databases[database]
        if not spec.grants:
            message = "keys have no owner, since nothing has to be created for them: write true"
            raise misplaced(key, message, access)
        if not spec.schemas:
            message = "which schemas it owns is not said, and there are several: name them under owns of the database"
            raise misplaced(key, message, access, [grant.schema_ for grant in spec.grants])
        if seconds(job.timeout) > DAY_SECONDS:
            message = "longer than 24h, which a user in a database lives at most"
            raise misplaced(["jobs", name, "timeout"], message, job.timeout)


def _check_volumes(name: str, job: JobSpec, volumes: Mapping[str, VolumeSpec], in_all: Sequence[Place]) -> None:
    places: list[Place] = []
    for volume in job.volumes:
        key = ("jobs", name, "volumes", volume)
        if volume not in volumes:
            raise misplaced(key, "no volume of this service: ownVolumes has those of a job", volume, sorted(volumes))
        if (mode := volumes[volume].access_mode) != SHARED:
            message = (
                f"{volume} is {mode}, so each replica has one of its own, at its node: write accessMode: {SHARED} "
                f"under volumes.{volume}, or leave this to a container under sidecars, which has that of its replica"
            )
            raise misplaced(key, message, volume)
        places.append(Place(key, volumes[volume].path))
    for volume, spec in job.own_volumes.items():
        if volume in job.volumes:
            message = "volumes has one of that name: rename this one"
            raise misplaced(["jobs", name, "ownVolumes", volume], message, volume)
        places.append(Place(("jobs", name, "ownVolumes", volume, "path"), spec.path))
    if wrong := clash([*in_all, *places]):
        where, path, message = wrong
        raise misplaced(where, message, path)


def job_callees(namespace: str, calls: Sequence[str]) -> list[ServiceRef]:
    """The services that a job calls."""
    return [ServiceRef.parse(call, namespace) for call in calls]


def job_name(service: str, job: str) -> str:
    """The full name of a job, which is also that of its service account."""
    return f"{service}-{job}"
