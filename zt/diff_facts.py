"""The facts of a plan that a security diff compares: what is granted, and what is set to what.

A grant is there or not; one may cover another, as a path covers what is below it. A setting has a key and a value.
What a difference means stands in `zt.diff_directions`, its words in `zt.diff_words`. A service is `namespace/name`.
"""

from dataclasses import astuple, dataclass, field, fields, replace
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

ANYTHING = "*"
NETWORK_POLICIES, ANY_RULE, STRICT, AUTHORIZATION = "network-policies", "rules", "mtls", "authorization"
COMMIT_DAY = "the day of the commit"


@dataclass(frozen=True)
class Reach:
    """A service that another one may open a connection to; `source` is a service, pods of a namespace, or anything.

    With a `method` or a `path` it may send such requests alone.
    """

    source: str
    target: str
    port: int
    protocol: str = "TCP"
    method: str = ""
    path: str = ""
    kind: Literal["reach"] = "reach"


@dataclass(frozen=True)
class Egress:
    """A place outside the services that a network policy lets one of them reach; anything: all of them alike."""

    source: str
    target: str
    port: int
    protocol: str = "TCP"
    kind: Literal["egress"] = "egress"


@dataclass(frozen=True)
class OutsideHost:
    """A host outside the cluster that the mesh lets a service talk to."""

    service: str
    host: str
    port: int
    protocol: str
    kind: Literal["outside-host"] = "outside-host"


@dataclass(frozen=True)
class Public:
    """A path prefix of a public host, and the service's port that answers there."""

    service: str
    port: int
    host: str
    path: str
    kind: Literal["public"] = "public"


@dataclass(frozen=True)
class VaultAccess:
    """A capability of a service's Vault policy on one path."""

    service: str
    capability: str
    path: str
    kind: Literal["vault-access"] = "vault-access"


@dataclass(frozen=True)
class DatabaseRight:
    """A privilege of a service's users on a table or a sequence of a schema; anything: on all of them."""

    service: str
    database: str
    privilege: str
    relation: str
    schema: str
    name: str
    kind: Literal["database-right"] = "database-right"


@dataclass(frozen=True)
class AuditDevice:
    """A place that Vault writes its audit log to."""

    path: str
    kind: Literal["audit-device"] = "audit-device"


@dataclass(frozen=True)
class ApiRight:
    """A verb on a resource of the Kubernetes API, in the service's namespace."""

    service: str
    verb: str
    resource: str
    kind: Literal["api-right"] = "api-right"


@dataclass(frozen=True)
class ApiToken:
    """A token of the Kubernetes API in a service's pods."""

    service: str
    kind: Literal["api-token"] = "api-token"


@dataclass(frozen=True)
class Writable:
    """A directory that a service may write to."""

    service: str
    path: str
    kind: Literal["writable"] = "writable"


@dataclass(frozen=True)
class Kept:
    """A directory of a service whose content outlives its pods; `scope` says which of them share it."""

    service: str
    path: str
    # A volume that all replicas share is written to as one of each is.
    scope: str = field(compare=False)
    kind: Literal["kept"] = "kept"


@dataclass(frozen=True)
class ServiceJob:
    """A job of a service; what it may do are facts of its own, under its workload's name."""

    service: str
    workload: str
    # When it runs decides nothing about what it may do.
    schedule: str = field(compare=False)
    kind: Literal["service-job"] = "service-job"


@dataclass(frozen=True)
class Registry:
    """A registry, or a path of one, that images may come from by a rule."""

    registry: str
    rule: str
    kind: Literal["registry"] = "registry"


@dataclass(frozen=True)
class Signer:
    """Whose signature of an image counts; `identity` tells one key or one workflow from another."""

    # The identity is what counts, however the stack file calls it.
    name: str = field(compare=False)
    identity: str
    rule: str
    kind: Literal["signer"] = "signer"


@dataclass(frozen=True)
class Unjudged:
    """A namespace that no rule looks at."""

    namespace: str
    kind: Literal["unjudged"] = "unjudged"


@dataclass(frozen=True)
class RuleItem:
    """One element of a list that a rule is told."""

    rule: str
    # A rule that moves to another tier is still told the same.
    tier: str = field(compare=False)
    parameter: str
    item: str
    kind: Literal["rule-item"] = "rule-item"


@dataclass(frozen=True)
class Service:
    """A service that is there; what it may do are facts of their own."""

    service: str
    # A service that is handed over is no other one.
    team: str = field(compare=False)
    kind: Literal["service"] = "service"


@dataclass(frozen=True)
class PlatformSetting:
    """A layer of the platform, or a part of one, by its name in `zt.diff_directions.PLATFORM`."""

    name: str
    value: str
    kind: Literal["platform-setting"] = "platform-setting"


@dataclass(frozen=True)
class ServiceSetting:
    """Something of a service, by its name in `zt.diff_directions.SERVICE`."""

    service: str
    name: str
    value: str
    kind: Literal["service-setting"] = "service-setting"


