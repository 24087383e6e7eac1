"""The package file: a chart or manifests of others, and what a team declares about them."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, StrictStr, model_validator
from pydantic.alias_generators import to_snake

from components.kube.names import SHARED_ACCOUNTS
from components.kube.service_ref import ServiceRef
from components.package.file.chart import ChartSpec, Folder, GrantSpec, LeftOutSpec, secret_values
from components.schema.fields import Label, Port, PublicHost
from components.schema.problem import UNREPEATED, Key
from components.schema.public import Headers, RateLimit, RequestBytes
from components.schema.typed_file import TypedFile, misplaced
from components.service.file.exceptions import ExceptionSpec
from components.service.file.network import (
    CallerName,
    CallSpec,
    EgressSpec,
    MetricsSpec,
    PlaintextPortSpec,
    at_port,
    check_mixed_hosts,
    check_repeated,
    written_call,
)
from components.service.file.ports import PROTOCOLS, PortName, Protocol
from components.service.file.secrets import SecretName, SecretSpec
from components.service.file.service import not_a_service_namespace

Workloads = tuple[Label, ...]


class ExposeSpec(TypedFile):
    """A port of a Service of the chart that others may call."""

    name: PortName | None = None
    """The name by which a call asks for it, as in `calls: [monitoring/prometheus:alerts]`; one has none."""
    service: Label
    """The Service, by the name that the chart gives it."""
    port: Port
    """The number of the Service's port."""
    protocol: Protocol = "http"
    """The protocol, without TLS of its own."""
    host: PublicHost | None = None
    """The public host name of this port; one port of a package may have one."""

    @model_validator(mode="after")
    def _routed(self) -> Self:
        if self.host is not None and self.protocol == "tcp":
            legal = [protocol for protocol in PROTOCOLS if protocol != "tcp"]
            raise misplaced(["protocol"], "host needs another: the gateway routes requests", "tcp", legal)
        return self


class PackageCallSpec(CallSpec):
    """A service, or another package, that workloads of the package call."""

    workloads: Workloads = ()
    """The workloads that call it; a chart with one workload needs none here."""


class BetweenSpec(TypedFile):
    """A port of one workload of the package that other workloads of it call."""

    workloads: Workloads = Field(min_length=1)
    """The workloads that call."""
    service: Label
    """The Service that they call, by the name that the chart gives it."""
    port: Port
    """The number of the Service's port."""


class PackageEgressSpec(EgressSpec):
    """A host outside the cluster that workloads of the package reach, at one port."""

    workloads: Workloads = ()
    """The workloads that reach it; a chart with one workload needs none here."""


class PackagePlaintextPortSpec(PlaintextPortSpec):
    """A port of a workload that accepts connections without a certificate, such as those of the API server."""

    workload: Label
    """The workload."""


class PackageMetricsSpec(MetricsSpec):
    """The metrics of a workload that the platform's scraper reads."""

    workload: Label
    """The workload."""


class PackageSecretSpec(SecretSpec):
    """A secret of one workload: the file `/vault/secrets/<file>` in all containers of its pods."""

    workload: Label
    """The workload."""

    @model_validator(mode="after")
    def _unshared(self) -> Self:
        for key, value in (("from", self.from_), ("readers", self.readers)):
            if value:
                raise misplaced([key], "a package shares no secret: it reads its own", UNREPEATED)
        return self


class PackageExceptionSpec(ExceptionSpec):
    """A rule that does not apply to one workload of the package, for a limited time."""

    workload: Label
    """The workload, by the name that the chart gives it."""


PackageCall = Annotated[
    PackageCallSpec, BeforeValidator(written_call, json_schema_input_type=StrictStr | PackageCallSpec)
]


