"""The service file: what a team declares about one application. Everything else is derived from it."""

from collections.abc import Mapping
from typing import Self

from pydantic import Field, StrictBool, model_validator
from pydantic.alias_generators import to_camel

from components.kube.names import (
    EXTERNAL_SECRETS_NAMESPACE,
    PLATFORM_CONTAINERS,
    PLATFORM_NAMESPACES,
    SHARED_ACCOUNTS,
    VAULT_CALLER,
)
from components.kube.service_ref import ServiceRef
from components.schema.fields import AbsolutePath, HostName, Image, Label, ProbePath, Words
from components.schema.problem import UNREPEATED, Key
from components.schema.public import Headers, RateLimit, RequestBytes
from components.schema.typed_file import TypedFile, misplaced
from components.service.file.containers import (
    ContainerName,
    ContainerSpec,
    InitSpec,
    ScratchSpec,
    SidecarSpec,
    UserId,
    all_containers,
    check_containers,
)
from components.service.file.database import OWNER, SECRET_NAME, DatabaseSpec
from components.service.file.environment import Environment
from components.service.file.exceptions import ExceptionSpec
from components.service.file.jobs import NAME_LIMIT, JobSpec, RunSpec, check_jobs
from components.service.file.kubernetes_api import LEADER_ELECTION, ApiRule
from components.service.file.lifecycle import PodEnvironment, StopSpec
from components.service.file.network import (
    AppPort,
    Call,
    CallerName,
    EgressSpec,
    JwtSpec,
    MetricsSpec,
    PlaintextPortSpec,
    ServiceName,
    Tokens,
    check_tokens,
    peers_name,
)
from components.service.file.patch import PatchSpec
from components.service.file.placement import PlacementSpec
from components.service.file.ports import PROTOCOLS, Ports, Protocol, check_ports, check_probes
from components.service.file.probes import ProbesSpec
from components.service.file.routes import LentPaths, PathSpec, PublicPathSpec, check_paths
from components.service.file.scaling import AutoscalingSpec, Pods, ResourcesSpec
from components.service.file.secrets import SecretName, SecretSpec
from components.service.file.storage import SHARED, CaBundleSpec, ConfigSpec, VolumeName, VolumeSpec, clash

_LABEL_LENGTH = 63
# What one HTTPRoute can hold: https://gateway-api.sigs.k8s.io/reference/spec/#httproutespec
_ROUTE_HOSTS, _ROUTE_PATHS = 16, 64

# What only a service has that listens, and only one whose pods stay.
_LISTENS = ("protocol", "ports", "host", "paths", "callers", "health")
_STAYS = ("replicas", "autoscaling", "probes", "stop", "peers", "metrics", "leader_election", "sidecars", "jobs")


def not_a_service_namespace(namespace: str) -> str:
    """Why no service may have this namespace; empty if one may."""
    if namespace in (*PLATFORM_NAMESPACES, EXTERNAL_SECRETS_NAMESPACE) or namespace.startswith("kube-"):
        return "it is the platform's: write one of your own"
    # It is there before the stack, which would take it over and delete it in the end.
    return "it is the cluster's own: write one of the team's" if namespace == "default" else ""


