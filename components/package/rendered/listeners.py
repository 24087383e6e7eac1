"""The listeners of a gateway that a package brings: those that others call have to take the mesh's mutual TLS.

Callers send it to each Service of a package, since they accept no other identity behind it. Before a workload the mesh
takes it off again; a router has no other listeners than those of its Gateways.
https://istio.io/latest/docs/reference/config/networking/gateway/#ServerTLSSettings-TLSmode
"""

from collections.abc import Iterator
from dataclasses import dataclass

from components.kube.written import below, items
from components.package.file.keys import PackageSpec
from components.package.rendered.api_calls import Finding
from components.package.rendered.injection import is_gateway
from components.package.rendered.objects import Rendered, RenderedObject, Service, Workload

_MUTUAL = "ISTIO_MUTUAL"
_GATEWAY = "Gateway"
# https://istio.io/latest/docs/tasks/traffic-management/ingress/gateway-api/#configuring-a-gateway
_OF_KUBERNETES, _OF_ISTIO = "gateway.networking.k8s.io", "networking.istio.io"
_MODE_OPTION = "gateway.istio.io/tls-terminate-mode"
_BY_ADDRESS = "Hostname"


@dataclass(frozen=True)
class _Listener:
    """A listener by its port, the object that has it, and where that says how it speaks TLS."""

    port: object
    mutual: bool
    of: str
    key: str


def made_by_istiod(each: RenderedObject) -> bool:
    """Whether istiod makes the pods of a Gateway, since that names no Service of the chart as its address."""
    spec = below(each.manifest, "spec")
    if each.kind != _GATEWAY or each.group != _OF_KUBERNETES:
        return False
    return str(spec.get("gatewayClassName", "")).split("-")[0] == "istio" and not _addresses(each)


def listener_findings(spec: PackageSpec, rendered: Rendered) -> Iterator[Finding]:
    """The ports of a gateway that somebody may call, and whose listener takes no certificate of the mesh."""
    exposed = [
        (("expose", number), entry.service, entry.port)
        for number, entry in enumerate(spec.expose)
        if spec.callers or entry.host
    ]
    between = [(("between", number), entry.service, entry.port) for number, entry in enumerate(spec.between)]
    gateways = {each.name for each in rendered.objects if each.template is not None and is_gateway(each.template)}
    for key, name, port in (*exposed, *between):
        service = rendered.service(name)
        if service is None or port not in service.targets:
            continue
        for workload in rendered.behind(service):
            numbers = (port, workload.port(service.targets[port]))
            listeners = _listeners(rendered, service, workload) if workload.name in gateways else ()
            for each in listeners:
                if each.port in numbers and not each.mutual:
                    message = (
                        f"its callers send mutual TLS, and {each.of} listens there without: write {each.key} there by "
                        "values, or leave that object out by without"
                    )
                    yield (*key, "port"), message, str(port), ()


def _listeners(rendered: Rendered, service: Service, workload: Workload) -> Iterator[_Listener]:
    for each in rendered.objects:
        spec, what = below(each.manifest, "spec"), f"{each.kind} {each.name}"
        if each.kind != _GATEWAY:
            continue
        if each.group == _OF_ISTIO:
            selector = {key: str(value) for key, value in below(spec, "selector").items()}
            for server in items(spec, "servers") if selector.items() <= workload.labels.items() else ():
                mutual = below(server, "tls").get("mode") == _MUTUAL
                yield _Listener(below(server, "port").get("number"), mutual, what, f"tls.mode: {_MUTUAL}")
        elif each.group == _OF_KUBERNETES and service.name in _addresses(each):
            for listener in items(spec, "listeners"):
                mutual = below(listener, "tls", "options").get(_MODE_OPTION) == _MUTUAL
                yield _Listener(listener.get("port"), mutual, what, f"tls.options {_MODE_OPTION}: {_MUTUAL}")


def _addresses(each: RenderedObject) -> list[str]:
    """The Services of its own namespace that a Gateway names as its addresses."""
    named = [a for a in items(each.manifest, "spec", "addresses") if a.get("type") == _BY_ADDRESS]
    return [
        str(address.get("value", ""))
        .removesuffix(".cluster.local")
        .removesuffix(".svc")
        .removesuffix(f".{each.namespace}")
        for address in named
    ]
