"""The sections `init`, `sidecars` and `scratch` of a service file: further containers of its pods, and what they share.

Each is hardened as the service's own container and has the service's identity, but only the files that it names.
https://kubernetes.io/docs/concepts/workloads/pods/init-containers/ and
https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Self

from pydantic import AfterValidator, Field, StrictBool, StrictInt, StrictStr, model_validator

from components.kube.names import PLATFORM_CONTAINERS, ROOT_AUTHORITY
from components.schema.fields import DNS_LABEL, LABEL, Image, Label, ProbePath, Size, Words
from components.schema.problem import Key
from components.schema.shape import Shape
from components.schema.typed_file import TypedFile, misplaced
from components.service.file.database import SECRET_NAME
from components.service.file.environment import Environment
from components.service.file.lifecycle import PodEnvironment
from components.service.file.network import AppPort
from components.service.file.probes import ProbesSpec, unasked
from components.service.file.scaling import ResourcesSpec
from components.service.file.storage import (
    SHARED_MEMORY,
    ConfigSpec,
    MountPath,
    Place,
    ScratchPath,
    VolumeName,
    VolumeSpec,
    clash,
    own_config_name,
)

_MESH_UID = 1337


def application_user(value: int) -> int:
    """A user id that an application may have. Raises `ValueError`."""
    if value == _MESH_UID:
        raise ValueError("1337 is the mesh proxy's user: its traffic bypasses the proxy")
    if value < 1:
        raise ValueError("less than 1: 0 is root")
    return value


def container_name(value: str) -> str:
    """A name that no container of the platform has. Raises `ValueError`."""
    if value in PLATFORM_CONTAINERS:
        raise ValueError("a container that the platform adds to pods has this name: choose another")
    return value


UserId = Annotated[
    StrictInt, Field(ge=1, le=65535), AfterValidator(application_user), Shape(more={"not": {"const": _MESH_UID}})
]
# The names of its volumes in the pod are labels, of which `secrets-` begins the longest.
ContainerName = Annotated[
    StrictStr,
    Field(max_length=63 - len("secrets-")),
    LABEL,
    AfterValidator(container_name),
    Shape(rf"(?!(?:{'|'.join(PLATFORM_CONTAINERS)})$){DNS_LABEL}"),
]


class ScratchSpec(TypedFile):
    """A directory that is gone with the pod, for the service's own container and those that name it."""

    path: ScratchPath
    """The directory at which each of them has it; `/dev/shm` with `memory` is what their processes share as memory, of
    which a container has 64 MiB otherwise."""
    size: Size = "256Mi"
    """The most that it may hold: more ends the pod."""
    memory: StrictBool = False
    """Whether it is in memory. What it holds then counts as memory of the container that wrote it."""

    @model_validator(mode="after")
    def _shared_memory(self) -> Self:
        if self.path == SHARED_MEMORY and not self.memory:
            raise misplaced(["memory"], f"required at {SHARED_MEMORY}", self.memory, ["true"])
        return self


class ContainerSpec(TypedFile):
    """A further container of each pod. Of the service's files, variables and secrets it has those named here alone."""

    image: Image | None = None
    """Its image; by default that of the service."""
    command: Words = ()
    """The program; by default the image's own."""
    args: Words = ()
    """The arguments of the program."""
    env: Environment = Field(default_factory=dict)
    """Environment variables that are not secret."""
    pod_env: PodEnvironment = Field(default_factory=dict)
    """Environment variables with what only the cluster knows of the pod."""
    config: ConfigSpec | None = None
    """Configuration files of its own, read-only."""
    secrets: tuple[Label, ...] = ()
    """The service's secrets that it may read, as `/vault/secrets/<file>`; by default none."""
    database: StrictBool = False
    """Whether it may read the credentials of the service's `database`."""
    databases: tuple[Label, ...] = ()
    """The service's `databases` whose credentials it may read; by default none."""
    resources: ResourcesSpec = ResourcesSpec()
    """Its CPU and memory."""
    run_as_user: UserId | None = None
    """Its user id; by default that of the service, which alone can read secrets."""
    writable: tuple[MountPath, ...] = ()
    """Directories, besides /tmp, that it alone may write to; they are empty at first and gone with the pod."""
    writable_copies: tuple[MountPath, ...] = ()
    """Directories of its image that it alone may write to, each a copy that `cp` of the image makes before; they are
    gone with the pod."""
    scratch: tuple[VolumeName, ...] = ()
    """The directories under the service's `scratch` that it shares."""
    volumes: tuple[VolumeName, ...] = ()
    """The service's persistent volumes that it shares, at their paths."""

    @model_validator(mode="after")
    def _once(self) -> Self:
        if twice := sorted(self.env.keys() & self.pod_env.keys()):
            raise misplaced(["podEnv", twice[0]], "env has a variable of that name: keep one", twice[0])
        return self

    @property
    def reads(self) -> tuple[str, ...]:
        """What it reads of the service's secrets; the credentials of its database are called `database`."""
        return (*self.secrets, *self.credentials)

    @property
    def credentials(self) -> tuple[str, ...]:
        """The databases whose credentials it reads."""
        return (*([SECRET_NAME] if self.database else []), *self.databases)


