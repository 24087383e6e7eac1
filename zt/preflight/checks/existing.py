"""The layers that others installed: the same questions as `pulumi up` asks before it creates anything."""

from collections.abc import Callable, Iterable

from components.program.existing import existing_layers
from zt.preflight.line import Check, Line, Theme
from zt.preflight.session import Session

_LAYERS = {
    "existing-kyverno": "Kyverno",
    "existing-cert-manager": "cert-manager",
    "existing-gateway-api": "Gateway API",
    "existing-istio": "Istio",
    "existing-external-secrets": "External Secrets",
}


def _asked(name: str) -> Callable[[Session], Iterable[Line]]:
    def lines(session: Session) -> Iterable[Line]:
        for layer in existing_layers(session.stack, session.planned):
            if layer.name == name:
                yield from layer.ask(session.cluster)

    return lines


def _there(name: str) -> Callable[[Session], bool]:
    return lambda session: any(layer.name == name for layer in existing_layers(session.stack, session.planned))


THEME = Theme(
    "layers that others installed",
    tuple(Check(name, f"{title} of others", _asked(name), _there(name)) for name, title in _LAYERS.items()),
)
