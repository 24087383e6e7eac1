"""What the API server calls of a package: the Services that its webhooks, its APIs and its conversions lead to.

The API server has no certificate of the mesh, so that the port behind has to accept connections without one.
https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#service-reference
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from components.kube.manifest import Manifest
from components.kube.written import below, items
from components.package.file.keys import PackageSpec
from components.package.rendered.objects import DEFINITION, Rendered, RenderedObject
from components.schema.problem import Key

_HTTPS = 443
_WEBHOOKS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
Finding = tuple[Key, str, str, tuple[str, ...]]
"""The key that is wrong, the message, the value there, and what is legal."""


@dataclass(frozen=True)
class CalledPort:
    """A port of a workload that the API server calls, and the object by which it does."""

    workload: str
    port: int
    by: str


def called_ports(spec: PackageSpec, rendered: Rendered) -> list[CalledPort]:
    """The ports that the API server calls, each once, which the file opens to it or not."""
    ports: dict[tuple[str, int], CalledPort] = {}
    for each, name, number in _references(spec.namespace, rendered.objects):
        service = rendered.service(name)
        if service is None or number not in service.targets:
            continue
        for workload in rendered.behind(service):
            if port := workload.port(service.targets[number]):
                called = CalledPort(workload.name, port, f"{each.kind} {each.name}")
                ports.setdefault((workload.name, port), called)
    return list(ports.values())


def api_call_findings(spec: PackageSpec, rendered: Rendered) -> Iterator[Finding]:
    """The Services that the API server is led to and that are not there, and the ports that are closed to it."""
    for each, name, number in _references(spec.namespace, rendered.objects):
        service = rendered.service(name)
        what = f"{each.kind} {each.name}"
        how = "leave it out by without, or change it in values"
        if service is None:
            legal = tuple(one.name for one in rendered.services)
            message = f"{what} leads the API server to the Service {name}, which the chart does not bring: {how}"
            yield ("values",), message, repr(name), legal
        elif number not in service.targets:
            legal = tuple(str(port) for port in sorted(service.targets))
            message = f"{what} leads the API server to a port that the Service {name} has not: {how}"
            yield ("values",), message, str(number), legal
    opened = {(entry.workload, entry.port) for entry in spec.plaintext_ports}
    for called in called_ports(spec, rendered):
        if (called.workload, called.port) not in opened:
            message = (
                f"the API server calls port {called.port} of {called.workload} by {called.by}, and has no certificate "
                "of the mesh: write the port here with the API server's networks, a reason and a last day, or leave "
                "that object out by without"
            )
            yield ("plaintextPorts",), message, str(called.port), ()


def _references(namespace: str, objects: Sequence[RenderedObject]) -> Iterator[tuple[RenderedObject, str, int]]:
    """Each object that leads to a Service of the package, with the Service's name and port."""
    for each in objects:
        for reference in _service_references(each):
            if reference.get("namespace") == namespace and reference.get("name"):
                yield each, str(reference["name"]), int(cast("int", reference.get("port", _HTTPS)))


def _service_references(each: RenderedObject) -> Iterator[Manifest]:
    if each.kind in _WEBHOOKS:
        for webhook in items(each.manifest, "webhooks"):
            yield below(webhook, "clientConfig", "service")
    elif each.kind == "APIService":
        yield below(each.manifest, "spec", "service")
    elif each.kind == DEFINITION:
        yield below(each.manifest, "spec", "conversion", "webhook", "clientConfig", "service")
