"""Istio and its mesh-wide rules: an identity on every connection, and no connection that nobody allowed."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi

from components.config.mesh import CpuTarget, Platform, Revision, Sampling
from components.kube.charts import ISTIO_BASE, ISTIO_CNI, ISTIOD, ZTUNNEL, Chart, ChartSources
from components.kube.images import MESH_HUB
from components.kube.layer_place import check_place
from components.kube.manifest import Manifest, of_kind, pod_security
from components.kube.mesh_labels import dry_run_annotation
from components.kube.names import MESH_NAMESPACE, SECURITY_API
from components.kube.objects import KubernetesObject, Release
from components.kube.platform_network import network_policies
from components.schema.checked import check_fields
from components.schema.fields import HostName, Label, Port, Registry, Replicas
from components.schema.problem import FieldError

TRACING = "collector"


@dataclass(frozen=True)
class AutoscalingArgs:
    """The largest number of istiods, and the use of requested CPU, in percent, above which another one starts."""

    maximum: Replicas
    cpu: CpuTarget = 80

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True)
class TracingArgs:
    """The OpenTelemetry collector for the proxies' spans; `sampling` is the percentage of requests that are traced."""

    namespace: Label
    service: Label
    port: Port = 4317
    sampling: Sampling = 1

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True)
class MeshSecurityArgs:
    """The decisions of a posture for the mesh.

    `mtls` is `STRICT` or `PERMISSIVE`; `authorization` is `enforce`, `dry-run` or `off`. `replicas` is the number of
    istiods, the minimum with `autoscaling`. `hub` is the registry path of the Istio images (`None`: Istio's own),
    `platform` the profile of its charts for clusters whose nodes keep network plugins elsewhere than most.
    `revision` names the control plane, so that two can run while services move from one to the other. `ambient`
    replaces the proxy in each pod by one on each node. `network_policies` are those of the mesh's namespace. With
    `existing` others installed Istio: only the mesh-wide rules are created. Raises `FieldError` for what a stack
    file may not say.
    """

    charts: ChartSources
    mtls: str
    authorization: str
    replicas: Replicas = 2
    trust_domain: HostName = "cluster.local"
    hub: Registry | None = None
    platform: Platform | None = None
    autoscaling: AutoscalingArgs | None = None
    revision: Revision = ""
    tracing: TracingArgs | None = None
    ambient: bool = False
    network_policies: Sequence[Manifest] = ()
    existing: bool = False
    namespace: Label = MESH_NAMESPACE
    """The namespace of istiod."""
    root: Label = MESH_NAMESPACE
    """The root namespace of the mesh: what is there without a selector holds for every workload."""

    def __post_init__(self) -> None:
        check_fields(self)
        own = {"hub": self.hub, "autoscaling": self.autoscaling, "platform": self.platform}
        check_place(self.namespace, MESH_NAMESPACE, self.existing, **own)
        if self.root != MESH_NAMESPACE and not self.existing:
            raise FieldError("root", f"a mesh that is installed here has {MESH_NAMESPACE}", self.root)
        if self.mtls not in ("STRICT", "PERMISSIVE"):
            message = "not a mode of a mesh (no mesh at all: leave the component out)"
            raise FieldError("mtls", message, self.mtls, ["STRICT", "PERMISSIVE"])
        check_authorization(self.authorization)
        if self.ambient and self.tracing:
            raise FieldError("tracing", "ambient sends no spans of a service: leave one of the two out")
        if self.autoscaling and self.autoscaling.maximum <= self.replicas:
            message = f"the most istiods are not more than the least, {self.replicas}"
            raise FieldError("autoscaling", message, self.autoscaling.maximum)


def check_authorization(authorization: str) -> None:
    """Raise `FieldError` unless `authorization` is one of the three decisions."""
    legal = ("enforce", "dry-run", "off")
    if authorization not in legal:
        raise FieldError("authorization", "not a decision", authorization, legal)


def base_values(revision: str = "") -> Manifest:
    """The values of Istio's `base` chart: its CRDs, and a validating webhook that fails closed."""
    return {
        "defaultRevision": revision or "default",
        # istiod sets this field once it serves; without the value here a chart upgrade would fail open until then.
        "base": {"validationFailurePolicy": "Fail"},
    }


