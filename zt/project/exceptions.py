"""The exceptions that service files and stack files declare, each with its reason, its owner and its days."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from components.config.stack_source import StackSource
from components.kyverno.library import Library, Rule, load_library
from components.package.file.keys import PackageSpec
from components.program.stack_exceptions import exception_problems
from components.schema.problem import ConfigError
from components.schema.timed_exception import TimedException
from components.service.file.kubernetes_api import right_text
from components.service.file.service import ServiceSpec
from zt.project.declared import declared_packages, declared_services
from zt.project.stack_file import StackFile, project_library, stack_names

MESH = "mesh"
"""The tier of an exception from the mesh's mTLS, which is no rule of the library."""
KUBERNETES_API = "kubernetes-api"
"""The tier of a right on the Kubernetes API that may lead to more than it says."""
GRANT = "grant"
"""The tier of an object of a package's chart that reaches beyond the package."""
PATCH = "patch"
"""The tier and the rule of a patch of a service's pods."""
SECRET_ENV = "secret-env"  # noqa: S105 - a key
"""The tier of secrets as environment variables, and before `:` the rule of each."""
NAMESPACE, EVERY_RULE, EVERY_SERVICE = "namespace", "*", "*/*"
"""The tier and the rule of a namespace that no rule looks at."""


@dataclass(frozen=True)
class Row:
    """One exception on a day: from a rule, from mTLS at a port (`mtls:<port>`), a `patch`, a secret
    in a variable (`secret-env:<variable>`), or a right (`api:<right>`).

    A grant of a package is `grant:<kind>/<name>`. `service` is a service, a workload of a package (a package, for a
    grant) or, in an exception of a stack file, a service account or all of a namespace (`namespace/*`). `action` is
    what its rule does on the chosen stack.
    """

    service: str
    rule: str
    tier: str
    reason: str
    owner: str
    granted: date
    expires: date
    days_left: int
    expired: bool
    action: str = ""
    stack: str = ""
    """The stack whose file declares it; empty for a service file."""

    @property
    def state(self) -> str:
        """`active` or `expired`."""
        return "expired" if self.expired else "active"


def exceptions(project: Path, as_of: date, stack: str | None = None) -> tuple[Row, ...]:
    """The exceptions of all service and package files, and of the stack file, by their last day.

    Without a stack those of every stack file. Raises `ConfigError` for a wrong file or stack.
    """
    library = project_library(project)
    services = declared_services(project)
    action = _actions(project, stack)
    rows: list[Row] = []
    for service in services:
        name = f"{service.namespace}/{service.name}"
        for spec in service.exceptions:
            rule = library.rule(spec.rule)
            rows.append(_row(name, rule.name, rule.tier, spec, as_of, action(rule)))
        rows += (
            _row(name, f"mtls:{clear.port}", MESH, clear, as_of, action(None)) for clear in service.plaintext_ports
        )
        if service.patch:
            rows.append(_row(name, PATCH, PATCH, service.patch, as_of, ""))
        if spec := service.secret_env:
            rows += (_row(name, f"{SECRET_ENV}:{variable}", SECRET_ENV, spec, as_of, "") for variable in spec.variables)
        for granted in service.kubernetes_api:
            if exception := granted.exception:
                rights = (f"api:{right_text(right)}" for right in granted.leading_on())
                rows += (_row(name, right, KUBERNETES_API, exception, as_of, "") for right in rights)
    for package in declared_packages(project):
        rows += _of_package(package.spec, library, as_of, action)
    for name in (stack,) if stack else stack_names(project):
        rows += (replace(row, stack=name) for row in _of_stack(StackFile.read(project, name), services, as_of, action))
    return tuple(sorted(rows, key=lambda row: (row.expires, row.service, row.rule)))


def _of_package(
    package: PackageSpec, library: Library, as_of: date, action: Callable[[Rule | None], str]
) -> Iterator[Row]:
    for spec in package.exceptions:
        rule = library.rule(spec.rule)
        yield _row(f"{package.namespace}/{spec.workload}", rule.name, rule.tier, spec, as_of, action(rule))
    for clear in package.plaintext_ports:
        name = f"{package.namespace}/{clear.workload}"
        yield _row(name, f"mtls:{clear.port}", MESH, clear, as_of, action(None))
    for grant in package.grants:
        objects = (f"grant:{grant.kind}/{name}" for name in grant.names)
        yield from (_row(str(package.ref), one, GRANT, grant, as_of, "") for one in objects)


def _of_stack(
    file: StackFile, services: Sequence[ServiceSpec], as_of: date, action: Callable[[Rule | None], str]
) -> Iterator[Row]:
    kyverno, source = file.settings.kyverno, StackSource(file.name, file.line_of)
    if problems := exception_problems(file.settings, services, lambda: None, source):
        raise ConfigError(problems)
    for namespace, excluded in kyverno.excluded_namespaces.items():
        yield _row(f"{namespace}/{EVERY_RULE}", EVERY_RULE, NAMESPACE, excluded, as_of, "")
    for name, widened in kyverno.widened.items():
        rule = load_library().rule(name)
        yield _row(EVERY_SERVICE, rule.name, rule.tier, widened, as_of, action(rule))
    for exception in kyverno.exceptions:
        rule = load_library().rule(exception.rule)
        yield _row(exception.workload, rule.name, rule.tier, exception, as_of, action(rule))


def _row(service: str, rule: str, tier: str, spec: TimedException, as_of: date, action: str) -> Row:
    reason, left = " ".join(spec.reason.split()), (spec.expires - as_of).days
    return Row(service, rule, tier, reason, spec.owner, spec.granted, spec.expires, left, spec.expired(as_of), action)


def _actions(project: Path, stack: str | None) -> Callable[[Rule | None], str]:
    """A function for the action of a rule on the stack, or of the mesh on plaintext if the rule is `None`."""
    if stack is None:
        return lambda rule: ""  # noqa: ARG005 - the rule does not matter without a stack
    file = StackFile.read(project, stack)
    from components.kyverno.policy_set import action_of
    from components.program.plans.kyverno import policy_args
    from components.program.stack import Stack

    # What a rule does on a stack does not depend on the services.
    posture = file.settings.decisions()
    args = policy_args(Stack(file.name, file.settings, posture, (), file.line_of))
    plaintext = "deny" if posture.mtls == "STRICT" else "off"

    def action(rule: Rule | None) -> str:
        if rule is None:
            return plaintext
        return action_of(rule, args).value if args else "off"

    return action
