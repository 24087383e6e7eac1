"""The facts of a plan that a security diff compares: grants and settings.

A grant exists or not, and may cover another one, as a path covers the paths below it. A setting has a key and a value.
`zt.changes.directions` says what a difference means, `zt.changes.sentences` words it. A service is `namespace/name`.
"""

from dataclasses import astuple, dataclass, field, fields
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from zt.facts.file_keys import FileKey
from zt.facts.gateway import CrossOrigin, Public, WithoutToken
from zt.facts.rules import Registry, RuleAction, RuleItem, RuleParameter, RuleText, Signer

ANYTHING, INTERNET = "*", "the internet"
NETWORK_POLICIES, ANY_RULE, STRICT, AUTHORIZATION = "network-policies", "rules", "mtls", "authorization"
EITHER = " or "
"""What stands between the values of a setting any of which will do."""
COMMIT_DAY = "the day of the commit"


@dataclass(frozen=True)
class Reach:
    """A connection to a service that is open; `source` is a service, pods of a namespace, or anything.

    With a `method` or a `path` only such requests are allowed.
    """

    source: str
    target: str
    port: int
    protocol: str = "TCP"
    method: str = ""
    path: str = ""
    kind: Literal["reach"] = "reach"


@dataclass(frozen=True)
class Consent:
    """A service lets another one call it, read a secret or have a path of its hosts, once that one's file says so."""

    service: str
    other: str
    secret: str = ""
    port: str = ""
    """The name of the port, if it is not the service's first."""
    path: str = ""
    kind: Literal["consent"] = "consent"


@dataclass(frozen=True)
class Egress:
    """A place outside the services that a network policy lets a service reach, or all of them (anything)."""

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
class VaultAccess:
    """A capability of a service's Vault policy on one path."""

    service: str
    capability: str
    path: str
    kind: Literal["vault-access"] = "vault-access"


@dataclass(frozen=True)
class DatabaseRight:
    """A privilege of a service's users on a table or a sequence of a schema, or on all of them (anything).

    In Redis there is no schema: it is on every key or channel whose name begins with `name`, or to run scripts.
    """

    service: str
    database: str
    privilege: str
    relation: str
    schema: str
    name: str
    kind: Literal["database-right"] = "database-right"


@dataclass(frozen=True)
class DatabaseOwner:
    """A schema that a job's users own: they create, change and drop what is in it."""

    service: str
    database: str
    schema: str
    kind: Literal["database-owner"] = "database-owner"


@dataclass(frozen=True)
class AuditDevice:
    """A place that Vault writes its audit log to."""

    path: str
    kind: Literal["audit-device"] = "audit-device"


@dataclass(frozen=True)
class ApiRight:
    """A verb on a resource of the Kubernetes API, in the service's namespace or in every one."""

    service: str
    verb: str
    resource: str
    cluster_wide: bool = False
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
    """A directory of a service whose content outlives its pods; `scope` says which pods share it."""

    service: str
    path: str
    # Whether replicas share a volume does not change what may be written.
    scope: str = field(compare=False)
    kind: Literal["kept"] = "kept"


@dataclass(frozen=True)
class ServiceJob:
    """A job of a service. What it may do are separate facts under the name of its workload."""

    service: str
    workload: str
    # The schedule does not change what the job may do.
    schedule: str = field(compare=False)
    kind: Literal["service-job"] = "service-job"


@dataclass(frozen=True)
class ServiceContainer:
    """A container in a service's pods beside its own. What it is and reads are separate facts under `workload`."""

    service: str
    workload: str
    when: str
    kind: Literal["service-container"] = "service-container"


@dataclass(frozen=True)
class TeamGrant:
    """What a team with a stack of its own may do beyond its services: `what` is one of `zt.changes.sentences`."""

    team: str
    what: Literal["namespace", "host", "egress", "network", "patch", "database", "user", "group"]
    value: str
    kind: Literal["team-grant"] = "team-grant"


@dataclass(frozen=True)
class Unjudged:
    """A namespace that no rule applies to."""

    namespace: str
    kind: Literal["unjudged"] = "unjudged"


@dataclass(frozen=True)
class Service:
    """A service of the stack. What it may do are separate facts."""

    service: str
    # A service stays the same when another team takes it over.
    team: str = field(compare=False)
    kind: Literal["service"] = "service"


@dataclass(frozen=True)
class PlatformSetting:
    """A setting of a platform layer, by its name in `zt.changes.directions.PLATFORM`."""

    name: str
    value: str
    kind: Literal["platform-setting"] = "platform-setting"


