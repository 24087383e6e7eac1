"""Whether the live AuthorizationPolicies let a request through, and which mode of mutual TLS holds.

https://istio.io/latest/docs/reference/config/security/authorization-policy/ : a DENY that matches denies; without any
ALLOW for the workload everything is allowed; otherwise one of them has to match. A field that is not evaluated here
(a path, a token's claim, a network) counts in favour of the attacker: an ALLOW matches it, a DENY does not.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from components.kube.mesh_labels import DRY_RUN
from zt.attack.network import Decision, Pod, selects
from zt.cluster.manifest import Manifest, part, parts, texts, word

_UNSET = ("", "UNSET")
# In a principal it stands for the mesh's own trust domain, whatever that is:
# https://istio.io/latest/docs/tasks/security/authorization/authz-td-migration/
_LOCAL = "cluster.local/"
_ATTRIBUTES = {
    "principals": "source.principal",
    "namespaces": "source.namespace",
    "serviceAccounts": "source.serviceAccount",
    "trustDomains": "source.trustDomain",
    "ports": "destination.port",
}
"""The attribute of a condition that a field of a source or an operation looks at."""


@dataclass(frozen=True)
class Peer:
    """The caller's identity by its certificate. Empty for a caller that has none and speaks plaintext."""

    trust_domain: str
    namespace: str
    account: str

    @property
    def principal(self) -> str:
        """The identity as an AuthorizationPolicy names it."""
        return f"{self.trust_domain}/ns/{self.namespace}/sa/{self.account}" if self.account else ""


NOBODY = Peer("", "", "")


def authorized(policies: Iterable[Manifest], root: str, target: Pod, peer: Peer, port: int) -> Decision:
    """Whether the policies let a peer through to a port of a workload. `root` holds the mesh-wide policies."""
    applying = [policy for policy in policies if _applies(policy, root, target)]
    denying = [
        policy
        for policy in _of(applying, "DENY")
        if any(_rule_matches(rule, _at(policy, peer, port), unknown=False) for rule in _rules(policy))
    ]
    if denying:
        return Decision(allowed=False, by=_names(denying))
    allows = _of(applying, "ALLOW")
    matching = [
        policy
        for policy in allows
        if any(_rule_matches(rule, _at(policy, peer, port), unknown=True) for rule in _rules(policy))
    ]
    return Decision(bool(matching) or not allows, _names(matching or allows))


def _applies(policy: Manifest, root: str, target: Pod) -> bool:
    metadata, spec = policy["metadata"], part(policy, "spec")
    if word(metadata, "annotations", DRY_RUN) == "true" or spec.get("targetRefs") or spec.get("targetRef"):
        # A dry run denies nothing, and a policy for a Gateway or a waypoint is not for the workload.
        return False
    return metadata["namespace"] in (root, target.namespace) and selects(part(spec, "selector"), target.labels)


def _of(policies: Iterable[Manifest], action: str) -> list[Manifest]:
    return [policy for policy in policies if (word(policy, "spec", "action") or "ALLOW") == action]


def _at(policy: Manifest, peer: Peer, port: int) -> "_Request":
    return _Request(peer, port, policy["metadata"]["namespace"])


def _rules(policy: Manifest) -> list[Manifest]:
    return parts(policy, "spec", "rules")


def _names(policies: Iterable[Manifest]) -> tuple[str, ...]:
    return tuple(sorted(f"{policy['metadata']['namespace']}/{policy['metadata']['name']}" for policy in policies))


def _rule_matches(rule: Manifest, at: "_Request", *, unknown: bool) -> bool:
    """Whether a rule matches: one of its sources, one of its operations, and every condition."""
    sources, operations = parts(rule, "from"), parts(rule, "to")
    return (
        (not sources or any(_all_match(part(entry, "source"), at, unknown) for entry in sources))
        and (not operations or any(_all_match(part(entry, "operation"), at, unknown) for entry in operations))
        and all(_condition_holds(condition, at, unknown) for condition in parts(rule, "when"))
    )


