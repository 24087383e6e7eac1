"""The arguments of the containers of a service's pods beside its own, and of what they share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from components.service.args.probes import ProbesArgs, probes_args
from components.service.args.scaling import ResourceArgs
from components.service.args.storage import ConfigArgs, config_args
from components.service.file.containers import ContainerSpec, ScratchSpec, SidecarSpec
from components.service.file.service import ServiceSpec


@dataclass(frozen=True)
class ScratchArgs:
    """A directory that is gone with the pod and that its containers share."""

    name: str
    path: str
    size: str = "256Mi"
    memory: bool = False


@dataclass(frozen=True)
class ContainerArgs(ResourceArgs):
    """A container that ends before the service's own starts, or that runs beside it.

    `secrets`, `databases`, `scratch` and `volumes` are names of the service's. Only a container that runs beside it has
    probes; a `port` of 0 is none.
    """

    name: str
    image: str
    run_as_user: int
    command: Sequence[str] = ()
    arguments: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    pod_env: Mapping[str, str] = field(default_factory=dict[str, str])
    config: ConfigArgs = field(default_factory=ConfigArgs)
    secrets: Sequence[str] = ()
    databases: Sequence[str] = ()
    writable: Sequence[str] = ()
    writable_copies: Sequence[str] = ()
    scratch: Sequence[str] = ()
    volumes: Sequence[str] = ()
    port: int = 0
    health: str = ""
    probes: ProbesArgs = field(default_factory=ProbesArgs)

    @property
    def reads(self) -> bool:
        """Whether it reads any secret."""
        return bool(self.secrets or self.databases)


def scratch_args(scratch: Mapping[str, ScratchSpec]) -> list[ScratchArgs]:
    """The arguments of the shared directories in a service file."""
    return [ScratchArgs(name, spec.path, spec.size, spec.memory) for name, spec in sorted(scratch.items())]


def init_args(spec: ServiceSpec) -> list[ContainerArgs]:
    """The arguments of the containers under `init`, in their order."""
    return [_container_args(name, each, spec) for name, each in spec.init.items()]


def sidecar_args(spec: ServiceSpec) -> list[ContainerArgs]:
    """The arguments of the containers under `sidecars`."""
    return [_container_args(name, each, spec) for name, each in sorted(spec.sidecars.items())]


def _container_args(name: str, each: ContainerSpec, spec: ServiceSpec) -> ContainerArgs:
    sidecar = each if isinstance(each, SidecarSpec) else None
    return ContainerArgs(
        name=name,
        image=each.image or spec.image,
        run_as_user=each.run_as_user or spec.run_as_user,
        command=each.command,
        arguments=each.args,
        env=each.env,
        pod_env=each.pod_env,
        config=config_args(each.config),
        secrets=each.secrets,
        databases=each.credentials,
        cpu_request=each.resources.requests.cpu,
        memory_request=each.resources.requests.memory,
        cpu_limit=each.resources.limits.cpu,
        memory_limit=each.resources.limits.memory,
        disk_request=each.resources.requests.ephemeral_storage or "",
        disk_limit=each.resources.limits.ephemeral_storage or "",
        writable=each.writable,
        writable_copies=each.writable_copies,
        scratch=each.scratch,
        volumes=each.volumes,
        port=(sidecar.port if sidecar else None) or 0,
        health=(sidecar.health if sidecar else None) or "",
        probes=probes_args(sidecar.probes if sidecar else None),
    )
