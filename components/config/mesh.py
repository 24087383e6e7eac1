"""The section `mesh` of the stack config."""

from types import MappingProxyType
from typing import Annotated, Literal, Self

from pydantic import Field, StrictInt, field_validator, model_validator

from components.config.existing import refuse_beside_existing, refuse_elsewhere
from components.config.posture import Posture
from components.config.problem_sink import ProblemSink
from components.kube.names import MESH_NAMESPACE
from components.schema.fields import Label, Port, Registry, Replicas
from components.schema.typed_file import TypedFile, misplaced


class MeshScraper(TypedFile):
    """The workload that reads the services' metrics; it must be in the mesh."""

    namespace: Label
    service_account: Label


class MeshTracing(TypedFile):
    """The collector that the proxies send their spans to (OpenTelemetry over gRPC)."""

    namespace: Label
    service: Label
    port: Port = 4317
    """The port of its Service and of its pods."""
    sampling: Annotated[StrictInt, Field(ge=0, le=100)] = 1
    """Percent of the requests that are traced."""


class MeshAutoscaling(TypedFile):
    """A number of istiods that depends on their load, instead of a fixed one."""

    renamed = MappingProxyType({"minimum": "min", "maximum": "max"})

    min: Replicas = 2
    max: Replicas = 5
    cpu: Annotated[StrictInt, Field(ge=10, le=100)] = 80
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
    replicas: Replicas | None = None
    """A fixed number of istiods; 1 by default."""
    autoscaling: MeshAutoscaling | None = None
    hub: Registry | None = None
    """A registry, or a path in one, that mirrors Istio's images, each under its last name: `<hub>/proxyv2`."""
    revision: Label | None = None
    """The name of this control plane. With a new name, such as `1-31-0`, every service joins the new control plane in
    the same run, before the old one is removed. With `mode: existing` it may be a tag that stands for a revision."""
    other_namespaces: tuple[Label, ...] = ()
    """With `mode: existing`: the namespaces of others in this mesh whose owners agreed to its mesh-wide rules, mutual
    TLS and the default deny."""
    scraper: MeshScraper | None = None
    tracing: MeshTracing | None = None

    @model_validator(mode="after")
    def _fixed_or_autoscaled(self) -> Self:
        refuse_beside_existing(self, self.mode, "replicas", "autoscaling", "hub")
        refuse_elsewhere(self.mode, self.namespace, MESH_NAMESPACE)
        refuse_elsewhere(self.mode, self.root_namespace, MESH_NAMESPACE, "rootNamespace")
        if self.other_namespaces and self.mode != "existing":
            message = "a mesh that the program installs has no others in it: leave it out, or write mode existing"
            raise misplaced(["otherNamespaces"], message, list(self.other_namespaces))
        if self.replicas is not None and self.autoscaling is not None:
            raise ValueError("replicas and autoscaling: keep one")
        return self

    @field_validator("revision")
    @classmethod
    def _not_default(cls, revision: str | None) -> str | None:
        # Istio's charts use this name for the control plane without a revision, whose Service has another name.
        if revision == "default":
            raise ValueError("default is the control plane without a revision: leave the key out, or name another one")
        return revision


def mesh_problems(mesh: MeshSettings, posture: Posture, problem: ProblemSink) -> None:
    """Report the settings that the data plane cannot enforce. `components/service/file/ambient.py` checks services."""
    if mesh.data_plane == "sidecar":
        return
    if posture.mtls is None:
        problem("mesh.dataPlane", "this stack has no mesh", mesh.data_plane, ["sidecar"])
        return
    if not posture.network_policies:
        message = (
            "a node's proxy closes no egress, so that with network policies off a service would reach any host: "
            "write sidecar, or posture.networkPolicies with the value true"
        )
        problem("mesh.dataPlane", message, mesh.data_plane, ["sidecar"])
    if mesh.tracing is not None:
        problem("mesh.tracing", "ambient sends no spans of a service: leave it out, or set mesh.dataPlane to sidecar")
