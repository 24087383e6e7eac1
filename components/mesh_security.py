"""Istio and its mesh-wide rules: an identity on every connection, and no connection that nobody allowed."""

from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.core.v1 import Namespace
from pulumi_kubernetes.helm.v3 import Release

from components.charts import ISTIO_BASE, ISTIO_CNI, ISTIOD, ZTUNNEL, Chart
from components.custom_object import custom_object
from components.mesh_metadata import SECURITY_API, dry_run_annotation

NAMESPACE = "istio-system"
HUB = "registry.istio.io/release"
_TRACING = "collector"

Manifest = dict[str, Any]


@dataclass(frozen=True)
class AutoscalingArgs:
    """The most istiods that may run, and the percent of the requested CPU above which one more is started."""

    maximum: int
    cpu: int = 80


@dataclass(frozen=True)
class TracingArgs:
    """The OpenTelemetry collector that takes the proxies' spans, and the percent of the requests that are traced."""

    namespace: str
    service: str
    port: int = 4317
    sampling: int = 1


@dataclass(frozen=True)
class MeshSecurityArgs:
    """The decisions of a posture for the mesh.

    `mtls` is `STRICT` or `PERMISSIVE`; `authorization` is `enforce`, `dry-run` or `off`. `replicas` is the number of
    istiods, with `autoscaling` the least. `hub` is the registry path of the Istio images, Istio's own when absent.
    `revision` names the control plane, so that a new one can stand beside it while the services move over. `ambient`
    has a proxy on each node carry the mesh, in place of one in each pod. Raises `ValueError` for any other value, and
    for no replica.
    """

    charts_dir: str | None
    mtls: str
    authorization: str
    replicas: int = 2
    trust_domain: str = "cluster.local"
    hub: str | None = None
    autoscaling: AutoscalingArgs | None = None
    revision: str = ""
    tracing: TracingArgs | None = None
    ambient: bool = False

    def __post_init__(self) -> None:
        if self.mtls not in ("STRICT", "PERMISSIVE"):
            raise ValueError(f"mtls: {self.mtls!r}; legal are STRICT and PERMISSIVE (no mesh at all: leave it out)")
        check_authorization(self.authorization)
        if self.replicas < 1:
            raise ValueError(f"replicas: {self.replicas} istiod issue no certificate; set 1 or more")
        if self.autoscaling and self.autoscaling.maximum <= self.replicas:
            raise ValueError(f"autoscaling: at most {self.autoscaling.maximum} istiods, and {self.replicas} at least")


def check_authorization(authorization: str) -> None:
    """Raise `ValueError` unless `authorization` is one of the three decisions."""
    if authorization not in ("enforce", "dry-run", "off"):
        raise ValueError(f"authorization: {authorization!r}; legal are enforce, dry-run and off")


def base_values(revision: str = "") -> Manifest:
    """The values of Istio's `base` chart: its CRDs, and a validating webhook that fails closed."""
    return {
        "defaultRevision": revision or "default",
        # istiod sets this field itself once it serves; stating it keeps a chart upgrade from opening it for a moment.
        "base": {"validationFailurePolicy": "Fail"},
    }


def cni_values(args: MeshSecurityArgs) -> Manifest:
    """The values of Istio's `cni` chart: the node redirects traffic, so that no application pod needs NET_ADMIN."""
    values: Manifest = {"global": _images(args), "excludeNamespaces": ["kube-system", NAMESPACE]}
    if not args.ambient:
        return values
    return {
        **values,
        # Names stay the cluster's DNS to answer: nothing here is known by one of the mesh's own.
        "ambient": {"enabled": True, "dnsCapture": False},
        # It mends pods whose own proxy started before the node was ready.
        "repair": {"enabled": False},
    }


def ztunnel_values(args: MeshSecurityArgs) -> Manifest:
    """The values of Istio's `ztunnel` chart, the proxy of each node.

    The chart's own container is not privileged and reads its root alone; of root's capabilities it keeps NET_ADMIN,
    NET_RAW and SYS_ADMIN, to enter the pods' networks. https://istio.io/latest/docs/ambient/architecture/data-plane/
    """
    return {**_images(args), "revision": args.revision, "logAsJson": True}


