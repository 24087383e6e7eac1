"""How much of a service there is: what a pod may use, and how many there are by their load.

The autoscaler: https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/
"""

from dataclasses import dataclass
from typing import Annotated, Any, Self

from pydantic import Field, StrictInt, model_validator

from components.settings_platform import Replicas
from components.typed_file import Quantity, TypedFile, misplaced

_HIGHEST = 100


class Amounts(TypedFile):
    """CPU and memory."""

    cpu: Quantity
    """Cores, such as `250m` or `2`."""
    memory: Quantity
    """Bytes, such as `256Mi`."""


class ResourcesSpec(TypedFile):
    """What a pod may use, and what is kept for it."""

    requests: Amounts = Amounts(cpu="100m", memory="128Mi")
    """What is kept for it on its node."""
    limits: Amounts = Amounts(cpu="500m", memory="256Mi")
    """What it may use at most: more CPU waits, more memory ends the container."""


class AutoscalingSpec(TypedFile):
    """As many pods as their load asks for, by the cluster's metrics server."""

    min: Replicas = 2
    """How many there are at least."""
    max: Annotated[StrictInt, Field(ge=1, le=_HIGHEST)]
    """How many there are at most."""
    cpu: Annotated[StrictInt, Field(ge=1, le=100)] = 80
    """The CPU that the application's container is to use on average, in percent of its request."""

    @model_validator(mode="after")
    def _grows(self) -> Self:
        if self.max < self.min:
            raise misplaced(["max"], f"less than min, which is {self.min}", self.max)
        return self


@dataclass(frozen=True)
class AutoscalingArgs:
    """The autoscaler of a service; without a `maximum` it has none. `cpu` is a percentage of the request."""

    minimum: int = 0
    maximum: int = 0
    cpu: int = 80


def autoscaling_args(spec: AutoscalingSpec | None) -> AutoscalingArgs:
    """The arguments that a service file's autoscaling makes."""
    return AutoscalingArgs(spec.min, spec.max, spec.cpu) if spec else AutoscalingArgs()


def autoscaler_spec(kind: str, name: str, args: AutoscalingArgs) -> dict[str, Any]:
    """The spec of the HorizontalPodAutoscaler of a workload.

    It looks at the application's own container: the load of the mesh's proxy is not the service's.
    """
    target = {"type": "Utilization", "averageUtilization": args.cpu}
    metric = {"name": "cpu", "container": name, "target": target}
    return {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": kind, "name": name},
        "minReplicas": args.minimum,
        "maxReplicas": args.maximum,
        "metrics": [{"type": "ContainerResource", "containerResource": metric}],
    }
