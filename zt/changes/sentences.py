"""The sentence of each difference, with the layer and the subject that it is about."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from zt.changes.team_sentence import team_sentence
from zt.changes.timed_sentence import timed_sentence
from zt.facts.file_keys import FileKey
from zt.facts.gateway import CrossOrigin, Public, WithoutToken
from zt.facts.model import (
    ANYTHING,
    ApiException,
    ApiRight,
    ApiToken,
    AuditDevice,
    ClearText,
    Consent,
    DatabaseOwner,
    DatabaseRight,
    DatabaseSetting,
    Egress,
    Exclusion,
    Exemption,
    Fact,
    Grant,
    Granted,
    Kept,
    OutsideHost,
    PlatformSetting,
    PodPatch,
    Reach,
    SecretInEnvironment,
    Service,
    ServiceContainer,
    ServiceJob,
    ServiceSetting,
    Setting,
    Side,
    TeamGrant,
    Unjudged,
    VaultAccess,
    Writable,
)
from zt.facts.rules import Registry, RuleAction, RuleItem, RuleParameter, RuleText, Signer

PLATFORM = "platform"

Say = Callable[[str], str]
"""The name of a service in a sentence."""

_LAYERS: Mapping[str, str] = MappingProxyType(
    {
        "reach": "network",
        "consent": "network",
        "egress": "network",
        "outside-host": "network",
        "clear-text": "exceptions",
        "api-exception": "exceptions",
        "granted": "exceptions",
        "pod-patch": "exceptions",
        "secret-in-environment": "exceptions",
        "exclusion": "exceptions",
        "public": "gateway",
        "without-token": "gateway",
        "cross-origin": "gateway",
        "vault-access": "vault",
        "database-right": "database",
        "database-owner": "database",
        "database-setting": "database",
        "audit-device": "vault",
        "api-right": "kubernetes-api",
        "api-token": "kubernetes-api",
        "writable": "workload",
        "kept": "workload",
        "service-job": "workload",
        "service-container": "workload",
        "registry": "images",
        "signer": "images",
        "team-grant": "teams",
        "unjudged": "rules",
        "rule-item": "rules",
        "service": "workload",
        "platform-setting": "platform",
        "service-setting": "workload",
        "rule-action": "rules",
        "rule-text": "rules",
        "rule-parameter": "rules",
        "exemption": "exceptions",
        "file-key": "files",
    }
)
_SETTING_LAYERS: Mapping[str, str] = MappingProxyType(
    {
        "image": "images",
        "public-scheme": "gateway",
        "routes": "gateway",
        "gateway-requests": "gateway",
        "gateway-bytes": "gateway",
        "gateway-headers": "gateway",
        "gateway-hsts": "gateway",
        "gateway-annotations": "gateway",
        "token": "gateway",
        "token-claims": "gateway",
        "secrets": "vault",
        "database": "database",
        "database-ttl": "database",
        "database-max-ttl": "database",
    }
)
_ACTIONS: Mapping[str | None, str] = MappingProxyType(
    {"deny": "Deny", "warn": "Warn", "audit": "Audit", "on": "on", "off": "off"}
)


def layer_of(fact: Fact) -> str:
    """The layer of the platform that a fact belongs to."""
    layer = _SETTING_LAYERS.get(fact.name.partition(":")[0]) if isinstance(fact, ServiceSetting) else None
    return layer or _LAYERS[fact.kind]


def subject_of(fact: Fact) -> str:
    """The subject of a fact: a service, a rule, a database, or the platform."""
    match fact:
        case AuditDevice() | Registry() | Signer() | Unjudged() | Exclusion() | PlatformSetting():
            return PLATFORM
        case DatabaseSetting():
            return fact.database
        case TeamGrant():
            return fact.team
        case FileKey():
            return fact.owner or PLATFORM
        case RuleItem() | RuleAction() | RuleText() | RuleParameter():
            return fact.rule
        case Reach() | Egress():
            return "cluster" if fact.source == ANYTHING else fact.source
        case _:
            return fact.service


def namer(*sides: Side) -> Say:
    """Name services without their namespace, unless two namespaces have a service of that name."""
    facts = [fact for side in sides for fact in side.facts]
    services = {fact.service for fact in facts if isinstance(fact, Service)}
    services |= {fact.workload for fact in facts if isinstance(fact, ServiceContainer | ServiceJob)}
    names = [service.rpartition("/")[2] for service in services]

    def say(service: str) -> str:
        name = service.rpartition("/")[2]
        return name if service in services and names.count(name) == 1 else service

    return say


def grant_sentence(grant: Grant, gained: bool, say: Say) -> str:
    """The sentence of a grant that came or went."""
    now = "now" if gained else "no longer"
    match grant:
        case Reach() | Egress() | OutsideHost():
            return _network_sentence(grant, now, say)
        case Consent():
            call = f"call its port {grant.port}" if grant.port else "call it"
            what = f"read its secret {grant.secret}" if grant.secret else call
            what = f"have {grant.path} of its public hosts" if grant.path else what
            return f"{say(grant.service)} {now} agrees that {say(grant.other)} may {what}"
        case Public() | WithoutToken() | CrossOrigin():
            return _gateway_sentence(grant, now, say)
        case VaultAccess():
            return f"{say(grant.service)} can {now} {grant.capability} {grant.path}"
        case DatabaseRight() | DatabaseOwner():
            return f"{say(grant.service)} may {now} {_in_database(grant)}"
        case ApiRight():
            where = "every namespace" if grant.cluster_wide else grant.service.partition("/")[0]
            return f"{say(grant.service)} may {now} {grant.verb} {grant.resource} of the Kubernetes API in {where}"
        case ApiToken():
            return f"the pods of {say(grant.service)} {now} hold a token of the Kubernetes API"
        case Writable():
            return f"{say(grant.service)} may {now} write to {grant.path}"
        case Kept() | ServiceContainer() | ServiceJob() | Service():
            return _workload_sentence(grant, now, gained, say)
        case _:
            return _platform_sentence(grant, now, gained)


def _network_sentence(grant: Reach | Egress | OutsideHost, now: str, say: Say) -> str:
    match grant:
        case Reach() if requests := _requests(grant):
            return f"{_source(grant, say)} may {now} send {requests} to {_place(grant, say)}"
        case Reach() | Egress():
            return f"{_source(grant, say)} may {now} reach {_place(grant, say)}"
        case OutsideHost():
            where = f"{grant.host}:{grant.port} ({grant.protocol})"
            return f"the proxy of {say(grant.service)} {now} lets it reach {where} outside the cluster"


def _gateway_sentence(grant: Public | WithoutToken | CrossOrigin, now: str, say: Say) -> str:
    match grant:
        case Public():
            path = "" if grant.path == "/" else grant.path
            seen = f", as {grant.rewrite} of its own" if grant.rewrite else ""
            return f"port {grant.port} of {say(grant.service)} is {now} public at {grant.host}{path}{seen}"
        case WithoutToken():
            needed = "no" if now == "now" else "a"
            return f"requests from outside for {grant.path} of {say(grant.service)} now need {needed} token"
        case CrossOrigin():
            pages = "pages of any origin" if grant.origin == ANYTHING else f"pages of {grant.origin}"
            cookies = ", with its visitors' cookies" if grant.credentials else ""
            return f"{pages} may {now} read answers of {say(grant.service)} at {grant.path}{cookies}"


def _workload_sentence(grant: Kept | ServiceContainer | ServiceJob | Service, now: str, gained: bool, say: Say) -> str:
    match grant:
        case Kept():
            return f"{say(grant.service)} {now} keeps what is written to {grant.path}, {grant.scope}"
        case ServiceContainer():
            return f"the pods of {say(grant.service)} {now} run {say(grant.workload)} {grant.when}"
        case ServiceJob():
            return f"{say(grant.workload)} is {'a new' if gained else 'no longer a'} job of {say(grant.service)}"
        case Service():
            return f"{say(grant.service)} is {'a new service' if gained else 'gone, a service'} of team {grant.team}"


def _platform_sentence(
    grant: AuditDevice | Registry | Signer | TeamGrant | Unjudged | RuleItem, now: str, gained: bool
) -> str:
    match grant:
        case TeamGrant():
            return team_sentence(grant, now)
        case AuditDevice():
            return f"Vault {now} writes its audit log to {grant.path}"
        case Registry():
            return f"images may {now} come from {grant.registry}"
        case Signer():
            return f"a signature of {grant.name} ({grant.identity}) {now} lets an image in"
        case Unjudged() if gained:
            return f"no rule looks at namespace {grant.namespace} any more"
        case Unjudged():
            return f"the rules now look at namespace {grant.namespace}"
        case RuleItem():
            return f"{grant.parameter} of {grant.tier} rule {grant.rule} {now} has {grant.item}"


def _requests(reach: Reach) -> str:
    """The requests that a connection is limited to; empty when it is not limited."""
    if not (reach.method or reach.path):
        return ""
    return " ".join(
        phrase for phrase in (reach.method, "requests", f"for {reach.path}" if reach.path else "") if phrase
    )


def _source(grant: Reach | Egress, say: Say) -> str:
    everyone = "anything in the cluster" if isinstance(grant, Reach) else "every service"
    return everyone if grant.source == ANYTHING else say(grant.source)


def _place(grant: Reach | Egress, say: Say) -> str:
    target = "anything outside" if grant.target == ANYTHING else say(grant.target)
    # A policy without a port opens all ports.
    port = f":{grant.port}" if grant.port else ", every port"
    return f"{target}{port}" + ("" if grant.protocol == "TCP" else f" ({grant.protocol})")


def _in_database(grant: DatabaseRight | DatabaseOwner) -> str:
    if isinstance(grant, DatabaseOwner):
        return f"create, change and drop what is in schema {grant.schema} of database {grant.database}, as its owner"
    return f"{grant.privilege} on {_relation(grant)} of database {grant.database}"


def _relation(grant: DatabaseRight) -> str:
    if not grant.schema:
        return f"every {grant.relation} that begins with {grant.name}" if grant.name else f"{grant.relation}s"
    if grant.name == ANYTHING:
        return f"every {grant.relation} in schema {grant.schema}"
    return f"{grant.relation} {grant.schema}.{grant.name}"


def part(grant: Grant, broader: Grant, say: Say) -> str:
    """The phrase for a grant inside the sentence of a broader one that covers it."""
    match grant:
        case Reach() if isinstance(broader, Reach) and broader.source == grant.source:
            return _requests(grant)
        case Reach() if requests := _requests(grant):
            return f"{say(grant.source)} with {requests}"
        case Egress() if isinstance(broader, Egress) and broader.target != grant.target:
            return say(grant.target)
        case Public() | Consent() | WithoutToken() | CrossOrigin():
            return _gateway_part(grant, broader)
        case ApiRight():
            return f"{grant.verb} {grant.resource}" + ("" if grant.cluster_wide else " in its namespace")
        case DatabaseRight():
            return f"{grant.schema}.{grant.name}" if grant.schema else grant.name
        case _:
            return _value_of(grant) or say(subject_of(grant))


def _value_of(grant: Grant) -> str:
    """What distinguishes a grant from a broader one of the same owner; empty if its owner does."""
    match grant:
        case Registry():
            return grant.registry
        case RuleItem():
            return grant.item
        case OutsideHost():
            return grant.host
        case VaultAccess() | Writable():
            return grant.path
        case TeamGrant():
            return grant.value
        case _:
            return ""


def _gateway_part(grant: Public | Consent | WithoutToken | CrossOrigin, broader: Grant) -> str:
    if isinstance(grant, CrossOrigin) and isinstance(broader, CrossOrigin) and grant.origin != broader.origin:
        return f"those of {grant.origin}"
    if isinstance(grant, CrossOrigin) and isinstance(broader, CrossOrigin) and grant.path == broader.path:
        return "without cookies"
    return grant.path


def setting_sentence(before: Setting | None, after: Setting | None, label: str, say: Say) -> str:
    """The sentence of a setting that came, went or changed."""
    setting = after or before
    old, new = before.value if before else None, after.value if after else None
    match setting:
        case RuleAction():
            return _action_sentence(setting, before, _ACTIONS.get(old, ""), _ACTIONS.get(new, ""))
        case RuleText():
            return f"the text of {setting.tier} rule {setting.rule} changed"
        case RuleParameter():
            return _from_to(f"{setting.parameter} of {setting.tier} rule {setting.rule}", old, new)
        case ApiException() | ClearText() | Exclusion() | Exemption() | Granted() | PodPatch() | SecretInEnvironment():
            return timed_sentence(setting, old, new, say)
        case FileKey():
            where = f"the file of {say(setting.owner)}" if setting.owner else "the stack file"
            return _from_to(f"{setting.key} of {where}", old, new)
        case ServiceSetting():
            return _from_to(f"{label} of {say(setting.service)}", old, new)
        case DatabaseSetting():
            return _from_to(f"{label} of database {setting.database}", old, new)
        case _:
            return _from_to(label, old, new)


def _from_to(label: str, old: str | None, new: str | None) -> str:
    if old is None or new is None:
        return f"{label} {'was' if new is None else 'is'} {new or old}"
    return f"{label} goes from {old} to {new}"


def _action_sentence(rule: RuleAction, before: Setting | None, old: str, new: str) -> str:
    name = f"{rule.tier} rule {rule.rule}"
    if not old:
        return f"{name} is new, and at {new}"
    if not new:
        return f"{name} is gone, and was at {old}"
    if isinstance(before, RuleAction) and before.tier != rule.tier and old == new:
        return f"{before.tier} rule {rule.rule} is now {rule.tier}, and stays at {new}"
    return f"{name} goes from {old} to {new}"
