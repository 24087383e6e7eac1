"""The rule library under `policies/`: its files, and the manifest of a rule for an action.

A rule is a plain Kyverno file at `policies/<tier>/<rule>/policy.yaml`. Its parameters are the `spec.variables` whose
expression is a JSON literal, which is a CEL literal too; a stack overrides them by name. Source of the policy types:
https://kyverno.io/docs/policy-types/overview/
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import cast

import yaml

from components.config.action import Action
from components.kube.manifest import Manifest
from components.schema.problem import UNSHOWN, ConfigError, FieldError, Problem, shown_value
from components.schema.quantity import amount
from components.schema.yaml_text import YAML_LOADER

LIBRARY = Path(__file__).resolve().parents[2] / "policies"
VALIDATING_TIERS = ("critical", "important", "best-practice")
TIERS = (*VALIDATING_TIERS, "mutate", "generate", "images")
REGISTRY_RULE = "restrict-image-registries"
GROUP = "policies.kyverno.io"
API_VERSION = f"{GROUP}/v1"
KINDS = {"mutate": "MutatingPolicy", "generate": "GeneratingPolicy", "images": "ImageValidatingPolicy"}

# An empty list may replace every list.
_EMPTY_LIST = ("list",)
# The suffix of a condition that skips updates which do not change what the rule judges.
_CHANGED = "-changed"
# Parameters that count objects: https://kubernetes.io/docs/concepts/policy/resource-quotas/#object-count-quota
_COUNTS, _COUNT = ("pods", "loadBalancers", "nodePorts"), re.compile("[0-9]{1,9}")
_VARIABLE = re.compile(r"\bvariables\.(\w+)")
VALIDATION_ACTIONS = {Action.AUDIT: ["Audit"], Action.WARN: ["Warn", "Audit"], Action.DENY: ["Deny"]}


class PolicyLibraryError(ConfigError):
    """A rule file that cannot be used, or a rule that does not exist."""

    def __init__(self, file: str, key: str, message: str, found: object = UNSHOWN, legal: Iterable[str] = ()) -> None:
        super().__init__([Problem(file, key, message, shown_value(found), tuple(legal))])


@dataclass(frozen=True)
class Rule:
    """One rule file. `document` is its content; treat it as read-only."""

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
        defaults: dict[str, object] = {}
        for variable in _variables(self.document):
            try:
                defaults[variable["name"]] = json.loads(variable["expression"])
            except json.JSONDecodeError:
                continue
        return defaults


@dataclass(frozen=True)
class Library:
    """All rules by name, in the order of the tiers."""

    rules: Mapping[str, Rule]

    def tier(self, tier: str) -> tuple[Rule, ...]:
        """The rules of one tier, sorted by name."""
        return tuple(rule for rule in self.rules.values() if rule.tier == tier)

    def rule(self, name: str) -> Rule:
        """The rule with that name. Raises `PolicyLibraryError` with the legal names when there is none."""
        if name not in self.rules:
            raise PolicyLibraryError("policies", name, "no such rule", legal=self.rules)
        return self.rules[name]


@cache
def load_library(root: Path = LIBRARY) -> Library:
    """Read every rule below `root`; the result is cached for the run.

    Raises `PolicyLibraryError` for a folder that is no tier, a file that is no policy of its tier's kind, a rule whose
    name is not its folder's, and a rule without a title, category, severity or description.
    """
    if not root.is_dir():
        raise PolicyLibraryError("policies", "folder", "it is not there", str(root))
    unknown = sorted(path.name for path in root.iterdir() if path.is_dir() and path.name not in TIERS)
    if unknown:
        raise PolicyLibraryError("policies", unknown[0], "no tier has this name", legal=TIERS)
    paths = [path for tier in TIERS for path in sorted((root / tier).glob("*/policy.yaml"))]
    rules: dict[str, Rule] = {}
    for path in paths:
        rule = _load_rule(path)
        if rule.name in rules:
            raise PolicyLibraryError(rule.file, "metadata.name", f"{rules[rule.name].file} already has it", rule.name)
        rules[rule.name] = rule
    return Library(rules)


def _load_rule(path: Path) -> Rule:
    tier, name = path.parts[-3], path.parts[-2]
    file = f"policies/{tier}/{name}/policy.yaml"
    try:
        loaded: object = yaml.load(path.read_text("utf-8"), Loader=YAML_LOADER)  # noqa: S506 - one of the two safe loaders
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise PolicyLibraryError(file, "YAML", f"cannot be read: {' '.join(str(error).split())}") from error
    document = cast("Manifest", loaded) if isinstance(loaded, dict) else {}
    expected = (API_VERSION, KINDS.get(tier, "ValidatingPolicy"))
    for key, legal in zip(("apiVersion", "kind"), expected, strict=True):
        if document.get(key) != legal:
            message = f"a rule of the tier {tier} is one document of another"
            raise PolicyLibraryError(file, key, message, document.get(key), [legal])
    metadata = _section(document, "metadata")
    if metadata.get("name") != name:
        raise PolicyLibraryError(
            file, "metadata.name", "a rule is called like its folder", metadata.get("name"), [name]
        )
    annotations = _section(metadata, "annotations")
    for key in ("title", "category", "severity", "description"):
        if not annotations.get(f"policies.kyverno.io/{key}"):
            where = f"metadata.annotations.policies.kyverno.io/{key}"
            raise PolicyLibraryError(file, where, "missing: this key is required")
    return Rule(tier, name, path, document)


def manifest(
    rule: Rule,
    action: Action,
    excluded_namespaces: Sequence[str] = (),
    parameters: Mapping[str, object] | None = None,
) -> Manifest:
    """The policy to apply: the rule's file with its action, its parameters and the excluded namespaces.

    `action` only matters for rules that validate. A ValidatingPolicy that denies becomes a native
    ValidatingAdmissionPolicy, so that it is enforced while Kyverno is down. One that warns runs in Kyverno's webhook
    and fails open, so that a warning never blocks a deployment. One that audits is evaluated by Kyverno's background
    scan, which writes the PolicyReport.
    """
    if action is Action.OFF:
        raise ValueError(f"{rule.file}: a rule that is off has no manifest")
    check_parameters(rule, parameters or {})
    policy = deepcopy(rule.document)
    _set_parameters(policy, parameters or {})
    if "validationActions" in _section(policy, "spec"):
        _set_action(rule, policy, action)
    _exclude(rule, policy, excluded_namespaces)
    _section(policy, "metadata")["labels"] = {"zero-trust/tier": rule.tier}
    return policy


def _set_action(rule: Rule, policy: Manifest, action: Action) -> None:
    spec = _section(policy, "spec")
    spec["validationActions"] = list(VALIDATION_ACTIONS[action])
    spec["failurePolicy"] = "Fail" if action is Action.DENY else "Ignore"
    if action is not Action.DENY:
        _report_unchanged(spec)
    if rule.kind != "ValidatingPolicy":
        return
    _section(spec, "autogen")["validatingAdmissionPolicy"] = {"enabled": action is Action.DENY}
    if action is Action.DENY:
        _match_violations_only(spec)
    elif action is Action.AUDIT:
        # The scan writes the report; evaluating at admission would only delay requests.
        _section(spec, "evaluation")["admission"] = {"enabled": False}


def _report_unchanged(spec: Manifest) -> None:
    """Remove the conditions that skip unchanged objects.

    A rule that reports must report on unchanged objects too. Kyverno also needs a separate webhook for each policy with
    conditions, and one for all others.
    """
    conditions = cast("list[dict[str, str]]", spec.pop("matchConditions", []))
    if kept := [condition for condition in conditions if not condition["name"].endswith(_CHANGED)]:
        spec["matchConditions"] = kept


def _match_violations_only(spec: Manifest) -> None:
    """Add the condition that a validation fails, so that the policy does not match an object that complies.

    The API server converts the whole object for the conditions of a policy, and again for its validations, its messages
    and its audit annotations: nearly the whole cost of a native rule. For an object that complies this condition saves
    three fourths of it. Conditions cannot use variables, so each is replaced by its expression.
    """
    expressions: dict[str, str] = {}
    for variable in cast("list[dict[str, str]]", spec.get("variables", [])):
        expressions[variable["name"]] = _without_variables(variable["expression"], expressions)
    validations = cast("list[dict[str, str]]", spec.get("validations", []))
    checks = (f"({_without_variables(validation['expression'], expressions)})" for validation in validations)
    conditions = cast("list[dict[str, str]]", spec.setdefault("matchConditions", []))
    conditions.append({"name": "violated", "expression": f"!({' && '.join(checks)})"})


def _without_variables(expression: str, expressions: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda reference: f"({expressions[reference[1]]})", expression.strip())


def check_parameters(rule: Rule, parameters: Mapping[str, object]) -> None:
    """Raise `FieldError` for a parameter that the rule does not have, and for a value that is not like its default."""
    for name, value in parameters.items():
        key = f"parameters.{rule.name}.{name}"
        if name not in rule.parameters:
            raise FieldError(key, f"no parameter of {rule.file}", legal=rule.parameters)
        default = rule.parameters[name]
        if not _fits(_shape(value), _shape(default)):
            raise FieldError(key, f"it has to be like its default, {json.dumps(default)}", value)
        if problem := _amount_problem(name, default, value):
            raise FieldError(key, problem, value)


def _amount_problem(name: str, default: object, value: object) -> str:
    """Why a value is no amount where the default is one; empty if it is, or need not be."""
    if not (isinstance(default, str) and isinstance(value, str)) or not _is_amount(default):
        return ""
    if name in _COUNTS:
        return "" if _COUNT.fullmatch(value) else f"not a number of objects, such as {default}"
    return "" if _is_amount(value) else f"not a Kubernetes quantity, such as {default}"


def _is_amount(text: str) -> bool:
    try:
        amount(text)
    except ValueError:
        return False
    return True


def _set_parameters(policy: Manifest, parameters: Mapping[str, object]) -> None:
    for name, value in parameters.items():
        for variable in _variables(policy):
            if variable["name"] == name:
                # CEL does not read the surrogate pairs of escaped JSON, so characters are not escaped.
                variable["expression"] = json.dumps(value, ensure_ascii=False)


def _fits(shape: object, default: object) -> bool:
    """Whether a value may replace a default, by their shapes; any list may replace an empty one, and the other way."""
    if isinstance(default, tuple) and _EMPTY_LIST in (shape, default):
        return isinstance(shape, tuple)
    return shape == default


def _shape(value: object) -> object:
    """The type of a value, with the element types of a list: the values of one parameter share it."""
    if isinstance(value, list | tuple):
        elements = cast("Sequence[object]", value)
        return ("list", *sorted({str(_shape(element)) for element in elements}))
    return type(value).__name__


def _exclude(rule: Rule, policy: Manifest, namespaces: Sequence[str]) -> None:
    if not namespaces:
        return
    spec = _section(policy, "spec")
    if rule.kind == "GeneratingPolicy":
        # The rule matches the Namespace itself. Its owner can change its labels, not its name.
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
