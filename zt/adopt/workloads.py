"""The workloads of a living cluster: controllers, and pods that nobody controls, each with its pods' template."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from components.kube.parts import Manifest, part, parts, texts
from components.schema.typed_file import SECRET_KEY
from zt.adopt.living import Living
from zt.adopt.model import ExposedSecret

KINDS = ("Deployment", "StatefulSet", "DaemonSet", "CronJob", "Job", "ReplicaSet", "Pod")
_SIDECAR_LABEL = "sidecar.istio.io/inject"


@dataclass(frozen=True)
class Template:
    """A workload as the cluster has it. `spec` is that of its pods, `labels` are theirs."""

    manifest: Manifest
    spec: Manifest
    labels: Mapping[str, str]

    @property
    def kind(self) -> str:
        """Its kind."""
        return str(self.manifest["kind"])

    @property
    def namespace(self) -> str:
        """Its namespace."""
        return str(self.manifest["metadata"]["namespace"])

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.manifest["metadata"]["name"])

    @property
    def key(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"

    @property
    def account(self) -> str:
        """The service account of its pods."""
        return str(self.spec.get("serviceAccountName") or "default")

    @property
    def containers(self) -> list[Manifest]:
        """All containers of its pods."""
        return [*parts(self.spec, "containers"), *parts(self.spec, "initContainers")]

    @property
    def replicas(self) -> int:
        """How many pods it has; 1 where its kind counts none."""
        return int(part(self.manifest, "spec").get("replicas", 1))


def templates(living: Living) -> list[Template]:
    """The workloads that no other one of them controls, by namespace and name.

    What an operator's own object controls, such as a Rollout or a Kafka, is one: nothing else of it is read. A pod that
    has ended is none, nor is what such an object keeps of an earlier revision.
    """
    every = list(living.of(*KINDS))
    there = {_identity(each["metadata"]["namespace"], each["apiVersion"], each) for each in every}
    found: list[Template] = []
    for each in every:
        owner = next((one for one in parts(each, "metadata", "ownerReferences") if one.get("controller")), None)
        controlled = owner and _identity(each["metadata"]["namespace"], owner["apiVersion"], owner) in there
        if not controlled and not _ended(each, bool(owner)):
            found.append(Template(each, *_of_pods(each)))
    return sorted(found, key=lambda each: (each.namespace, each.name, each.kind))


def _identity(namespace: str, api_version: str, of: Manifest) -> tuple[str, str, str, str]:
    """What an object is told by, or an owner in a reference."""
    return namespace, api_version, of["kind"], of["name"] if "name" in of else of["metadata"]["name"]


def _ended(manifest: Manifest, owned: bool) -> bool:
    if manifest["kind"] == "Pod":
        return part(manifest, "status").get("phase") in ("Succeeded", "Failed")
    return owned and manifest["kind"] == "ReplicaSet" and part(manifest, "spec").get("replicas") == 0


def _of_pods(manifest: Manifest) -> tuple[Manifest, Mapping[str, str]]:
    """The spec and the labels of a workload's pods."""
    spec = part(manifest, "spec")
    if manifest["kind"] == "Pod":
        return spec, part(manifest, "metadata", "labels")
    template = part(spec, "jobTemplate", "spec", "template") or part(spec, "template")
    return part(template, "spec"), part(template, "metadata", "labels")


def exposed_secrets(template: Template) -> Iterator[ExposedSecret]:
    """The secrets in the environment of its containers. No value is read."""
    for container in template.containers:
        name = str(container["name"])
        for source in parts(container, "envFrom"):
            if secret := part(source, "secretRef").get("name"):
                yield ExposedSecret(name, "all of its keys", f"secret {secret}")
        for variable in parts(container, "env"):
            key = part(variable, "valueFrom", "secretKeyRef")
            if key:
                yield ExposedSecret(name, str(variable["name"]), f"secret {key.get('name')}/{key.get('key')}")
            elif variable.get("value") and SECRET_KEY.search(str(variable["name"]).lower()):
                yield ExposedSecret(name, str(variable["name"]), "written in the manifest")


def in_mesh(template: Template, namespace: Mapping[str, str]) -> bool:
    """Whether its pods have a proxy of the mesh, or get one when they are made again."""
    label = template.labels.get(_SIDECAR_LABEL, "")
    if label == "false":
        return False
    joined = namespace.get("istio-injection") == "enabled" or namespace.get("istio.io/rev")
    return label == "true" or bool(joined) or namespace.get("istio.io/dataplane-mode") == "ambient"


def selects(selector: Mapping[str, Any], labels: Mapping[str, Any]) -> bool:
    """Whether a label selector of Kubernetes selects these labels; an empty one selects everything."""
    pairs = part(selector, "matchLabels")
    return all(labels.get(key) == value for key, value in pairs.items()) and all(
        _expression(each, labels) for each in parts(selector, "matchExpressions")
    )


def _expression(expression: Mapping[str, Any], labels: Mapping[str, Any]) -> bool:
    key, values = str(expression.get("key")), texts(expression, "values")
    there = key in labels
    match expression.get("operator"):
        case "In":
            return there and labels[key] in values
        case "NotIn":
            return not there or labels[key] not in values
        case "Exists":
            return there
        case _:
            return not there
