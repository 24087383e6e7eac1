"""The facts of the rule library: what each rule does, and what its lists and parameters let through."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Registry:
    """A registry, or a path in one, that a rule allows images from."""

    registry: str
    rule: str
    kind: Literal["registry"] = "registry"


@dataclass(frozen=True)
class Signer:
    """A trusted signer of images; `identity` identifies the key or the workflow."""

    # The identity matters, not its name in the stack file.
    name: str = field(compare=False)
    identity: str
    rule: str
    kind: Literal["signer"] = "signer"


@dataclass(frozen=True)
class RuleItem:
    """One element of a rule's list parameter."""

    rule: str
    # A rule keeps its parameters when it moves to another tier.
    tier: str = field(compare=False)
    parameter: str
    item: str
    kind: Literal["rule-item"] = "rule-item"


@dataclass(frozen=True)
class RuleAction:
    """The action of a rule on the stack: deny, warn, audit or off; on or off for a rule that validates nothing."""

    rule: str
    tier: str
    value: str
    kind: Literal["rule-action"] = "rule-action"


@dataclass(frozen=True)
class RuleText:
    """A digest of an active rule, without its action and its parameters."""

    rule: str
    tier: str = field(compare=False)
    value: str
    kind: Literal["rule-text"] = "rule-text"


@dataclass(frozen=True)
class RuleParameter:
    """A parameter with a single value of an active rule."""

    rule: str
    tier: str = field(compare=False)
    parameter: str
    value: str
    kind: Literal["rule-parameter"] = "rule-parameter"
