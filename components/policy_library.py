"""The rule library under `policies/`: loads its files, and makes of a rule and a decision the manifest to apply.

A rule is a plain Kyverno file at `policies/<tier>/<rule>/policy.yaml`. Its parameters are those `spec.variables` whose
expression is a JSON literal (which is a CEL literal too); they are overridden by name. Source of the policy types:
https://kyverno.io/docs/policy-types/overview/
"""

import json
import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import cast

import yaml

from components.posture import Action
from components.yaml_loader import YAML_LOADER

Manifest = dict[str, object]

LIBRARY = Path(__file__).resolve().parent.parent / "policies"
VALIDATING_TIERS = ("critical", "important", "best-practice")
TIERS = (*VALIDATING_TIERS, "mutate", "generate", "images")
REGISTRY_RULE = "restrict-image-registries"
API_VERSION = "policies.kyverno.io/v1"
KINDS = {"mutate": "MutatingPolicy", "generate": "GeneratingPolicy", "images": "ImageValidatingPolicy"}

# An empty list fits every list.
_EMPTY_LIST = ("list",)
# The end of the name of a condition that lets an update pass which leaves alone what the rule looks at.
_CHANGED = "spec-changed"
_VARIABLE = re.compile(r"\bvariables\.(\w+)")
_VALIDATION_ACTIONS = {Action.AUDIT: ["Audit"], Action.WARN: ["Warn", "Audit"], Action.DENY: ["Deny"]}


class PolicyLibraryError(ValueError):
    """A rule file that cannot be used, or a rule or parameter that does not exist. Names the file and what is legal."""


@dataclass(frozen=True)
class Rule:
    """One rule file. `document` is what the file says; treat it as read-only."""

    tier: str
    name: str
    path: Path
    document: Manifest

    @property
    def kind(self) -> str:
        """The Kyverno kind of the rule."""
        return cast("str", self.document["kind"])

    @property
    def file(self) -> str:
        """The path of the rule below the library's folder, as error messages name it."""
        return "/".join(("policies", *self.path.parts[-3:]))

    @cached_property
    def parameters(self) -> Mapping[str, object]:
        """The default of each parameter by name."""
        found: dict[str, object] = {}
        for variable in _variables(self.document):
            try:
                found[variable["name"]] = json.loads(variable["expression"])
            except json.JSONDecodeError:
                continue
        return found


@dataclass(frozen=True)
class Library:
    """Every rule by name, in the order of the tiers."""

    rules: Mapping[str, Rule]

    def tier(self, tier: str) -> tuple[Rule, ...]:
        """The rules of one tier, sorted by name."""
        return tuple(rule for rule in self.rules.values() if rule.tier == tier)

    def rule(self, name: str) -> Rule:
        """The rule of that name. Raises `PolicyLibraryError` with the legal names when there is none."""
        if name not in self.rules:
            raise PolicyLibraryError(f"no rule {name!r} in policies/; the rules are: {', '.join(self.rules)}")
        return self.rules[name]


@cache
def load_library(root: Path = LIBRARY) -> Library:
    """Read every rule below `root`, once in the life of a program.

    Raises `PolicyLibraryError` for a folder that is no tier, a file that is no policy of its tier's kind, a rule whose
    name is not its folder's, and a rule without a title, category, severity or description.
    """
    unknown = sorted(path.name for path in root.iterdir() if path.is_dir() and path.name not in TIERS)
    if unknown:
        raise PolicyLibraryError(f"policies/{unknown[0]} is no tier; the tiers are: {', '.join(TIERS)}")
    paths = [path for tier in TIERS for path in sorted((root / tier).glob("*/policy.yaml"))]
    rules: dict[str, Rule] = {}
    for path in paths:
        rule = _load_rule(path)
        if rule.name in rules:
            raise PolicyLibraryError(f"{rule.file}: {rules[rule.name].file} already has this name")
        rules[rule.name] = rule
    return Library(rules)


def _load_rule(path: Path) -> Rule:
    loaded: object = yaml.load(path.read_text(), Loader=YAML_LOADER)  # noqa: S506 - one of the two safe loaders
    document = cast("Manifest", loaded) if isinstance(loaded, dict) else {}
    tier, name = path.parts[-3], path.parts[-2]
    file = f"policies/{tier}/{name}/policy.yaml"
    expected = (API_VERSION, KINDS.get(tier, "ValidatingPolicy"))
    if (document.get("apiVersion"), document.get("kind")) != expected:
        raise PolicyLibraryError(f"{file}: a rule of the tier {tier} is one {expected[0]} {expected[1]} document")
    metadata = _section(document, "metadata")
    if metadata.get("name") != name:
        raise PolicyLibraryError(
            f"{file}: metadata.name is {metadata.get('name')!r}; name it like its folder, {name!r}"
        )
    annotations = _section(metadata, "annotations")
    for key in ("title", "category", "severity", "description"):
        if not annotations.get(f"policies.kyverno.io/{key}"):
            raise PolicyLibraryError(f"{file}: metadata.annotations lacks policies.kyverno.io/{key}")
    return Rule(tier, name, path, document)


