"""The objects of a package as they are created: the chart's, with what the platform knows them by, and its policies."""

from collections.abc import Mapping
from typing import cast

from components.kube.manifest import Manifest
from components.kube.mesh_labels import pod_label
from components.kube.names import WORKLOAD_LABEL
from components.kube.service_ref import ServiceRef
from components.kube.written import below, items
from components.package.args import PackageArgs
from components.package.rendered.injection import is_scraped
from components.package.rendered.objects import RenderedObject
from components.service.args.service import SecureServiceArgs
from components.service.manifests.authorization import identity_rule
from components.service.manifests.exceptions import packaged_exception
from components.service.manifests.vault import injected, injector_annotations, mesh_annotations
from components.service.manifests.workload import (
    ALL_READ,
    API_TOKEN_PATH,
    api_token,
    api_token_mount,
    metrics_annotations,
    unmerged,
    vault_token,
)

_HOOK = "helm.sh/"
# A claim may wait for its first pod, and a Service has no endpoint before the workload that comes after it.
_NOT_AWAITED = ("Service", "PersistentVolumeClaim")
_APP_PROTOCOLS = {"http2": "kubernetes.io/h2c"}


def metadata(args: PackageArgs, name: str) -> Manifest:
    """The metadata of an object that the platform adds to a package."""
    labels = {"app.kubernetes.io/managed-by": "pulumi", "app.kubernetes.io/part-of": args.namespace, "team": args.team}
    return {"name": name, "namespace": args.namespace, "labels": labels}


def default_deny(args: PackageArgs) -> Manifest:
    """Metadata and spec of the NetworkPolicy that closes the namespace: what its file does not name stays closed."""
    spec: Manifest = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    return {"metadata": metadata(args, f"{args.name}.default-deny"), "spec": spec}


def destination_rules(args: PackageArgs) -> list[Manifest]:
    """For each Service of the chart, the rule by which callers accept the service accounts behind it alone."""
    rules = [
        identity_rule(
            args.platform.mesh,
            ServiceRef(args.namespace, service),
            [ServiceRef(args.namespace, account) for account in accounts],
            metadata(args, service),
        )
        for service, accounts in sorted(args.identities.items())
    ]
    return [rule for rule in rules if rule]


def exceptions(args: PackageArgs) -> Mapping[str, Mapping[str, Manifest]]:
    """The PolicyExceptions of each workload, by rule."""
    made: dict[str, dict[str, Manifest]] = {}
    place = args.platform.layers.kyverno
    for each in args.exceptions:
        manifest = packaged_exception(args.ref, each.workload, each.account, each.exception, place)
        made.setdefault(each.workload, {})[each.exception.rule] = manifest
    return made


def applied(args: PackageArgs, each: RenderedObject) -> Manifest:
    """An object of the chart as it is created.

    Its pods get the label that the package's policies select, and the mesh's. An exposed port of a Service says its
    protocol, where the mesh would guess it. Helm's marks of hooks go, since nothing here acts on them.
    """
    manifest = {key: value for key, value in each.manifest.items() if key != "status"}
    annotations = {key: value for key, value in each.annotations.items() if not key.startswith(f"{_HOOK}hook")}
    if each.kind in _NOT_AWAITED:
        annotations["pulumi.com/skipAwait"] = "true"
    meta = {key: value for key, value in below(manifest, "metadata").items() if key != "annotations"}
    manifest["metadata"] = {**meta, **({"annotations": annotations} if annotations else {})}
    if each.kind == "Service":
        return _with_protocols(args, manifest)
    workload = next((made for made in args.workloads if made.name == each.name), None)
    if each.template is None or workload is None:
        return manifest
    return _with_pods(manifest, each.kind, workload)


def _with_protocols(args: PackageArgs, manifest: Manifest) -> Manifest:
    name = str(below(manifest, "metadata")["name"])
    ports = [
        _spoken(port, args.protocols.get((name, cast("int", port.get("port", 0))), ""))
        for port in items(manifest, "spec", "ports")
    ]
    return {**manifest, "spec": {**below(manifest, "spec"), "ports": ports}} if ports else manifest


def _spoken(port: Manifest, protocol: str) -> Manifest:
    return {**port, "appProtocol": _APP_PROTOCOLS.get(protocol, protocol)} if protocol else port


def _with_pods(manifest: Manifest, kind: str, workload: SecureServiceArgs) -> Manifest:
    labels = {WORKLOAD_LABEL: workload.name}
    if workload.platform.mesh.on:
        labels |= pod_label(workload.platform.mesh.revision, workload.platform.mesh.ambient)
    path = () if kind == "Pod" else ("spec", "template")
    path = ("spec", "jobTemplate", *path) if kind == "CronJob" else path
    template = below(manifest, *path)
    # Of an annotation for a scraper the injector would make a variable that the platform's proxy does not have.
    annotations = metrics_annotations(workload) or (unmerged(workload) if is_scraped(template) else {})
    return _replaced(manifest, path, _with_tokens(_labelled(template, labels, annotations), workload))


def _with_tokens(template: Manifest, workload: SecureServiceArgs) -> Manifest:
    return _with_api_token(_with_secrets(template, workload), workload)


def _with_api_token(template: Manifest, workload: SecureServiceArgs) -> Manifest:
    """The template with a token for the API server, where the file lets it reach that and the chart mounts none."""
    spec = below(template, "spec")
    if not workload.kubernetes_api or spec.get("automountServiceAccountToken") is not False:
        return template
    made = {
        key: [_with_mount(container) for container in items(spec, key)]
        for key in ("containers", "initContainers")
        if key in spec
    }
    return {**template, "spec": {**spec, **made, "volumes": [*items(spec, "volumes"), api_token(ALL_READ)]}}


def _with_mount(container: Manifest) -> Manifest:
    mounts = items(container, "volumeMounts")
    has_one = any(mount.get("mountPath") == API_TOKEN_PATH for mount in mounts)
    return container if has_one else {**container, "volumeMounts": [*mounts, api_token_mount()]}


def _with_secrets(template: Manifest, workload: SecureServiceArgs) -> Manifest:
    """The template with what Vault's agent needs: its annotations, and the volume with its token."""
    if not injected(workload):
        return template
    spec = below(template, "spec")
    names = [str(container["name"]) for container in items(spec, "containers")]
    annotations = {**injector_annotations(workload, names), **mesh_annotations(workload)}
    return {
        **_labelled(template, {}, annotations),
        "spec": {**spec, "volumes": [*items(spec, "volumes"), vault_token(ALL_READ)]},
    }


def _labelled(template: Manifest, labels: Mapping[str, str], annotations: Mapping[str, str]) -> Manifest:
    meta = below(template, "metadata")
    meta["labels"] = {**below(meta, "labels"), **labels}
    if annotations:
        meta["annotations"] = {**below(meta, "annotations"), **annotations}
    return {**template, "metadata": meta}


def _replaced(value: Manifest, path: tuple[str, ...], new: Manifest) -> Manifest:
    if not path:
        return new
    return {**value, path[0]: _replaced(below(value, path[0]), path[1:], new)}
