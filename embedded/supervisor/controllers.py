"""The controllers that run as host processes when their charts deploy them: one row each, one process a Deployment.

A row adds to what the Deployment says only what a host process cannot do without: a kubeconfig, loopback listeners,
and free ports in place of the container's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

READY_ANNOTATION = "embedded.zero-trust.dev/ready"

_KYVERNO_ARGUMENTS = ("--kubeconfig={kubeconfig}", "--metricsHost=127.0.0.1", "--metricsPort={metrics}")
# Every controller-runtime manager defaults to :8080, and one that can't bind stops after it looked healthy.
_RUNTIME_METRICS = "--controllerRuntimeMetricsAddress=127.0.0.1:{runtime-metrics}"


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """A GET on one of the controller's ports, and the leader election lease that says its controllers run."""

    scheme: str
    port: str
    path: str
    lease: str | None = None


@dataclass(frozen=True, slots=True)
class StockEnvoy:
    """What a controller needs beside its own settings to configure an Envoy without Istio's filters."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    files: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Controller:
    """One known Deployment, or several: Istio has one for each revision.

    ``labels`` must all be on its pod template. ``arguments`` and ``environment`` follow those of its container, and
    win; ``{port}`` in them is a port of ``ports``, ``{challenges}`` that of ``challenge_gateway``, ``{kubeconfig}`` the
    client configuration of its service account, ``{suffix}`` what the Deployment's name has beyond the row's.
    ``files`` are written to its working directory, ``{directory}``. ``mounted`` names a Secret whose keys are files
    there too: the controller waits for its certificate, as a pod does. ``stock_envoy`` counts only while the data plane
    runs, and the arguments ``without_reports`` only where nobody wants reports.
    ``serves`` maps a container port, by name or number, to the port of ``ports`` that implements it.
    """

    name: str
    namespace: str
    labels: Mapping[str, str]
    container: str
    command: tuple[str, ...]
    ports: tuple[str, ...]
    arguments: tuple[str, ...]
    health: HealthCheck
    serves: Mapping[str | int, str] = field(default_factory=dict[str | int, str])
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    files: Mapping[str, str] = field(default_factory=dict[str, str])
    stock_envoy: StockEnvoy | None = None
    without_reports: tuple[str, ...] = ()
    mounted: str | None = None
    suffix: str = ""

    def of(self, deployment: Mapping[str, Any]) -> "Controller":
        """This row for one of its Deployments: under that one's name, with the labels that its pods alone have."""
        name: str = deployment["metadata"]["name"]
        labels = {**self.labels, **(deployment["spec"]["selector"].get("matchLabels") or {})}
        return replace(self, name=name, labels=labels, suffix=name.removeprefix(self.name))

    def of_pod(self, pod: Mapping[str, Any]) -> "Controller | None":
        """This row for the Deployment of one of its pods; None for the pod of another."""
        if not self.owns(pod):
            return None
        [owner] = [owner for owner in pod["metadata"]["ownerReferences"] if owner["kind"] == "ReplicaSet"]
        name: str = owner["name"].removesuffix(f"-{labels_of(pod).get('pod-template-hash', '')}")
        return replace(self, name=name, suffix=name.removeprefix(self.name))

    @property
    def port_names(self) -> tuple[str, ...]:
        """The names of its ports among all ports of the checkout."""
        return tuple(f"{self.name}.{port}" for port in self.ports)

    def for_stock_envoy(self) -> "Controller":
        """This row while the data plane runs."""
        added = self.stock_envoy
        if added is None:
            return self
        return replace(
            self,
            arguments=(*self.arguments, *added.arguments),
            environment={**self.environment, **added.environment},
            files={**self.files, **added.files},
        )

    def for_no_reports(self) -> "Controller":
        """This row where nobody wants reports."""
        return replace(self, arguments=(*self.arguments, *self.without_reports))

    def deploys(self, deployment: Mapping[str, Any]) -> bool:
        """Whether this Deployment is the one that deploys the controller."""
        metadata = deployment["metadata"]
        if metadata["namespace"] != self.namespace or metadata.get("deletionTimestamp"):
            return False
        return self.labels.items() <= labels_of(deployment["spec"]["template"]).items()

    def owns(self, pod: Mapping[str, Any]) -> bool:
        """Whether the pod belongs to the controller: its labels, and a ReplicaSet that owns it."""
        metadata = pod["metadata"]
        owners = metadata.get("ownerReferences") or []
        return (
            metadata["namespace"] == self.namespace
            and self.labels.items() <= labels_of(pod).items()
            and any(owner["kind"] == "ReplicaSet" for owner in owners)
        )


def labels_of(manifest: Mapping[str, Any]) -> dict[str, str]:
    """The labels of an object or a pod template; {} without any."""
    return manifest.get("metadata", {}).get("labels") or {}


def _kyverno(component: str, container: str, binary: str, lease: str, **differences: Any) -> Controller:
    row: dict[str, Any] = {
        "name": f"kyverno-{component}",
        "namespace": "kyverno",
        "labels": {"app.kubernetes.io/part-of": "kyverno", "app.kubernetes.io/component": component},
        "container": container,
        "command": (binary,),
        "ports": ("metrics",),
        "arguments": _KYVERNO_ARGUMENTS,
        "health": HealthCheck("http", "metrics", "/metrics", lease=lease),
    }
    return Controller(**(row | differences))


