"""The arguments of what is merged into a service's pods beside all other keys."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from components.service.file.patch import PatchSpec


@dataclass(frozen=True)
class PatchArgs:
    """Fields of the pod, of its containers by name, and annotations. `expires` is the first day without, as ISO date.

    Without an `expires` there is none.
    """

    pod: Mapping[str, object] = field(default_factory=dict[str, object])
    containers: Mapping[str, Mapping[str, object]] = field(default_factory=dict[str, Mapping[str, object]])
    annotations: Mapping[str, str] = field(default_factory=dict[str, str])
    expires: str = ""

    @property
    def text(self) -> str:
        """All of it as JSON on a line."""
        parts = {"pod": self.pod, "containers": self.containers, "annotations": self.annotations}
        return json.dumps({key: part for key, part in parts.items() if part}, sort_keys=True)


def patch_args(spec: PatchSpec | None) -> PatchArgs:
    """The arguments of the patch in a service file."""
    if spec is None:
        return PatchArgs()
    return PatchArgs(spec.pod_fields, spec.container_fields, spec.annotations, spec.expires.isoformat())