class ServiceSpec(TypedFile):
    """One application."""

    name: Label
    """The name of the service; by default that of the file."""
    namespace: Label
    """Its namespace, which is created with its first service; not one of the platform's."""
    team: Label
    """The team that is responsible for it."""
    image: Image
    """The image, from a registry of the stack file, with a fixed tag or a digest."""
    port: AppPort | None = None
    """The port that it listens on and that other services call. Without one it is a worker, which nobody calls."""
    protocol: Protocol = "http"
    """The protocol of that port, without TLS of its own. The mesh parses `http`, `http2` (with prior knowledge) and
    `grpc`, and forwards `tcp` as it is."""
    ports: Ports = Field(default_factory=dict)
    """Further ports, by name, such as `admin: 9001`; a call names them, as in `calls: [minio:admin]`."""
    host: HostName | None = None
    """The public host name; without it the service is not reachable from outside the cluster."""
    aliases: tuple[HostName, ...] = Field(default=(), max_length=_ROUTE_HOSTS - 1)
    """Further public host names, each with its own certificate."""
    paths: tuple[PublicPathSpec, ...] = Field(default=(PathSpec(path="/"),), min_length=1, max_length=_ROUTE_PATHS)
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
    """Ports at which its replicas reach each other, as `<pod>.<name>-peers.<namespace>.svc`; no other service may."""
    egress: tuple[EgressSpec, ...] = ()
    """The hosts outside the cluster that it connects to; it can reach no others."""
    jwt: Tokens | None = None
    """The end user's token that every request to `host` must have. A list has several issuers, each of whose tokens
    will do."""
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
    writable: tuple[AbsolutePath, ...] = ()
    """Directories, besides /tmp, that it may write to; they are gone with the pod."""
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

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if reason := not_a_service_namespace(self.namespace):
            raise misplaced(["namespace"], reason, self.namespace)
        if self.name in SHARED_ACCOUNTS:
            raise misplaced(["name"], "a service account that every pod of its namespace may have", self.name)
        if self.name in PLATFORM_CONTAINERS:
            raise misplaced(["name"], "a container that the platform adds to pods has this name", self.name)
        if self.peers and len(self.name) > (longest := _LABEL_LENGTH - len(peers_name(""))):
            message = f"longer than {longest} characters, which the name of the Service of its peers leaves"
            raise misplaced(["name"], message, self.name)
        self._kind()
        self._consistent_network()
        self._check_public()
        files = [secret.file or name for name, secret in self.secrets.items()]
        files += [database.file or name for name, database in self.all_databases.items()]
        if self.database is not None and SECRET_NAME in self.databases:
            message = "the name of what stands under database: rename one of the two"
            raise misplaced(["databases", SECRET_NAME], message, SECRET_NAME)
        if twice := sorted(self.all_databases.keys() & self.secrets.keys()):
            message = f"the name of the credentials of {'database' if twice[0] == SECRET_NAME else 'a database'}"
            raise misplaced(["secrets", twice[0]], f"{message}: rename the secret", twice[0])
        if twice := sorted(self.env.keys() & self.pod_env.keys()):
            raise misplaced(["podEnv", twice[0]], "env has a variable of that name: keep one", twice[0])
        if twice := sorted({name for name in files if files.count(name) > 1}):
            raise misplaced(["secrets"], f"two of them write the file {twice[0]}", UNREPEATED)
        rules = [exception.rule for exception in self.exceptions]
        if twice := sorted({rule for rule in rules if rules.count(rule) > 1}):
            raise misplaced(["exceptions"], "two are from one rule: keep one", ", ".join(twice))
        return self

    @model_validator(mode="after")
    def _named(self) -> Self:
        own = next((name for name, volume in self.volumes.items() if volume.access_mode != SHARED), "")
        if own and len(self.name) > NAME_LIMIT:
            message = (
                f"longer than {NAME_LIMIT} characters, which a StatefulSet's name may have at most: volumes.{own} is "
                "one for each replica"
            )
            raise misplaced(["name"], message, self.name)
        return self

    @model_validator(mode="after")
    def _places(self) -> Self:
        if self.replicas is not None and self.autoscaling is not None:
            raise misplaced(["replicas"], "autoscaling decides how many there are: keep one of the two", self.replicas)
        places: list[tuple[Key, str]] = [(("writable", number), path) for number, path in enumerate(self.writable)]
        places += [(("scratch", name, "path"), scratch.path) for name, scratch in self.scratch.items()]
        places += [(("volumes", name, "path"), volume.path) for name, volume in self.volumes.items()]
        places += [(("config", "path"), self.config.path)] if self.config else []
        places += [(("caBundle", "path"), self.ca_bundle.path.rpartition("/")[0])] if self.ca_bundle else []
        if overlap := clash(places):
            key, path, owner = overlap
            raise misplaced(key, f"the directory is that of {owner} already", path)
        return self

    @model_validator(mode="after")
    def _jobs(self) -> Self:
        hosts = tuple(outside.host for outside in self.egress)
        for name, database in self.all_databases.items():
            if database.owns and not self.has_owner(name):
                message = "no job owns anything there: write owner under its database, or leave this out"
                raise misplaced([*self.database_key(name), "owns"], message, ", ".join(database.owns))
        check_jobs(self.jobs, self.ref, self.callees(), tuple(self.secrets), hosts, self.all_databases)
        return self

    @model_validator(mode="after")
    def _containers(self) -> Self:
        secrets, databases = tuple(self.secrets), tuple(self.all_databases)
        check_containers(
            *(self.containers, self.name, self.run_as_user, secrets, databases, self.scratch, self.volumes)
        )
        names = [self.name, *(name for (_, name), _ in self.containers)]
        if unknown := next(
            (name for name in self.patch.containers if name not in names) if self.patch else iter(()), ""
        ):
            raise misplaced(["patch", "containers", unknown], "no container of the pod", unknown, names)
        return self

    def _kind(self) -> None:
        """Refuse what a worker, or a program that ends, cannot have."""
        written = self.model_fields_set
        if self.run is not None:
            if unused := next((key for key in ("port", *_STAYS) if key in written), ""):
                raise misplaced([to_camel(unused)], "run says that its program ends: keep one of the two", UNREPEATED)
            if len(self.name) > NAME_LIMIT:
                message = f"longer than {NAME_LIMIT} characters, which the name of a CronJob may have at most"
                raise misplaced(["name"], message, self.name)
            if own := next((name for name, volume in self.volumes.items() if volume.access_mode != SHARED), ""):
                message = "run says that its program ends: only pods that stay have volumes of their own"
                raise misplaced(["volumes", own, "accessMode"], message, self.volumes[own].access_mode, [SHARED])
        if self.port is not None:
            check_ports(self.port, self.protocol, self.ports, self.metrics)
            return
        if unused := next((key for key in _LISTENS if key in written), ""):
            raise misplaced([to_camel(unused)], "it needs port: without one nobody can call it", UNREPEATED)
        if self.run is None and self.metrics is None:
            check_probes(self.probes)

    def _check_public(self) -> None:
        if self.host is None:
            public = ("aliases", "host_owner", "host_users", "security_headers", "rate_limit", "max_request_bytes")
            if unused := next((name for name in public if getattr(self, name)), ""):
                raise misplaced([to_camel(unused)], "it needs host: nothing else is public", UNREPEATED)
        if twice := sorted({host for host in self.hosts if self.hosts.count(host) > 1}):
            message = "under host and aliases it stands twice: keep one"
            raise misplaced(["aliases"], message, ", ".join(twice))

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
    def hosts(self) -> tuple[str, ...]:
        """All public host names."""
        return (self.host, *self.aliases) if self.host else ()

    def _consistent_network(self) -> None:
        if self.host is not None and self.protocol == "tcp":
            legal = [protocol for protocol in PROTOCOLS if protocol != "tcp"]
            raise misplaced(["protocol"], "host needs another: the gateway routes requests", "tcp", legal)
        if self.protocol == "grpc":
            self._consistent_grpc()
        check_paths(self.paths, grpc=self.protocol == "grpc", jwt=self.jwt is not None)
        if self.jwt is not None and self.host is None:
            raise misplaced(["jwt"], "it needs host: it holds for the requests that come from there", UNREPEATED)
        check_tokens(self.tokens)
        repeated = (
            ("calls", [f"{ref}:{call.port}" for ref, call in zip(self.callees(), self.calls, strict=True)]),
            ("callers", [f"{ref}:{port}" for ref, port in self.allowed_callers()]),
            ("peers", [str(port) for port in self.peers]),
            ("egress", [f"{outside.host}:{outside.port}" for outside in self.egress]),
            ("plaintextPorts", [str(plaintext.port) for plaintext in self.plaintext_ports]),
        )
        for key, names in repeated:
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise misplaced([key], "it stands there twice: keep one", ", ".join(twice).replace(":None", ""))
        kinds = {(outside.host, outside.protocol == "tcp") for outside in self.egress}
        if mixed := sorted(host for host, tcp in kinds if tcp and (host, False) in kinds):
            message = "it stands there with tcp and without: the mesh holds a host to one of the two"
            raise misplaced(["egress"], message, mixed[0])
        listening = {*self.open_ports, *([self.metrics.port] if self.metrics else [])}
        if foreign := sorted({plaintext.port for plaintext in self.plaintext_ports} - listening):
            legal = [str(port) for port in sorted(listening)]
            raise misplaced(["plaintextPorts"], "the service does not listen on it", foreign[0], legal)

    def _consistent_grpc(self) -> None:
        if self.health is not None:
            message = (
                "gRPC has no paths to probe: leave it out, or write grpc under probes.readiness and probes.liveness"
            )
            raise misplaced(["health"], message, self.health)

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
    def ref(self) -> ServiceRef:
        """The reference to it, by namespace and name."""
        return ServiceRef(self.namespace, self.name)

    @property
    def timed(self) -> bool:
        """Whether it has an exception, a plaintext port, a patch or a right on the Kubernetes API with a last day."""
        rights = any(rule.exception for rule in self.kubernetes_api)
        return bool(self.exceptions or self.plaintext_ports or self.patch or rights)

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

    def callees(self) -> tuple[ServiceRef, ...]:
        """The services that it calls."""
        return tuple(ServiceRef.parse(call.service, self.namespace) for call in self.calls)

    @property
    def lets_vault_in(self) -> bool:
        """Whether it agrees that Vault makes users in it."""
        return VAULT_CALLER in self.callers

    def allowed_callers(self) -> tuple[tuple[ServiceRef, str | None], ...]:
        """The services that may call it, each with the name of a port; that of `port` has none."""
        parts = (caller.partition(":") for caller in self.callers)
        return tuple((ServiceRef.parse(service, self.namespace), port or None) for service, _, port in parts)
