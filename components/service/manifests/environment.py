"""The environment variables of a container."""

from collections.abc import Mapping

from components.kube.manifest import Manifest
from components.service.file.lifecycle import FIELD_PATHS, LIMITS
from components.service.file.references import in_order


def environment(container: str, values: Mapping[str, str], pod_fields: Mapping[str, str]) -> list[Manifest]:
    """The list `env` of a container: values, and the fields of its pod. Kubernetes puts the earlier into the later."""
    of_pod = [{"name": name, "valueFrom": _source(container, field)} for name, field in sorted(pod_fields.items())]
    return [*of_pod, *({"name": name, "value": values[name]} for name in in_order(values))]


def _source(container: str, field: str) -> Manifest:
    if field in LIMITS:
        # The API server writes the divisor, so it stands here too.
        return {"resourceFieldRef": {"containerName": container, "resource": LIMITS[field], "divisor": "0"}}
    return {"fieldRef": {"apiVersion": "v1", "fieldPath": FIELD_PATHS[field]}}
