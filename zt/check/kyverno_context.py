"""What the Kyverno CLI needs in place of a cluster: the objects that rules look up, and resource names."""

import re
from collections.abc import Iterable, Sequence

from zt.check.kyverno_jobs import group_of, resources_of
from zt.check.plan import Manifest, PlannedObject

_LOOKUP = re.compile(r"resource\.(?:List|Get)\(\s*\\?['\"]([^'\"\\]+)\\?['\"]\s*,\s*\\?['\"]([^'\"\\]+)")
# The built-in kinds that a rule may look up.
_KINDS = {
    "configmaps": "ConfigMap",
    "daemonsets": "DaemonSet",
    "deployments": "Deployment",
    "horizontalpodautoscalers": "HorizontalPodAutoscaler",
    "ingresses": "Ingress",
    "namespaces": "Namespace",
    "networkpolicies": "NetworkPolicy",
    "pods": "Pod",
    "poddisruptionbudgets": "PodDisruptionBudget",
    "rolebindings": "RoleBinding",
    "roles": "Role",
    "secrets": "Secret",
    "serviceaccounts": "ServiceAccount",
    "services": "Service",
    "statefulsets": "StatefulSet",
}


def looked_up(policies: Iterable[Manifest], objects: Sequence[PlannedObject]) -> list[Manifest]:
    """The planned objects of the built-in kinds that some policy looks up.

    Each kind has at least one object, in a namespace that nobody uses: the CLI fails on a list of a kind without any
    object, where a cluster returns an empty list.
    """
    lookups = sorted({lookup for policy in policies for lookup in _LOOKUP.findall(repr(policy))})
    manifests: list[Manifest] = []
    for version, resource in lookups:
        kind = _KINDS.get(resource)
        if kind is None:
            continue
        manifests.append(
            {"apiVersion": version, "kind": kind, "metadata": {"name": "elsewhere", "namespace": "elsewhere"}}
        )
        manifests += [planned.manifest for planned in objects if planned.identity[:2] == (version, kind)]
    return manifests


def definitions(policies: Iterable[Manifest], objects: Iterable[PlannedObject]) -> list[Manifest]:
    """Definitions of the custom kinds whose plural the CLI guesses wrongly, such as `gatewaies` for Gateway."""
    named = sorted({resource for policy in policies for resource in resources_of(policy)})
    kinds = sorted({(group_of(planned), planned.identity[1], planned.identity[0]) for planned in objects})
    crds: list[Manifest] = []
    for group, kind, version in kinds:
        right = next((name for of, name in named if of == group and name == f"{kind.lower()}s"), None)
        if "." in group and right is not None and right != _guessed(kind):
            crds.append(_definition(group, kind, right, version.rsplit("/", 1)[-1]))
    return crds


def _guessed(kind: str) -> str:
    singular = kind.lower()
    if singular.endswith("s"):
        return f"{singular}es"
    return f"{singular[:-1]}ies" if singular.endswith("y") else f"{singular}s"


# A mutation of a kind whose definition has no schema crashes the CLI.
_ANYTHING = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def _definition(group: str, kind: str, resource: str, version: str) -> Manifest:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{resource}.{group}"},
        "spec": {
            "group": group,
            "names": {"kind": kind, "plural": resource, "singular": kind.lower()},
            "scope": "Namespaced",
            "versions": [{"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": _ANYTHING}}],
        },
    }