def cni_values(args: MeshSecurityArgs) -> Manifest:
    """The values of Istio's `cni` chart, which redirects traffic on the node: no application pod needs NET_ADMIN."""
    values: Manifest = {"global": _global(args), "excludeNamespaces": ["kube-system", MESH_NAMESPACE]}
    if not args.ambient:
        return values
    return {
        **values,
        # The cluster's DNS answers all names: no service here has a name that only the mesh knows.
        "ambient": {"enabled": True, "dnsCapture": False},
        # It repairs pods whose sidecar started before the node was ready, and there are no sidecars.
        "repair": {"enabled": False},
    }


def ztunnel_values(args: MeshSecurityArgs) -> Manifest:
    """The values of Istio's `ztunnel` chart, the proxy of each node.

    The chart runs it as root, unprivileged, on a read-only root file system, with the capabilities NET_ADMIN, NET_RAW
    and SYS_ADMIN alone, to enter the network namespaces of pods. https://istio.io/latest/docs/ambient/architecture/data-plane/
    """
    return {**_global(args), "revision": args.revision, "logAsJson": True}


def istiod_values(args: MeshSecurityArgs) -> Manifest:
    """The values of Istio's `istiod` chart.

    `REGISTRY_ONLY` blocks every destination without a Service or ServiceEntry. Paths are normalised before a rule is
    matched, escaped and doubled slashes included, so that a rule matches the path that the application reads.
    """
    seccomp = {"type": "RuntimeDefault"}
    return {
        **_replicas(args),
        "revision": args.revision,
        "pdb": {"minAvailable": 1},
        "cni": {"enabled": True},
        "seccompProfile": seccomp,
        "env": _features(args),
        "global": {**_global(args), "proxy": {"seccompProfile": seccomp}},
        # A Gateway's pods run in a namespace of the restricted Pod Security Standard.
        "gateways": {"seccompProfile": seccomp},
        "meshConfig": {
            "trustDomain": args.trust_domain,
            "outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"},
            "accessLogFile": "/dev/stdout",
            "accessLogEncoding": "JSON",
            "pathNormalization": {"normalization": "DECODE_AND_MERGE_SLASHES"},
            **_tracing_provider(args.tracing),
        },
    }


def _features(args: MeshSecurityArgs) -> dict[str, str]:
    if not args.ambient:
        # A native sidecar starts before the init containers that need the network, and stops after the last container.
        return {"ENABLE_NATIVE_SIDECARS": "true"}
    # Without it istiod sends the nodes no dry-run policy, and the dry run would log nothing.
    dry_run = {"AMBIENT_ENABLE_DRY_RUN_AUTHORIZATION_POLICY": "true"} if args.authorization == "dry-run" else {}
    return {"PILOT_ENABLE_AMBIENT": "true", **dry_run}


def _replicas(args: MeshSecurityArgs) -> Manifest:
    if args.autoscaling is None:
        return {"autoscaleEnabled": False, "replicaCount": args.replicas}
    # With autoscaling the chart omits the replicas of its Deployment, so that only the autoscaler writes them.
    return {
        "autoscaleEnabled": True,
        "autoscaleMin": args.replicas,
        "autoscaleMax": args.autoscaling.maximum,
        "cpu": {"targetAverageUtilization": args.autoscaling.cpu},
    }


def _tracing_provider(tracing: TracingArgs | None) -> Manifest:
    if tracing is None:
        return {}
    collector = {"service": f"{tracing.service}.{tracing.namespace}.svc.cluster.local", "port": tracing.port}
    return {"extensionProviders": [{"name": TRACING, "opentelemetry": collector}]}


def telemetry(tracing: TracingArgs | None, namespace: str = MESH_NAMESPACE) -> Manifest:
    """The Telemetry of the whole mesh: an access log line for each request, and spans where there is a collector.

    https://istio.io/latest/docs/reference/config/telemetry/
    """
    spec: Manifest = {"accessLogging": [{"providers": [{"name": "envoy"}]}]}
    if tracing:
        spec["tracing"] = [{"providers": [{"name": TRACING}], "randomSamplingPercentage": tracing.sampling}]
    return {
        "apiVersion": "telemetry.istio.io/v1",
        "kind": "Telemetry",
        "metadata": {"name": "telemetry", "namespace": namespace},
        "spec": spec,
    }