def _cert_manager(component: str, container: str, **differences: Any) -> Controller:
    row: dict[str, Any] = {
        "name": "cert-manager" if component == "controller" else f"cert-manager-{component}",
        "namespace": "cert-manager",
        "labels": {"app.kubernetes.io/instance": "cert-manager", "app.kubernetes.io/component": component},
        "container": container,
        "command": ("cert-manager", component),
        "ports": ("metrics", "healthz"),
        "arguments": (
            "--kubeconfig={kubeconfig}",
            "--metrics-listen-address=127.0.0.1:{metrics}",
            "--healthz-listen-address=127.0.0.1:{healthz}",
        ),
        "health": HealthCheck("http", "healthz", "/healthz"),
    }
    return Controller(**(row | differences))


def _external_secrets(name: str, container: str, **differences: Any) -> Controller:
    row: dict[str, Any] = {
        "name": name,
        "namespace": "external-secrets",
        "labels": {
            "app.kubernetes.io/instance": "external-secrets",
            "app.kubernetes.io/name": name,
        },
        "container": container,
        "command": ("external-secrets",),
        "ports": ("metrics", "healthz"),
        "arguments": ("--metrics-addr=127.0.0.1:{metrics}", "--healthz-addr=127.0.0.1:{healthz}"),
        "environment": {"KUBECONFIG": "{kubeconfig}"},
        "health": HealthCheck("http", "healthz", "/readyz"),
    }
    return Controller(**(row | differences))


CONTROLLERS: tuple[Controller, ...] = (
    _kyverno(
        "admission-controller",
        "kyverno",
        "kyverno",
        "kyverno",
        ports=("https", "metrics", "runtime-metrics"),
        arguments=(
            *_KYVERNO_ARGUMENTS,
            _RUNTIME_METRICS,
            "--webhookServerHost=127.0.0.1",
            "--webhookServerPort={https}",
        ),
        health=HealthCheck("https", "https", "/health/readiness", lease="kyverno"),
        serves={"https": "https"},
        without_reports=("--admissionReports=false",),
    ),
    _kyverno(
        "background-controller",
        "controller",
        "background-controller",
        "kyverno-background-controller",
        ports=("metrics", "runtime-metrics"),
        arguments=(*_KYVERNO_ARGUMENTS, _RUNTIME_METRICS),
    ),
    _kyverno(
        "reports-controller",
        "controller",
        "reports-controller",
        "kyverno-reports-controller",
        # Without the two it watches nothing.
        without_reports=("--backgroundScan=false", "--admissionReports=false"),
    ),
    _kyverno(
        "cleanup-controller",
        "controller",
        "cleanup-controller",
        "kyverno-cleanup-controller",
        ports=("https", "metrics"),
        arguments=(*_KYVERNO_ARGUMENTS, "--cleanupServerHost=127.0.0.1", "--cleanupServerPort={https}"),
        serves={"https": "https"},
    ),
    Controller(
        name="istiod",
        namespace="istio-system",
        labels={"app": "istiod"},
        container="discovery",
        command=("pilot-discovery",),
        ports=("http", "grpc", "secure-grpc", "https", "monitoring"),
        arguments=(
            "--kubeconfig={kubeconfig}",
            "--httpAddr=127.0.0.1:{http}",
            "--grpcAddr=127.0.0.1:{grpc}",
            "--secureGRPCAddr=127.0.0.1:{secure-grpc}",
            "--httpsAddr=127.0.0.1:{https}",
            "--monitoringAddr=127.0.0.1:{monitoring}",
            # Its introspection server listens on 127.0.0.1:9876 whatever else is set: one checkout only.
            "--ctrlz_port=0",
        ),
        # The chart points at an optional Secret with a remote cluster's kubeconfig.
        environment={"KUBECONFIG": "{kubeconfig}"},
        health=HealthCheck("http", "http", "/ready"),
        # The file comes after the release's own mesh configuration, which is then the "shared" one: it adds to it.
        stock_envoy=StockEnvoy(
            arguments=("--meshConfig={directory}/mesh.yaml",),
            environment={
                "SHARED_MESH_CONFIG": "istio{suffix}",
                "PILOT_ENABLE_METADATA_EXCHANGE": "false",
                "PILOT_ENABLE_ALPN_FILTER": "false",
            },
            files={"mesh.yaml": "defaultProviders: {metrics: []}\nenablePrometheusMerge: false\n"},
        ),
        serves={15017: "https", 15012: "secure-grpc", 15010: "grpc", 15014: "monitoring"},
    ),
    _cert_manager(
        "controller",
        "cert-manager-controller",
        # Its check of its own challenge finds the host there: no DNS of this machine has the name.
        environment={"HTTP_PROXY": "http://127.0.0.1:{challenges}"},
    ),
    _cert_manager("cainjector", "cert-manager-cainjector"),
    _cert_manager(
        "webhook",
        "cert-manager-webhook",
        ports=("https", "metrics", "healthz"),
        arguments=(
            "--kubeconfig={kubeconfig}",
            "--secure-port={https}",
            "--healthz-port={healthz}",
            "--metrics-listen-address=127.0.0.1:{metrics}",
        ),
        serves={"https": "https"},
    ),
    _external_secrets(
        "external-secrets",
        "external-secrets",
        ports=("metrics",),
        # There is one process, and no namespace of a pod for its lease.
        arguments=("--metrics-addr=127.0.0.1:{metrics}", "--enable-leader-election=false"),
        health=HealthCheck("http", "metrics", "/metrics"),
    ),
    _external_secrets("external-secrets-cert-controller", "cert-controller"),
    _external_secrets(
        "external-secrets-webhook",
        "webhook",
        ports=("https", "metrics", "healthz"),
        arguments=(
            "--metrics-addr=127.0.0.1:{metrics}",
            "--healthz-addr=127.0.0.1:{healthz}",
            "--host=127.0.0.1",
            "--port={https}",
            "--cert-dir={directory}",
        ),
        mounted="external-secrets-webhook",
        serves={"webhook": "https"},
    ),
)