@dataclass(frozen=True)
class _Request:
    """What a policy of a namespace looks at: the caller, and the port that it asks for."""

    peer: Peer
    port: int
    policy_namespace: str

    def value(self, name: str) -> str | None:
        """The value of a field of a rule or of a condition's attribute; `None` if it is not evaluated here."""
        peer = self.peer
        match _ATTRIBUTES.get(name, name):
            case "source.principal":
                return peer.principal
            case "source.namespace":
                return peer.namespace
            case "source.serviceAccount":
                return f"{peer.namespace}/{peer.account}" if peer.account else ""
            case "source.trustDomain":
                return peer.trust_domain
            case "destination.port":
                return str(self.port)
            case _:
                return None

    def matches(self, name: str, pattern: str, value: str) -> bool:
        """Whether a value of that name is as a pattern says."""
        match _ATTRIBUTES.get(name, name):
            case "source.serviceAccount":
                # Without a namespace it is the policy's own; a star is a star.
                return value == (pattern if "/" in pattern else f"{self.policy_namespace}/{pattern}")
            case "source.namespace":
                return bool(value) and re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), value) is not None
            case "source.principal" if pattern.startswith(_LOCAL):
                return _value_matches(f"{self.peer.trust_domain}/{pattern.removeprefix(_LOCAL)}", value)
            case _:
                return _value_matches(pattern, value)


def _all_match(fields: Manifest, at: _Request, unknown: bool) -> bool:
    return all(_field_matches(name, values, at, unknown) for name, values in fields.items() if values)


def _field_matches(name: str, values: Sequence[str], at: _Request, unknown: bool) -> bool:
    negated = name.startswith("not")
    key = f"{name[3].lower()}{name[4:]}" if negated else name
    if (value := at.value(key)) is None:
        return unknown
    return any(at.matches(key, each, value) for each in values) is not negated


def _condition_holds(condition: Manifest, at: _Request, unknown: bool) -> bool:
    key = str(condition["key"])
    if (value := at.value(key)) is None:
        return unknown
    values, never = texts(condition, "values"), texts(condition, "notValues")
    return (not values or any(at.matches(key, each, value) for each in values)) and not any(
        at.matches(key, each, value) for each in never
    )


def _value_matches(pattern: str, value: str) -> bool:
    """Whether a value matches exactly, by prefix (`abc*`), by suffix (`*abc`), or as any text (`*`)."""
    if not value:
        return False
    if pattern == "*":
        return True
    if pattern.endswith("*"):
        return value.startswith(pattern[:-1])
    return value.endswith(pattern[1:]) if pattern.startswith("*") else value == pattern


def mtls_mode(policies: Sequence[Manifest], root: str, target: Pod, port: int) -> tuple[str, str]:
    """The mode of mutual TLS at a port of a workload, and the PeerAuthentication that sets it.

    The policy of the workload comes before that of its namespace and that of the mesh; of two, the older one decides.
    Without any it is PERMISSIVE. https://istio.io/latest/docs/reference/config/security/peer_authentication/
    """
    older = sorted(policies, key=lambda policy: word(policy, "metadata", "creationTimestamp"))
    in_namespace = [policy for policy in older if policy["metadata"]["namespace"] == target.namespace]
    of_workload = [policy for policy in in_namespace if _selector(policy) and selects(_selector(policy), target.labels)]
    of_namespace = [policy for policy in in_namespace if not _selector(policy)]
    of_mesh = [policy for policy in older if policy["metadata"]["namespace"] == root and not _selector(policy)]
    for policy in (*of_workload, *of_namespace, *of_mesh):
        if (mode := _mode(policy, port)) not in _UNSET:
            return mode, _names([policy])[0]
    return "PERMISSIVE", ""


def _selector(policy: Manifest) -> Manifest:
    return part(policy, "spec", "selector")


def _mode(policy: Manifest, port: int) -> str:
    # Only a policy of one workload may set a mode for a port.
    at_port = word(policy, "spec", "portLevelMtls", str(port), "mode") if _selector(policy) else ""
    return at_port if at_port not in _UNSET else word(policy, "spec", "mtls", "mode")
