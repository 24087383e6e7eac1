"""What the namespace of a service allows: the LimitRange and the ResourceQuota that the stack's rules make there.

https://kubernetes.io/docs/concepts/policy/limit-range/ and https://kubernetes.io/docs/concepts/policy/resource-quotas/
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from components.schema.problem import Key
from components.schema.quantity import amount
from components.service.file.checks import Finding
from components.service.file.jobs import JobSpec
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
    containers: list[tuple[Key, ResourcesSpec]] = [(("resources",), spec.resources)]
    containers += [((*key, "resources"), each.resources) for key, each in spec.containers]
    containers += [(("jobs", name, "resources"), job.resources) for name, job in spec.jobs.items()]
    for key, resources in containers:
        for resource, parameter in _LARGEST.items():
            most, asked = largest.get(parameter), getattr(resources.limits, resource)
            if most is not None and amount(asked) > amount(str(most)):
                message = f"more than a container may have in its namespace, {most} (kyverno.parameters.{LIMIT_RANGE})"
                yield spec, (*key, "limits", resource), message, repr(asked), ()


_Takes = Callable[[ResourcesSpec], Decimal]
# Each part of the quota: what one container takes of it.
_TAKES: Mapping[str, _Takes] = {
    "requestsCpu": lambda resources: amount(resources.requests.cpu),
    "requestsMemory": lambda resources: amount(resources.requests.memory),
    "limitsMemory": lambda resources: amount(resources.limits.memory),
}
_PODS = "pods"


def _pod(spec: ServiceSpec, takes: _Takes | None) -> Decimal:
    """What one pod of a service takes: its containers together, or an init container that takes more, as it is alone.

    https://kubernetes.io/docs/concepts/workloads/pods/init-containers/#resource-sharing-within-containers
    """
    if takes is None:
        return Decimal(1)
    together = takes(spec.resources) + sum(takes(each.resources) for each in spec.sidecars.values())
    return max(together, *(takes(each.resources) for each in spec.init.values()), Decimal(0))


def _job(job: JobSpec, takes: _Takes | None) -> Decimal:
    return takes(job.resources) if takes else Decimal(1)


def _namespaces(specs: Sequence[ServiceSpec], limits: NamespaceLimits) -> Iterator[Finding]:
    for parameter in (*_TAKES, _PODS):
        most, takes = limits.namespace.get(parameter), _TAKES.get(parameter)
        running: dict[str, Decimal] = {}
        passing: dict[str, Decimal] = {}
        for spec in specs if most is not None else ():
            before = running.get(spec.namespace, Decimal(0)) + passing.get(spec.namespace, Decimal(0))
            more = running.get(spec.namespace, Decimal(0)) + _pod(spec, takes) * _pods(spec, limits.replicas)
            beside = max(passing.get(spec.namespace, Decimal(0)), *_passing(spec, takes), Decimal(0))
            running[spec.namespace], passing[spec.namespace] = more, beside
            if before <= amount(str(most)) < more + beside:
                message = (
                    f"with it the services of {spec.namespace}, and one more pod for a release or a job, ask for more "
                    f"than the namespace's quota of {parameter}, {most} (kyverno.parameters.{QUOTA})"
                )
                yield spec, ("resources",), message, "", ()


def _passing(spec: ServiceSpec, takes: _Takes | None) -> Iterator[Decimal]:
    """What the pods take that are there for a while: those of jobs, and the first new one of a Deployment's release."""
    if not spec.stateful:
        yield _pod(spec, takes)
    yield from (_job(job, takes) for job in spec.jobs.values())


def _pods(spec: ServiceSpec, replicas: int) -> int:
    if spec.run is not None:
        return 0
    return spec.autoscaling.max if spec.autoscaling else spec.replicas or replicas
