"""From what the rules say of objects to what a person does about it: the service, its file, the key, the line."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import cast

from components.typed_file import dotted, line_finder, read_yaml
from zt.kyverno import Identity, Result
from zt.plan import ANNOTATION, PLATFORM, Manifest, Plan, PlannedException, PlannedObject, mapping, text

SERVICES = "services"
# A rule of the platform's own objects is answered in the program.
_PROGRAM = "__main__.py"


class Outcome(StrEnum):
    """What becomes of an object that a rule does not pass."""

    REFUSED = "refused"
    """Admission would refuse it."""
    EXPIRED = "expired"
    """An exception has run out: the rule holds again."""
    WARNED = "warned"
    """It is admitted, and reported."""
    EXCEPTED = "excepted"
    """An exception lets it pass."""


@dataclass(frozen=True)
class ServiceText:
    """A service file as it is written."""

    file: str
    text: str
    values: Mapping[str, object] = field(default_factory=dict[str, object])

    def line_of(self, key: str) -> int:
        """The line of a dotted key, or of the nearest key above it that the file has."""
        return line_finder(self.text)(tuple(key.split(".")))


@dataclass(frozen=True)
class Place:
    """Where the answer is: a file below the project, the key in it, its line; line 0 where the file is not there."""

    file: str = ""
    key: str = ""
    line: int = 0
    written: bool = True
    """Whether the file has the key already."""
    made_by: str = ""
    """The program's own resource when no key leads to it."""


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
        """The object as a reader names it."""
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


def read_service_texts(root: Path) -> dict[str, ServiceText]:
    """Every service file of a project by its service's key. Raises `ConfigError` for one that is no YAML mapping."""
    found: dict[str, ServiceText] = {}
    for path in sorted((root / SERVICES).glob("*.yaml")):
        written, file = path.read_text(encoding="utf-8"), f"{SERVICES}/{path.name}"
        values = read_yaml(written, file)
        found[f"{values.get('namespace')}.{values.get('name', path.stem)}"] = ServiceText(file, written, values)
    return found


def verdicts(
    plan: Plan,
    results: Iterable[Result],
    services: Mapping[str, ServiceText],
    as_of: date,
) -> list[Verdict]:
    """Everything that does not pass, by service, the worst first."""
    policies = {text(policy, "metadata", "name"): policy for policy in plan.policies}
    objects = {planned.identity: planned for planned in plan.objects}
    granted = {exception.name: exception for exception in plan.exceptions}
    found = [_expired(exception, policies, services) for exception in plan.exceptions if exception.expired(as_of)]
    for result in results:
        policy, planned = policies[result.policy], _object(result.identity, objects)
        exception = next((granted[name] for name in result.exceptions if name in granted), None)
        if outcome := _outcome(policy, result, exception):
            found.append(_verdict(outcome, policy, result.message, planned, services, exception))
    return sorted(found, key=_order)


def action_of(policy: Manifest) -> str:
    """What a policy does on this stack: `Deny`, or how it reports."""
    if text(policy, "kind") == "MutatingPolicy":
        return "Mutate"
    actions = cast("list[str]", mapping(policy, "spec").get("validationActions") or ["Deny"])
    return "Deny" if "Deny" in actions else actions[0]


def _outcome(policy: Manifest, result: Result, exception: PlannedException | None) -> Outcome | None:
    if exception is not None and result.result == "skip":
        return Outcome.EXCEPTED
    if result.result not in ("fail", "error", "warn"):
        return None
    # A rule that cannot be computed refuses where it fails closed.
    closed = text(policy, "spec", "failurePolicy") != "Ignore"
    refuses = action_of(policy) == "Deny" if result.result == "fail" else closed
    return Outcome.REFUSED if refuses else Outcome.WARNED


def _object(identity: Identity, objects: Mapping[Identity, PlannedObject]) -> PlannedObject:
    version, kind, namespace, name = identity
    # The CLI gives an object without a namespace none, or the default one.
    planned = objects.get(identity) or (objects.get((version, kind, "", name)) if namespace == "default" else None)
    if planned is not None:
        return planned
    # A verdict on something that nobody can attribute is a verdict all the same.
    metadata = {"name": name, "namespace": namespace}
    return PlannedObject({"apiVersion": version, "kind": kind, "metadata": metadata}, "", PLATFORM)


def _verdict(
    outcome: Outcome,
    policy: Manifest,
    message: str,
    planned: PlannedObject,
    services: Mapping[str, ServiceText],
    exception: PlannedException | None,
) -> Verdict:
    _, kind, namespace, name = planned.identity
    said = mapping(mapping(policy, "metadata"), "annotations")
    place = _place(planned, text(said, f"{ANNOTATION}/service-key"), services)
    if outcome is Outcome.EXCEPTED and exception is not None:
        message = f"Excepted until {exception.expires}, granted to {exception.owner}: {exception.reason}"
        place = _exception_place(exception, services)
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
        text(said, "policies.kyverno.io/title"),
        text(said, "policies.kyverno.io/severity"),
        text(said, "policies.kyverno.io/description"),
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
    if not key:
        return Place(file, line=line, made_by=made_by)
    return Place(file, key, line, written is not None and key.split(".")[0] in written.values)


def _expired(
    exception: PlannedException, policies: Mapping[str, Manifest], services: Mapping[str, ServiceText]
) -> Verdict:
    policy = policies.get(exception.rule, {})
    said = mapping(mapping(policy, "metadata"), "annotations")
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
        _exception_place(exception, services),
        title=text(said, "policies.kyverno.io/title"),
        severity=text(said, "policies.kyverno.io/severity"),
        help=text(said, "policies.kyverno.io/description"),
        exception=exception,
    )


def _exception_place(exception: PlannedException, services: Mapping[str, ServiceText]) -> Place:
    written = services.get(exception.service)
    if written is None:
        return Place(f"{SERVICES}/{exception.service.partition('.')[2]}.yaml", "exceptions")
    entries = written.values.get("exceptions")
    for number, entry in enumerate(cast("list[Manifest]", entries) if isinstance(entries, list) else []):
        if entry.get("rule") == exception.rule:
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
