"""The section `probes` of a service file.

Probes: https://kubernetes.io/docs/concepts/workloads/pods/probes/
"""

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import Field, StrictInt, StrictStr, model_validator

from components.schema.fields import ProbePath, Words
from components.schema.typed_file import TypedFile, misplaced
from components.service.file.network import AppPort


class ProbeSpec(TypedFile):
    """One probe. Without `path`, `command` and `grpc` it requests `health`, or else connects to the port. A key that is
    left out has the default of this probe."""

    path: ProbePath | None = None
    """The HTTP path to request."""
    command: Words = ()
    """A program of the image with its arguments, which must exit with 0."""
    grpc: StrictStr | None = None
    """The service that the application's gRPC health checking answers for; empty for all of it."""
    port: AppPort | None = None
    """The port; by default the service's."""
    initial_delay_seconds: Annotated[StrictInt, Field(ge=0, le=600)] | None = None
    """The delay between the start of the container and the first probe."""
    period_seconds: Annotated[StrictInt, Field(ge=1, le=600)] | None = None
    """The time between two probes."""
    timeout_seconds: Annotated[StrictInt, Field(ge=1, le=60)] | None = None
    """How long a probe may take."""
    failure_threshold: Annotated[StrictInt, Field(ge=1, le=240)] | None = None
    """How many failures in a row make the probe fail."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.command:
            for key, value in (("path", self.path), ("port", self.port), ("grpc", self.grpc)):
                if value is not None:
                    raise misplaced([key], "the probe has a command: keep one of the two", value)
        if self.grpc is not None and self.path is not None:
            raise misplaced(["path"], "the probe has grpc: keep one of the two", self.path)
        return self


class ProbesSpec(TypedFile):
    """Probes that differ from the defaults."""

    readiness: ProbeSpec | None = None
    """Whether the pod gets requests."""
    liveness: ProbeSpec | None = None
    """Whether the container keeps running; it is restarted when this fails."""
    startup: ProbeSpec | None = None
    """Whether the container has started; the other two probes wait until it has."""


def check_requested(probes: ProbesSpec | None, protocols: Mapping[int, str], port: int) -> None:
    """Raise `PydanticCustomError`, with the key, for a probe that requests a path of a server of gRPC.

    `protocols` are those of the ports of the application, `port` is the one of a probe that names none. The kubelet
    sends HTTP/1.1, and so does the mesh in its place.
    """
    for kind in ("readiness", "liveness", "startup"):
        probe: ProbeSpec | None = getattr(probes, kind) if probes else None
        if probe and probe.path is not None and protocols.get(probe.port or port) == "grpc":
            message = (
                "probes send HTTP/1.1, and this port speaks grpc: write grpc in its place, or the port that answers"
            )
            raise misplaced(["probes", kind, "path"], message, probe.path)


def unasked(probes: ProbesSpec | None) -> str:
    """The first probe that nothing could ask, where the application has no port of its own; empty if there is none.

    A readiness and a liveness probe there always are. Each needs a command, or a port.
    """
    for kind in ("readiness", "liveness", "startup"):
        probe: ProbeSpec | None = getattr(probes, kind) if probes else None
        needed = probe is not None or kind != "startup"
        if needed and not (probe and (probe.command or probe.port)):
            return kind
    return ""
