"""What an object of a chart reaches beyond its package: the reason why the file has to grant it, or leave it out."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import cast

from components.kube.kinds import KUBERNETES_GROUPS
from components.kube.manifest import Manifest
from components.kube.written import below, items
from components.package.rendered.injection import past_the_mesh, refused_when_injected
from components.package.rendered.listeners import made_by_istiod
from components.package.rendered.objects import RenderedObject
from components.service.file.kubernetes_api import leading_on, right_text

_RBAC = "rbac.authorization.k8s.io"
# What a package brings without a word: it stays in the namespace, and the rules look at it.
_OWN = frozenset(
    {
        ("", "ConfigMap"),
        ("", "PersistentVolumeClaim"),
        ("", "Pod"),
        ("", "Secret"),
        ("", "Service"),
        ("", "ServiceAccount"),
        ("apps", "DaemonSet"),
        ("apps", "Deployment"),
        ("apps", "StatefulSet"),
        ("autoscaling", "HorizontalPodAutoscaler"),
        ("batch", "CronJob"),
        ("batch", "Job"),
        ("policy", "PodDisruptionBudget"),
        (_RBAC, "Role"),
        (_RBAC, "RoleBinding"),
    }
)
_OF_THE_FILE: Mapping[str, str] = MappingProxyType(
    {
        "NetworkPolicy": "network policies add up, and the package's follow from its file",
        "Ingress": "it would be public past the gateway",
        "HTTPRoute": "it would be public at a host that nobody agreed to",
        "GRPCRoute": "it would be public at a host that nobody agreed to",
    }
)
_PLATFORM_GROUPS: Mapping[str, str] = MappingProxyType(
    {
        "istio.io": "it changes what the mesh holds",
        "kyverno.io": "it changes what the rules hold",
        "gateway.networking.k8s.io": "it changes what the gateway serves",
    }
)


_WEBHOOKS = ("APIService", "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")


def comes_last(each: RenderedObject) -> bool:
    """Whether the workloads of the package answer for an object, so that it needs them first."""
    return each.kind in _WEBHOOKS or each.group not in KUBERNETES_GROUPS


def refused(each: RenderedObject) -> str:
    """Why no package may bring an object, whatever its file says; empty if one may.

    Admission would refuse it, or its pods.
    """
    if each.kind == "PolicyException":
        return "exceptions stand in the package's file, with their days: leave it out by without"
    if each.kind == "Service" and not each.group and (why := _service(each.manifest)):
        return f"{why}: change that in values, or leave it out by without"
    if made_by_istiod(each):
        why = "istiod would make its pods, to which no policy of the package is open"
        return f"{why}: give it the Service of a gateway of the chart as an address of type Hostname"
    if why := refused_when_injected(each):
        return f"{why}: no rule admits its pods, so change that in values"
    return ""


def reach(each: RenderedObject, namespace: str, own: Mapping[str, str] = MappingProxyType({})) -> str:
    """Why a package in a namespace may not bring an object by itself; empty if it may.

    `own` are the labels of pods that name the stack's own control plane of the mesh.
    """
    if each.kind in _OF_THE_FILE:
        return _OF_THE_FILE[each.kind]
    for group, why in _PLATFORM_GROUPS.items():
        if each.group == group or each.group.endswith(f".{group}"):
            return why
    if not each.namespace:
        return "it holds for the whole cluster"
    if each.namespace != namespace:
        return f"it is in the namespace {each.namespace}"
    if (each.group, each.kind) not in _OWN:
        return "a kind that no package brings by itself"
    return _own(each, namespace) or past_the_mesh(each, own)


def _own(each: RenderedObject, namespace: str) -> str:
    if each.kind == "Secret":
        return _secret(each.manifest)
    if each.kind == "Role":
        return next((f"{right} may lead to more than it says" for right in _rights(each.manifest)), "")
    if each.kind == "RoleBinding":
        return _binding(each.manifest, namespace)
    return ""


def _secret(manifest: Manifest) -> str:
    held = [key for part in ("data", "stringData") for key, value in below(manifest, part).items() if value]
    if held:
        return f"its {sorted(held)[0]} would stand in the repository, and in the state of the stack"
    token = manifest.get("type") == "kubernetes.io/service-account-token"
    return "it holds a token that never ends" if token else ""


def _service(manifest: Manifest) -> str:
    spec = below(manifest, "spec")
    kind = str(spec.get("type", "ClusterIP"))
    if kind != "ClusterIP" or spec.get("externalIPs"):
        return (
            f"of type {kind} it would be open past the gateway" if kind != "ClusterIP" else "it has addresses outside"
        )
    return ""


def _rights(manifest: Manifest) -> list[str]:
    """The rights of a Role that lead to more than they say."""
    found: list[str] = []
    for rule in items(manifest, "rules"):
        groups, resources, verbs = (
            cast("list[str]", rule.get(key) or []) for key in ("apiGroups", "resources", "verbs")
        )
        found += [right_text(right) for right in leading_on(groups, resources, verbs)]
    return found


def _binding(manifest: Manifest, namespace: str) -> str:
    role = below(manifest, "roleRef")
    if role.get("kind") != "Role":
        return f"it gives the rights of the ClusterRole {role.get('name')}"
    for subject in items(manifest, "subjects"):
        if subject.get("kind") != "ServiceAccount" or subject.get("namespace", namespace) != namespace:
            return f"it gives rights to the {subject.get('kind')} {subject.get('name')}, who is none of the package"
    return ""
