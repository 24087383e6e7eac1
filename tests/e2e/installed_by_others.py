"""Kyverno, Istio, cert-manager and the Gateway API as somebody else installs them: rendered by Helm, then applied.

So do Argo CD and Flux. No mark of Pulumi is on anything, and no record of a Helm release is in the cluster.
"""

import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from components.ingress.cert_manager import cert_manager_values
from components.kube.charts import PUBLISHED
from components.kube.resources import path_of
from components.kyverno.policy_set import kyverno_values
from components.mesh.security import MeshSecurityArgs, base_values, cni_values, istiod_values
from embedded.access import EmbeddedPlane
from tests.e2e.plane import Plane
from tests.support.waiting import eventually

MANAGER = "argocd-controller"
NAMESPACES = ("kyverno", "istio-system", "cert-manager")
_HOOK = "helm.sh/hook"
_MESH = MeshSecurityArgs(PUBLISHED, mtls="STRICT", authorization="enforce", replicas=1)
# A chart's CustomResourceDefinitions and namespaces come before objects of their kinds.
_FIRST = ("Namespace", "CustomResourceDefinition", "ServiceAccount", "ConfigMap", "Secret", "Service")
_CLUSTER_WIDE = (
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "MutatingWebhookConfiguration",
    "Namespace",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingWebhookConfiguration",
)

Manifest = dict[str, Any]


def values_of_others(unjudged: tuple[str, ...]) -> dict[str, Manifest]:
    """The values of each chart as somebody sets them who has read what the stack relies on, and nothing beyond."""
    own = kyverno_values(1, unjudged)
    certificates = cert_manager_values(1, gateway_api=True)
    return {
        "kyverno": {key: own[key] for key in ("config", "features", "rbac")},
        "base": base_values(),
        "cni": cni_values(_MESH),
        "istiod": istiod_values(_MESH),
        "cert-manager": {
            "crds": {"enabled": True},
            "global": {"rbac": certificates["global"]["rbac"]},
            "extraArgs": certificates["extraArgs"],
            "startupapicheck": {"enabled": False},
        },
    }


RELEASES = {
    "kyverno": ("kyverno", "kyverno"),
    "base": ("istio-base", "istio-system"),
    "cni": ("istio-cni", "istio-system"),
    "istiod": ("istiod", "istio-system"),
    "cert-manager": ("cert-manager", "cert-manager"),
}


def rendered(
    plane: Plane, chart: str, values: Manifest, elsewhere: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Manifest]:
    """The objects of a chart, without its hooks, in its own namespace or in the one that it has elsewhere."""
    release, own = RELEASES[chart]
    namespace = elsewhere.get(own, own)
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        file.write(json.dumps(values))
        file.flush()
        helm = EmbeddedPlane.tool("helm", progress=False)
        folder = str(Path(plane.overlay["charts"]) / chart)
        arguments = ["--namespace", namespace, "--values", file.name, "--skip-tests", "--include-crds"]
        arguments += ["--kube-version", EmbeddedPlane.kubernetes_version()]
        done = subprocess.run(
            [str(helm), "template", release, folder, *arguments], capture_output=True, text=True, check=True
        )
    for each in yaml.load_all(done.stdout, Loader=yaml.CSafeLoader):
        if each and _HOOK not in (each["metadata"].get("annotations") or {}):
            if each["kind"] not in _CLUSTER_WIDE:
                each["metadata"].setdefault("namespace", namespace)
            yield each


def apply(plane: Plane, manifests: list[Manifest]) -> None:
    """Apply objects by server-side apply, as a controller of somebody else does."""
    order = {kind: place for place, kind in enumerate(_FIRST)}
    for manifest in sorted(manifests, key=lambda each: order.get(each["kind"], len(_FIRST))):
        eventually(lambda manifest=manifest: _applied(plane, manifest), f"{manifest['kind']} is applied", 60)


def _applied(plane: Plane, manifest: Manifest) -> bool:
    metadata = manifest["metadata"]
    path = path_of(manifest["apiVersion"], manifest["kind"], metadata.get("namespace", ""), metadata["name"])
    status, text = plane.apply(path, MANAGER, manifest)
    # A kind is served a moment after its definition.
    assert status in (200, 201, 404), f"{path}: {status} {text}"
    return status != 404


def install(plane: Plane, values: dict[str, Manifest], elsewhere: Mapping[str, str] = MappingProxyType({})) -> None:
    """Install every layer, and wait until its controllers are ready. `elsewhere` are other namespaces than its own."""
    places = [elsewhere.get(own, own) for own in NAMESPACES]
    for namespace in places:
        apply(plane, [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}])
    definitions = Path(plane.overlay["charts"]) / "gateway-api.yaml"
    apply(plane, [each for each in yaml.load_all(definitions.read_text(), Loader=yaml.CSafeLoader) if each])
    for chart in RELEASES:
        apply(plane, list(rendered(plane, chart, values[chart], elsewhere)))
    eventually(lambda: all(ready(plane, namespace) for namespace in places), "every controller is ready")


def ready(plane: Plane, namespace: str) -> bool:
    """Whether each Deployment of a namespace has a pod that is ready."""
    there = plane.apps.list_namespaced_deployment(namespace).items
    return bool(there) and all((each.status.ready_replicas or 0) > 0 for each in there)


def footprint(plane: Plane) -> dict[str, str]:
    """What the layers are: the uid of each of their Deployments and ConfigMaps, and the version of its settings."""
    found: dict[str, str] = {}
    for namespace in NAMESPACES:
        for each in plane.apps.list_namespaced_deployment(namespace).items:
            found[f"{namespace}/{each.metadata.name}"] = f"{each.metadata.uid} {each.metadata.generation}"
        for each in plane.core.list_namespaced_config_map(namespace).items:
            found[f"{namespace}/{each.metadata.name}"] = f"{each.metadata.uid} {hash(str(each.data))}"
    return found
