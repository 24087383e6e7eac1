"""The sections `stop` and `podEnv` of a service file: how its containers end, and what they may know of their pod.

https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination and
https://kubernetes.io/docs/concepts/workloads/pods/downward-api/
"""

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import model_validator

from components.schema.fields import Duration, seconds
from components.schema.typed_file import TypedFile, misplaced
from components.service.file.environment import VariableName

PodField = Literal["name", "namespace", "uid", "ip", "node", "serviceAccount", "cpuLimit", "memoryLimit"]

FIELD_PATHS: Mapping[str, str] = {
    "name": "metadata.name",
    "namespace": "metadata.namespace",
    "uid": "metadata.uid",
    "ip": "status.podIP",
    "node": "spec.nodeName",
    "serviceAccount": "spec.serviceAccountName",
}
"""The fields of the pod, by the names that a service file has for them."""
LIMITS: Mapping[str, str] = {"cpuLimit": "limits.cpu", "memoryLimit": "limits.memory"}
"""The limits of the container: whole cores, rounded up, and bytes."""
POD_FIELDS: Mapping[str, str] = {**FIELD_PATHS, **LIMITS}

PodEnvironment = dict[VariableName, PodField]

# https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/ has no limit; an hour drains anything.
_LONGEST = 3600


class StopSpec(TypedFile):
    """How a pod ends. It gets no new requests from its end on; those that it has may run out."""

    delay: Duration | None = None
    """How long the container still runs as before, so that every client has heard of the end; then it gets SIGTERM."""
    within: Duration = "30s"
    """The time from the pod's end on, `delay` included, after which the container is killed; at most an hour."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if seconds(self.within) > _LONGEST:
            raise misplaced(["within"], "more than an hour, for which a node would have to wait", self.within)
        if self.delay is not None and seconds(self.delay) >= seconds(self.within):
            message = f"not less than within, which is {self.within}: nothing of it would be left after the delay"
            raise misplaced(["delay"], message, self.delay)
        return self
