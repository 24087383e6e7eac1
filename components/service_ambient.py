"""What a service file may not ask of the ambient mode, whose proxy judges identity and port alone.

https://istio.io/latest/docs/ambient/usage/l4-policy/ : a rule with more in it never matches there. The builders leave
out what only a pod's own proxy would read.
"""

from collections.abc import Iterator, Sequence

from components.service_checks import Finding
from components.service_spec import ServiceSpec

_OTHERWISE = "or set the stack's mesh.dataPlane to sidecar"


def ambient_findings(specs: Sequence[ServiceSpec]) -> Iterator[Finding]:
    """Every problem, in the order of the services."""
    for spec in specs:
        yield from _requests(spec)
        yield from _outside(spec)
        if spec.jwt is not None:
            message = f"ambient reads no token: leave it out, {_OTHERWISE}"
            yield spec, ("jwt",), message, repr(spec.jwt.issuer), ()
        if spec.metrics is not None and spec.metrics.port == spec.port:
            message = (
                "ambient would let the scraper send every request to the service: "
                f"give the metrics a port of their own, {_OTHERWISE}"
            )
            yield spec, ("metrics", "port"), message, repr(spec.metrics.port), ()


def _requests(spec: ServiceSpec) -> Iterator[Finding]:
    for number, call in enumerate(spec.calls):
        for key, written in (("methods", call.methods), ("paths", call.paths)):
            if written:
                message = f"ambient holds callers to identity and port alone: leave them out, {_OTHERWISE}"
                yield spec, ("calls", number, key), message, repr(list(written)), ()


def _outside(spec: ServiceSpec) -> Iterator[Finding]:
    for number, outside in enumerate(spec.egress):
        if outside.protocol != "tcp":
            message = (
                f"ambient holds no connection to the name {outside.host}: write its networks under cidrs, {_OTHERWISE}"
            )
            yield spec, ("egress", number, "protocol"), message, repr(outside.protocol), ("tcp",)
