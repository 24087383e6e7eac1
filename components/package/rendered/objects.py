"""The objects that a chart renders: its workloads, the Services in front of them, and who its pods run as."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from components.kube.kinds import CLUSTER_KINDS
from components.kube.manifest import Manifest
from components.kube.written import below, items

_TEMPLATES: Mapping[str, tuple[str, ...]] = {
    "Deployment": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
    "Pod": (),
}
"""Where each kind of workload has its pods."""
DEFINITION = "CustomResourceDefinition"
"""The kind of the definition of other kinds."""
_HOOK = "helm.sh/hook"
_WEIGHT = f"{_HOOK}-weight"
_BEFORE = ("pre-install", "pre-upgrade")
_AFTER = ("post-install", "post-upgrade")
_PROBES = ("readinessProbe", "livenessProbe", "startupProbe")
_PROBED_BY = ("httpGet", "tcpSocket", "grpc")
_WEB = "http"
TLS = "tls"
"""What a port says that begins with TLS of its own."""
# https://istio.io/latest/docs/ops/configuration/traffic-management/protocol-selection/ and
# https://kubernetes.io/docs/concepts/services-networking/service/#application-protocol
_SAID: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys((_WEB, "grpc-web", "kubernetes.io/ws"), _WEB),
        **dict.fromkeys(("http2", "kubernetes.io/h2c"), "http2"),
        "grpc": "grpc",
        **dict.fromkeys(("https", TLS, "kubernetes.io/wss"), TLS),
        **dict.fromkeys(("tcp", "mongo", "mysql", "redis"), "tcp"),
    }
)


def labels_of(manifest: Manifest) -> dict[str, str]:
    """The labels of an object or of a template."""
    return {str(key): str(value) for key, value in below(manifest, "metadata", "labels").items()}


Identity = tuple[str, str, str, str]
"""The API group, the kind, the namespace and the name of an object."""


@dataclass(frozen=True)
class RenderedObject:
    """One object of a chart, in the namespace where it belongs."""

    manifest: Manifest

    @property
    def kind(self) -> str:
        """Its kind."""
        return str(self.manifest["kind"])

    @property
    def group(self) -> str:
        """Its API group; empty for the core group."""
        group, slash, _ = str(self.manifest["apiVersion"]).partition("/")
        return group if slash else ""

    @property
    def name(self) -> str:
        """Its name."""
        return str(below(self.manifest, "metadata").get("name", ""))

    @property
    def namespace(self) -> str:
        """Its namespace; empty for what is in none."""
        return str(below(self.manifest, "metadata").get("namespace", ""))

    @property
    def identity(self) -> Identity:
        """What it is to the API server: nothing else has the same."""
        return self.group, self.kind, self.namespace, self.name

    @property
    def annotations(self) -> Manifest:
        """Its annotations."""
        return below(self.manifest, "metadata", "annotations")

    @property
    def hooks(self) -> tuple[str, ...]:
        """The moments at which Helm would create it; none for an object of the release itself."""
        return tuple(part.strip() for part in str(self.annotations.get(_HOOK, "")).split(",") if part.strip())

    @property
    def order(self) -> tuple[int, int]:
        """When it is created: before the release's objects (-1), with them or after them (1), and its weight."""
        when = -1 if {*self.hooks} & {*_BEFORE} else 1 if {*self.hooks} & {*_AFTER} else 0
        weight = str(self.annotations.get(_WEIGHT, "0"))
        return when, int(weight) if weight.lstrip("-").isdigit() else 0

    @property
    def never_created(self) -> bool:
        """Whether it is a hook of something that never happens here, such as the end of a release."""
        return bool(self.hooks) and not self.order[0]

    @property
    def is_claim(self) -> bool:
        """Whether it is a claim to a volume, with the data in it."""
        return self.kind == "PersistentVolumeClaim" and not self.group

    @property
    def keeps_data(self) -> bool:
        """Whether volumes are claimed by it."""
        return self.is_claim or (
            self.kind == "StatefulSet" and bool(items(self.manifest, "spec", "volumeClaimTemplates"))
        )

    @property
    def template(self) -> Manifest | None:
        """The template of its pods; `None` if it has no pods."""
        path = _TEMPLATES.get(self.kind)
        return None if path is None or self.group not in ("", "apps", "batch") else below(self.manifest, *path)


def rendered_objects(manifests: Sequence[Manifest], namespace: str) -> tuple[RenderedObject, ...]:
    """The objects of a release in its namespace. An object that names another one keeps it."""
    unlisted = [manifest for each in manifests for manifest in _unlisted(each)]
    defined = {
        str(below(each, "spec", "names").get("kind"))
        for each in unlisted
        if each["kind"] == DEFINITION and below(each, "spec").get("scope") == "Cluster"
    }
    return tuple(RenderedObject(_placed(each, namespace, defined)) for each in unlisted)


def _unlisted(manifest: Manifest) -> Iterator[Manifest]:
    """The objects of a List, or the object itself."""
    if manifest.get("kind") == "List" and manifest.get("apiVersion") == "v1":
        yield from items(manifest, "items")
    else:
        yield manifest


