"""The arguments of `SecureService`: plain data, so that the component can be published to other languages.

An empty string or list stands for "none": the public edge has no optional types and no unions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from components.network_args import (
    EgressArgs,
    JwtArgs,
    MetricsArgs,
    Peer,
    PlaintextPortArgs,
    beyond_ambient,
    egress_args,
    jwt_args,
    metrics_args,
    plaintext_args,
)
from components.policy_exceptions import ExceptionArgs, exception_args
from components.service_database import DatabaseArgs, DatabaseServer, GrantArgs, default_template, seconds
from components.service_door import DoorArgs, DoorTerms, service_door
from components.service_jobs import JobArgs, called, job_args, job_name
from components.service_probes import ProbesArgs, probes_args
from components.service_scaling import AutoscalingArgs, autoscaling_args
from components.service_spec import DatabaseSpec, GrantSpec, ServiceSpec
from components.service_storage import (
    CaBundleArgs,
    ConfigArgs,
    VolumeArgs,
    ca_bundle_args,
    config_args,
    volume_args,
)


@dataclass(frozen=True)
class SecretArgs:
    """A secret of a service and the file that shows it."""

    name: str
    file: str
    values: Mapping[str, str]
    generate: Sequence[str]
    template: str
    replaces: int = 0
    """The version in Vault that the values are written over; 0: there is none yet."""


@dataclass(frozen=True)
class ApiRuleArgs:
    """Rights on the Kubernetes API, in the service's own namespace."""

    api_groups: Sequence[str]
    resources: Sequence[str]
    verbs: Sequence[str]


@dataclass(frozen=True)
class StoreTerms:
    """What the External Secrets Operator is told: where Vault is, whom to believe that, and why copies may be made."""

    server: str = ""
    """Vault's address as the operator reaches it; empty: it copies nothing."""
    authority: str = ""
    """PEM certificates of the authority behind Vault's; empty: a public one."""
    reason: str = ""

    @property
    def on(self) -> bool:
        """Whether secrets are delivered by the operator, not by Vault's agent."""
        return bool(self.server)


@dataclass(frozen=True)
class PlatformArgs:
    """What the platform decided and where its parts are, the same for every service of a stack."""

    vault: bool
    injection: bool
    mesh: bool
    authorization: str
    network_policies: bool
    ambient: bool = False
    """Whether the mesh is carried by the nodes' proxies; otherwise by one in each pod."""
    rules: Sequence[str] = ()
    """The rules that are on; an exception from another one has nothing to except from."""
    trust_domain: str = "cluster.local"
    kv_mount: str = "secret"
    database_mount: str = "database"
    databases: Sequence[DatabaseServer] = ()
    auth_path: str = "kubernetes"
    secret_refresh: str = "5m"  # noqa: S105 - a duration
    """How often an agent asks for the newest version of a secret."""
    store: StoreTerms = field(default_factory=StoreTerms)
    vault_port: int = 8200
    vault_networks: Sequence[str] = ()
    """Networks of an external Vault; empty: Vault's pods are in namespace `vault`."""
    api_server_networks: Sequence[str] = ()
    route: str = ""
    """`gateway-api`, `ingress` or empty: nothing is public."""
    issuer: str = ""
    ingress_class: str = ""
    gateway_name: str = ""
    gateway_namespace: str = ""
    gateway_account: str = ""
    door: DoorTerms = field(default_factory=DoorTerms)
    revision: str = ""
    """The revision of the mesh that pods join; empty: its only one."""
    scraper_namespace: str = ""
    scraper_account: str = ""
    """Whose identity may read the services' metrics."""
    tracing_namespace: str = ""
    tracing_service: str = ""
    tracing_port: int = 0
    """Where the proxies send their spans; without a namespace nowhere."""

    @property
    def sidecars(self) -> bool:
        """Whether each pod has a proxy of its own."""
        return self.mesh and not self.ambient