class InitSpec(ContainerSpec):
    """A program that ends before the service's container starts. It can call what the service can."""


class SidecarSpec(ContainerSpec):
    """A program that runs beside the service's container, for as long."""

    port: AppPort | None = None
    """The port that it listens on, which its probes connect to."""
    health: ProbePath | None = None
    """The path that its probes request; by default they connect to the port."""
    probes: ProbesSpec | None = None
    """Probes that differ from each other, or in their times. A sidecar without a port has those of a command."""

    @model_validator(mode="after")
    def _probed(self) -> Self:
        if self.port is None and (kind := unasked(self.probes)):
            message = "nothing says whether it works: write its port, or a command or a port here"
            raise misplaced(["probes", kind], message, "nothing")
        return self


def all_containers(
    init: Mapping[str, InitSpec], sidecars: Mapping[str, SidecarSpec]
) -> list[tuple[tuple[str, str], ContainerSpec]]:
    """The key and the content of each further container, in the order in which they start."""
    return [
        *((("init", name), spec) for name, spec in init.items()),
        *((("sidecars", name), spec) for name, spec in sidecars.items()),
    ]


def copy_name(number: int) -> str:
    """The name of the container that makes the copy of this number in a pod."""
    return f"copy-{number}"


def check_copy_names(names: Sequence[tuple[Key, str]], copies: int) -> None:
    """Raise `PydanticCustomError`, with the key, for a container that is called as one that makes a copy."""
    taken = {copy_name(number) for number in range(copies)}
    for key, name in names:
        if name in taken:
            raise misplaced(key, "a container that copies a directory of writableCopies is called so", name)


def _name_problem(service: str, name: str, names: Sequence[str]) -> str:
    if name == service or names.count(name) > 1:
        return "another container of the pod has this name: choose another"
    if own_config_name(service, name) == ROOT_AUTHORITY:
        return f"its ConfigMap would be {ROOT_AUTHORITY}, which every namespace has"
    return ""


def check_containers(
    containers: Sequence[tuple[tuple[str, str], ContainerSpec]],
    service: str,
    user: int,
    secrets: Sequence[str],
    databases: Sequence[str],
    scratch: Mapping[str, ScratchSpec],
    volumes: Mapping[str, VolumeSpec],
    in_all: Sequence[Place],
) -> None:
    """Raise `PydanticCustomError`, with the key, for a container that clashes, or names what its service has not.

    `in_all` are the directories that every container has.
    """
    names = [name for (_, name), _ in containers]
    ports: dict[int, str] = {}
    for key, spec in containers:
        name = key[1]
        if problem := _name_problem(service, name, names):
            raise misplaced(key, problem, name)
        references = (
            ("secrets", spec.secrets, secrets, "no secret of this service"),
            ("databases", spec.databases, databases, "no database of this service"),
            ("scratch", spec.scratch, tuple(scratch), "nothing under scratch of this service"),
            ("volumes", spec.volumes, tuple(volumes), "no volume of this service"),
        )
        for below, values, legal, problem in references:
            for number, value in enumerate(values):
                if value not in legal:
                    raise misplaced([*key, below, number], problem, value, sorted(legal))
        if spec.database and SECRET_NAME not in databases:
            raise misplaced([*key, "database"], "this service has no database", spec.database)
        if spec.database and SECRET_NAME in spec.databases:
            raise misplaced([*key, "databases"], "it stands under database too: keep one", SECRET_NAME)
        if spec.reads and spec.run_as_user not in (None, user):
            message = f"the files of secrets are those of the service's user, {user}: leave it out"
            raise misplaced([*key, "runAsUser"], message, spec.run_as_user, [str(user)])
        port = spec.port if isinstance(spec, SidecarSpec) else None
        if port is not None and (owner := ports.setdefault(port, name)) != name:
            raise misplaced([*key, "port"], f"the sidecar {owner} listens on it", port)
        _check_places(key, spec, scratch, volumes, in_all)


def _check_places(
    key: Key,
    spec: ContainerSpec,
    scratch: Mapping[str, ScratchSpec],
    volumes: Mapping[str, VolumeSpec],
    in_all: Sequence[Place],
) -> None:
    places = [Place((*key, "writable", number), path) for number, path in enumerate(spec.writable)]
    places += [Place((*key, "writableCopies", number), path) for number, path in enumerate(spec.writable_copies)]
    places += [Place((*key, "scratch", number), scratch[name].path) for number, name in enumerate(spec.scratch)]
    places += [Place((*key, "volumes", number), volumes[name].path) for number, name in enumerate(spec.volumes)]
    places += [Place((*key, "config", "path"), spec.config.path, read_only=True)] if spec.config else []
    if wrong := clash([*in_all, *places]):
        where, path, message = wrong
        raise misplaced(where, message, path)
