"""The native policies on services, each with its binding to their namespaces. The API server itself evaluates them.

https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pulumi

from components.config.action import Action
from components.kube.manifest import Manifest, of_kind
from components.kube.names import USE
from components.kube.objects import KubernetesObject
from components.schema.problem import FieldError

_ACTIONS = {Action.AUDIT: ["Audit"], Action.WARN: ["Warn", "Audit"], Action.DENY: ["Deny"]}

MAY_USE = (
    "authorizer.group('').resource('serviceaccounts').namespace(request.namespace).name(variables.account)"
    f".check('{USE}').allowed()"
)
"""Whether the user has the verb on `variables.account`; an empty account stands for all of the namespace."""


MOST_CHARACTERS = 100_000
"""Of an expression: the API server refuses a policy with a longer one.

https://github.com/google/cel-go/blob/v0.30.0/parser/parser.go
"""
MOST_BYTES = 1_000_000
"""Of a policy: etcd takes no request of more than 1.5 MiB (https://etcd.io/docs/v3.6/dev-guide/limit/)."""
# A map's own braces, and what looks a namespace up in it.
_ROOM = 200


@dataclass(frozen=True)
class NativePolicy:
    """The name and spec of a ValidatingAdmissionPolicy, what it does with a violation, and where it holds."""

    name: str
    spec: Manifest
    action: Action
    namespaces: Sequence[str]


def cel_list(names: Sequence[str]) -> str:
    """Names as a list in CEL."""
    return f"[{', '.join(repr(name) for name in names)}]"


def literal(value: object) -> str:
    """A value as CEL, which writes maps, lists and strings as JSON does."""
    return json.dumps(value, sort_keys=True)


def of_namespace(name: str, values: Mapping[str, object], default: str, key_of: Callable[[str], str]) -> dict[str, str]:
    """The variable with what a map has for the request's namespace, behind as many maps as its length asks for.

    `default` is the expression for any other namespace. Raises `FieldError` with the `key_of` a namespace whose value
    alone is longer than an expression may be.
    """
    maps: list[dict[str, object]] = [{}]
    length = 0
    for namespace, value in sorted(values.items()):
        more = len(literal({namespace: value}))
        if more + _ROOM > MOST_CHARACTERS:
            message = (
                f"{name} of namespace {namespace} have {more} characters, and the API server takes {MOST_CHARACTERS}"
            )
            raise FieldError(key_of(namespace), message)
        if length + more + _ROOM > MOST_CHARACTERS:
            maps.append({})
            length = 0
        maps[-1][namespace] = value
        length += more
    if len(maps) == 1:
        return {name: f"{literal(maps[0])}[?request.namespace].orValue({default})"}
    own = {f"{name}{number}": literal(each) for number, each in enumerate(maps, start=1)}
    first, *others = (f"variables.{each}[?request.namespace]" for each in own)
    return {**own, name: f"{first}{''.join(f'.or({each})' for each in others)}.orValue({default})"}


def check_size(spec: Manifest, key: str) -> None:
    """Raise `FieldError` with the key for a policy that is larger than the API server stores."""
    if (size := len(literal(spec))) > MOST_BYTES:
        message = f"the policy that holds them has {size} bytes, and the API server stores {MOST_BYTES}"
        raise FieldError(key, f"{message}: let another stack have some of them")


def binding_spec(policy: NativePolicy) -> Manifest:
    """The spec of the binding, to the services' namespaces: in others, operators do as they must."""
    names = {"key": "kubernetes.io/metadata.name", "operator": "In", "values": sorted(policy.namespaces)}
    return {
        "policyName": policy.name,
        "validationActions": _ACTIONS[policy.action],
        "matchResources": {"namespaceSelector": {"matchExpressions": [names]}},
    }


def create_policy(name: str, policy: NativePolicy, parent: pulumi.Resource) -> list[pulumi.Resource]:
    """Create the policy, then its binding, as the resources `name`."""
    created = KubernetesObject(
        name,
        of_kind("ValidatingAdmissionPolicy", metadata={"name": policy.name}, spec=policy.spec),
        pulumi.ResourceOptions(parent=parent),
    )
    binding = KubernetesObject(
        name,
        of_kind("ValidatingAdmissionPolicyBinding", metadata={"name": policy.name}, spec=binding_spec(policy)),
        pulumi.ResourceOptions(parent=parent, depends_on=[created]),
    )
    return [created, binding]
