"""The section `mesh` of the stack config."""

from types import MappingProxyType
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StrictInt, model_validator

from components.config.existing import refuse_beside_existing, refuse_elsewhere
from components.config.proxy_ports import OUTSIDE_THE_PROXY
from components.kube.mesh_labels import own_revision
from components.kube.names import MESH_NAMESPACE
from components.schema.fields import Label, Port, Registry, Replicas
from components.schema.typed_file import TypedFile, misplaced


def _revision(value: str) -> str:
    # Istio's charts use this name for the control plane without a revision, whose Service has another name.
    if value == "default":
        raise ValueError("default is the control plane without a revision: leave the key out, or name another one")
    return value


Revision = Annotated[Label, AfterValidator(_revision)]
Sampling = Annotated[StrictInt, Field(ge=0, le=100)]
CpuTarget = Annotated[StrictInt, Field(ge=10, le=100)]
Platform = Literal["gke", "k3d", "k3s", "microk8s", "minikube"]
"""The profiles of Istio's charts for clusters that keep network plugins in places of their own, or that have a quota
for critical pods: manifests/helm-profiles/platform-*.yaml of https://github.com/istio/istio. OpenShift's is not among
them: its proxies have a user of each namespace's own, and the rules know the one of every other cluster."""


class MeshScraper(TypedFile):
    """The workload that reads the services' metrics; it must be in the mesh."""

    namespace: Label
    service_account: Label


class MeshTracing(TypedFile):
    """The collector that the proxies send their spans to (OpenTelemetry over gRPC)."""

    namespace: Label
    service: Label
    port: Annotated[Port, OUTSIDE_THE_PROXY] = 4317
    """The port of its Service and of its pods."""
    sampling: Sampling = 1
    """Percent of the requests that are traced."""


class MeshAutoscaling(TypedFile):
    """A number of istiods that depends on their load, instead of a fixed one."""

    renamed = MappingProxyType({"minimum": "min", "maximum": "max"})

    min: Replicas = 2
    max: Replicas = 5
    cpu: CpuTarget = 80
    """Percent of the requested CPU above which one more is started."""

    @model_validator(mode="after")
    def _grows(self) -> Self:
        if self.max <= self.min:
            raise misplaced(["max"], f"not above min, which is {self.min}: write mesh.replicas instead", self.max)
        return self


class MeshSettings(TypedFile):
    """Istio's control plane."""

    mode: Literal["helm", "existing"] = "helm"
    """`helm` installs Istio in the namespace `istio-system`; `existing` takes one that others installed, by its
    `revision`, whose settings `pulumi up` and `zt preflight` check."""
    namespace: Label | None = None
    """With `mode: existing`: the namespace of its istiod, by default `istio-system`."""
    root_namespace: Label | None = None
    """With `mode: existing`: the root namespace of that mesh, `meshConfig.rootNamespace` of its istiod, in which the
    mesh-wide rules are created. By default it is the namespace of istiod."""
    data_plane: Literal["sidecar", "ambient"] = "sidecar"
    """A proxy in each pod (`sidecar`) or on each node (`ambient`). `ambient` restricts callers only by identity and
    port, and places outside only by networks; a setting that needs more is refused."""
    platform: Platform | None = None
    """What the cluster is, where its nodes keep network plugins elsewhere than in `/opt/cni/bin` and
    `/etc/cni/net.d`: `gke`, or `k3s`, `k3d` and `microk8s` with the network plugin that they bring, or `minikube` with
    Docker. Without it Istio's agent of the nodes does not start there, or redirects no pod."""
    replicas: Replicas | None = None
    """A fixed number of istiods; 1 by default."""
    autoscaling: MeshAutoscaling | None = None
    hub: Registry | None = None
    """A registry, or a path in one, that mirrors Istio's images, each under its last name: `<hub>/proxyv2`."""
    revision: Revision | None = None
    """The name of this control plane. With a new name, such as `1-31-0`, every service joins the new control plane in
    the same run, before the old one is removed. With `mode: existing` it may be a tag that stands for a revision."""
    other_namespaces: tuple[Label, ...] = ()
    """With `mode: existing`: the namespaces of others in this mesh whose owners agreed to its mesh-wide rules, mutual
    TLS and the default deny."""
    scraper: MeshScraper | None = None
    tracing: MeshTracing | None = None

    @property
    def own_labels(self) -> dict[str, str]:
        """The labels by which a pod names this control plane."""
        return own_revision(self.revision or "", self.data_plane == "ambient")

    @model_validator(mode="after")
    def _fixed_or_autoscaled(self) -> Self:
        refuse_beside_existing(self, self.mode, "replicas", "autoscaling", "hub", "platform")
        refuse_elsewhere(self.mode, self.namespace, MESH_NAMESPACE)
        refuse_elsewhere(self.mode, self.root_namespace, MESH_NAMESPACE, "rootNamespace")
        if self.other_namespaces and self.mode != "existing":
            message = "a mesh that the program installs has no others in it: leave it out, or write mode existing"
            raise misplaced(["otherNamespaces"], message, list(self.other_namespaces))
        if self.replicas is not None and self.autoscaling is not None:
            raise ValueError("replicas and autoscaling: keep one")
        return self
