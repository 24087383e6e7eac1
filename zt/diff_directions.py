"""Which way a difference goes, as data with a reason each.

A difference that nothing here gives a direction counts as weaker, and says so: it must not pass unread.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType

from components.posture import SCALE, Action
from zt.diff_facts import (
    COMMIT_DAY,
    DatabaseSetting,
    Exemption,
    Grant,
    PlatformSetting,
    RuleAction,
    RuleItem,
    RuleParameter,
    RuleText,
    ServiceSetting,
    Setting,
)


class Class(StrEnum):
    """What a difference means for security: what needs a decision first, what needs none last."""

    WEAKER = "weaker"
    STRONGER = "stronger"
    NEUTRAL = "neutral"

    @property
    def reversed(self) -> "Class":
        """The class of the same difference the other way round."""
        return {Class.WEAKER: Class.STRONGER, Class.STRONGER: Class.WEAKER}.get(self, self)


Judge = Callable[[str, str], Class | None]
"""From the value before and the one after to a class; `None` where neither can be called the weaker one."""


@dataclass(frozen=True)
class Direction:
    """How two values compare, and why. An absent value counts as `default`; without one it is not compared."""

    label: str
    judge: Judge
    reason: str
    default: str | None = None


@dataclass(frozen=True)
class Gain:
    """What it means that a grant appears (`None`: it cannot be said), and why. Its end means the opposite."""

    gained: Class | None
    reason: str


def scale(*weakest_first: object) -> Judge:
    """Judge by the place on a scale; a value that is not on it has no direction."""
    words = [text_of(value) for value in weakest_first]

    def judge(before: str, after: str) -> Class | None:
        if before not in words or after not in words:
            return None
        return _by_order(words.index(before), words.index(after))

    return judge


def text_of(value: object) -> str:
    """A value of the posture as facts hold it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return "off" if value is None else str(value)


def _by_order(before: int | Decimal, after: int | Decimal) -> Class:
    if before == after:
        return Class.NEUTRAL
    return Class.WEAKER if after < before else Class.STRONGER


def more_is_stronger(before: str, after: str) -> Class | None:
    """Judge by the amount, in Kubernetes' spelling of quantities."""
    amounts = [_amount(value) for value in (before, after)]
    return None if None in amounts else _by_order(*(amount or Decimal(0) for amount in amounts))


def more_is_weaker(before: str, after: str) -> Class | None:
    """Judge by the amount, the other way round."""
    found = more_is_stronger(before, after)
    return found.reversed if found else None


_UNITS = {"m": Decimal("0.001"), "": Decimal(1)} | {
    f"{letter}{suffix}": Decimal(base) ** power
    for power, letters in enumerate(("kK", "M", "G", "T", "P"), start=1)
    for letter in letters
    for suffix, base in (("", 1000), ("i", 1024))
}


def _amount(value: str) -> Decimal | None:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([a-zA-Z]*)", value)
    return Decimal(found[1]) * _UNITS[found[2]] if found and found[2] in _UNITS else None


def neutral(_before: str, _after: str) -> Class | None:
    """Judge nothing: the reason has to say why there is nothing to judge."""
    return Class.NEUTRAL


def unknown(_before: str, _after: str) -> Class | None:
    """No direction: somebody has to look."""
    return None


def not_root(before: str, after: str) -> Class | None:
    """Judge a user id: 0 is root, and any other is as good as the next."""
    return _by_order(int(before != "0"), int(after != "0"))


def image(before: str, after: str) -> Class | None:
    """Judge an image: another repository is other software; a digest names one content, a tag whatever it points to."""
    if _repository(before) != _repository(after):
        return None
    return _by_order(int("@sha256:" in before), int("@sha256:" in after))


def _repository(reference: str) -> str:
    name = reference.partition("@")[0]
    path, slash, last = name.rpartition("/")
    return path + slash + last.partition(":")[0]


def seal(before: str, after: str) -> Class | None:
    """Judge the kind of Vault's seal: a static key lies beside the data that it opens."""
    if "static" in (before, after):
        return _by_order(int(before != "static"), int(after != "static"))
    return None