def manifest(
    rule: Rule,
    action: Action,
    excluded_namespaces: Sequence[str] = (),
    parameters: Mapping[str, object] | None = None,
) -> Manifest:
    """The policy that is applied: the file with its action, its parameters and the namespaces that it leaves alone.

    `action` decides for rules that validate; the other kinds have nothing to deny, and are just on. A ValidatingPolicy
    that denies becomes a native ValidatingAdmissionPolicy, so that it holds while Kyverno is down. One that warns runs
    in Kyverno's webhook, and fails open: a warning is not worth a blocked deployment. One that audits is left to
    Kyverno's scan, which writes the PolicyReport.
    """
    if action is Action.OFF:
        raise PolicyLibraryError(f"{rule.file}: a rule that is off has no manifest")
    made = deepcopy(rule.document)
    _set_parameters(rule, made, parameters or {})
    if "validationActions" in _section(made, "spec"):
        _set_action(rule, made, action)
    _exclude(rule, made, excluded_namespaces)
    _section(made, "metadata")["labels"] = {"zero-trust/tier": rule.tier}
    return made


def _set_action(rule: Rule, made: Manifest, action: Action) -> None:
    spec = _section(made, "spec")
    spec["validationActions"] = list(_VALIDATION_ACTIONS[action])
    spec["failurePolicy"] = "Fail" if action is Action.DENY else "Ignore"
    if action is not Action.DENY:
        _report_unchanged(spec)
    if rule.kind != "ValidatingPolicy":
        return
    _section(spec, "autogen")["validatingAdmissionPolicy"] = {"enabled": action is Action.DENY}
    if action is Action.DENY:
        _judge_violations_alone(spec)
    elif action is Action.AUDIT:
        # The scan makes the report: a request would wait for a verdict that nobody reads.
        _section(spec, "evaluation")["admission"] = {"enabled": False}


def _report_unchanged(spec: Manifest) -> None:
    """Take out the conditions that let an unchanged object pass.

    A rule that reports owes a report on an unchanged object too, and Kyverno serves each policy with conditions by a
    webhook of its own, all others by one.
    """
    conditions = cast("list[dict[str, str]]", spec.pop("matchConditions", []))
    if kept := [condition for condition in conditions if not condition["name"].endswith(_CHANGED)]:
        spec["matchConditions"] = kept


def _judge_violations_alone(spec: Manifest) -> None:
    """Add the condition that a validation fails, so that an object which keeps to the rule is none of the policy's.

    The API server converts the whole object for a policy's conditions, and again for its validations, its messages and
    its audit annotations: nearly all that a native rule costs, and three fourths of it for nothing where nothing is
    wrong. Conditions know no variables, so that these are written out.
    """
    written: dict[str, str] = {}
    for variable in cast("list[dict[str, str]]", spec.get("variables", [])):
        written[variable["name"]] = _without_variables(variable["expression"], written)
    validations = cast("list[dict[str, str]]", spec.get("validations", []))
    kept = (f"({_without_variables(validation['expression'], written)})" for validation in validations)
    conditions = cast("list[dict[str, str]]", spec.setdefault("matchConditions", []))
    conditions.append({"name": "violated", "expression": f"!({' && '.join(kept)})"})


def _without_variables(expression: str, written: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda found: f"({written[found[1]]})", expression.strip())


def _set_parameters(rule: Rule, made: Manifest, parameters: Mapping[str, object]) -> None:
    for name, value in parameters.items():
        if name not in rule.parameters:
            legal = ", ".join(rule.parameters) or "none"
            raise PolicyLibraryError(f"{rule.file}: no parameter {name!r}; this rule's parameters are: {legal}")
        default = rule.parameters[name]
        if not _fits(_shape(value), _shape(default)):
            raise PolicyLibraryError(
                f"{rule.file}: parameter {name!r} is {value!r}; it has to be like its default, {json.dumps(default)}"
            )
        for variable in _variables(made):
            if variable["name"] == name:
                # CEL has no surrogate pairs: characters stay as they are.
                variable["expression"] = json.dumps(value, ensure_ascii=False)


def _fits(shape: object, default: object) -> bool:
    """Whether a value may take a default's place; of an empty default nothing is known but that it is a list."""
    if default == _EMPTY_LIST:
        return isinstance(shape, tuple)
    return shape in (default, _EMPTY_LIST)


def _shape(value: object) -> object:
    """What two values of one parameter have in common: the type, and a list's element type."""
    if isinstance(value, list | tuple):
        elements = cast("Sequence[object]", value)
        return ("list", *sorted({str(_shape(element)) for element in elements}))
    return type(value).__name__


def _exclude(rule: Rule, made: Manifest, namespaces: Sequence[str]) -> None:
    if not namespaces:
        return
    spec = _section(made, "spec")
    if rule.kind == "GeneratingPolicy":
        # The trigger is the Namespace itself; its labels can be edited by its owner, its name cannot.
        conditions = cast("list[Manifest]", spec.setdefault("matchConditions", []))
        conditions.append(
            {
                "name": "outside-the-platform",
                "expression": f"!(object.metadata.name in {json.dumps(list(namespaces))})",
            }
        )
        return
    _section(spec, "matchConstraints")["namespaceSelector"] = {
        "matchExpressions": [
            {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": list(namespaces)},
        ]
    }


def _section(parent: Manifest, key: str) -> Manifest:
    return cast("Manifest", parent.setdefault(key, {}))


def _variables(document: Manifest) -> list[dict[str, str]]:
    return cast("list[dict[str, str]]", _section(document, "spec").get("variables", []))
