"""Turns the results of rules into verdicts that name the service, its file, the key and the line to change."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import cast

from components.config.stack_source import StackSource
from components.kube.names import PROJECT
from components.package.file.chart import FOLDER
from components.schema.typed_file import dotted
from components.schema.yaml_text import line_finder, read_text, read_yaml
from components.service.file.layers import is_of_a_stack
from zt.check.kyverno_result import Identity, Result
from zt.check.plan import ANNOTATION, PLATFORM, Manifest, Plan, PlannedException, PlannedObject, mapping, text

SERVICES = "services"
# What a chart renders is changed by its values, whatever the rule is about.
_BROUGHT_BY = {"chart": "values", "manifests": "manifests"}
# The platform's objects are changed in the program.
_PROGRAM = "__main__.py"


class Outcome(StrEnum):
    """What happens to an object that does not pass a rule."""

    REFUSED = "refused"
    """Admission would refuse it."""
    EXPIRED = "expired"
    """An exception has run out: the rule holds again."""
    WARNED = "warned"
    """It is admitted and reported."""
    EXCEPTED = "excepted"
    """An exception lets it pass."""


@dataclass(frozen=True)
class ServiceText:
    """The text and the values of a service file."""

    file: str
    text: str
    values: Mapping[str, object] = field(default_factory=dict[str, object])

    def line_of(self, key: str) -> int:
        """The line of a dotted key, or of its nearest parent in the file."""
        return line_finder(self.text)(tuple(key.split(".")))


@dataclass(frozen=True)
class Place:
    """Where to change something: a file of the project, the key and the line, which is 0 without a file."""

    file: str = ""
    key: str = ""
    line: int = 0
    written: bool = True
    """Whether the file has the key already."""
    made_by: str = ""
    """The resource of the program, if no key of a file controls it."""


@dataclass(frozen=True)
class Verdict:
    """One rule that one object does not pass."""

    outcome: Outcome
    service: str
    rule: str
    tier: str
    action: str
    kind: str
    namespace: str
    name: str
    message: str
    place: Place
    release: str = ""
    title: str = ""
    severity: str = ""
    help: str = ""
    exception: PlannedException | None = None

    @property
    def subject(self) -> str:
        """The name of the object in a report."""
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


@dataclass(frozen=True)
class Exclusion:
    """A namespace that no rule looks at, and where the stack file says so."""

    namespace: str
    reason: str
    owner: str
    expires: date
    place: Place


def read_exclusions(root: Path, stack: str) -> list[Exclusion]:
    """The excluded namespaces of a stack; none if the project has no file of it. Raises `ConfigError`."""
    from zt.project.stack_file import StackFile, stack_names

    if stack not in stack_names(root):
        return []
    file = StackFile.read(root, stack)
    source = StackSource(file.name, file.line_of)
    exclusions: list[Exclusion] = []
    for name, excluded in file.settings.kyverno.excluded_namespaces.items():
        line = source.line_of_own(("kyverno", "excludedNamespaces", name, "expires"))
        place = Place(file.name, f"{PROJECT}:kyverno.excludedNamespaces.{name}.expires", line)
        exclusions.append(Exclusion(name, " ".join(excluded.reason.split()), excluded.owner, excluded.expires, place))
    return exclusions


def read_service_texts(root: Path) -> dict[str, ServiceText]:
    """Every service and package file of a project by its key. Raises `ConfigError` if one is not a YAML mapping."""
    services: dict[str, ServiceText] = {}
    paths = (path for folder in (SERVICES, FOLDER) for path in sorted((root / folder).glob("*.yaml")))
    for path in (path for path in paths if not is_of_a_stack(path)):
        file = f"{path.parent.name}/{path.name}"
        written = read_text(path, file)
        values = read_yaml(written, file)
        services[f"{values.get('namespace')}.{values.get('name', path.stem)}"] = ServiceText(file, written, values)
    return services


def verdicts(
    plan: Plan,
    results: Iterable[Result],
    services: Mapping[str, ServiceText],
    as_of: date,
    exclusions: Iterable[Exclusion] = (),
) -> list[Verdict]:
    """Every verdict that is not a pass, by service, the worst first."""
    policies = {text(policy, "metadata", "name"): policy for policy in plan.policies}
    objects = {planned.identity: planned for planned in plan.objects}
    granted = {exception.name: exception for exception in plan.exceptions}
    not_passed = [_expired(each, policies, services, plan.stack) for each in plan.exceptions if each.expired(as_of)]
    not_passed += (_no_longer_agreed(exclusion) for exclusion in exclusions if exclusion.expires <= as_of)
    for result in results:
        policy, planned = policies[result.policy], _object(result.identity, objects)
        exception = next((granted[name] for name in result.exceptions if name in granted), None)
        if outcome := _outcome(policy, result, exception):
            place = _exception_place(exception, services, plan.stack) if exception else None
            not_passed.append(_verdict(outcome, policy, result.message, planned, services, exception, place))
    return sorted(not_passed, key=_order)


def action_of(policy: Manifest) -> str:
    """The action of a policy on this stack: `Deny`, or how it reports."""
    if text(policy, "kind") == "MutatingPolicy":
        return "Mutate"
    actions = cast("list[str]", mapping(policy, "spec").get("validationActions") or ["Deny"])
    return "Deny" if "Deny" in actions else actions[0]


def _outcome(policy: Manifest, result: Result, exception: PlannedException | None) -> Outcome | None:
    if exception is not None and result.result == "skip":
        return Outcome.EXCEPTED
    if result.result not in ("fail", "error", "warn"):
        return None
    # A rule that cannot be evaluated refuses if it fails closed.
    closed = text(policy, "spec", "failurePolicy") != "Ignore"
    refuses = action_of(policy) == "Deny" if result.result == "fail" else closed
    return Outcome.REFUSED if refuses else Outcome.WARNED


def _object(identity: Identity, objects: Mapping[Identity, PlannedObject]) -> PlannedObject:
    version, kind, namespace, name = identity
    # The CLI reports an object without a namespace with none or with `default`.
    planned = objects.get(identity) or (objects.get((version, kind, "", name)) if namespace == "default" else None)
    if planned is not None:
        return planned
    # A verdict on an unknown object must not get lost.
    metadata = {"name": name, "namespace": namespace}
    return PlannedObject({"apiVersion": version, "kind": kind, "metadata": metadata}, "", PLATFORM)


def _verdict(
    outcome: Outcome,
    policy: Manifest,
    message: str,
    planned: PlannedObject,
    services: Mapping[str, ServiceText],
    exception: PlannedException | None,
    granted_at: Place | None,
) -> Verdict:
    _, kind, namespace, name = planned.identity
    annotations = mapping(mapping(policy, "metadata"), "annotations")
    place = _place(planned, text(annotations, f"{ANNOTATION}/service-key"), services)
    if outcome is Outcome.EXCEPTED and exception is not None and granted_at is not None:
        message = f"Excepted until {exception.expires}, granted to {exception.owner}: {exception.reason}"
        place = granted_at
    return Verdict(
        outcome,
        planned.service,
        text(policy, "metadata", "name"),
        text(policy, "metadata", "labels", "zero-trust/tier"),
        action_of(policy),
        kind,
        namespace,
        name,
        message,
        place,
        planned.release,
        text(annotations, "policies.kyverno.io/title"),
        text(annotations, "policies.kyverno.io/severity"),
        text(annotations, "policies.kyverno.io/description"),
        exception,
    )


def _place(planned: PlannedObject, key: str, services: Mapping[str, ServiceText]) -> Place:
    made_by = " ".join(planned.urn.rsplit("$", 1)[-1].rsplit("::", 2)[-2:])
    if planned.service == PLATFORM:
        file, line = planned.source
        return Place(file or _PROGRAM, line=line, made_by=made_by)
    written = services.get(planned.service)
    file = written.file if written else f"{SERVICES}/{planned.service.partition('.')[2]}.yaml"
    line = written.line_of(key) if written else 0
    if written and (brought := next((by for what, by in _BROUGHT_BY.items() if what in written.values), "")):
        key, line = brought, written.line_of(brought)
    if not key:
        return Place(file, line=line, made_by=made_by)
    return Place(file, key, line, written is not None and key.split(".")[0] in written.values)


def _no_longer_agreed(exclusion: Exclusion) -> Verdict:
    return Verdict(
        Outcome.EXPIRED,
        PLATFORM,
        "*",
        "",
        "",
        "Namespace",
        "",
        exclusion.namespace,
        f"It was agreed until {exclusion.expires} that no rule looks at this namespace: take it out of the stack file, "
        f"or ask its owner {exclusion.owner} to agree again with new days. The reason was: {exclusion.reason}.",
        exclusion.place,
    )


def _expired(
    exception: PlannedException, policies: Mapping[str, Manifest], services: Mapping[str, ServiceText], stack: str
) -> Verdict:
    policy = policies.get(exception.rule, {})
    annotations = mapping(mapping(policy, "metadata"), "annotations")
    return Verdict(
        Outcome.EXPIRED,
        exception.service,
        exception.rule,
        text(policy, "metadata", "labels", "zero-trust/tier"),
        action_of(policy) if policy else "",
        "PolicyException",
        text(exception.manifest, "metadata", "namespace"),
        exception.name,
        f"The exception ended on {exception.expires}: keep to the rule and remove it, or ask its owner "
        f"{exception.owner or '(none written)'} to grant it again with new days. The reason was: "
        f"{exception.reason or '(none written)'}.",
        _exception_place(exception, services, stack),
        title=text(annotations, "policies.kyverno.io/title"),
        severity=text(annotations, "policies.kyverno.io/severity"),
        help=text(annotations, "policies.kyverno.io/description"),
        exception=exception,
    )


def _exception_place(exception: PlannedException, services: Mapping[str, ServiceText], stack: str) -> Place:
    if exception.service == PLATFORM:
        return Place(f"Pulumi.{stack}.yaml", f"{PROJECT}:kyverno.exceptions")
    written = services.get(exception.service)
    if written is None:
        return Place(f"{SERVICES}/{exception.service.partition('.')[2]}.yaml", "exceptions")
    entries = written.values.get("exceptions")
    for number, entry in enumerate(cast("list[Manifest]", entries) if isinstance(entries, list) else []):
        if entry.get("rule") == exception.rule and exception.workload in ("", entry.get("workload")):
            loc = ("exceptions", number, "expires")
            return Place(written.file, dotted(loc), line_finder(written.text)(loc))
    return Place(written.file, "exceptions", written.line_of("exceptions"))


def _order(verdict: Verdict) -> tuple[object, ...]:
    outcomes: Sequence[Outcome] = tuple(Outcome)
    return (
        verdict.service == PLATFORM,
        verdict.service,
        outcomes.index(verdict.outcome),
        verdict.rule,
        verdict.kind,
        verdict.namespace,
        verdict.name,
    )