def _placed(manifest: Manifest, namespace: str, defined: Collection[str]) -> Manifest:
    if manifest["kind"] in CLUSTER_KINDS or manifest["kind"] in defined:
        # A chart that names one has no effect by it: the API server takes it away.
        meta = {key: value for key, value in below(manifest, "metadata").items() if key != "namespace"}
        return {**manifest, "metadata": meta}
    return {**manifest, "metadata": {"namespace": namespace, **below(manifest, "metadata")}}


@dataclass(frozen=True)
class Workload:
    """What runs pods: its service account, its labels, the numbers of its named ports, and what the kubelet probes."""

    name: str
    kind: str
    account: str
    labels: Mapping[str, str]
    ports: Mapping[str, int] = field(default_factory=dict[str, int])
    probed: tuple[int, ...] = ()
    images: tuple[str, ...] = ()
    user: bool = False
    """Whether its first container says as which user it runs."""
    shares_host: bool = False
    """Whether it has the network, the processes or the memory of its node."""

    def port(self, target: object) -> int:
        """The number of a port of its pods, which is a number or a name; 0 if it has none of that name."""
        return target if isinstance(target, int) else self.ports.get(str(target), 0)


@dataclass(frozen=True)
class Service:
    """A Service of the chart: the labels that it selects, and the port of the pods by its own."""

    name: str
    selector: Mapping[str, str]
    targets: Mapping[int, object]
    """The number or the name of the port of the pods, by the Service's port. What is not TCP is left out."""
    said: Mapping[int, str] = field(default_factory=dict[int, str])
    """The protocol of each of these ports, by its `appProtocol`, its name or that of the port of the pods: one of those
    that a file may write, or `TLS`. A port that says nothing is not there."""

    def selects(self, workload: Workload) -> bool:
        """Whether the pods of a workload are behind it."""
        return bool(self.selector) and self.selector.items() <= workload.labels.items()


@dataclass(frozen=True)
class Rendered:
    """All that a chart renders."""

    objects: tuple[RenderedObject, ...]

    @property
    def workloads(self) -> tuple[Workload, ...]:
        """Its workloads, by name."""
        made = [_workload(each, each.template) for each in self.objects if each.template is not None]
        return tuple(sorted(made, key=lambda workload: workload.name))

    @property
    def services(self) -> tuple[Service, ...]:
        """Its Services, by name."""
        made = [_service(each) for each in self.objects if each.kind == "Service" and not each.group]
        return tuple(sorted(made, key=lambda service: service.name))

    @property
    def accounts(self) -> frozenset[str]:
        """The names of the service accounts that it brings."""
        return frozenset(each.name for each in self.objects if each.kind == "ServiceAccount")

    def service(self, name: str) -> Service | None:
        """The Service of a name."""
        return next((service for service in self.services if service.name == name), None)

    def behind(self, service: Service) -> list[Workload]:
        """The workloads whose pods are behind a Service."""
        return [workload for workload in self.workloads if service.selects(workload)]


def _workload(each: RenderedObject, template: Manifest) -> Workload:
    spec = below(template, "spec")
    containers = [*items(spec, "containers"), *items(spec, "initContainers")]
    ports = {
        str(port["name"]): int(port["containerPort"])
        for container in containers
        for port in items(container, "ports")
        if "name" in port and isinstance(port.get("containerPort"), int)
    }
    probes = [below(container, kind, how) for container in containers for kind in _PROBES for how in _PROBED_BY]
    probed = {
        port if isinstance(port, int) else ports.get(str(port), 0) for probe in probes if (port := probe.get("port"))
    }
    return Workload(
        each.name,
        each.kind,
        str(spec.get("serviceAccountName") or spec.get("serviceAccount") or "default"),
        labels_of(template),
        ports,
        tuple(sorted(probed - {0})),
        tuple(str(container.get("image", "")) for container in containers),
        any("runAsUser" in below(container, "securityContext") for container in containers[:1]),
        any(spec.get(key) is True for key in ("hostNetwork", "hostPID", "hostIPC")),
    )


def _service(each: RenderedObject) -> Service:
    ports = [port for port in items(each.manifest, "spec", "ports") if port.get("protocol", "TCP") == "TCP"]
    targets = {int(port["port"]): port.get("targetPort", port["port"]) for port in ports if "port" in port}
    selector = {key: str(value) for key, value in below(each.manifest, "spec", "selector").items()}
    said = {int(port["port"]): spoken for port in ports if "port" in port and (spoken := _said(port))}
    return Service(each.name, selector, targets, said)


def _said(port: Manifest) -> str:
    """The protocol that a port of a Service says, by its `appProtocol`, else by its name or the one of its target."""
    if "appProtocol" in port:
        return _SAID.get(str(port["appProtocol"]).lower(), "tcp")
    for name in (str(port.get("name", "")), str(port.get("targetPort", ""))):
        for known in (name, name.rpartition("-")[0], name.partition("-")[0]):
            if known in _SAID:
                return _SAID[known]
    return ""