@dataclass(frozen=True)
class SecureServiceArgs:
    """One service, whom it talks to, and the platform it runs on.

    Raises `ValueError` when a grant is broader than the names that it is made of.
    """

    name: str
    namespace: str
    team: str
    image: str
    port: int
    platform: PlatformArgs
    protocol: str = "http"
    host: str = ""
    aliases: Sequence[str] = ()
    paths: Sequence[str] = ("/",)
    door: DoorArgs = field(default_factory=DoorArgs)
    calls: Sequence[Peer] = ()
    called_by: Sequence[Peer] = ()
    egress: Sequence[EgressArgs] = ()
    jwt: JwtArgs = field(default_factory=JwtArgs)
    plaintext_ports: Sequence[PlaintextPortArgs] = ()
    metrics: MetricsArgs = field(default_factory=MetricsArgs)
    secrets: Sequence[SecretArgs] = ()
    database: DatabaseArgs = field(default_factory=DatabaseArgs)
    kubernetes_api: Sequence[ApiRuleArgs] = ()
    replicas: int = 2
    autoscaling: AutoscalingArgs = field(default_factory=AutoscalingArgs)
    cpu_request: str = "100m"
    memory_request: str = "128Mi"
    cpu_limit: str = "500m"
    memory_limit: str = "256Mi"
    health: str = ""
    probes: ProbesArgs = field(default_factory=ProbesArgs)
    run_as_user: int = 1000
    writable: Sequence[str] = ()
    command: Sequence[str] = ()
    arguments: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    config: ConfigArgs = field(default_factory=ConfigArgs)
    volumes: Sequence[VolumeArgs] = ()
    ca_bundle: CaBundleArgs = field(default_factory=CaBundleArgs)
    jobs: Sequence[JobArgs] = ()
    job_of: str = ""
    """The service of the same namespace that this is a job of: the secrets are that one's."""
    component: str = "service"
    cost_center: str = ""
    exceptions: Sequence[ExceptionArgs] = ()
    labels: Mapping[str, str] = field(init=False)

    def __post_init__(self) -> None:
        peers = [*self.calls, *self.called_by]
        names = [self.name, self.namespace, *(secret.name for secret in self.secrets)]
        names += [self.owner, *(job.name for job in self.jobs)]
        names += [word for peer in peers for word in (peer.name, peer.namespace)]
        if broad := sorted({word for word in names if not word or "*" in word or "/" in word}):
            raise ValueError(f"{self.namespace}/{self.name}: {broad} would grant more than one name: write a full name")
        for rule in self.kubernetes_api:
            if any("*" in word for word in (*rule.api_groups, *rule.resources, *rule.verbs)):
                raise ValueError(f"{self.namespace}/{self.name}: kubernetes_api has a wildcard: name each right")
        if self.platform.ambient and (lost := beyond_ambient(self.port, peers, self.egress, self.jwt, self.metrics)):
            raise ValueError(f"{self.namespace}/{self.name}: ambient cannot hold {', '.join(lost)}")
        object.__setattr__(self, "labels", _labels(self))

    @property
    def key(self) -> str:
        """The service's unique name: a dot can be in neither part, so no two services share it."""
        return f"{self.namespace}.{self.name}"

    @property
    def selector(self) -> dict[str, str]:
        """The labels that select its pods, which never change during its life."""
        return {"app": self.name}

    @property
    def owner(self) -> str:
        """The service whose secrets, configuration and database users these are: its own, unless it is a job."""
        return self.job_of or self.name

    @property
    def smallest(self) -> int:
        """How many pods there are at least."""
        return self.autoscaling.minimum if self.autoscaling.maximum else self.replicas

    @property
    def stateful(self) -> bool:
        """Whether each replica has a volume of its own, which a StatefulSet keeps."""
        return any(not volume.shared for volume in self.volumes)

    def secret_path(self, secret: str) -> str:
        """The path of a secret below the KV mount."""
        return f"{self.namespace}/{self.owner}/{secret}"

    @property
    def database_path(self) -> str:
        """The path at which Vault makes a user of the service's database."""
        return f"{self.platform.database_mount}/creds/{self.namespace}.{self.owner}"

    @property
    def public(self) -> bool:
        """Whether something outside the cluster reaches it on this stack."""
        return bool(self.host and self.platform.route)

    @property
    def hosts(self) -> tuple[str, ...]:
        """Its public names."""
        return (self.host, *self.aliases) if self.host else ()


def metadata(args: SecureServiceArgs) -> dict[str, Any]:
    """The metadata that every object of a service shares."""
    return {"name": args.name, "namespace": args.namespace, "labels": dict(args.labels)}


def _labels(args: SecureServiceArgs) -> dict[str, str]:
    version = args.image.partition("@")[0].rpartition("/")[2].partition(":")[2] or "digest"
    labels = {
        "app": args.name,
        "app.kubernetes.io/name": args.name,
        "app.kubernetes.io/version": version,
        "app.kubernetes.io/component": args.component,
        "app.kubernetes.io/part-of": args.namespace,
        "app.kubernetes.io/managed-by": "pulumi",
        "component": args.component,
        "team": args.team,
        "version": version,
    }
    return {**labels, "cost-center": args.cost_center} if args.cost_center else labels


def services_args(specs: Sequence[ServiceSpec], platform: PlatformArgs, replicas: int) -> list[SecureServiceArgs]:
    """The arguments of every service, with both ends of each call taken from the one place that declares it."""
    ports = {(spec.namespace, spec.name): spec.port for spec in specs}
    callers: dict[tuple[str, str], list[Peer]] = {key: [] for key in ports}
    for spec in specs:
        for callee, call in zip(spec.callees(), spec.calls, strict=True):
            caller = Peer(spec.namespace, spec.name, ports[callee], call.methods, call.paths)
            calling = [name for name, job in spec.jobs.items() if callee in called(spec.namespace, job.calls)]
            callers[callee] += [caller, *(replace(caller, name=job_name(spec.name, job)) for job in calling)]
    return [
        _service_args(
            spec,
            platform,
            replicas,
            [
                Peer(*callee, ports[callee], call.methods, call.paths)
                for callee, call in zip(spec.callees(), spec.calls, strict=True)
            ],
            callers[spec.namespace, spec.name],
        )
        for spec in specs
    ]


