"""The values that a stack file gives the rules, checked before a service is checked against them."""

from collections.abc import Iterator, Mapping
from itertools import pairwise

from components.config.settings import Settings
from components.config.stack_source import StackSource
from components.kyverno.library import Rule, check_parameters, load_library
from components.kyverno.widened import check_widened, widened
from components.schema.problem import UNSHOWN, FieldError, Problem
from components.schema.quantity import amount
from components.service.file.limits import LIMIT_RANGE

ALLOW_RULE = "allow-platform"
FOLLOWING = {
    "vaultPort": "vault.address",
    "vaultNetworks": "vault.cidrs",
    "vaultExceptions": "vault.cidrs and metadataCidrs",
    "dnsNamespace": "dns.namespace",
    "dnsLabels": "dns.labels",
    "dnsNetworks": "dns.servers",
    "meshNamespace": "mesh.namespace",
    "podsReachIstiod": "mesh.dataPlane",
}
"""The parameters of `allow-platform`, each with the keys of the stack file that it follows from, as the policies of
services do: by itself it would open to every pod what no check has seen."""
_DEFAULTS = "default-resources"
_ORDER = ("Request", "Limit", "Maximum")
"""The amounts of one resource, none of which is more than the next: https://kubernetes.io/docs/concepts/policy/limit-range/"""


def parameter_problems(settings: Settings, source: StackSource) -> Iterator[Problem]:
    """The parameters that their rules have not, that are not like their defaults, or that contradict each other."""
    rules, found = load_library().rules, False
    for name, values in settings.kyverno.parameters.items():
        if name == ALLOW_RULE:
            yield from _following(values, source)
            continue
        if name not in rules:
            # Which there are is said where the rules are planned.
            continue
        try:
            check_parameters(rules[name], values)
            check_widened(rules[name], values)
        except FieldError as fault:
            found = True
            value = fault.value
            yield source.problem(f"kyverno.{fault.key}", fault.message, value, fault.legal)
            continue
        if (more := widened(rules[name], values)) and name not in settings.kyverno.widened:
            message = f"it lets through {', '.join(more)}, which the rule does not: it needs kyverno.widened.{name}"
            yield source.problem(f"kyverno.parameters.{name}", message)
    for name in (LIMIT_RANGE, _DEFAULTS) if not found else ():
        yield from _in_order(rules[name], settings.kyverno.parameters.get(name, {}), source)


def _following(values: Mapping[str, object], source: StackSource) -> Iterator[Problem]:
    for name, value in values.items():
        where = FOLLOWING.get(name)
        message = f"it follows from {where}: write that" if where else "no parameter of that rule"
        yield source.problem(f"kyverno.parameters.{ALLOW_RULE}.{name}", message, value)


def _in_order(rule: Rule, values: Mapping[str, object], source: StackSource) -> Iterator[Problem]:
    effective = {**rule.parameters, **values}
    for resource in ("cpu", "memory"):
        names = [name for end in _ORDER if (name := f"{resource}{end}") in effective]
        for less, more in pairwise(names):
            low, high = str(effective[less]), str(effective[more])
            if amount(low) > amount(high):
                key = less if less in values else more
                message = f"{less}, which is {low}, is more than {more}, which is {high}: no API server takes that"
                yield source.problem(f"kyverno.parameters.{rule.name}.{key}", message, UNSHOWN)
