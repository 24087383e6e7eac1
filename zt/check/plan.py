"""Reads the plan of `pulumi preview --json`: Kubernetes objects, Kyverno policies, exceptions and Helm releases.

The digest's shape: https://github.com/pulumi/pulumi/blob/v3.229.0/pkg/display/json.go
"""

import json
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import date
from typing import cast

from components.kube.names import WORKLOAD_LABEL
from components.schema.problem import ConfigError, Problem

Manifest = dict[str, object]

PLATFORM = "platform"
ANNOTATION = "zero-trust.dev"
_SERVICE_TYPES = ("zero-trust:platform:SecureService", "zero-trust:platform:Package")
_RELEASE_TYPES = ("kubernetes:helm.sh/v3:Release",)
_KYVERNO_GROUP = "policies.kyverno.io"
_NAME_LABEL = "kubernetes.io/metadata.name"
# The kinds that are evaluated: a policy that generates refuses nothing, and one that verifies images needs a registry.
_JUDGING_KINDS = ("MutatingPolicy", "ValidatingPolicy")
_UNJUDGED_KINDS = {"ImageValidatingPolicy": "it asks the registry of each image"}
# Paths are relative to a project directory that may not be the checkout, so only the program's part is used.
_POSITION = re.compile(r"((?:components/[\w/]*)?\w+\.py)#(\d+)$")
_HOW = "make the plan with `pulumi preview --json --show-sames --stack <stack>`"


@dataclass(frozen=True)
class PlannedObject:
    """An object that admission will receive, and where it comes from."""

    manifest: Manifest
    urn: str
    service: str
    """The key of its service (`namespace.name`), or `platform`."""
    source: tuple[str, int] = ("", 0)
    """The file of the program that makes it, and the line."""
    release: str = ""
    """The Helm release that renders it; empty for an object of the program."""

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """apiVersion, kind, namespace and name, as Kyverno's reports name an object."""
        return (
            text(self.manifest, "apiVersion"),
            text(self.manifest, "kind"),
            text(self.manifest, "metadata", "namespace"),
            text(self.manifest, "metadata", "name"),
        )


@dataclass(frozen=True)
class PlannedRelease:
    """A Helm release, with everything that `helm template` needs."""

    urn: str
    service: str
    source: tuple[str, int]
    name: str
    namespace: str
    chart: str
    version: str
    repository: str
    values: Manifest
    beyond: str
    """Why it cannot be rendered from the plan alone; empty when it can."""


@dataclass(frozen=True)
class PlannedException:
    """A PolicyException with the values of its annotations."""

    manifest: Manifest
    name: str
    service: str
    rule: str
    owner: str
    reason: str
    expires: date | None
    workload: str = ""
    """The workload of a package that it is for; empty for one of a service."""

    def expired(self, as_of: date) -> bool:
        """Whether it has ended on a day: `expires` is the first day without it."""
        return self.expires is not None and as_of >= self.expires


