"""The revisions of a living Istio: which istiod a name leads to, and which names lead into one mesh.

A name is that of a revision, or a tag that stands for one, as in `istioctl tag set prod-stable --revision 1-31-0`: a
webhook with the label `istio.io/tag` injects the proxies of whoever has that name. Every istiod with the same root
namespace holds its workloads to the rules there.
https://istio.io/latest/docs/setup/upgrade/canary/#stable-revision-labels
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import yaml

from components.kube.cluster import Cluster
from components.kube.manifest import Manifest
from components.kube.mesh_labels import DEFAULT_REVISION, REVISION
from components.kube.names import MESH_NAMESPACE
from components.kube.parts import part, parts, word
from components.schema.yaml_text import YAML_LOADER

TAG = "istio.io/tag"
INJECTORS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"


@dataclass(frozen=True)
class Injector:
    """A webhook that injects proxies for a `name`, a revision or a tag, of the istiod of a `revision`."""

    name: str
    revision: str
    namespace: str


def injectors(cluster: Cluster, namespace: str) -> Iterator[Injector]:
    """Every injector. One that is called by an address is taken for that of a namespace. Raises `UnreadableError`."""
    for each in cluster.objects(INJECTORS):
        labels = part(each, "metadata", "labels")
        if revision := labels.get(REVISION):
            places = [word(hook, "clientConfig", "service", "namespace") for hook in parts(each, "webhooks")]
            yield Injector(labels.get(TAG) or revision, revision, next(filter(None, places), namespace))


def revision_of(every: Sequence[Injector], name: str, namespace: str) -> str:
    """The revision that a name leads to: that of the tag beside istiod, or else itself."""
    there = (each for each in every if each.namespace == namespace and each.name == name)
    return next((each.revision for each in there if each.revision != name), name)


def names_in_mesh(cluster: Cluster, every: Sequence[Injector], root: str) -> frozenset[str]:
    """The names that lead into the mesh with a root namespace. Raises `UnreadableError`."""
    places = {(each.namespace, each.revision) for each in every}
    inside = {place for place in places if root_of(settings_of(cluster, *place)) == root}
    return frozenset(each.name for each in every if (each.namespace, each.revision) in inside)


def root_of(settings: Manifest) -> str:
    """The root namespace by the settings of a mesh."""
    return word(settings, "rootNamespace") or MESH_NAMESPACE


def config_name(name: str, revision: str) -> str:
    """The name of a ConfigMap of a revision: that of the default one has none in it."""
    return name if revision == DEFAULT_REVISION else f"{name}-{revision}"


def settings_of(cluster: Cluster, namespace: str, revision: str) -> Manifest:
    """The settings of the mesh of a revision; empty without any. Raises `UnreadableError`."""
    return settings_in(cluster, namespace, config_name("istio", revision))


def settings_in(cluster: Cluster, namespace: str, name: str) -> Manifest:
    """The settings of a mesh in a ConfigMap; empty without any. Raises `UnreadableError`."""
    return mapping_in(word(cluster.found(config_map(namespace, name)) or {}, "data", "mesh"))


def mapping_in(text: str) -> Manifest:
    """The mapping in a text of YAML; empty for any other value."""
    read: object = yaml.load(text, Loader=YAML_LOADER)  # noqa: S506 - a safe loader
    return cast("Manifest", read) if isinstance(read, dict) else {}


def config_map(namespace: str, name: str) -> str:
    """The path of a ConfigMap."""
    return f"/api/v1/namespaces/{namespace}/configmaps/{name}"