def day(before: str, after: str) -> Class | None:
    """Judge the day that exceptions are held against: a fixed one lets them outlive their end, an early one longer."""
    if COMMIT_DAY in (before, after):
        return _by_order(int(before == COMMIT_DAY), int(after == COMMIT_DAY))
    return earlier_is_weaker(before, after)


def earlier_is_weaker(before: str, after: str) -> Class | None:
    """Judge two ISO dates."""
    return Class.WEAKER if after < before else Class.STRONGER


def later_is_weaker(before: str, after: str) -> Class | None:
    """Judge two ISO dates the other way round."""
    return Class.WEAKER if after > before else Class.STRONGER


_ACTIONS = (*Action, "on")

ACTION = Direction(
    "", scale(*_ACTIONS), "a rule that denies stops a violation, one that warns or audits only tells of it", "off"
)
RULE_TEXT = Direction("", unknown, "what a rule's text lets through cannot be computed: read its diff")
MOVED = Direction("", neutral, "what the rule does is what holds, and that is the same")
# No day at all is before every other.
EXEMPTION = Direction("", later_is_weaker, "the rule does not hold for the service until that day", "")
UNLISTED = Direction("", unknown, "zt/diff_directions.py has no direction for it")

GRANTS: Mapping[str, Gain] = MappingProxyType(
    {
        "reach": Gain(Class.WEAKER, "whoever takes over the caller can attack what it may reach"),
        "egress": Gain(Class.WEAKER, "data can leave by every connection that is open"),
        "public": Gain(Class.WEAKER, "everybody on the internet can send requests to it"),
        "vault-access": Gain(Class.WEAKER, "whoever takes over the service has what it can access"),
        "database-right": Gain(Class.WEAKER, "whoever takes over the service has its rights in the database"),
        "audit-device": Gain(
            Class.STRONGER, "Vault answers nothing that it could not log, and a second log proves the first"
        ),
        "api-right": Gain(Class.WEAKER, "whoever takes over the service has its rights on the cluster"),
        "api-token": Gain(Class.WEAKER, "a token in a pod can be stolen"),
        "writable": Gain(Class.WEAKER, "a place to leave a program in, which a read-only file system denies"),
        "registry": Gain(Class.WEAKER, "whoever may push there can run code here"),
        "signer": Gain(Class.WEAKER, "one more holder of a key or an identity can let code in"),
        "unjudged": Gain(Class.WEAKER, "what is created there is neither refused nor reported"),
        "service": Gain(Class.NEUTRAL, "what the service may do has lines of its own"),
    }
)

_FALLS = "the fewer there are, the sooner the control is down"
_TRUST = "trust moves to somebody or something else, and which of the two deserves it more is not in a plan"

_VERSIONS = "whoever can read a secret can read its versions; they only help to go back"

NETWORK_POLICIES = Direction(
    "the network policy of every service",
    scale(*SCALE["network_policies"]),
    "without them every pod reaches every other one",
)

