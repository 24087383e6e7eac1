"""The service file: what a team writes about one application, and nothing that can be derived from it."""

import re
from typing import Annotated, Literal, Self, cast

from pydantic import AfterValidator, BeforeValidator, Field, StrictInt, StrictStr, model_validator
from pydantic.alias_generators import to_camel

from components.network_spec import (
    AppPort,
    Call,
    EgressSpec,
    HttpPath,
    JwtSpec,
    MetricsSpec,
    PlaintextPortSpec,
)
from components.policy_exceptions import ExceptionSpec
from components.service_database import (
    DAY_SECONDS,
    FIELD_OF_CREDENTIALS,
    SECRET_NAME,
    Privilege,
    identifier,
    schema_name,
    seconds,
)
from components.service_environment import Environment
from components.service_jobs import JobSpec, Words, check_jobs
from components.service_probes import ProbesSpec
from components.service_scaling import AutoscalingSpec, ResourcesSpec
from components.service_storage import CaBundleSpec, ConfigSpec, VolumeSpec, clash
from components.settings_ingress import Headers, RateLimit, RequestBytes
from components.settings_platform import Replicas
from components.settings_vault import AbsolutePath, Duration
from components.typed_file import SECRET_KEY, FileName, HostName, Image, Label, TypedFile, misplaced

PLATFORM_NAMESPACES = (
    "kube-system",
    "kube-node-lease",
    "kube-public",
    "kyverno",
    "istio-system",
    "cert-manager",
    "vault",
    "istio-ingress",
)
# Accounts that a namespace has without a service: nobody's identity rests on them.
SHARED_ACCOUNTS = ("default", "workload")
# The policy that keeps all other accounts, and the verb on one that it asks for.
IDENTITIES, USE = "service-identities", "use"
_MESH_UID = 1337
_PLACEHOLDER = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}", re.DOTALL)
FIELD_OF_SECRET = re.compile(r"\.Data\.data\.([a-z][a-z0-9_]*)")
# Verbs and resources that lead from one namespace's rights to all of its secrets, or to more rights.
_ESCALATING_VERBS = frozenset({"escalate", "bind", "impersonate", USE})
_ESCALATING_RESOURCES = frozenset(
    {
        "secrets",
        "serviceaccounts/token",
        "pods/exec",
        "pods/attach",
        "pods/ephemeralcontainers",
        "roles",
        "rolebindings",
    }
)