def istiod_values(args: MeshSecurityArgs) -> Manifest:
    """The values of Istio's `istiod` chart.

    `REGISTRY_ONLY` closes what no Service and no ServiceEntry names. A path is judged as the application would read
    it: with escaped and doubled slashes undone, since rules hold by path.
    """
    seccomp = {"type": "RuntimeDefault"}
    return {
        **_replicas(args),
        "revision": args.revision,
        "pdb": {"minAvailable": 1},
        "cni": {"enabled": True},
        "env": _features(args),
        "global": {**_images(args), "proxy": {"seccompProfile": seccomp}},
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
        # A native sidecar runs before the init containers that need the network, and after the last container.
        return {"ENABLE_NATIVE_SIDECARS": "true"}
    # Left out, istiod hides a dry run from the nodes, and there would be nothing to see.
    dry_run = {"AMBIENT_ENABLE_DRY_RUN_AUTHORIZATION_POLICY": "true"} if args.authorization == "dry-run" else {}
    return {"PILOT_ENABLE_AMBIENT": "true", **dry_run}


def _replicas(args: MeshSecurityArgs) -> Manifest:
    if args.autoscaling is None:
        return {"autoscaleEnabled": False, "replicaCount": args.replicas}
    # The chart leaves the number out of its Deployment then, so that only the autoscaler writes it.
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
    return {"extensionProviders": [{"name": _TRACING, "opentelemetry": collector}]}


def telemetry(tracing: TracingArgs | None) -> Manifest:
    """What every proxy tells: a log line for each request, and spans where there is a collector.

    https://istio.io/latest/docs/reference/config/telemetry/
    """
    spec: Manifest = {"accessLogging": [{"providers": [{"name": "envoy"}]}]}
    if tracing:
        spec["tracing"] = [{"providers": [{"name": _TRACING}], "randomSamplingPercentage": tracing.sampling}]
    return {
        "apiVersion": "telemetry.istio.io/v1",
        "kind": "Telemetry",
        "metadata": {"name": "telemetry", "namespace": NAMESPACE},
        "spec": spec,
    }


def _images(args: MeshSecurityArgs) -> Manifest:
    return {"hub": args.hub or HUB, "tag": ISTIOD.version}


def peer_authentication(mtls: str) -> Manifest:
    """The mesh-wide mTLS mode: `default` in the root namespace holds for every workload.

    https://istio.io/latest/docs/reference/config/security/peer_authentication/
    """
    return {
        "apiVersion": SECURITY_API,
        "kind": "PeerAuthentication",
        "metadata": {"name": "default", "namespace": NAMESPACE},
        "spec": {"mtls": {"mode": mtls}},
    }


def deny_by_default(authorization: str) -> Manifest | None:
    """The mesh-wide default: an ALLOW policy without a rule in the root namespace, which matches no request.

    Dry-run holds for it too: istiod renders it as a shadow rule that never matches, so the proxies log what would be
    denied and deny nothing. That is so only as long as every other ALLOW policy of a workload is a dry run as well,
    since a single enforced one denies whatever it does not name.
    """
    if authorization == "off":
        return None
    return {
        "apiVersion": SECURITY_API,
        "kind": "AuthorizationPolicy",
        "metadata": {
            "name": "deny-by-default",
            "namespace": NAMESPACE,
            **dry_run_annotation(authorization),
        },
        "spec": {},
    }


class MeshSecurity(pulumi.ComponentResource):
    """Istio (CRDs, CNI plugin, istiod) in `istio-system`, the mesh-wide mTLS mode and the mesh-wide default deny.

    `ready` holds the releases and the rules: a pod created after them gets its sidecar, or is its node's to carry, and
    is judged by them. The release of istiod is called after its revision, so that another revision is another release;
    that of ztunnel, which `ambient` adds, is one for all: its pods move over to another istiod.
    """

    ready: list[pulumi.Resource]

    def __init__(self, name: str, args: MeshSecurityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("zero-trust:platform:MeshSecurity", name, None, opts)
        namespace = Namespace(
            f"{name}-namespace",
            # The CNI plugin and ztunnel work on the node's network namespaces.
            metadata={"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "privileged"}},
            opts=pulumi.ResourceOptions(parent=self),
        )
        base = self._release(name, "istio-base", ISTIO_BASE, base_values(args.revision), args, [namespace])
        cni = self._release(name, "istio-cni", ISTIO_CNI, cni_values(args), args, [base])
        release = f"istiod-{args.revision}" if args.revision else "istiod"
        istiod = self._release(name, release, ISTIOD, istiod_values(args), args, [base])
        nodes: list[pulumi.Resource] = []
        if args.ambient:
            nodes.append(self._release(name, "ztunnel", ZTUNNEL, ztunnel_values(args), args, [cni, istiod]))
        rules = [peer_authentication(args.mtls), deny_by_default(args.authorization), telemetry(args.tracing)]
        self.ready = [
            base,
            cni,
            istiod,
            *nodes,
            *(self._rule(name, rule, istiod) for rule in rules if rule is not None),
        ]
        self.register_outputs({"mtls": args.mtls, "authorization": args.authorization})

    def _release(
        self,
        name: str,
        release: str,
        chart: Chart,
        values: Manifest,
        args: MeshSecurityArgs,
        after: list[pulumi.Resource],
    ) -> Release:
        source: dict[str, Any] = chart.source(args.charts_dir)
        return Release(
            f"{name}-{release}",
            name=release,
            namespace=NAMESPACE,
            values=values,
            atomic=True,
            timeout=600,
            opts=pulumi.ResourceOptions(parent=self, depends_on=after),
            **source,
        )

    def _rule(self, name: str, rule: Manifest, istiod: Release) -> CustomResource:
        options = pulumi.ResourceOptions(parent=self, depends_on=[istiod])
        return custom_object(f"{name}-{rule['metadata']['name']}", rule, options)
