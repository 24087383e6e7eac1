"""The arguments of `SecureService`: plain data, so that the component can be published to other languages.

They have no optional types and no unions: an empty string or list stands for "none".
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from components.ingress.terms import PublicLimits
from components.kube.service_ref import ServiceRef
from components.schema.problem import FieldError
from components.service.args.checked import check_values
from components.service.args.containers import ContainerArgs, ScratchArgs
from components.service.args.database import DatabaseArgs
from components.service.args.exceptions import ExceptionArgs
from components.service.args.jobs import JobArgs, RunArgs
from components.service.args.labels import labels_of
from components.service.args.lifecycle import StopArgs
from components.service.args.network import (
    EgressArgs,
    JwtArgs,
    MetricsArgs,
    Peer,
    PlaintextPortArgs,
    PortArgs,
    StickyArgs,
    beyond_ambient,
    pod_labels,
)
from components.service.args.patch import PatchArgs
from components.service.args.placement import PlacementArgs
from components.service.args.platform import PlatformTerms
from components.service.args.probes import ProbesArgs
from components.service.args.public import check_headers
from components.service.args.routes import PublicPort, RouteArgs, all_routes
from components.service.args.scaling import AutoscalingArgs, ResourceArgs
from components.service.args.secret_env import SecretEnvArgs
from components.service.args.storage import CaBundleArgs, ConfigArgs, VolumeArgs
from components.service.file.kubernetes_api import READING
from components.service.file.lifecycle import POD_FIELDS
from components.service.file.network import application_port
from components.service.file.ports import METRICS_PORT, PROTOCOLS, port_name
from components.service.file.reserved import not_a_service, reserved_name
from components.service.file.service import not_a_service_namespace

_Value = TypeVar("_Value", str, int)


@dataclass(frozen=True)
class SecretArgs:
    """A secret of a service, and the file in the pod with it."""

    name: str
    file: str
    values: Mapping[str, str]
    generate: Sequence[str]
    template: str
    replaces: int = 0
    """The version in Vault that the values replace; 0: there is none yet."""
    external: Sequence[str] = ()
    """Its fields, if their values come from outside; it has no others then."""
    owner: ServiceRef = field(default_factory=ServiceRef)
    """The service whose secret it is, if that is another one; it has no values here then."""
    owned_as: str = ""
    """Its name there."""


@dataclass(frozen=True)
class ApiRuleArgs:
    """Rights on the Kubernetes API, in the service's own namespace, or to read in every one and what is in none.

    `expires` is the first day without them as an ISO date, if one of them may lead to more than it says.
    """

    api_groups: Sequence[str]
    resources: Sequence[str]
    verbs: Sequence[str]
    expires: str = ""
    cluster_wide: bool = False


@dataclass(frozen=True)
class SecureServiceArgs(ResourceArgs):
    """One service, the calls from and to it, and the terms of the platform.

    Raises `FieldError` for a wildcard or an empty name in a grant, for whatever no service file may say either, by the
    types of the file, and for a feature that the ambient mode has not.
    """

    name: str
    namespace: str
    team: str
    image: str
    port: int
    """The port that other services call; 0 for a worker, which listens on none."""
    platform: PlatformTerms
    protocol: str = "http"
    ports: Sequence[PortArgs] = ()
    """Further ports that other services call."""
    sticky: StickyArgs = field(default_factory=StickyArgs)
    """What sends the requests of one client for `port` to one pod."""
    host: str = ""
    aliases: Sequence[str] = ()
    paths: Sequence[str] = ("/",)
    routes: Sequence[RouteArgs] = ()
    """What holds for some of the paths."""
    limits: PublicLimits = field(default_factory=PublicLimits)
    calls: Sequence[Peer] = ()
    called_by: Sequence[Peer] = ()
    peers: Sequence[int] = ()
    """The ports at which its replicas reach each other."""
    start_in_order: bool = False
    """Whether a replica with peers and a volume of its own waits for the one before it."""
    egress: Sequence[EgressArgs] = ()
    jwt: JwtArgs = field(default_factory=JwtArgs)
    other_jwt: Sequence[JwtArgs] = ()
    """Tokens of other issuers, any of which will do in its place."""
    plaintext_ports: Sequence[PlaintextPortArgs] = ()
    metrics: MetricsArgs = field(default_factory=MetricsArgs)
    secrets: Sequence[SecretArgs] = ()
    databases: Sequence[DatabaseArgs] = ()
    kubernetes_api: Sequence[ApiRuleArgs] = ()
    replicas: int = 2
    autoscaling: AutoscalingArgs = field(default_factory=AutoscalingArgs)
    placement: str = ""
    """The class of nodes, by its name on the platform."""
    health: str = ""
    probes: ProbesArgs = field(default_factory=ProbesArgs)
    run_as_user: int = 1000
    writable: Sequence[str] = ()
    writable_copies: Sequence[str] = ()
    """Directories that it may write to, with what its image has there."""
    command: Sequence[str] = ()
    arguments: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    pod_env: Mapping[str, str] = field(default_factory=dict[str, str])
    """Environment variables with fields of the pod, such as `name`."""
    secret_env: SecretEnvArgs = field(default_factory=SecretEnvArgs)
    """Environment variables with fields of its secrets."""
    stop: StopArgs = field(default_factory=StopArgs)
    run: RunArgs = field(default_factory=RunArgs)
    """How its program runs, if it ends."""
    config: ConfigArgs = field(default_factory=ConfigArgs)
    scratch: Sequence[ScratchArgs] = ()
    volumes: Sequence[VolumeArgs] = ()
    ca_bundle: CaBundleArgs = field(default_factory=CaBundleArgs)
    init: Sequence[ContainerArgs] = ()
    """Containers that end, one after the other, before its own starts."""
    sidecars: Sequence[ContainerArgs] = ()
    """Containers that run beside its own."""
    jobs: Sequence[JobArgs] = ()
    job_of: str = ""
    """For a job: the service of the same namespace that it belongs to, and whose secrets it reads."""
    package: str = ""
    """For a workload that a package brings: the package. Its pods are the chart's, and only what surrounds them is
    made from these arguments."""
    account: str = ""
    """Its service account, if that has another name."""
    backend: str = ""
    """The Service that the gateway sends requests to, if that has another name."""
    backend_port: int = 0
    """The port of that Service, if it is not that of the pods."""
    probed_ports: Sequence[int] = ()
    """The ports that the kubelet probes, for a workload of a package."""
    patch: PatchArgs = field(default_factory=PatchArgs)
    component: str = "service"
    cost_center: str = ""
    exceptions: Sequence[ExceptionArgs] = ()
    labels: Mapping[str, str] = field(init=False)

    def __post_init__(self) -> None:
        peers = [*self.calls, *self.called_by]
        names = [self.name, self.namespace, *(secret.name for secret in self.secrets)]
        names += [name for s in self.secrets if s.owner for name in (s.owner.namespace, s.owner.name, s.owned_as)]
        names += [self.owner, *(job.name for job in self.jobs)]
        names += [name for peer in peers for name in (peer.service.name, peer.service.namespace)]
        if broad := sorted({name for name in names if not name or "*" in name or "/" in name}):
            raise FieldError(self.key, "it would grant more than one name: write a full name", broad[0])
        if not self.package:
            self._as_a_file_is_checked()
        for rule in () if self.package else self.kubernetes_api:
            if any("*" in name for name in (*rule.api_groups, *rule.resources, *rule.verbs)):
                raise FieldError(f"{self.key}.kubernetes_api", "it has a wildcard: name each right")
            if rule.cluster_wide and not {*rule.verbs} <= {*READING}:
                raise FieldError(f"{self.key}.kubernetes_api", "cluster_wide is for reading alone", "", READING)
        features = beyond_ambient(self.open_ports, peers, self.egress, self.jwt, self.metrics)
        if self.platform.mesh.ambient and features:
            raise FieldError(self.key, f"ambient cannot hold {', '.join(features)}")
        object.__setattr__(self, "labels", labels_of(self))

    def _as_a_file_is_checked(self) -> None:
        """Refuse what no service file may say, for a service that is built in code."""
        if reason := not_a_service_namespace(self.namespace):
            raise FieldError(f"{self.key}.namespace", reason, self.namespace)
        self._ports_are_checked()
        if reason := reserved_name(self.name) if self.job_of else not_a_service(self.name):
            raise FieldError(f"{self.key}.name", reason, self.name)
        if self.placement and self.placement not in self.platform.placements:
            raise FieldError(f"{self.key}.placement", "no class", self.placement, sorted(self.platform.placements))
        if unknown := sorted(set(self.pod_env.values()) - POD_FIELDS.keys()):
            raise FieldError(f"{self.key}.pod_env", "no field of a pod", unknown[0], sorted(POD_FIELDS))
        self._routes_are_checked(self.paths, self.routes)
        for port in self.ports:
            self._routes_are_checked(port.paths, port.routes)
        self._program_is_checked()
        if not self.job_of:
            # A job has its values from its service.
            check_values(self)

    def _routes_are_checked(self, paths: Sequence[str], routes: Sequence[RouteArgs]) -> None:
        if unknown := sorted({route.path for route in routes} - {*paths}):
            raise FieldError(f"{self.key}.routes", "not among paths", unknown[0], paths)
        every = all_routes(paths, routes)
        with_token = {route.arrives_at.rstrip("/") for route in every if not route.without_token}
        if same := [each.path for each in routes if each.without_token and each.arrives_at.rstrip("/") in with_token]:
            raise FieldError(f"{self.key}.routes", "it comes to the service as one that needs a token", same[0])

    def _program_is_checked(self) -> None:
        check_headers(self.limits.headers, self.key)
        if not 0 <= self.stop.delay < self.stop.within:
            raise FieldError(f"{self.key}.stop", "the delay is not less than within", self.stop.delay)
        if self.secret_env.variables and not (self.command or self.job_of):
            raise FieldError(f"{self.key}.command", "required with secret_env")
        if self.replicas < 1:
            raise FieldError(f"{self.key}.replicas", "less than 1", self.replicas)

    def _ports_are_checked(self) -> None:
        for each in (PortArgs("http", 0, self.protocol), *self.ports):
            if each.protocol not in PROTOCOLS:
                raise FieldError(f"{self.key}.protocol", "no protocol of a service", each.protocol, PROTOCOLS)
        for each in self.open_ports:
            _checked(f"{self.key}.ports", port_name, each.name)
            _checked(f"{self.key}.port", application_port, each.port)
        numbers = sorted(each.port for each in self.open_ports)
        if foreign := [peer.port for peer in self.called_by if peer.port not in numbers]:
            raise FieldError(f"{self.key}.called_by", "the service does not listen on it", foreign[0], numbers)
        probes = (self.probes.readiness, self.probes.liveness, self.probes.startup)
        unreachable = any(probe.period and not (probe.command or probe.port) for probe in probes)
        probed = not self.ends and unreachable and not self.metrics.port
        if not self.port and (self.ports or self.host or probed):
            raise FieldError(f"{self.key}.port", "further ports, a host or a probe need it", self.port)

    @property
    def key(self) -> str:
        """The service's unique name; neither part can contain a dot, so no two services have the same."""
        return ServiceRef(self.namespace, self.name).key

    @property
    def open_ports(self) -> list[PortArgs]:
        """The ports that other services may call. The first has the name of its protocol."""
        return [PortArgs(self.protocol, self.port, self.protocol, self.sticky), *self.ports] if self.port else []

    @property
    def served_ports(self) -> list[PortArgs]:
        """The ports of its Service: those that others may call, and that of the metrics if it is none of them."""
        metrics, ports = self.metrics.port, self.open_ports
        separate = metrics and metrics not in [each.port for each in ports]
        return [*ports, PortArgs(METRICS_PORT, metrics)] if separate else ports

    @property
    def probed_port(self) -> int:
        """The port of a probe that names none: the service's, or that of a worker's metrics."""
        return self.port or self.metrics.port

    @property
    def listens(self) -> bool:
        """Whether it has a Service: for its ports, or for its metrics."""
        return bool(self.served_ports)

    @property
    def ends(self) -> bool:
        """Whether it is a Job or a CronJob, whose program ends."""
        return bool(self.run.timeout)

    @property
    def selector(self) -> dict[str, str]:
        """The labels that select its pods; they never change."""
        return pod_labels(self.name, packaged=bool(self.package))

    @property
    def identity(self) -> ServiceRef:
        """Its service account."""
        return ServiceRef(self.namespace, self.account or self.name)

    @property
    def owner(self) -> str:
        """The name of the service that owns the secrets, configuration and database users; a job has its service's."""
        return self.job_of or self.package or self.name

    @property
    def smallest(self) -> int:
        """The least number of pods."""
        return self.autoscaling.minimum if self.autoscaling.maximum else self.replicas

    @property
    def stateful(self) -> bool:
        """Whether each replica has its own volume, which takes a StatefulSet."""
        return bool(self.replica_volumes)

    @property
    def replica_volumes(self) -> list[VolumeArgs]:
        """The volumes of which each replica has its own."""
        return [] if self.ends else [volume for volume in self.volumes if not volume.shared]

    @property
    def claimed_volumes(self) -> list[VolumeArgs]:
        """The volumes whose claims it owns by their names: those that its pods share, or have one after the other."""
        return [volume for volume in self.volumes if volume not in self.replica_volumes and not volume.claim]

    @property
    def keeps_data(self) -> bool:
        """Whether it or one of its jobs has persistent volumes."""
        return bool(self.volumes or any(job.own_volumes for job in self.jobs))

    @property
    def containers(self) -> list[ContainerArgs]:
        """The containers of its pods beside its own, in the order in which they start."""
        return [*self.init, *self.sidecars]

    @property
    def place(self) -> PlacementArgs:
        """What the class of nodes says."""
        return self.platform.placements.get(self.placement, PlacementArgs())

    @property
    def pull_secrets(self) -> list[str]:
        """The Secrets with the credentials of its images' registries."""
        images = [self.image, *(each.image for each in self.containers)]
        needed = (
            secret
            for registry, secret in self.platform.pull_secrets.items()
            if any(image.startswith(f"{registry}/") for image in images)
        )
        return sorted({*needed})

    @property
    def own_secrets(self) -> list[SecretArgs]:
        """The secrets that belong to it, without those that other services share."""
        return [secret for secret in self.secrets if not secret.owner]

    def secret_path(self, secret: SecretArgs) -> str:
        """The path of a secret below the KV mount: that of its owner."""
        return f"{secret.owner}/{secret.owned_as}" if secret.owner else f"{self.namespace}/{self.owner}/{secret.name}"

    def database_path(self, database: DatabaseArgs) -> str:
        """The path in Vault that returns a new user of one of its databases."""
        return f"{self.platform.vault.database_mount}/creds/{database.role(ServiceRef(self.namespace, self.owner).key)}"

    @property
    def public(self) -> bool:
        """Whether it is reachable from outside the cluster on this stack."""
        return bool(self.public_ports)

    @property
    def public_ports(self) -> list[PublicPort]:
        """The ports that are reachable from outside the cluster on this stack."""
        main = PublicPort("", self.port, self.protocol, (self.host, *self.aliases), self.public_routes)
        further = [
            PublicPort(each.name, each.port, each.protocol, (each.host,), all_routes(each.paths, each.routes))
            for each in self.ports
            if each.host
        ]
        return [*([main] if self.host else []), *further] if self.platform.ingress.route else []

    @property
    def tokens(self) -> tuple[JwtArgs, ...]:
        """The tokens of which a request to the public host must have one."""
        return (self.jwt, *self.other_jwt) if self.jwt.issuer else ()

    @property
    def public_routes(self) -> tuple[RouteArgs, ...]:
        """Every path of `port` that is public, with what holds for it."""
        return all_routes(self.paths, self.routes)

    @property
    def hosts(self) -> tuple[str, ...]:
        """Its public host names."""
        return (*((self.host, *self.aliases) if self.host else ()), *(each.host for each in self.ports if each.host))


def _checked(name: str, check: Callable[[_Value], _Value], value: _Value) -> None:
    try:
        check(value)
    except ValueError as error:
        raise FieldError(name, str(error), value) from error