class PackageSpec(TypedFile):
    """One package: a chart, or manifests, of somebody else."""

    name: Annotated[Label, Field(max_length=53)]
    """The name of the package, and of the release that the chart is rendered as; by default that of the file."""
    namespace: Label
    """Its namespace, which is created with it and which no service or other package has."""
    team: Label
    """The team that is responsible for it."""
    chart: ChartSpec | None = None
    """The Helm chart."""
    manifests: Folder | None = None
    """In place of a chart: a folder below `packages/` with Kubernetes manifests, such as `packages/bookinfo`."""
    values: dict[StrictStr, object] = Field(default_factory=dict)
    """The values of the chart. A secret is never among them."""
    without: tuple[LeftOutSpec, ...] = ()
    """Objects of the chart that are left out, such as its own NetworkPolicy."""
    expose: tuple[ExposeSpec, ...] = ()
    """The ports that others may call, if `callers` names them. The first one without a name is what `calls` reaches
    that name no port."""
    security_headers: Headers | None = None
    """Response headers of its public host, as in a service file."""
    rate_limit: RateLimit | None = None
    """The rate of requests to its public host, as in a service file."""
    max_request_bytes: RequestBytes | None = None
    """The largest body of a public request, as in a service file."""
    secrets: dict[SecretName, PackageSecretSpec] = Field(default_factory=dict)
    """Its secrets in Vault, by name: files that Vault's agent writes into the pods of a workload."""
    calls: tuple[PackageCall, ...] = ()
    """The services and packages that it calls; it can call no others."""
    callers: tuple[CallerName, ...] = ()
    """The services and packages that may call it, as in a service file."""
    between: tuple[BetweenSpec, ...] = ()
    """The calls between its own workloads; there are no others."""
    egress: tuple[PackageEgressSpec, ...] = ()
    """The hosts outside the cluster that it connects to; it can reach no others."""
    kubernetes_api: Workloads = ()
    """The workloads that reach the API server. Their rights are those that the chart gives them."""
    plaintext_ports: tuple[PackagePlaintextPortSpec, ...] = ()
    """Ports that accept connections without a certificate, each with a reason and a last day."""
    metrics: tuple[PackageMetricsSpec, ...] = ()
    """The metrics that the stack's `mesh.scraper` may read."""
    exceptions: tuple[PackageExceptionSpec, ...] = ()
    """Rules of the library that do not apply to a workload, each with a reason and a last day."""
    grants: tuple[GrantSpec, ...] = ()
    """Objects of the chart that reach beyond its namespace or into the platform, each with a reason and a last day."""

    @property
    def ref(self) -> ServiceRef:
        """The reference to it, by namespace and name."""
        return ServiceRef(self.namespace, self.name)

    @property
    def called_ports(self) -> Mapping[str | None, tuple[int, str]]:
        """Number and protocol of each port of `expose` by the name in a call."""
        return {exposed.name: (exposed.port, exposed.protocol) for exposed in self.expose}

    def called(self) -> tuple[tuple[ServiceRef, PackageCallSpec], ...]:
        """The services and packages that it calls, each with the call, in the order of the file."""
        return tuple((ServiceRef.parse(call.service, self.namespace), call) for call in self.calls)

    def allowed_callers(self) -> tuple[tuple[ServiceRef, str | None], ...]:
        """The services that may call it, each with the name of a port."""
        parts = (caller.partition(":") for caller in self.callers)
        return tuple((ServiceRef.parse(service, self.namespace), port or None) for service, _, port in parts)

    @property
    def public(self) -> ExposeSpec | None:
        """The port with a public host."""
        return next((exposed for exposed in self.expose if exposed.host), None)

    @property
    def hosts(self) -> tuple[str, ...]:
        """Its public host names."""
        return tuple(exposed.host for exposed in self.expose if exposed.host)

    @property
    def owner_of_host(self) -> ServiceRef | None:
        """The service whose host it is public at: a package has its own."""
        return None

    @property
    def timed(self) -> bool:
        """Whether anything of it has a last day."""
        return bool(self.exceptions or self.grants or self.plaintext_ports)

    def named_workloads(self) -> Iterator[tuple[Key, str]]:
        """Every workload that the file names, with its key."""
        several = {"calls": self.calls, "between": self.between, "egress": self.egress}
        for key, entries in several.items():
            for number, entry in enumerate(entries):
                yield from ((((key, number, "workloads", place)), name) for place, name in enumerate(entry.workloads))
        single = {"plaintextPorts": self.plaintext_ports, "metrics": self.metrics, "exceptions": self.exceptions}
        for key, entries in single.items():
            yield from ((((key, number, "workload")), entry.workload) for number, entry in enumerate(entries))
        yield from ((("secrets", name, "workload"), secret.workload) for name, secret in self.secrets.items())
        yield from ((("kubernetesApi", number), name) for number, name in enumerate(self.kubernetes_api))

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if reason := not_a_service_namespace(self.namespace):
            raise misplaced(["namespace"], reason, self.namespace)
        if self.name in SHARED_ACCOUNTS:
            raise misplaced(["name"], "a service account that every pod of its namespace may have", self.name)
        if (self.chart is None) == (self.manifests is None):
            raise misplaced(["chart"], "write chart or manifests: one of them", UNREPEATED)
        if self.manifests is not None and self.values:
            raise misplaced(["values"], "only a chart has values: change the manifests", UNREPEATED)
        for key, problem in secret_values(self.values, ("values",)):
            message = f"it {problem}, and the file is read by many: give the chart the name of a secret in place of it"
            raise misplaced(key, message, UNREPEATED)
        self._nothing_twice()
        return self

    def _nothing_twice(self) -> None:
        repeated: tuple[tuple[str, list[str]], ...] = (
            ("expose", [exposed.name or "the one without a name" for exposed in self.expose]),
            ("calls", [at_port(str(ref), call.port) for ref, call in self.called()]),
            ("callers", [at_port(str(ref), port) for ref, port in self.allowed_callers()]),
            ("egress", [f"{outside.host}:{outside.port}" for outside in self.egress]),
            ("plaintextPorts", [f"{plaintext.workload}:{plaintext.port}" for plaintext in self.plaintext_ports]),
            ("metrics", [metrics.workload for metrics in self.metrics]),
            ("exceptions", [f"{exception.rule} of {exception.workload}" for exception in self.exceptions]),
            ("without", [f"{left.kind} {left.name}" for left in self.without]),
            ("grants", [f"{each.kind} {each.namespace or ''}/{name}" for each in self.grants for name in each.names]),
        )
        check_repeated(repeated)
        check_mixed_hosts(self.egress)
        if len(self.hosts) > 1:
            raise misplaced(["expose"], "one port of a package has a public host", ", ".join(self.hosts))
        for key in ("securityHeaders", "rateLimit", "maxRequestBytes"):
            if not self.hosts and to_snake(key) in self.model_fields_set:
                raise misplaced([key], "it needs a host under expose: nothing else is public", UNREPEATED)
        files = [(secret.workload, secret.file or name) for name, secret in self.secrets.items()]
        if twice := sorted({file for file in files if files.count(file) > 1}):
            raise misplaced(["secrets"], f"two of {twice[0][0]} write the file {twice[0][1]}", UNREPEATED)
        if self.callers and not self.expose:
            raise misplaced(["callers"], "it needs expose: nobody can call it without", UNREPEATED)
