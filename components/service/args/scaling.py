"""The arguments of a service's autoscaler."""

from dataclasses import dataclass

from components.service.file.scaling import AutoscalingSpec


@dataclass(frozen=True)
class AutoscalingArgs:
    """The autoscaler of a service; without a `maximum` it has none. `cpu` is a percentage of the request."""

    minimum: int = 0
    maximum: int = 0
    cpu: int = 80


def autoscaling_args(spec: AutoscalingSpec | None) -> AutoscalingArgs:
    """The arguments of the autoscaling in a service file."""
    return AutoscalingArgs(spec.min, spec.max, spec.cpu) if spec else AutoscalingArgs()
