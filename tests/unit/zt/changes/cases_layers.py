"""The cases of `zt diff` about layers that others installed, and what of a living cluster a stack takes over."""

from typing import Any

from tests.unit.zt.changes.files import Case, Files

_INGRESS: dict[str, Any] = {"acmeEmail": "platform@example.org"}
_OWN = Files(stack={"kyverno": {}, "mesh": {}, "ingress": _INGRESS})


def _existing(**mesh: Any) -> Files:
    of_others = {"gatewayApi": {"mode": "existing"}, "certManager": {"mode": "existing"}}
    mesh = {"mode": "existing", **mesh}
    return Files(stack={"kyverno": {"mode": "existing"}, "mesh": mesh, "ingress": {**_INGRESS, **of_others}})


def _lines(kind: str, before: str, after: str, *layers: str) -> list[str]:
    return [f"{kind}: who installed {layer} goes from {before} to {after}" for layer in layers]


_LAYERS = ("Istio", "Kyverno", "cert-manager", "the Gateway API")

LAYER_CASES = [
    Case("layers of others", _lines("weaker", "the program", "others", *_LAYERS), _existing(), _OWN),
    Case("the program's own again", _lines("stronger", "others", "the program", *_LAYERS), _OWN, _existing()),
    Case(
        "a namespace of others in their mesh",
        ["neutral: the namespaces of others in the mesh goes from none to billing"],
        _existing(otherNamespaces=["billing"]),
        _existing(),
    ),
    Case(
        "a namespace that is imported",
        ["neutral: the namespaces that are imported goes from none to shop"],
        Files(stack={"imports": {"namespaces": ["shop"]}}),
    ),
]
