"""The HorizontalPodAutoscaler of a service."""

from typing import Any

from components.service.args.scaling import AutoscalingArgs


def autoscaler_spec(kind: str, name: str, args: AutoscalingArgs) -> dict[str, Any]:
    """The spec of the HorizontalPodAutoscaler of a workload.

    It measures the application's container only, without the load of the mesh's proxy.
    """
    aims = {"cpu": args.cpu, "memory": args.memory}
    metrics = [
        {"name": resource, "container": name, "target": {"type": "Utilization", "averageUtilization": aim}}
        for resource, aim in aims.items()
        if aim
    ]
    return {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": kind, "name": name},
        "minReplicas": args.minimum,
        "maxReplicas": args.maximum,
        "metrics": [{"type": "ContainerResource", "containerResource": metric} for metric in metrics],
    }
