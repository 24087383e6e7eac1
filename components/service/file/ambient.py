"""The features of a service file that the ambient mode has not: the proxy of a node checks identity and port alone.

A policy with more than that never matches there (https://istio.io/latest/docs/ambient/usage/l4-policy/). The builders
of manifests leave out what only a proxy in the pod would read.
"""

from collections.abc import Iterator, Sequence

from components.service.file.checks import Finding
from components.service.file.service import ServiceSpec

_OTHERWISE = "or set the stack's mesh.dataPlane to sidecar"


def ambient_findings(specs: Sequence[ServiceSpec]) -> Iterator[Finding]:
    """The problems of these services in the ambient mode, in their order."""
    for spec in specs:
        yield from _requests(spec)
        yield from _outside(spec)
        sticky = [("sticky",)] if spec.sticky else []
        for key in (*sticky, *(("ports", name, "sticky") for name, port in spec.ports.items() if port.sticky)):
            yield spec, key, f"the proxies of the nodes see no request: leave it out, {_OTHERWISE}", "", ()
        if spec.tokens:
            message = f"ambient reads no token: leave it out, {_OTHERWISE}"
            yield spec, ("jwt",), message, repr(spec.tokens[0].issuer), ()
        if spec.metrics is not None and spec.metrics.port in spec.open_ports:
            message = (
                "ambient would let the scraper send every request to the service: "
                f"give the metrics a port of their own, {_OTHERWISE}"
            )
            yield spec, ("metrics", "port"), message, repr(spec.metrics.port), ()


def _requests(spec: ServiceSpec) -> Iterator[Finding]:
    for number, call in enumerate(spec.calls):
        for key, values in (("methods", call.methods), ("paths", call.paths)):
            if values:
                message = f"ambient holds callers to identity and port alone: leave them out, {_OTHERWISE}"
                yield spec, ("calls", number, key), message, repr(list(values)), ()


def _outside(spec: ServiceSpec) -> Iterator[Finding]:
    for number, outside in enumerate(spec.egress):
        if outside.protocol != "tcp":
            message = (
                f"ambient holds no connection to the name {outside.host}: write its networks under cidrs, {_OTHERWISE}"
            )
            yield spec, ("egress", number, "protocol"), message, repr(outside.protocol), ("tcp",)
