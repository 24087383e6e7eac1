"""The section `placement` of the stack config: the classes of nodes that services may choose from.

Teams choose a class by its name, and the platform owns what it means.
https://kubernetes.io/docs/concepts/scheduling-eviction/
"""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StrictInt, StrictStr, model_validator

from components.schema.fields import Label, ObjectName, object_name
from components.schema.labels import DOMAIN, PART, LabelKey, LabelValue
from components.schema.typed_file import TypedFile, misplaced

# More than a node can have of any.
_MOST_DEVICES = 1_000_000
# Priorities that the cluster's own pods have.
_SYSTEM = "system-"


def _resource(value: str) -> str:
    domain, slash, name = value.rpartition("/")
    native = domain == "kubernetes.io" or domain.endswith(".kubernetes.io") or domain.startswith("requests.")
    if not slash or native or not re.fullmatch(DOMAIN, domain) or not re.fullmatch(PART, name):
        raise ValueError("not an extended resource such as nvidia.com/gpu")
    return value


def _priority(value: str) -> str:
    if value.startswith(_SYSTEM):
        raise ValueError("the cluster's own pods have it: choose a class that tenants may have")
    return object_name(value)


ExtendedResource = Annotated[StrictStr, AfterValidator(_resource)]
PriorityName = Annotated[StrictStr, AfterValidator(_priority)]
Spread = Literal["ScheduleAnyway", "DoNotSchedule"]


class Toleration(TypedFile):
    """A taint of nodes that pods of the class may run on all the same."""

    key: LabelKey
    """The key of the taint; one toleration for every taint is not offered."""
    value: LabelValue | None = None
    """The value of the taint; by default any."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """The effect of the taint; by default any."""


class PlacementClass(TypedFile):
    """What a class means for the pods of a service that chooses it."""

    node_selector: dict[LabelKey, LabelValue] = Field(default_factory=dict)
    """The labels that a node must have."""
    tolerations: tuple[Toleration, ...] = ()
    """The taints that it tolerates."""
    priority_class: PriorityName | None = None
    """The PriorityClass: pods with a lower one may be ended for it."""
    runtime_class: ObjectName | None = None
    """The RuntimeClass, such as one with a kernel of its own for each pod."""
    resources: dict[ExtendedResource, Annotated[StrictInt, Field(ge=1, le=_MOST_DEVICES)]] = Field(default_factory=dict)
    """Devices that each pod has, such as `nvidia.com/gpu: 1`; its own container gets them."""
    spread: Spread = "ScheduleAnyway"
    """Whether replicas that cannot be spread over zones and nodes wait (`DoNotSchedule`), or run beside each other."""
    namespaces: tuple[Label, ...] = ()
    """The namespaces whose services may choose it; by default all."""

    @model_validator(mode="after")
    def _means_something(self) -> Self:
        if not self.model_fields_set - {"namespaces"}:
            raise misplaced([], "it says nothing of the pods: write nodeSelector, or another of its keys", "nothing")
        return self