PLATFORM: Mapping[str, Direction] = MappingProxyType(
    {
        "environment": Direction(
            "the environment",
            scale("local", "dev", "staging", "production"),
            "each row of the posture table holds the controls of the one below it",
        ),
        "vault": Direction("Vault", scale(*SCALE["vault"]), "without Vault secrets are in Kubernetes, in clear text"),
        "vault-replicas": Direction("the number of Vault replicas", more_is_stronger, _FALLS),
        "vault-place": Direction("the place of Vault", unknown, _TRUST),
        "vault-distribution": Direction(
            "the distribution of Vault", neutral, "both keep secrets alike, behind the same API"
        ),
        "vault-seal": Direction("the seal of Vault", seal, f"a static key lies beside its data; otherwise {_TRUST}"),
        "vault-seal-key": Direction("the seal key of Vault", unknown, _TRUST),
        "vault-login": Direction(
            "the deployer's login to Vault",
            scale("environment", "cert"),
            "a token of the environment can be copied, a certificate's key stays where it is",
        ),
        "vault-login-role": Direction("the deployer's role in Vault", unknown, _TRUST),
        "vault-authority": Direction("the authority behind Vault's certificate", unknown, _TRUST),
        "vault-reviewer": Direction("the API server that reviews tokens for Vault", unknown, _TRUST),
        "vault-kept-versions": Direction("the number of versions that Vault keeps of a secret", neutral, _VERSIONS),
        "vault-delete-after": Direction("the age in seconds at which Vault deletes a version", neutral, _VERSIONS),
        "vault-check-and-set": Direction(
            "check-and-set for Vault's secrets",
            scale("off", "on"),
            "without it a write can undo another one that it did not see",
        ),
        "vault-retained": Direction(
            "keeping Vault's data on destroy", scale("off", "on"), "what is not kept is gone with one command"
        ),
        "injection": Direction(
            "the injection of secrets",
            scale(*SCALE["injection"]),
            "without it the application holds the token that opens its secrets",
        ),
        "injection-failure": Direction(
            "the injector's webhook",
            scale("fails open", "fails closed"),
            "one that fails open lets a pod start without its agent",
        ),
        "mtls": Direction("mTLS", scale(*SCALE["mtls"]), "only STRICT refuses a connection without an identity"),
        "authorization": Direction(
            "authorization by identity", scale(*SCALE["authorization"]), "a dry run denies nothing"
        ),
        "network-policies": NETWORK_POLICIES,
        "trust-domain": Direction("the trust domain", unknown, _TRUST),
        "issuer": Direction(
            "the TLS issuer", scale(*SCALE["issuer"]), "a client can tell a trusted certificate from a forged one"
        ),
        "door": Direction(
            "the kind of door",
            scale("ingress", "gateway-api"),
            "an ingress controller is admitted by its whole namespace, a Gateway by its own pods",
        ),
        "door-identity": Direction("the identity of the door", unknown, _TRUST),
        "kyverno-replicas": Direction("the number of Kyverno replicas", more_is_stronger, _FALLS),
        "mesh-replicas": Direction("the number of istiod replicas", more_is_stronger, _FALLS),
        "mesh-images": Direction("the source of the mesh's images", unknown, _TRUST),
        "cert-manager-replicas": Direction("the number of cert-manager replicas", more_is_stronger, _FALLS),
        "exception-day": Direction(
            "the day that exceptions are judged on", day, "an exception outlives its end while the day is before it"
        ),
    }
)

_STOLEN = "stolen credentials work until then"
_HARDENED = "the restricted Pod Security Standard asks for it"

SERVICE: Mapping[str, Direction] = MappingProxyType(
    {
        "image": Direction(
            "the image",
            image,
            "what an image holds is not in a plan; a digest fixes it, a tag does not, a repository has its own author",
        ),
        "user": Direction(
            "the user id", not_root, "root in a container is one mistake away from root on the node", "1000"
        ),
        "team": Direction("the team", neutral, "who answers for it changes, and not what it may do"),
        "protocol": Direction("the protocol", neutral, "policies hold by identity and port, whatever is spoken there"),
        "public-scheme": Direction("the public address", scale("http", "https"), "clear text can be read", "https"),
        "secrets": Direction(
            "the place of the secrets",
            scale("a Kubernetes Secret", "Vault"),
            "a Kubernetes Secret can be read by whoever may read the namespace",
            "Vault",
        ),
        "database": Direction("the database", unknown, _TRUST),
        "database-ttl": Direction("the life in seconds without renewal of a database user", more_is_weaker, _STOLEN),
        "database-max-ttl": Direction("the longest life in seconds of a database user", more_is_weaker, _STOLEN),
        "runAsNonRoot": Direction("runAsNonRoot", scale("false", "true"), _HARDENED, "true"),
        "readOnlyRootFilesystem": Direction("readOnlyRootFilesystem", scale("false", "true"), _HARDENED, "true"),
        "allowPrivilegeEscalation": Direction("allowPrivilegeEscalation", scale("true", "false"), _HARDENED, "false"),
        "privileged": Direction("privileged", scale("true", "false"), _HARDENED, "false"),
        "capabilities": Direction("the capability drop", scale("none", "ALL"), _HARDENED, "ALL"),
        "seccomp": Direction("the seccomp profile", scale("Unconfined", "RuntimeDefault"), _HARDENED, "RuntimeDefault"),
    }
)