def _service_args(
    spec: ServiceSpec, platform: PlatformArgs, replicas: int, calls: Sequence[Peer], called_by: Sequence[Peer]
) -> SecureServiceArgs:
    return SecureServiceArgs(
        name=spec.name,
        namespace=spec.namespace,
        team=spec.team,
        image=spec.image,
        port=spec.port,
        platform=platform,
        protocol=spec.protocol,
        host=spec.host or "",
        aliases=spec.aliases,
        paths=spec.paths,
        door=service_door(spec, platform.door),
        calls=calls,
        called_by=called_by,
        egress=[*map(egress_args, spec.egress), *_database_egress(spec, platform)],
        jwt=jwt_args(spec.jwt),
        plaintext_ports=[plaintext_args(clear) for clear in spec.plaintext_ports],
        metrics=metrics_args(spec.metrics),
        secrets=[
            SecretArgs(
                name,
                secret.file or name,
                secret.values,
                secret.generate,
                secret.template
                or "".join(f"{field.upper()}={{{{ .Data.data.{field} }}}}\n" for field in secret.fields),
                secret.replaces,
            )
            for name, secret in sorted(spec.secrets.items())
        ],
        database=_database(f"{spec.namespace}/{spec.name}", spec.database, platform)
        if spec.database
        else DatabaseArgs(),
        kubernetes_api=[ApiRuleArgs(r.api_groups, r.resources, r.verbs) for r in spec.kubernetes_api],
        replicas=spec.replicas or replicas,
        autoscaling=autoscaling_args(spec.autoscaling),
        cpu_request=spec.resources.requests.cpu,
        memory_request=spec.resources.requests.memory,
        cpu_limit=spec.resources.limits.cpu,
        memory_limit=spec.resources.limits.memory,
        health=spec.health or "",
        probes=probes_args(spec.probes),
        run_as_user=spec.run_as_user,
        writable=spec.writable,
        command=spec.command,
        arguments=spec.args,
        env=spec.env,
        config=config_args(spec.config),
        volumes=volume_args(spec.volumes),
        ca_bundle=ca_bundle_args(spec.ca_bundle),
        jobs=job_args(spec.namespace, spec.jobs, [outside.host for outside in _database_egress(spec, platform)]),
        component=spec.component,
        cost_center=spec.cost_center or "",
        exceptions=[exception_args(e) for e in spec.exceptions if e.rule in platform.rules],
    )


def _database_egress(spec: ServiceSpec, platform: PlatformArgs) -> list[EgressArgs]:
    """The way to a database outside the cluster; one of its own services is called like any other."""
    wanted = spec.database.connection if spec.database else ""
    found: list[EgressArgs] = []
    for server in platform.databases:
        if server.name != wanted:
            continue
        if server.named and not server.networks and (platform.mesh or platform.network_policies):
            raise ValueError(
                f"databases.{server.name}.cidrs: required for {spec.namespace}/{spec.name}: nothing can hold a "
                f"connection to the name {server.host}, only to its networks"
            )
        if server.networks:
            # An address has no host name, and the mesh wants one: no name below `invalid` is anybody's (RFC 2606).
            host = server.host if server.named else f"{server.name}.invalid"
            found.append(EgressArgs(host, server.port, "tcp", server.networks))
    return found


def _database(service: str, wanted: DatabaseSpec, platform: PlatformArgs) -> DatabaseArgs:
    servers = {server.name: server for server in platform.databases}
    if wanted.connection not in servers:
        known = ", ".join(sorted(servers)) or "none"
        raise ValueError(f"{service}: no database {wanted.connection!r}; known: {known}")
    server = servers[wanted.connection]
    return DatabaseArgs(
        connection=server.name,
        database=server.database,
        grants=[_grant(grant) for grant in wanted.grants],
        ttl=seconds(wanted.ttl),
        max_ttl=seconds(wanted.max_ttl),
        file=wanted.file,
        template=wanted.template or default_template(server),
    )


def _grant(grant: GrantSpec) -> GrantArgs:
    return GrantArgs(
        schema=grant.schema_,
        privileges=grant.privileges,
        all_tables=grant.tables == "all",
        tables=() if grant.tables == "all" else grant.tables,
        all_sequences=grant.sequences == "all",
        sequences=() if grant.sequences == "all" else grant.sequences,
    )