@dataclass(frozen=True)
class ServiceSetting:
    """A setting of a service, by its name in `zt.changes.directions.SERVICE`."""

    service: str
    name: str
    value: str
    kind: Literal["service-setting"] = "service-setting"


@dataclass(frozen=True)
class DatabaseSetting:
    """A setting of Vault's connection to a database, by its name in `zt.changes.directions.DATABASE`."""

    database: str
    name: str
    value: str
    kind: Literal["database-setting"] = "database-setting"


@dataclass(frozen=True)
class Exemption:
    """A service that is exempt from a rule; `value` is the first day on which the rule holds again."""

    service: str
    rule: str
    tier: str = field(compare=False)
    value: str
    kind: Literal["exemption"] = "exemption"


@dataclass(frozen=True)
class ClearText:
    """A port that accepts connections without a certificate; `value` is the first day on which it no longer does."""

    service: str
    port: int
    value: str
    kind: Literal["clear-text"] = "clear-text"


@dataclass(frozen=True)
class ApiException:
    """A right that may lead to more than it says; `value` is the first day without it."""

    service: str
    right: str
    value: str
    kind: Literal["api-exception"] = "api-exception"


@dataclass(frozen=True)
class PodPatch:
    """A patch of a service's pods, as JSON text; `value` is the first day without it."""

    service: str
    patch: str
    value: str
    kind: Literal["pod-patch"] = "pod-patch"


@dataclass(frozen=True)
class SecretInEnvironment:
    """A variable of a service with a field of a secret, as `secret/field`; `value` is the first day without it."""

    service: str
    variable: str
    source: str
    value: str
    kind: Literal["secret-in-environment"] = "secret-in-environment"


@dataclass(frozen=True)
class Granted:
    """An object of a package's chart that reaches beyond the package; `value` is the first day without the grant."""

    service: str
    object: str
    value: str
    kind: Literal["granted"] = "granted"


@dataclass(frozen=True)
class Exclusion:
    """A namespace of others that no rule applies to; `value` is the first day on which the rules hold there."""

    namespace: str
    value: str
    kind: Literal["exclusion"] = "exclusion"


Timed = ApiException | ClearText | Exclusion | Exemption | Granted | PodPatch | SecretInEnvironment
Setting = Timed | FileKey | PlatformSetting | ServiceSetting | DatabaseSetting | RuleAction | RuleText | RuleParameter
Grant = (
    Reach
    | Consent
    | Egress
    | OutsideHost
    | Public
    | WithoutToken
    | CrossOrigin
    | VaultAccess
    | DatabaseRight
    | DatabaseOwner
    | AuditDevice
    | ApiRight
    | ApiToken
    | Writable
    | Kept
    | ServiceJob
    | ServiceContainer
    | Registry
    | Signer
    | TeamGrant
    | Unjudged
    | RuleItem
    | Service
)
Fact = Grant | Setting


def key_of(setting: Setting) -> tuple[str, ...]:
    """The key that a setting shares with the same setting of the other plan."""
    return tuple(str(getattr(setting, f.name)) for f in fields(setting) if f.name not in ("tier", "value"))


def text_of(grant: Grant) -> str:
    """A grant as text in the JSON output."""
    return " ".join(str(value) for value in astuple(grant)[:-1] if value != "")


def needs(fact: Fact) -> str:
    """What must be on in both plans for a difference to matter; empty if nothing has to be.

    So a rule that goes off is one line of a diff, without a line for each of its parameters.
    """
    match fact:
        case Registry() | Signer() | RuleItem() | Exemption():
            return fact.rule
        case Unjudged() | Exclusion():
            return ANY_RULE
        case Egress():
            return NETWORK_POLICIES
        case ClearText():
            return STRICT
        case ServiceSetting() if fact.name.startswith("token"):
            return AUTHORIZATION
        case WithoutToken():
            return AUTHORIZATION
        case _:
            return ""


@dataclass(frozen=True)
class Side:
    """One of the two plans: its environment and its facts."""

    environment: str
    facts: frozenset[Annotated[Fact, Field(discriminator="kind")]]

    def on(self) -> frozenset[str]:
        """What is on, by the names of `needs`: rules, any rule at all, and the layers that restrict connections."""
        rules = {fact.rule for fact in self.facts if isinstance(fact, RuleAction) and fact.value != "off"}
        layers = {(NETWORK_POLICIES, "on"), (STRICT, "STRICT"), (AUTHORIZATION, "enforce")}
        held = {name for name, value in layers if PlatformSetting(name, value) in self.facts}
        return frozenset({*rules, *([ANY_RULE] if rules else []), *held})


SIDE: TypeAdapter[Side] = TypeAdapter(Side)
"""Reads and writes a side as JSON, since each side is computed in a separate process."""
