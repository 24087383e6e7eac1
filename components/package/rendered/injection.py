"""What injection makes of a package's pods: how one leaves the mesh, and what the rules refuse of a pod that has it.

A rule judges a controller's template before the mesh's injector and Vault's change its pods, so that nothing is created
and no pod ever starts. https://istio.io/latest/docs/reference/config/annotations/
"""

import re
from collections.abc import Iterator, Mapping
from typing import cast

import yaml

from components.kube.manifest import Manifest
from components.kube.mesh_labels import DATA_PLANE, leaves_mesh
from components.kube.names import PLATFORM_CONTAINERS, PROXY_CONTAINER
from components.kube.written import below, items
from components.mesh.proxy_config import image_type, refused_settings
from components.package.rendered.objects import RenderedObject, labels_of
from components.schema.quantity import amount

_TEMPLATES = "inject.istio.io/templates"
_CONFIG = "proxy.istio.io/config"
# The injector writes these into the proxy, where every rule finds a container that is not the platform's.
_OTHER_PROXY = (
    "proxy.istio.io/overrides",
    "sidecar.istio.io/bootstrapOverride",
    "sidecar.istio.io/interceptionMode",
    "sidecar.istio.io/proxyImage",
    "sidecar.istio.io/proxyImageType",
    "sidecar.istio.io/status",
    "sidecar.istio.io/userVolume",
    "sidecar.istio.io/userVolumeMount",
)
_AMOUNTS = tuple(f"sidecar.istio.io/proxy{name}" for name in ("CPU", "CPULimit", "Memory", "MemoryLimit"))
_SIGN = re.compile(r"[^a-zA-Z0-9_]")
_AGENT = "vault.hashicorp.com/"
# The program writes them over what a chart has.
_OVERWRITTEN = (DATA_PLANE,)


def is_gateway(template: Manifest) -> bool:
    """Whether the pods are a gateway of the mesh: a router, which the injector fills in, and nothing beside it.

    Nothing redirects such a pod through its proxy, so that a container beside it would be past the mesh.
    """
    spec = below(template, "spec")
    containers = items(spec, "containers")
    alone = [each.get("name") for each in containers] == [PROXY_CONTAINER] and not items(spec, "initContainers")
    return alone and _annotations(template).get(_TEMPLATES) == "gateway"


def is_scraped(template: Manifest) -> bool:
    """Whether an annotation says that there are metrics; the injector reads it with any sign between its words."""
    return any(_SIGN.sub("_", key) == "prometheus_io_scrape" for key in _annotations(template))


def refused_when_injected(each: RenderedObject) -> str:
    """Why the rules refuse the pods of an object after injection, whatever the file grants; empty if they do not."""
    template = each.template
    return "" if template is None else next(_refused(template), "")


def past_the_mesh(each: RenderedObject, own: Mapping[str, str]) -> str:
    """How the pods of an object leave the mesh, or what the platform makes of it; empty if they do not.

    `own` are the labels that name the stack's own control plane.
    """
    template = each.template
    if template is None:
        return ""
    known = (*_AMOUNTS, *_OVERWRITTEN, _TEMPLATES)
    marks = [(key, value) for key, value in _marks(template) if key not in known and own.get(key) != value]
    found = next((f"{key}: {value}" for key, value in marks if leaves_mesh(key, value)), "")
    return f"its pods leave the mesh, or what the platform makes of it, by {found}" if found else ""


def _annotations(template: Manifest) -> dict[str, str]:
    return {key: str(value) for key, value in below(template, "metadata", "annotations").items()}


def _marks(template: Manifest) -> list[tuple[str, str]]:
    """Labels and annotations of the pods; a key may be both, and the label decides then."""
    return [*labels_of(template).items(), *_annotations(template).items()]


def _refused(template: Manifest) -> Iterator[str]:
    marks, gateway = _annotations(template), is_gateway(template)
    spec = below(template, "spec")
    for container in (*items(spec, "containers"), *items(spec, "initContainers")):
        name = str(container.get("name", ""))
        if name in PLATFORM_CONTAINERS and not gateway:
            yield f"a container has the name {name}, which is one of the platform's own"
    for key, value in marks.items():
        if key in _OTHER_PROXY and leaves_mesh(key, value):
            yield f"{key} gives its pods another proxy than the platform's"
        if key.startswith(_AGENT):
            yield f"{key} is one of Vault's injector: a secret stands under secrets of the file"
    chosen = marks.get(_TEMPLATES, "sidecar")
    if chosen != "sidecar" and not gateway:
        which = f"{chosen} gives its pods another proxy"
        yield f"{_TEMPLATES}: {which}: gateway is for the container {PROXY_CONTAINER} alone"
    yield from _amounts(marks)
    yield from _configured(marks)


def _amounts(marks: Mapping[str, str]) -> Iterator[str]:
    """With one of them the injector leaves out what it gives the proxy by itself."""
    written = [key for key in _AMOUNTS if key in marks]
    if written and len(written) < len(_AMOUNTS):
        missing = next(key for key in _AMOUNTS if key not in marks)
        yield f"{written[0]} without {missing} leaves the proxy without requests or limits"
    for key in written:
        try:
            positive = amount(marks[key]) > 0
        except ValueError:
            positive = False
        if not positive:
            yield f"{key}: {marks[key]} is no amount above 0"


def _configured(marks: Mapping[str, str]) -> Iterator[str]:
    if _CONFIG not in marks:
        return
    try:
        read: object = yaml.safe_load(marks[_CONFIG])
    except yaml.YAMLError:
        read = None
    if not isinstance(read, dict):
        yield f"{_CONFIG} is no mapping, so that no pod is injected"
        return
    config = cast("Manifest", read)
    yield from (f"{key} of {_CONFIG} {why}" for key, why in refused_settings(config))
    if kind := image_type(config):
        yield f"image of {_CONFIG} gives its pods another image as proxy, {kind}"
