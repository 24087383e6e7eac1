"""The sections `resources` and `autoscaling` of a service file.

The autoscaler: https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/
"""

from typing import Annotated, Self, cast

from pydantic import Field, StrictInt, ValidationError, model_validator

from components.schema.fields import Cores, Memory, Size
from components.schema.quantity import amount
from components.schema.typed_file import TypedFile, misplaced

Pods = Annotated[StrictInt, Field(ge=1, le=100)]
"""A number of a service's pods."""


class Amounts(TypedFile):
    """CPU, memory and space on the node's disk. One that is left out has its default, or the other's beside it."""

    cpu: Cores = "100m"
    """Cores, such as `250m` or `2`."""
    memory: Memory = "128Mi"
    """Bytes, such as `256Mi`."""
    ephemeral_storage: Size | None = None
    """Bytes on the node's disk, such as `2Gi`, for its logs and the directories that are gone with the pod."""


class Limits(Amounts):
    """The most CPU, memory and space on the node's disk."""

    cpu: Cores = "500m"
    """Cores, such as `250m` or `2`. There is always a limit, since a rule asks for one."""
    memory: Memory = "256Mi"
    """Bytes, such as `256Mi`."""


_AMOUNTS = (("cpu", "cpu"), ("memory", "memory"), ("ephemeral_storage", "ephemeralStorage"))
"""The name of each amount, and its key."""


def _is_amount(key: str, value: str) -> bool:
    try:
        Amounts.model_validate({key: value})
    except ValidationError:
        return False
    return True


class ResourcesSpec(TypedFile):
    """The requests and limits of a container. One that is left out has its default, or the other's where that is in
    the way."""

    requests: Amounts = Amounts()
    """What its node reserves for it."""
    limits: Limits = Limits()
    """What it may use at most: CPU above it is throttled, memory or disk space above it ends the container."""

    @model_validator(mode="before")
    @classmethod
    def _beside(cls, values: object) -> object:
        if not isinstance(values, dict):
            return values
        written = cast("dict[str, object]", values)
        requests, limits = (_mapping(written.get(key, {})) for key in ("requests", "limits"))
        if requests is None or limits is None:
            return written
        for name, key in _AMOUNTS:
            kept, most = requests.get(key), limits.get(key)
            # What is wrong is wrong once, where it stands.
            if isinstance(most, str) and key not in requests and _is_amount(key, most):
                requests[key] = min(Amounts.model_fields[name].default or most, most, key=amount)
            elif isinstance(kept, str) and key not in limits and _is_amount(key, kept):
                limits[key] = max(Limits.model_fields[name].default or kept, kept, key=amount)
        return {**written, "requests": requests, "limits": limits}

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for name, key in _AMOUNTS:
            kept, most = (getattr(amounts, name) for amounts in (self.requests, self.limits))
            if kept is not None and most is not None and amount(kept) > amount(most):
                raise misplaced(["requests", key], f"more than limits.{key}, which is {most}", kept)
        return self


def _mapping(value: object) -> dict[str, object] | None:
    return dict(cast("dict[str, object]", value)) if isinstance(value, dict) else None


class AutoscalingSpec(TypedFile):
    """A number of pods that follows their load, as the cluster's metrics server measures it."""

    min: Pods = 2
    """The least number of pods."""
    max: Pods
    """The largest number of pods."""
    cpu: Annotated[StrictInt, Field(ge=1, le=100)] = 80
    """The average CPU use of the application's container to aim at, in percent of its request."""
    memory: Annotated[StrictInt, Field(ge=1, le=100)] | None = None
    """Its average memory use to aim at, in percent of its request; by default any. The larger number of pods counts."""

    @model_validator(mode="after")
    def _grows(self) -> Self:
        if self.max < self.min:
            raise misplaced(["max"], f"less than min, which is {self.min}", self.max)
        return self
