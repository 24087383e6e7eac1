"""The keys of a service file, each with its type and its meaning, and what can be read from them."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, StrictBool

from components.kube.names import NOT_OF_SERVICES, VAULT_CALLER
from components.kube.service_ref import ServiceRef
from components.schema.fields import DNS_LABEL, Image, Label, ProbePath, PublicHost, Words
from components.schema.problem import Key
from components.schema.public import Headers, RateLimit, RequestBytes
from components.schema.shape import Shape
from components.schema.typed_file import TypedFile
from components.service.file.containers import (
    ContainerName,
    ContainerSpec,
    InitSpec,
    ScratchSpec,
    SidecarSpec,
    UserId,
    all_containers,
)
from components.service.file.database import OWNER, SECRET_NAME, DatabaseSpec
from components.service.file.environment import Environment
from components.service.file.exceptions import ExceptionSpec
from components.service.file.jobs import JobSpec, RunSpec
from components.service.file.kubernetes_api import LEADER_ELECTION, ApiRule
from components.service.file.lifecycle import PodEnvironment, StopSpec
from components.service.file.network import (
    AppPort,
    Call,
    CallerName,
    CallSpec,
    EgressSpec,
    JwtSpec,
    MetricsSpec,
    PlaintextPortSpec,
    ServiceName,
    Tokens,
)
from components.service.file.patch import PatchSpec
from components.service.file.placement import PlacementSpec
from components.service.file.ports import Ports, Protocol, StickySpec
from components.service.file.probes import ProbesSpec
from components.service.file.routes import MOST_PATHS, LentPaths, PathSpec, PublicPathSpec
from components.service.file.scaling import AutoscalingSpec, Pods, ResourcesSpec
from components.service.file.secret_env import SecretEnvSpec
from components.service.file.secrets import SecretName, SecretSpec
from components.service.file.storage import SHARED, CaBundleSpec, ConfigSpec, MountPath, VolumeName, VolumeSpec

# What one HTTPRoute can hold: https://gateway-api.sigs.k8s.io/reference/spec/#httproutespec
_ROUTE_HOSTS = 16


class ServiceKeys(TypedFile):
    """The keys of one application, each checked alone."""

    name: Label
    """The name of the service; by default that of the file."""
    namespace: Annotated[Label, Shape(rf"(?!kube-|(?:{'|'.join(NOT_OF_SERVICES)})$){DNS_LABEL}")]
    """Its namespace, which is created with its first service; not one of the platform's."""
    team: Label
    """The team that is responsible for it."""
    image: Image
    """The image, from a registry of the stack file, with a fixed tag or a digest."""
    port: AppPort | None = None
    """The port that it listens on and that other services call. Without one it is a worker, which nobody calls."""
    protocol: Protocol = "http"
    """The protocol of that port, without TLS of its own. The mesh parses `http`, `http2` (with prior knowledge) and
    `grpc`, and forwards `tcp` as it is. It has to be written where no HTTP usually listens, such as Redis at 6379."""
    ports: Ports = Field(default_factory=dict)
    """Further ports, by name, such as `admin: 9001`; a call names them, as in `calls: [minio:admin]`."""
    sticky: StickySpec | None = None
    """What sends the requests of one client to one pod, where the pods keep sessions; by default any pod gets them."""
    host: PublicHost | None = None
    """The public host name, which leads to `port`; without it that is not reachable from outside the cluster. One of
    `ports` may have a host of its own."""
    aliases: tuple[PublicHost, ...] = Field(default=(), max_length=_ROUTE_HOSTS - 1)
    """Further public host names, each with its own certificate."""
    paths: tuple[PublicPathSpec, ...] = Field(default=(PathSpec(path="/"),), min_length=1, max_length=MOST_PATHS)
    """The path prefixes that are public at `host` and `aliases`, each by its text or with what holds there."""
    host_owner: ServiceName | None = None
    """The service of another namespace whose host `host` is, as `namespace/name`; its `hostUsers` name this one."""
    host_users: dict[ServiceName, LentPaths] = Field(default_factory=dict)
    """The services of other namespaces that may be public at its hosts, as `namespace/name`, each with the paths that
    it may have there and below. A shared host needs both ends; services of its own namespace need only other paths."""
    security_headers: Headers | None = None
    """Response headers in addition to the stack's `ingress.headers` and `ingress.hsts`, or in place of one with the
    same name; `none` removes all."""
    rate_limit: RateLimit | None = None
    """The rate of requests to each of its public hosts, in place of the stack's `ingress.rateLimit`."""
    max_request_bytes: RequestBytes | None = None
    """The largest body of a public request, in place of the stack's `ingress.maxRequestBytes`. Use `none` for streams
    (WebSocket, gRPC)."""
    calls: tuple[Call, ...] = ()
    """The services that it calls, each by name or with the requests that it sends; it can call no others."""
    callers: tuple[CallerName, ...] = ()
    """The services that may call it, by name or `namespace/name`; `name:admin` may call the port `admin`. A call needs
    both ends: `calls` in the caller's file and `callers` here."""
    peers: tuple[AppPort, ...] = ()
    """Ports at which its replicas reach each other, as `<pod>.<name>-peers.<namespace>.svc`. Whoever may call one of
    them reaches each replica so too, as clients of Kafka have to; no other service may."""
    start_in_order: StrictBool = False
    """Whether each of its replicas waits until the one before is ready, as those of Cassandra have to. With `peers` and
    volumes of their own they start together by default, since a quorum could form in no other way; without `peers` they
    start in order."""
    egress: tuple[EgressSpec, ...] = ()
    """The hosts outside the cluster that it connects to; it can reach no others."""
    jwt: Tokens | None = None
    """The end user's token that every request to a public host must have. A list has several issuers, each of whose
    tokens will do."""
    plaintext_ports: tuple[PlaintextPortSpec, ...] = ()
    """Ports that accept connections without a certificate, each with a reason and a last day."""
    metrics: MetricsSpec | None = None
    """The metrics that the stack's `mesh.scraper` may read."""
    secrets: dict[SecretName, SecretSpec] = Field(default_factory=dict)
    """Its secrets in Vault, by name. It can read another service's only by `from`."""
    database: DatabaseSpec | None = None
    """Its users in a database."""
    databases: dict[SecretName, DatabaseSpec] = Field(default_factory=dict)
    """Its users in further databases, by name."""
    replicas: Pods | None = None
    """The number of pods; by default the stack's `services.replicas`."""
    autoscaling: AutoscalingSpec | None = None
    """A number of pods that follows the load, in place of `replicas`."""
    resources: ResourcesSpec = ResourcesSpec()
    """CPU and memory of a pod."""
    placement: PlacementSpec | None = None
    """The class of nodes that its pods run on; by default any node without a taint."""
    command: Words = ()
    """The program that the container runs; by default the image's own."""
    args: Words = ()
    """The arguments of the program."""
    env: Environment = Field(default_factory=dict)
    """Environment variables that are not secret, such as `DB_PASSWORD_FILE: /vault/secrets/database`."""
    pod_env: PodEnvironment = Field(default_factory=dict)
    """Environment variables with what only the cluster knows of the pod, such as `POD_NAME: name`."""
    secret_env: SecretEnvSpec | None = None
    """Secrets as environment variables, for an image that reads variables alone, with a reason and a last day."""
    config: ConfigSpec | None = None
    """Configuration files, read-only."""
    health: ProbePath | None = None
    """The path that probes request; by default they connect to the port."""
    probes: ProbesSpec | None = None
    """Probes that differ from each other, or in their times."""
    stop: StopSpec | None = None
    """How its pods end."""
    run_as_user: UserId = 1000
    """The user id in the container, never root's. Its group has the same id; 2000 is a supplementary group."""
    writable: tuple[MountPath, ...] = ()
    """Directories, besides /tmp, that it may write to; they are empty at first and gone with the pod."""
    writable_copies: tuple[MountPath, ...] = ()
    """Directories of its image that it may write to, each a copy that `cp` of the image makes before it starts; they
    are gone with the pod."""
    scratch: dict[VolumeName, ScratchSpec] = Field(default_factory=dict)
    """Directories, by name, that it shares with the containers under `init` and `sidecars` that name them."""
    volumes: dict[VolumeName, VolumeSpec] = Field(default_factory=dict)
    """Persistent volumes, by name."""
    ca_bundle: CaBundleSpec | None = None
    """The certificate authorities that it trusts, in place of those of its image."""
    init: dict[ContainerName, InitSpec] = Field(default_factory=dict)
    """Programs that end before it starts, by name, one after the other as they stand here."""
    sidecars: dict[ContainerName, SidecarSpec] = Field(default_factory=dict)
    """Programs that run beside it in the same pod, by name."""
    run: RunSpec | None = None
    """When it runs, if it is a program that ends: a Job or a CronJob, in place of pods that stay."""
    jobs: dict[Label, JobSpec] = Field(default_factory=dict)
    """Programs of its image that end, by name: they run once per release, or on a schedule."""
    kubernetes_api: tuple[ApiRule, ...] = ()
    """Its rights on the Kubernetes API; without any it has no token for it. One that may lead to more than it says
    has a reason and a last day."""
    leader_election: StrictBool = False
    """Whether its replicas agree on one of them by a lease of Kubernetes, which gives it the rights for that."""
    patch: PatchSpec | None = None
    """What no other key says of its pods, with a reason and a last day."""
    component: Label = "service"
    """Its role in the application, such as `cache`; a label."""
    cost_center: Label | None = None
    """The cost center that pays for it; a label."""
    exceptions: tuple[ExceptionSpec, ...] = ()
    """Rules of the library that do not apply to this service, each with a reason and a last day."""

    @property
    def public_paths(self) -> tuple[str, ...]:
        """The path prefixes that are public."""
        return tuple(public.path for public in self.paths)

    @property
    def tokens(self) -> tuple[JwtSpec, ...]:
        """The tokens of which a request to `host` must have one."""
        return self.jwt if isinstance(self.jwt, tuple) else (self.jwt,) if self.jwt else ()

    @property
    def owner_of_host(self) -> ServiceRef | None:
        """The service whose host it is public at; `None` if that is its own."""
        return ServiceRef.parse(self.host_owner, self.namespace) if self.host_owner else None

    def lent_paths(self) -> dict[ServiceRef, tuple[str, ...]]:
        """The paths of its hosts that other services may have."""
        return {ServiceRef.parse(name, self.namespace): paths for name, paths in self.host_users.items()}

    @property
    def main_hosts(self) -> tuple[str, ...]:
        """The public host names that lead to `port`."""
        return (self.host, *self.aliases) if self.host else ()

    @property
    def port_hosts(self) -> dict[str, str]:
        """The public host names of further ports, by the name of the port."""
        return {name: port.host for name, port in self.ports.items() if port.host}

    @property
    def hosts(self) -> tuple[str, ...]:
        """All public host names."""
        return (*self.main_hosts, *self.port_hosts.values())

    def key_of_host(self, host: str) -> Key:
        """The key with one of its public host names."""
        name = next((name for name, own in self.port_hosts.items() if own == host), "")
        if host not in self.main_hosts:
            return ("ports", name, "host")
        return ("host",) if host == self.host else ("aliases",)

    @property
    def containers(self) -> list[tuple[tuple[str, str], ContainerSpec]]:
        """The key and the content of each container beside the service's own."""
        return all_containers(self.init, self.sidecars)

    @property
    def images(self) -> list[tuple[Key, str]]:
        """The images of its pods, each with its key."""
        others = [((*key, "image"), spec.image) for key, spec in self.containers if spec.image]
        return [(("image",), self.image), *others]

    @property
    def stateful(self) -> bool:
        """Whether each replica has a volume of its own."""
        return self.run is None and any(volume.access_mode != SHARED for volume in self.volumes.values())

    @property
    def ref(self) -> ServiceRef:
        """The reference to it, by namespace and name."""
        return ServiceRef(self.namespace, self.name)

    @property
    def timed(self) -> bool:
        """Whether it has something with a last day: an exception, a plaintext port, a patch, variables with secrets, or
        a right on the Kubernetes API."""
        rights = any(rule.exception for rule in self.kubernetes_api)
        return bool(self.exceptions or self.plaintext_ports or self.patch or self.secret_env or rights)

    @property
    def api_rules(self) -> tuple[ApiRule, ...]:
        """All its rights on the Kubernetes API."""
        return (*self.kubernetes_api, LEADER_ELECTION) if self.leader_election else self.kubernetes_api

    @property
    def all_databases(self) -> dict[str, DatabaseSpec]:
        """All its databases by name; that of the key `database` is called so too."""
        return {**({SECRET_NAME: self.database} if self.database else {}), **self.databases}

    def database_key(self, name: str) -> tuple[str, ...]:
        """The path of a database in the file."""
        return (name,) if self.database and name == SECRET_NAME else ("databases", name)

    def has_owner(self, database: str) -> bool:
        """Whether a job is the owner of the service's schemas in one of its databases."""
        return any(job.accesses.get(database) == OWNER for job in self.jobs.values())

    @property
    def open_ports(self) -> tuple[int, ...]:
        """The numbers of the ports that other services may call."""
        return (*([self.port] if self.port else []), *(port.port for port in self.ports.values()))

    @property
    def called_ports(self) -> Mapping[str | None, tuple[int, str]]:
        """Number and protocol of each port by the name in a call; that of `port` has none."""
        ports: dict[str | None, tuple[int, str]] = {None: (self.port, self.protocol)} if self.port else {}
        return ports | {name: (port.port, port.protocol) for name, port in self.ports.items()}

    def called(self) -> tuple[tuple[ServiceRef, CallSpec], ...]:
        """The services that it calls, each with the call, in the order of the file."""
        return tuple((ServiceRef.parse(call.service, self.namespace), call) for call in self.calls)

    def callees(self) -> tuple[ServiceRef, ...]:
        """The services that it calls."""
        return tuple(ref for ref, _ in self.called())

    @property
    def lets_vault_in(self) -> bool:
        """Whether it agrees that Vault makes users in it."""
        return VAULT_CALLER in self.callers

    def allowed_callers(self) -> tuple[tuple[ServiceRef, str | None], ...]:
        """The services that may call it, each with the name of a port; that of `port` has none."""
        parts = (caller.partition(":") for caller in self.callers)
        return tuple((ServiceRef.parse(service, self.namespace), port or None) for service, _, port in parts)
