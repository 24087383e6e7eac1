"""What the namespace of a service allows: the LimitRange and the ResourceQuota that the stack's rules make there.

https://kubernetes.io/docs/concepts/policy/limit-range/ and https://kubernetes.io/docs/concepts/policy/resource-quotas/
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from components.schema.quantity import amount
from components.service.file.checks import Finding
from components.service.file.scaling import ResourcesSpec
from components.service.file.service import ServiceSpec

LIMIT_RANGE, QUOTA = "limit-range", "resource-quota"
"""The rules that make them."""
_LARGEST = {"cpu": "cpuMaximum", "memory": "memoryMaximum"}


@dataclass(frozen=True)
class NamespaceLimits:
    """The parameters of the two rules on this stack, empty where a rule is off, and a service's default replicas."""

    container: Mapping[str, object] = field(default_factory=dict[str, object])
    namespace: Mapping[str, object] = field(default_factory=dict[str, object])
    replicas: int = 1


NO_LIMITS = NamespaceLimits()


def limit_findings(specs: Sequence[ServiceSpec], limits: NamespaceLimits) -> Iterator[Finding]:
    """The containers that the LimitRange refuses, and the services that fill their namespace's quota by themselves."""
    for spec in specs:
        yield from _containers(spec, limits.container)
    yield from _namespaces(specs, limits)


def _containers(spec: ServiceSpec, largest: Mapping[str, object]) -> Iterator[Finding]:
    containers: list[tuple[tuple[int | str, ...], ResourcesSpec]] = [(("resources",), spec.resources)]
    containers += [(("jobs", name, "resources"), job.resources) for name, job in spec.jobs.items()]
    for key, resources in containers:
        for resource, parameter in _LARGEST.items():
            most, asked = largest.get(parameter), getattr(resources.limits, resource)
            if most is not None and amount(asked) > amount(str(most)):
                message = f"more than a container may have in its namespace, {most} (kyverno.parameters.{LIMIT_RANGE})"
                yield spec, (*key, "limits", resource), message, repr(asked), ()


# Each part of the quota: what one pod takes of it.
_TAKES: Mapping[str, Callable[[ResourcesSpec], Decimal]] = {
    "requestsCpu": lambda resources: amount(resources.requests.cpu),
    "requestsMemory": lambda resources: amount(resources.requests.memory),
    "limitsMemory": lambda resources: amount(resources.limits.memory),
    "pods": lambda _: Decimal(1),
}


def _namespaces(specs: Sequence[ServiceSpec], limits: NamespaceLimits) -> Iterator[Finding]:
    for parameter, takes in _TAKES.items():
        most = limits.namespace.get(parameter)
        taken: dict[str, Decimal] = {}
        for spec in specs if most is not None else ():
            before = taken.get(spec.namespace, Decimal(0))
            taken[spec.namespace] = before + takes(spec.resources) * _pods(spec, limits.replicas)
            if before <= amount(str(most)) < taken[spec.namespace]:
                message = (
                    f"with it the services of {spec.namespace} ask for more than the namespace's quota of {parameter}, "
                    f"{most} (kyverno.parameters.{QUOTA})"
                )
                yield spec, ("resources",), message, "", ()


def _pods(spec: ServiceSpec, replicas: int) -> int:
    return spec.autoscaling.max if spec.autoscaling else spec.replicas or replicas
