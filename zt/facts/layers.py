"""Which layers of a stack others installed, and what of theirs it takes over."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from components.program.stack import Stack

LAYERS: Mapping[str, str] = MappingProxyType(
    {
        "kyverno": "Kyverno",
        "mesh": "Istio",
        "cert-manager": "cert-manager",
        "gateway-api": "the Gateway API",
        "external-secrets": "External Secrets",
    }
)
"""The layers that others may have installed, by what a fact calls them."""
NAMESPACES: Mapping[str, str] = MappingProxyType(
    {
        "kyverno": "kyverno",
        "mesh": "mesh",
        "mesh-root": "mesh_root",
        "cert-manager": "cert_manager",
        "external-secrets": "external_secrets",
    }
)
"""What may be in another namespace than its own, each with its field of `LayerNamespaces`."""


OWN_REGISTRY = "its own registry"
IMAGES: Mapping[str, str] = MappingProxyType(
    {**{name: layer for name, layer in LAYERS.items() if name in NAMESPACES}, "vault": "Vault"}
)
"""The layers whose images may come from a mirror, by what a fact calls them."""


def layer_facts(stack: Stack) -> Iterator[tuple[str, str]]:
    """Who installed each layer and where, the imported namespaces, and those of others in the mesh."""
    settings = stack.settings
    modes = {
        "kyverno": settings.kyverno.mode,
        "mesh": settings.mesh.mode,
        "cert-manager": settings.ingress.cert_manager.mode,
        "gateway-api": settings.ingress.gateway_api.mode,
        "external-secrets": settings.vault.external_secrets.mode,
    }
    yield from ((f"{name}-by", "others" if mode == "existing" else "the program") for name, mode in modes.items())
    for name, own in NAMESPACES.items():
        yield f"{name}-namespace", getattr(settings.layers, own)
    hubs = {
        "kyverno": settings.kyverno.hub,
        "mesh": settings.mesh.hub,
        "cert-manager": settings.ingress.cert_manager.hub,
        "external-secrets": settings.vault.external_secrets.hub,
        "vault": settings.vault.hub,
    }
    yield from ((f"{name}-images", hubs[name] or OWN_REGISTRY) for name in IMAGES)
    yield "imported-namespaces", ", ".join(sorted(settings.imports.namespaces)) or "none"
    yield "mesh-other-namespaces", ", ".join(sorted(settings.mesh.other_namespaces)) or "none"
