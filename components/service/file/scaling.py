"""The sections `resources` and `autoscaling` of a service file.

The autoscaler: https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Annotated, Self, cast

from pydantic import Field, StrictInt, model_validator

from components.schema.fields import Cores, Memory
from components.schema.quantity import amount
from components.schema.typed_file import TypedFile, misplaced

Pods = Annotated[StrictInt, Field(ge=1, le=100)]
"""A number of a service's pods."""


class Amounts(TypedFile):
    """CPU and memory."""

    cpu: Cores
    """Cores, such as `250m` or `2`."""
    memory: Memory
    """Bytes, such as `256Mi`."""


def _picked(default: Amounts, given: Mapping[str, object], picks: Callable[..., str]) -> dict[str, str]:
    """Each default amount, or the given one beside it, as `min` or `max` picks them."""
    return {
        resource: picks(usual, str(given.get(resource, usual)), key=_amount_or_none)
        for resource, usual in (("cpu", default.cpu), ("memory", default.memory))
    }


def _amount_or_none(quantity: str) -> Decimal:
    try:
        return amount(quantity)
    except ValueError:
        return Decimal(0)


class ResourcesSpec(TypedFile):
    """The requests and limits of a container. One that is left out has its default, or the other's where that is in
    the way."""

    requests: Amounts = Amounts(cpu="100m", memory="128Mi")
    """What its node reserves for it."""
    limits: Amounts = Amounts(cpu="500m", memory="256Mi")
    """What it may use at most: CPU above it is throttled, memory above it ends the container."""

    @model_validator(mode="before")
    @classmethod
    def _beside(cls, values: object) -> object:
        if not isinstance(values, dict):
            return values
        written = cast("dict[str, object]", values)
        for missing, other, picks in (("requests", "limits", min), ("limits", "requests", max)):
            given = written.get(other)
            if missing not in written and isinstance(given, dict):
                default = cast("Amounts", cls.model_fields[missing].default)
                return {**written, missing: _picked(default, cast("dict[str, object]", given), picks)}
        return written

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for resource in ("cpu", "memory"):
            kept, most = (getattr(amounts, resource) for amounts in (self.requests, self.limits))
            if amount(kept) > amount(most):
                raise misplaced(["requests", resource], f"more than limits.{resource}, which is {most}", kept)
        return self


class AutoscalingSpec(TypedFile):
    """A number of pods that follows their load, as the cluster's metrics server measures it."""

    min: Pods = 2
    """The least number of pods."""
    max: Pods
    """The largest number of pods."""
    cpu: Annotated[StrictInt, Field(ge=1, le=100)] = 80
    """The average CPU use of the application's container to aim at, in percent of its request."""

    @model_validator(mode="after")
    def _grows(self) -> Self:
        if self.max < self.min:
            raise misplaced(["max"], f"less than min, which is {self.min}", self.max)
        return self
