"""What a stack file takes out of the rules, checked against the services, the library and a day."""

from collections.abc import Callable, Iterator, Sequence
from datetime import date

from components.config.kyverno import AccountException
from components.config.settings import Settings
from components.config.stack_source import StackSource
from components.kyverno.library import load_library
from components.kyverno.widened import widened
from components.schema.problem import Problem
from components.service.file.exceptions import ExceptionSpec, problem_with
from components.service.file.jobs import job_name
from components.service.file.service import ServiceSpec

AsOf = Callable[[], date | None]


def platform_namespaces(settings: Settings) -> tuple[str, ...]:
    """The platform's namespaces on a stack, with a renamed gateway's, and with that of External Secrets if it runs."""
    gateway = settings.ingress.gateway_namespace
    copies = () if settings.vault.delivery == "injector" else (settings.layers.external_secrets,)
    return tuple(dict.fromkeys((*settings.layers.platform, gateway, *copies)))


def exception_problems(
    settings: Settings, services: Sequence[ServiceSpec], as_of: AsOf, source: StackSource
) -> list[Problem]:
    """The problems of excluded namespaces and of exceptions in a stack file. `as_of` is only called if it has some."""
    kyverno = settings.kyverno
    if not (kyverno.excluded_namespaces or kyverno.exceptions or kyverno.widened):
        return []
    day = as_of()
    problems = [*_excluded(settings, services, day, source), *_widened(settings, day, source)]
    for number, exception in enumerate(kyverno.exceptions):
        key = f"kyverno.exceptions[{number}]"
        problems += _excepted(exception, key, settings, services, day, source)
    return problems


def _excluded(
    settings: Settings, services: Sequence[ServiceSpec], as_of: date | None, source: StackSource
) -> Iterator[Problem]:
    """A namespace where a tenant has rights is never excluded: the tenant could run anything there."""
    for name, excluded in settings.kyverno.excluded_namespaces.items():
        key = f"kyverno.excludedNamespaces.{name}"
        if tenants := sorted(spec.name for spec in services if spec.namespace == name):
            yield source.problem(key, f"the rules hold where services run, such as {tenants[0]}: leave it out", name)
        elif name in platform_namespaces(settings):
            yield source.problem(key, "no rule looks at the platform's: leave it out", name)
        elif problem := excluded.problem(as_of):
            field, message = problem
            yield source.problem(f"{key}.{field}", message)


def _widened(settings: Settings, as_of: date | None, source: StackSource) -> Iterator[Problem]:
    rules, parameters = load_library().rules, settings.kyverno.parameters
    for name, agreed in settings.kyverno.widened.items():
        if name not in rules or not widened(rules[name], parameters.get(name, {})):
            message = "kyverno.parameters lets nothing more through by a critical rule of this name: leave it out"
            yield source.problem(f"kyverno.widened.{name}", message, name)
        elif problem := agreed.problem(as_of):
            field, message = problem
            yield source.problem(f"kyverno.widened.{name}.{field}", message)


def _excepted(
    exception: AccountException,
    key: str,
    settings: Settings,
    services: Sequence[ServiceSpec],
    as_of: date | None,
    source: StackSource,
) -> Iterator[Problem]:
    owner = next((spec for spec in services if exception.workload in _workloads(spec)), None)
    if owner:
        message = f"the service {owner.ref} has this account: write the exception into its file"
        yield source.problem(f"{key}.serviceAccount", message, exception.service_account)
    if exception.namespace in platform_namespaces(settings):
        yield source.problem(f"{key}.namespace", "no rule looks at it: leave the exception out", exception.namespace)
    same = ExceptionSpec(
        rule=exception.rule,
        reason=exception.reason,
        owner=exception.owner,
        granted=exception.granted,
        expires=exception.expires,
    )
    if problem := problem_with(same, load_library(), as_of):
        field, message, legal = problem
        if legal:
            yield source.problem(f"{key}.{field}", message, exception.rule, legal)
        else:
            yield source.problem(f"{key}.{field}", message)


def _workloads(spec: ServiceSpec) -> set[str]:
    """The service and its jobs, each of which has a service account of its name."""
    names = (spec.name, *(job_name(spec.name, job) for job in spec.jobs))
    return {f"{spec.namespace}/{name}" for name in names}