@dataclass(frozen=True)
class Plan:
    """The parts of a plan that matter to admission."""

    stack: str
    objects: tuple[PlannedObject, ...] = ()
    policies: tuple[Manifest, ...] = ()
    exceptions: tuple[PlannedException, ...] = ()
    releases: tuple[PlannedRelease, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass
class _Parts:
    objects: list[PlannedObject] = field(default_factory=list[PlannedObject])
    policies: list[Manifest] = field(default_factory=list[Manifest])
    exceptions: list[PlannedException] = field(default_factory=list[PlannedException])
    releases: list[PlannedRelease] = field(default_factory=list[PlannedRelease])
    warnings: list[str] = field(default_factory=list[str])


def parse_plan(document: str, file: str) -> Plan:
    """The plan in the JSON of a preview. Raises `ConfigError` naming a part that no preview would write."""
    digest = _digest(document, file)
    steps = _steps(digest, file)
    states = {text(state, "urn"): state for state in _states(steps, file)}
    _refuse_partial(digest, steps, file)
    parts = _Parts()
    # A preview writes what runs side by side in another order each time, and an earlier verdict is for a known order.
    for urn, state in sorted(states.items()):
        _sort(urn, state, _service_of(urn, states), parts, file)
    stack = next((urn.split(":")[2] for urn in states if urn.startswith("urn:pulumi:")), "")
    return Plan(
        stack,
        tuple(parts.objects),
        tuple(parts.policies),
        tuple(parts.exceptions),
        tuple(parts.releases),
        tuple(parts.warnings),
    )


def namespaces(objects: tuple[PlannedObject, ...]) -> dict[str, dict[str, str]]:
    """The labels of every namespace with an object, including the label that the API server adds."""
    labels_of: dict[str, dict[str, str]] = {}
    for planned in objects:
        _, kind, namespace, name = planned.identity
        if kind == "Namespace":
            labels = mapping(mapping(planned.manifest, "metadata"), "labels")
            labels_of[name] = {key: str(value) for key, value in labels.items()} | {_NAME_LABEL: name}
        elif namespace:
            labels_of.setdefault(namespace, {_NAME_LABEL: namespace})
    return labels_of


def text(parent: Mapping[str, object], *path: str) -> str:
    """The text at a path of keys; empty when there is none."""
    for key in path[:-1]:
        parent = mapping(parent, key)
    value = parent.get(path[-1])
    return value if isinstance(value, str) else ""


def mapping(parent: Mapping[str, object], key: str) -> Manifest:
    """The mapping below a key; an empty one when there is none."""
    value = parent.get(key)
    return cast("Manifest", value) if isinstance(value, dict) else {}


def as_manifest(value: Manifest, namespace: str = "") -> Manifest:
    """A copy as admission would receive it: in a namespace, and with the labels that the API server adds."""
    manifest = {key: deepcopy(item) for key, item in value.items() if not key.startswith("__")}
    metadata = cast("Manifest", manifest.setdefault("metadata", {}))
    if namespace:
        metadata.setdefault("namespace", namespace)
    if manifest.get("kind") == "Namespace":
        metadata["labels"] = mapping(metadata, "labels") | {_NAME_LABEL: text(metadata, "name")}
    if manifest.get("kind") == "Secret":
        # A plan shows a secret map as one text, which Kubernetes' schema does not allow.
        for key in ("data", "stringData"):
            if not isinstance(manifest.get(key), dict):
                manifest.pop(key, None)
    return manifest


def _digest(document: str, file: str) -> Manifest:
    try:
        value: object = json.loads(document)
    except json.JSONDecodeError as error:
        problem = Problem(file, "JSON", f"{error.msg} at column {error.colno}; {_HOW}", line=error.lineno)
        raise ConfigError([problem]) from error
    except RecursionError as error:
        raise ConfigError([Problem(file, "JSON", f"nested too deeply; {_HOW}")]) from error
    if not isinstance(value, dict):
        raise ConfigError([Problem(file, "JSON", f"an object with `steps` is expected; {_HOW}", type(value).__name__)])
    return cast("Manifest", value)


def _steps(digest: Manifest, file: str) -> list[Manifest]:
    steps = digest.get("steps")
    if not isinstance(steps, list) or not steps:
        actual = f"keys {', '.join(digest) or 'none'}" if steps is None else "no step"
        raise ConfigError([Problem(file, "steps", f"a list of steps is expected; {_HOW}", actual)])
    return cast("list[Manifest]", steps)


def _states(steps: list[Manifest], file: str) -> Iterator[Manifest]:
    for number, step in enumerate(steps):
        if not isinstance(step, dict) or not text(step, "op") or not text(step, "urn"):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError([Problem(file, f"steps[{number}]", f"a step with `op` and `urn` is expected; {_HOW}")])
        state = mapping(step, "newState")
        # A resource that is only read is not the stack's, and no rule applies to one that is deleted.
        if state and not text(step, "op").startswith("read"):
            if not text(state, "urn") or not text(state, "type"):
                raise ConfigError([Problem(file, f"steps[{number}].newState", "`urn` and `type` are expected")])
            yield state


def _refuse_partial(digest: Manifest, steps: list[Manifest], file: str) -> None:
    """Raise `ConfigError` for a plan without unchanged resources: without unchanged policies all would look clean."""
    unchanged = mapping(digest, "changeSummary").get("same", 0)
    held = sum(1 for step in steps if step["op"] == "same")
    if isinstance(unchanged, int) and unchanged > held:
        message = f"only {held} of {unchanged} unchanged resources are in this plan; {_HOW}"
        raise ConfigError([Problem(file, "steps", message)])


def _service_of(urn: str, states: Mapping[str, Manifest]) -> str:
    seen: set[str] = set()
    while urn in states and urn not in seen:
        seen.add(urn)
        if text(states[urn], "type") in _SERVICE_TYPES:
            return urn.rsplit("::", 1)[-1]
        urn = text(states[urn], "parent")
    return PLATFORM


def _sort(urn: str, state: Manifest, service: str, parts: _Parts, file: str) -> None:
    token, inputs = text(state, "type"), mapping(state, "inputs")
    if token in _RELEASE_TYPES:
        parts.releases.append(_release(urn, service, _source(state), inputs))
    elif not token.startswith("kubernetes:") or not text(inputs, "apiVersion") or not text(inputs, "kind"):
        return
    elif text(inputs, "apiVersion").startswith(f"{_KYVERNO_GROUP}/"):
        _sort_policy(urn, inputs, parts, file)
    elif not token.endswith("Patch"):
        manifest = as_manifest(inputs)
        cast("Manifest", manifest["metadata"]).setdefault("name", urn.rsplit("::", 1)[-1])
        parts.objects.append(PlannedObject(manifest, urn, service, _source(state)))


def _source(state: Manifest) -> tuple[str, int]:
    position = _POSITION.search(text(state, "sourcePosition"))
    return (position[1], int(position[2])) if position else ("", 0)


def _sort_policy(urn: str, inputs: Manifest, parts: _Parts, file: str) -> None:
    manifest, kind = as_manifest(inputs), text(inputs, "kind")
    metadata = cast("Manifest", manifest["metadata"])
    if kind == "PolicyException":
        parts.exceptions.append(_exception(urn, manifest, file))
    elif kind in _JUDGING_KINDS:
        # Pulumi adds a namespace to kinds that it does not know, but a policy has none.
        metadata.pop("namespace", None)
        parts.policies.append(manifest)
    elif kind in _UNJUDGED_KINDS:
        parts.warnings.append(f"{kind} {text(metadata, 'name')} is not applied here: {_UNJUDGED_KINDS[kind]}")


def _exception(urn: str, manifest: Manifest, file: str) -> PlannedException:
    metadata = mapping(manifest, "metadata")
    annotations = mapping(metadata, "annotations")
    expires = text(annotations, f"{ANNOTATION}/expires")
    try:
        day = date.fromisoformat(expires) if expires else None
    except ValueError as error:
        key = f"{urn}: {ANNOTATION}/expires"
        raise ConfigError([Problem(file, key, "not a date such as 2030-12-31", repr(expires))]) from error
    # Expiry is judged by the day of the check, not by the clock of the engine.
    mapping(manifest, "spec").pop("expiresAt", None)
    return PlannedException(
        manifest,
        text(metadata, "name"),
        text(annotations, f"{ANNOTATION}/service").replace("/", ".") or PLATFORM,
        text(annotations, f"{ANNOTATION}/rule") or ", ".join(_referenced(manifest)),
        text(annotations, f"{ANNOTATION}/owner"),
        text(annotations, f"{ANNOTATION}/reason"),
        day,
        text(annotations, WORKLOAD_LABEL),
    )


def _referenced(exception: Manifest) -> list[str]:
    references = cast("list[Manifest]", mapping(exception, "spec").get("policyRefs") or [])
    return [text(reference, "name") for reference in references]


def _release(urn: str, service: str, source: tuple[str, int], inputs: Manifest) -> PlannedRelease:
    files = bool(inputs.get("valueYamlFiles"))
    return PlannedRelease(
        urn,
        service,
        source,
        text(inputs, "name") or urn.rsplit("::", 1)[-1],
        text(inputs, "namespace") or "default",
        text(inputs, "chart"),
        text(inputs, "version"),
        text(inputs, "repositoryOpts", "repo"),
        mapping(inputs, "values"),
        "its values come from files, which a plan does not hold" if files else "",
    )