def _key(value: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", value):
        raise ValueError("not a field name: lower-case letters, digits and underscores, a letter first")
    return value


def _uid(value: int) -> int:
    if value == _MESH_UID:
        raise ValueError("1337 is the mesh proxy's user: its traffic bypasses the proxy")
    return value


def _relations(value: object) -> object:
    if value == "all":
        return value
    if not isinstance(value, list | tuple) or not all(isinstance(n, str) for n in cast("list[object]", value)):
        raise ValueError("write all, or a list of names")
    return tuple(identifier(name) for name in cast("list[str]", value))


FieldName = Annotated[StrictStr, AfterValidator(_key)]
Relations = Annotated[Literal["all"] | tuple[StrictStr, ...], BeforeValidator(_relations)]


class SecretSpec(TypedFile):
    """One secret of a service: a file `/vault/secrets/<file>` in its pod."""

    values: dict[FieldName, StrictStr] = Field(default_factory=dict)
    """Fields that are no secret, such as a host or a user name."""
    generate: tuple[FieldName, ...] = ()
    """Fields whose first value is generated."""
    template: StrictStr | None = None
    """The file's text, with `{{ .Data.data.<field> }}` for a field; by default one line `FIELD=value` for each."""
    file: FileName | None = None
    """The file's name; the secret's name by default."""
    replaces: Annotated[StrictInt, Field(ge=0)] = 0
    """The version in Vault that these values are written over. Values are first values: Vault refuses to write changed
    ones over a version that is not named here, since they would undo a rotation."""

    @property
    def fields(self) -> tuple[str, ...]:
        """Every field, sorted."""
        return tuple(sorted({*self.values, *self.generate}))

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.fields:
            raise ValueError("no field: write values, generate, or both")
        if both := sorted(set(self.values) & set(self.generate)):
            raise ValueError(f"{', '.join(both)} stands under values and generate: keep one")
        if leaked := sorted(key for key in self.values if SECRET_KEY.search(key)):
            raise ValueError(f"{', '.join(leaked)} looks like a secret in clear text: move it to generate")
        for placeholder in _PLACEHOLDER.findall(self.template or ""):
            field = FIELD_OF_SECRET.fullmatch(placeholder)
            if field is None or field[1] not in self.fields:
                raise ValueError(
                    f"the template has {{{{ {placeholder} }}}}; legal: "
                    + ", ".join(f"{{{{ .Data.data.{name} }}}}" for name in self.fields)
                )
        return self


class GrantSpec(TypedFile):
    """What the service's users may do in one schema of the database."""

    schema_: Annotated[StrictStr, AfterValidator(schema_name)] = Field(alias="schema")
    """The schema, which is none of the server's own."""
    privileges: tuple[Privilege, ...] = Field(min_length=1)
    """On the tables. Nothing that changes the schema is among them: migrations are another identity's."""
    tables: Relations
    """`all` that there are when a user is made, or the names of tables and views."""
    sequences: Relations = ()
    """Sequences that may be advanced, which INSERT into a `serial` column needs."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.tables:
            raise ValueError("tables is empty: write all, or the names of tables")
        if len(set(self.privileges)) < len(self.privileges):
            raise ValueError("a privilege stands there twice")
        return self


class DatabaseSpec(TypedFile):
    """The service's users in a database: each pod gets its own, which ends with its time or its pod."""

    connection: Label
    """The database, by its name under `databases` in the stack file."""
    grants: tuple[GrantSpec, ...] = Field(min_length=1)
    ttl: Duration = "1h"
    """How long a user lives unless its agent renews it."""
    max_ttl: Duration = "24h"
    """How long at most; 24h is the highest that is legal."""
    file: FileName = SECRET_NAME
    """The file `/vault/secrets/<file>` that holds the credentials; it is written again with each new user."""
    template: StrictStr | None = None
    """The file's text, with `{{ .Data.username }}` and `{{ .Data.password }}`; by default `DB_HOST`, `DB_PORT`,
    `DB_NAME`, `DB_USER` and `DB_PASS`, a line each."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if seconds(self.max_ttl) > DAY_SECONDS:
            raise ValueError(f"maxTtl {self.max_ttl} is more than 24h")
        if seconds(self.ttl) > seconds(self.max_ttl):
            raise ValueError(f"ttl {self.ttl} is more than maxTtl {self.max_ttl}")
        schemas = [grant.schema_ for grant in self.grants]
        if twice := sorted({name for name in schemas if schemas.count(name) > 1}):
            raise ValueError(f"two grants for the schema {', '.join(twice)}: keep one")
        for placeholder in _PLACEHOLDER.findall(self.template or ""):
            if not FIELD_OF_CREDENTIALS.fullmatch(placeholder):
                legal = "{{ .Data.username }}, {{ .Data.password }}"
                raise ValueError(f"the template has {{{{ {placeholder} }}}}; legal: {legal}")
        return self


class ApiRule(TypedFile):
    """Rights on the Kubernetes API, in the service's own namespace."""

    api_groups: tuple[StrictStr, ...] = ("",)
    """The groups of the resources; the empty one is the core's."""
    resources: tuple[StrictStr, ...] = Field(min_length=1)
    """Such as `configmaps`; none that leads to secrets or to more rights."""
    verbs: tuple[StrictStr, ...] = Field(min_length=1)
    """Such as `get` and `list`; none that hands rights on."""

    @model_validator(mode="after")
    def _narrow(self) -> Self:
        written = (*self.api_groups, *self.resources, *self.verbs)
        if any("*" in word for word in written):
            raise ValueError("a wildcard is over-broad: name each group, resource and verb")
        if broad := sorted({*self.resources} & _ESCALATING_RESOURCES | {*self.verbs} & _ESCALATING_VERBS):
            raise ValueError(f"{', '.join(broad)} would give more than is written: no service gets it")
        return self


class ServiceSpec(TypedFile):
    """One application."""

    name: Label
    """The service's name; the file's name by default."""
    namespace: Label
    """Where it runs; made with its first service. The platform's own are not to be had."""
    team: Label
    """Who answers for it."""
    image: Image
    """The image, from a registry of the stack file, with a fixed tag or a digest."""
    port: AppPort
    """The port that it listens on and that others reach."""
    protocol: Literal["http", "tcp"] = "http"
    """What it speaks there; the mesh reads `http`, and passes `tcp` on."""
    host: HostName | None = None
    """The public name; without it nothing outside the cluster reaches the service."""
    aliases: tuple[HostName, ...] = ()
    """Further public names of it, each with its own certificate."""
    paths: tuple[HttpPath, ...] = Field(default=("/",), min_length=1)
    """The path prefixes that are public at `host` and `aliases`."""
    security_headers: Headers | None = None
    """Headers of its answers beside or in place of those of the stack's `ingress.headers` and `ingress.hsts`, or `none`
    of them."""
    rate_limit: RateLimit | None = None
    """Requests a public host of it answers in a time, in place of the stack's `ingress.rateLimit`."""
    max_request_bytes: RequestBytes | None = None
    """The largest body of a public request, in place of the stack's `ingress.maxRequestBytes`. `none` where requests
    are streams (WebSocket, gRPC)."""
    calls: tuple[Call, ...] = ()
    """The services it talks to, each by its name or with the requests that it sends; everything else is closed."""
    egress: tuple[EgressSpec, ...] = ()
    """The hosts outside the cluster that it talks to; everything else is closed."""
    jwt: JwtSpec | None = None
    """The end user's token that every request from `host` must carry."""
    plaintext_ports: tuple[PlaintextPortSpec, ...] = ()
    """Ports that take connections without a certificate, each with its reason and its last day."""
    metrics: MetricsSpec | None = None
    """What the stack's `mesh.scraper` may read."""
    secrets: dict[Label, SecretSpec] = Field(default_factory=dict)
    """Its secrets in Vault by name; it reads no other service's."""
    database: DatabaseSpec | None = None
    """Its own users in a database."""
    replicas: Replicas | None = None
    """How many pods; the stack file's `services.replicas` without it."""
    autoscaling: AutoscalingSpec | None = None
    """As many pods as the load asks for, in place of `replicas`."""
    resources: ResourcesSpec = ResourcesSpec()
    """CPU and memory of a pod."""
    command: Words = ()
    """The program that the container runs; the image's own without it."""
    args: Words = ()
    """Its arguments."""
    env: Environment = Field(default_factory=dict)
    """Environment variables that are no secret; `DB_PASSWORD_FILE: /vault/secrets/database` names the place of one."""
    config: ConfigSpec | None = None
    """Configuration files, read-only."""
    health: HttpPath | None = None
    """The path that answers a probe; by default the port must accept a connection."""
    probes: ProbesSpec | None = None
    """Probes that differ from one another, or in their times."""
    run_as_user: Annotated[StrictInt, Field(ge=1, le=65535), AfterValidator(_uid)] = 1000
    """The user id in the container, never root's; its group is the same number, and 2000 is another one."""
    writable: tuple[AbsolutePath, ...] = ()
    """Directories it may write to beside /tmp; they end with the pod."""
    volumes: dict[Label, VolumeSpec] = Field(default_factory=dict)
    """Volumes that stay, by name."""
    ca_bundle: CaBundleSpec | None = None
    """The authorities that it trusts, in place of those of its image."""
    jobs: dict[Label, JobSpec] = Field(default_factory=dict)
    """Programs of its image that end, by name: once for each release, or by the clock."""
    kubernetes_api: tuple[ApiRule, ...] = ()
    """Its rights on the Kubernetes API; without any it has no token either."""
    component: Label = "service"
    """What part it plays, such as `cache`; a label."""
    cost_center: Label | None = None
    """Who pays; a label."""
    exceptions: tuple[ExceptionSpec, ...] = ()
    """Rules of the library that do not hold for this service, each with its reason and its last day."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.namespace in (*PLATFORM_NAMESPACES, "external-secrets") or self.namespace.startswith("kube-"):
            raise ValueError(f"namespace {self.namespace} is the platform's: write one of your own")
        if self.name in SHARED_ACCOUNTS:
            raise misplaced(["name"], "a service account that every pod of its namespace may have", self.name)
        self._consistent_network()
        self._check_door()
        files = [secret.file or name for name, secret in self.secrets.items()]
        if self.database is not None:
            if SECRET_NAME in self.secrets:
                raise ValueError(
                    f"secrets has {SECRET_NAME}, the name of the credentials of database: rename the secret"
                )
            files.append(self.database.file)
        if twice := sorted({name for name in files if files.count(name) > 1}):
            raise ValueError(f"two secrets write the file {', '.join(twice)}")
        rules = [exception.rule for exception in self.exceptions]
        if twice := sorted({rule for rule in rules if rules.count(rule) > 1}):
            raise ValueError(f"two exceptions from the rule {', '.join(twice)}: keep one")
        return self

    @model_validator(mode="after")
    def _places(self) -> Self:
        if self.replicas is not None and self.autoscaling is not None:
            raise misplaced(["replicas"], "autoscaling decides how many there are: keep one of the two", self.replicas)
        places: list[tuple[tuple[int | str, ...], str]] = [
            (("writable", number), path) for number, path in enumerate(self.writable)
        ]
        places += [(("volumes", name, "path"), volume.path) for name, volume in self.volumes.items()]
        places += [(("config", "path"), self.config.path)] if self.config else []
        places += [(("caBundle", "path"), self.ca_bundle.path.rpartition("/")[0])] if self.ca_bundle else []
        if found := clash(places):
            key, path, other = found
            raise misplaced(key, f"the directory is that of {other} already", path)
        return self

    @model_validator(mode="after")
    def _jobs(self) -> Self:
        hosts = tuple(outside.host for outside in self.egress)
        name = (self.namespace, self.name)
        check_jobs(self.jobs, name, self.callees(), tuple(self.secrets), hosts, self.database is not None)
        return self

    def _check_door(self) -> None:
        if self.host is None:
            at_the_door = ("aliases", "security_headers", "rate_limit", "max_request_bytes")
            if lost := [to_camel(name) for name in at_the_door if getattr(self, name)]:
                raise ValueError(f"{', '.join(lost)} needs host: nothing else is public")
        if twice := sorted({host for host in self.hosts if self.hosts.count(host) > 1}):
            raise ValueError(f"{', '.join(twice)} stands under host and aliases twice: keep one")

    @property
    def hosts(self) -> tuple[str, ...]:
        """Every public name."""
        return (self.host, *self.aliases) if self.host else ()

    def _consistent_network(self) -> None:
        if self.host is not None and self.protocol != "http":
            raise ValueError("host needs protocol: http")
        if self.jwt is not None and self.host is None:
            raise ValueError("jwt needs host: it holds for the requests that come from there")
        repeated = (
            ("calls", [f"{namespace}/{name}" for namespace, name in self.callees()]),
            ("egress", [f"{outside.host}:{outside.port}" for outside in self.egress]),
            ("plaintextPorts", [str(clear.port) for clear in self.plaintext_ports]),
        )
        for key, names in repeated:
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise ValueError(f"{key} has {', '.join(twice)} twice: keep one")
        kinds = {(outside.host, outside.protocol == "tcp") for outside in self.egress}
        if mixed := sorted(host for host, tcp in kinds if tcp and (host, False) in kinds):
            raise ValueError(f"egress has {mixed[0]} with tcp and without: the mesh holds a host to one of the two")
        own = {self.port, self.metrics.port if self.metrics else self.port}
        if foreign := sorted({clear.port for clear in self.plaintext_ports} - own):
            ports = ", ".join(str(port) for port in sorted(own))
            raise ValueError(f"plaintextPorts has {foreign[0]}, which the service does not listen on; legal: {ports}")

    @property
    def timed(self) -> bool:
        """Whether something of it holds for a while alone."""
        return bool(self.exceptions or self.plaintext_ports)

    def callees(self) -> tuple[tuple[str, str], ...]:
        """Namespace and name of each service it calls."""
        split = (call.service.rpartition("/") for call in self.calls)
        return tuple((namespace or self.namespace, name) for namespace, _, name in split)
