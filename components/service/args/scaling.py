"""The arguments of a service's autoscaler."""

from dataclasses import dataclass

from components.service.file.scaling import AutoscalingSpec


@dataclass(frozen=True, kw_only=True)
class ResourceArgs:
    """The requests and limits of a container; an empty amount of disk space is none."""

    cpu_request: str = "100m"
    memory_request: str = "128Mi"
    cpu_limit: str = "500m"
    memory_limit: str = "256Mi"
    disk_request: str = ""
    disk_limit: str = ""


@dataclass(frozen=True)
class AutoscalingArgs:
    """The autoscaler of a service; without a `maximum` it has none. `cpu` and `memory` are percentages of the requests.

    A `memory` of 0 is not looked at.
    """

    minimum: int = 0
    maximum: int = 0
    cpu: int = 80
    memory: int = 0

    @property
    def aim(self) -> str:
        """What it aims at, in words."""
        memory = f" and {self.memory} % of the memory request" if self.memory else ""
        return f"{self.cpu} % of the CPU request{memory}"


def autoscaling_args(spec: AutoscalingSpec | None) -> AutoscalingArgs:
    """The arguments of the autoscaling in a service file."""
    return AutoscalingArgs(spec.min, spec.max, spec.cpu, spec.memory or 0) if spec else AutoscalingArgs()
