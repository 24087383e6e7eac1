"""The section of the stack config for the mesh."""

from typing import Annotated, Literal, Self

from pydantic import Field, StrictInt, field_validator, model_validator

from components.posture import Posture
from components.settings_ingress import ProblemSink
from components.settings_platform import Replicas
from components.typed_file import ImageReference, Label, Port, TypedFile


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
    """The number of istiods by their load, in place of a fixed one."""

    minimum: Replicas = 2
    maximum: Replicas = 5
    cpu: Annotated[StrictInt, Field(ge=10, le=100)] = 80
    """Percent of the requested CPU above which one more is started."""

    @model_validator(mode="after")
    def _grows(self) -> Self:
        if self.maximum <= self.minimum:
            raise ValueError(f"maximum {self.maximum} is not above minimum {self.minimum}: write mesh.replicas instead")
        return self


class MeshSettings(TypedFile):
    """Istio's control plane."""

    data_plane: Literal["sidecar", "ambient"] = "sidecar"
    """What carries the mesh: a proxy in each pod, or one on each node. `ambient` holds callers to identity and port
    alone, and what is outside to networks alone; what asks for more is refused."""
    replicas: Replicas | None = None
    """A fixed number of istiods; 1 by default."""
    autoscaling: MeshAutoscaling | None = None
    hub: ImageReference | None = None
    """A mirror of Istio's images."""
    revision: Label | None = None
    """The name of this control plane. A new one, as `1-31-0`, has every service join the new control plane in the same
    run, before the old one goes."""
    scraper: MeshScraper | None = None
    tracing: MeshTracing | None = None

    @model_validator(mode="after")
    def _one_number(self) -> Self:
        if self.replicas is not None and self.autoscaling is not None:
            raise ValueError("replicas and autoscaling: keep one")
        return self

    @field_validator("revision")
    @classmethod
    def _names_one_of_several(cls, revision: str | None) -> str | None:
        # Istio's charts take the name for that of the control plane without a revision, whose Service has another one.
        if revision == "default":
            raise ValueError("default is the control plane without a revision: leave the key out, or name another one")
        return revision


def mesh_problems(mesh: MeshSettings, posture: Posture, problem: ProblemSink) -> None:
    """Find what the chosen data plane cannot hold. Service files are judged by `components/service_ambient.py`."""
    if mesh.data_plane == "sidecar":
        return
    if posture.mtls is None:
        problem("mesh.dataPlane", "this stack has no mesh: leave it out", mesh.data_plane)
        return
    if not posture.network_policies:
        message = (
            "a node's proxy closes no egress, so that with network policies off a service would reach any host: "
            "write sidecar, or posture.networkPolicies with the value true"
        )
        problem("mesh.dataPlane", message, mesh.data_plane)
    if mesh.tracing is not None:
        problem("mesh.tracing", "ambient sends no spans of a service: leave it out, or set mesh.dataPlane to sidecar")