DATABASE: Mapping[str, Direction] = MappingProxyType(
    {
        "place": Direction("the place", unknown, _TRUST),
        "administrator": Direction("the administrator", unknown, _TRUST),
        "tls": Direction("TLS to the server", scale("off", "on"), "clear text can be read", "on"),
        "authority": Direction("the authority behind the certificate", unknown, _TRUST),
    }
)

_ALLOWED = "the rule lets through what is on the list"
_ASKED = "the rule asks for what is on the list"
_DEFAULTS = "a default for what says nothing, and no bound"
_BOUND = "a higher bound lets one workload take more from the others"
_ALLOW_LISTS = (
    "drop-all-capabilities.allowedCapabilities",
    "require-seccomp-profile.allowedProfiles",
    "restrict-apparmor-profiles.allowedProfiles",
    "restrict-image-registries.platformImages",
    "restrict-selinux-options.allowedTypes",
    "restrict-sysctls.allowedSysctls",
    "restrict-volume-types.allowedTypes",
    "disallow-secrets-in-environment.certificateKeys",
    "require-probes.endingOwners",
    "require-tls.ingressNamespaces",
    "restrict-service-types.ingressNamespaces",
    "allow-platform.vaultNetworks",
)

LISTS: Mapping[str, Gain] = MappingProxyType(
    {
        **{name: Gain(Class.WEAKER, _ALLOWED) for name in _ALLOW_LISTS},
        "require-cost-labels.labels": Gain(Class.STRONGER, _ASKED),
        "require-labels.labels": Gain(Class.STRONGER, _ASKED),
    }
)
"""The list parameters of rules, by rule and parameter. The registries of images are grants of their own."""

UNLISTED_LIST = Gain(None, UNLISTED.reason)

PARAMETERS: Mapping[str, Direction] = MappingProxyType(
    {
        "require-replicas.minimum": Direction("", more_is_stronger, "the rule asks for as many"),
        "default-pod-security-context.runAsUser": Direction("", not_root, "0 is root"),
        "default-pod-security-context.fsGroup": Direction("", not_root, "0 is root's group"),
        "allow-platform.vaultPort": Direction("", unknown, _TRUST),
        "default-deny.policyName": Direction("", neutral, "a name decides nothing"),
        **{
            f"{rule}.{parameter}": Direction("", neutral, _DEFAULTS)
            for rule in ("default-resources", "limit-range")
            for parameter in ("cpuRequest", "memoryRequest", "cpuLimit", "memoryLimit")
        },
        **{
            f"limit-range.{parameter}": Direction("", more_is_weaker, _BOUND)
            for parameter in ("cpuMaximum", "memoryMaximum")
        },
        **{
            f"resource-quota.{parameter}": Direction("", more_is_weaker, _BOUND)
            for parameter in ("requestsCpu", "requestsMemory", "limitsMemory", "pods", "loadBalancers", "nodePorts")
        },
    }
)
"""The other parameters of rules, by rule and parameter."""


def gain_of(grant: Grant) -> Gain:
    """What it means that a grant appears."""
    if isinstance(grant, RuleItem):
        return LISTS.get(f"{grant.rule}.{grant.parameter}", UNLISTED_LIST)
    return GRANTS[grant.kind]


def direction_of(setting: Setting) -> Direction:
    """How the values of a setting compare."""
    match setting:
        case PlatformSetting():
            return PLATFORM.get(setting.name, replace(UNLISTED, label=setting.name))
        case ServiceSetting():
            return SERVICE.get(setting.name, replace(UNLISTED, label=setting.name))
        case DatabaseSetting():
            return DATABASE.get(setting.name, replace(UNLISTED, label=setting.name))
        case RuleParameter():
            return PARAMETERS.get(f"{setting.rule}.{setting.parameter}", UNLISTED)
        case RuleAction():
            return ACTION
        case RuleText():
            return RULE_TEXT
        case Exemption():
            return EXEMPTION