@dataclass(frozen=True)
class DatabaseSetting:
    """Something of Vault's connection to a database, by its name in `zt.diff_directions.DATABASE`."""

    database: str
    name: str
    value: str
    kind: Literal["database-setting"] = "database-setting"


@dataclass(frozen=True)
class RuleAction:
    """What a rule of the library does on the stack: deny, warn, audit or off; on or off when it judges nothing."""

    rule: str
    tier: str
    value: str
    kind: Literal["rule-action"] = "rule-action"


@dataclass(frozen=True)
class RuleText:
    """A digest of what a rule that is on asks for, without its action and its parameters."""

    rule: str
    tier: str = field(compare=False)
    value: str
    kind: Literal["rule-text"] = "rule-text"


@dataclass(frozen=True)
class RuleParameter:
    """A single value that a rule that is on is told."""

    rule: str
    tier: str = field(compare=False)
    parameter: str
    value: str
    kind: Literal["rule-parameter"] = "rule-parameter"


@dataclass(frozen=True)
class Exemption:
    """A service that a rule does not hold for; `value` is the first day on which it does again."""

    service: str
    rule: str
    tier: str = field(compare=False)
    value: str
    kind: Literal["exemption"] = "exemption"


@dataclass(frozen=True)
class ClearText:
    """A port that takes connections without a certificate; `value` is the first day on which it no longer does."""

    service: str
    port: int
    value: str
    kind: Literal["clear-text"] = "clear-text"


Setting = (
    ClearText | PlatformSetting | ServiceSetting | DatabaseSetting | RuleAction | RuleText | RuleParameter | Exemption
)
Grant = (
    Reach
    | Egress
    | OutsideHost
    | Public
    | VaultAccess
    | DatabaseRight
    | AuditDevice
    | ApiRight
    | ApiToken
    | Writable
    | Kept
    | ServiceJob
    | Registry
    | Signer
    | Unjudged
    | RuleItem
    | Service
)
Fact = Grant | Setting


def key_of(setting: Setting) -> tuple[str, ...]:
    """What a setting has in common with the same setting of the other plan."""
    return tuple(str(getattr(setting, f.name)) for f in fields(setting) if f.name not in ("tier", "value"))


def text_of(grant: Grant) -> str:
    """A grant as one value of the JSON output."""
    return " ".join(str(value) for value in astuple(grant)[:-1] if value != "")


def covers(grant: Grant, other: Grant) -> bool:
    """Whether a grant holds all that another one does."""
    match grant, other:
        case Reach(), Reach():
            same = (grant.target, grant.port, grant.protocol) == (other.target, other.port, other.protocol)
            return same and grant.source in (ANYTHING, other.source) and _requests_cover(grant, other)
        case Public(), Public():
            same = (grant.service, grant.port, grant.host) == (other.service, other.port, other.host)
            # A prefix ends at a slash: /v1 holds /v1/users and not /v10.
            return same and _below(other.path, grant.path)
        case DatabaseRight(), DatabaseRight():
            return replace(grant, name="") == replace(other, name="") and grant.name in (ANYTHING, other.name)
        case Registry(), Registry():
            return _below(other.registry, grant.registry)
        case _:
            return grant == other


def _requests_cover(grant: Reach, other: Reach) -> bool:
    # A path that ends in a star holds what begins like it.
    below = grant.path.endswith("*") and other.path.startswith(grant.path[:-1])
    return grant.method in ("", other.method) and (grant.path in ("", other.path) or below)


def _below(path: str, parent: str) -> bool:
    return f"{path.rstrip('/')}/".startswith(f"{parent.rstrip('/')}/")


def needs(fact: Fact) -> str:
    """What must be on in both plans before a difference means anything; empty when nothing must.

    A rule that goes off is one line, and not one more for each thing that it no longer asks for.
    """
    match fact:
        case Registry() | Signer() | RuleItem() | Exemption():
            return fact.rule
        case Unjudged():
            return ANY_RULE
        case Egress():
            return NETWORK_POLICIES
        case ClearText():
            return STRICT
        case ServiceSetting() if fact.name.startswith("token"):
            return AUTHORIZATION
        case _:
            return ""


@dataclass(frozen=True)
class Side:
    """One of the two plans: its environment and its facts."""

    environment: str
    facts: frozenset[Annotated[Fact, Field(discriminator="kind")]]

    def on(self) -> frozenset[str]:
        """What is on, as `needs` names it: rules, any rule at all, and the layers that hold connections."""
        rules = {fact.rule for fact in self.facts if isinstance(fact, RuleAction) and fact.value != "off"}
        layers = {(NETWORK_POLICIES, "on"), (STRICT, "STRICT"), (AUTHORIZATION, "enforce")}
        held = {name for name, value in layers if PlatformSetting(name, value) in self.facts}
        return frozenset({*rules, *([ANY_RULE] if rules else []), *held})


SIDE: TypeAdapter[Side] = TypeAdapter(Side)
"""Reads and writes a side as JSON: each is computed in a process of its own."""