def _global(args: MeshSecurityArgs) -> Manifest:
    """What every chart of Istio has to know; ztunnel's has it at the top, the others below `global`."""
    platform = {"platform": args.platform} if args.platform else {}
    return {"hub": args.hub or MESH_HUB, "tag": ISTIOD.version, **platform}


def peer_authentication(mtls: str, namespace: str = MESH_NAMESPACE) -> Manifest:
    """The mesh-wide mTLS mode: `default` in the root namespace applies to every workload.

    https://istio.io/latest/docs/reference/config/security/peer_authentication/
    """
    return {
        "apiVersion": SECURITY_API,
        "kind": "PeerAuthentication",
        "metadata": {"name": "default", "namespace": namespace},
        "spec": {"mtls": {"mode": mtls}},
    }


def deny_by_default(authorization: str, namespace: str = MESH_NAMESPACE) -> Manifest | None:
    """The mesh-wide default deny: an ALLOW policy without rules in the root namespace; `None` without authorization.

    As a dry run it denies nothing, and the proxies log what it would deny. Then every other ALLOW policy of a workload
    must be a dry run too: a single enforced one denies whatever it does not name.
    """
    if authorization == "off":
        return None
    return {
        "apiVersion": SECURITY_API,
        "kind": "AuthorizationPolicy",
        "metadata": {
            "name": "deny-by-default",
            "namespace": namespace,
            **dry_run_annotation(authorization),
        },
        "spec": {},
    }


class MeshSecurity(pulumi.ComponentResource):
    """Istio (CRDs, CNI plugin, istiod) in `istio-system`, the mesh-wide mTLS mode and the mesh-wide default deny.

    `ready` holds the releases and the rules: a pod created after them is in the mesh and subject to the rules. The name
    of istiod's release contains the revision, so that another revision is another release. ztunnel, which `ambient`
    adds, has one release for all revisions: its pods move to the new istiod. Of an Istio that
    others installed there are the rules alone.
    """

    ready: list[pulumi.Resource]

    def __init__(self, name: str, args: MeshSecurityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("zero-trust:platform:MeshSecurity", name, None, opts)
        installed = [] if args.existing else self._installed(name, args)
        root = args.root
        rules = [
            peer_authentication(args.mtls, root),
            deny_by_default(args.authorization, root),
            telemetry(args.tracing, root),
        ]
        after = pulumi.ResourceOptions(parent=self, depends_on=installed[-1:])
        self.ready = [*installed, *(self._rule(name, rule, after) for rule in rules if rule is not None)]
        self.register_outputs({"mtls": args.mtls, "authorization": args.authorization})

    def _installed(self, name: str, args: MeshSecurityArgs) -> list[pulumi.Resource]:
        """Istio's releases in their namespace, istiod's the last."""
        namespace = KubernetesObject(
            f"{name}-namespace",
            # The CNI plugin and ztunnel work on the node's network namespaces.
            of_kind("Namespace", metadata={"name": MESH_NAMESPACE, "labels": pod_security("privileged")}),
            pulumi.ResourceOptions(parent=self),
        )
        closed = network_policies(name, args.network_policies, namespace, self)
        base = self._release(name, "istio-base", ISTIO_BASE, base_values(args.revision), args, [namespace, *closed])
        cni = self._release(name, "istio-cni", ISTIO_CNI, cni_values(args), args, [base])
        release = f"istiod-{args.revision}" if args.revision else "istiod"
        istiod = self._release(name, release, ISTIOD, istiod_values(args), args, [base])
        nodes: list[pulumi.Resource] = []
        if args.ambient:
            nodes.append(self._release(name, "ztunnel", ZTUNNEL, ztunnel_values(args), args, [cni, istiod]))
        return [base, cni, *nodes, istiod]

    def _release(
        self,
        name: str,
        release: str,
        chart: Chart,
        values: Manifest,
        args: MeshSecurityArgs,
        after: list[pulumi.Resource],
    ) -> Release:
        return Release(
            f"{name}-{release}",
            {
                **chart.source(args.charts),
                "name": release,
                "namespace": MESH_NAMESPACE,
                "values": values,
                "atomic": True,
                "timeout": 600,
            },
            pulumi.ResourceOptions(parent=self, depends_on=after),
        )

    def _rule(self, name: str, rule: Manifest, after: pulumi.ResourceOptions) -> KubernetesObject:
        return KubernetesObject(f"{name}-{rule['metadata']['name']}", rule, after)
