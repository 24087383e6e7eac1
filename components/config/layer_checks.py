"""Checks of the gateway and of the mesh that compare their settings with the posture."""

from collections.abc import Sequence
from typing import cast

from pydantic.alias_generators import to_camel

from components.config.ingress import HstsSettings, IngressSettings
from components.config.mesh import MeshSettings
from components.config.posture import SCALE, Posture
from components.config.problem_sink import ProblemSink
from components.kube.names import LayerNamespaces
from components.schema.public import ROUTE_SETTINGS


def mesh_problems(mesh: MeshSettings, posture: Posture, problem: ProblemSink) -> None:
    """Report the settings that the data plane cannot enforce. `components/service/file/ambient.py` checks services."""
    if mesh.data_plane == "sidecar":
        return
    if posture.mtls is None:
        problem("mesh.dataPlane", "this stack has no mesh", mesh.data_plane, ["sidecar"])
        return
    if not posture.network_policies:
        message = (
            "a node's proxy closes no egress, so that with network policies off a service would reach any host: "
            "write sidecar, or posture.networkPolicies with the value true"
        )
        problem("mesh.dataPlane", message, mesh.data_plane, ["sidecar"])
    if mesh.tracing is not None:
        problem("mesh.tracing", "ambient sends no spans of a service: leave it out, or set mesh.dataPlane to sidecar")


def ingress_problems(
    ingress: IngressSettings,
    posture: Posture,
    images: Sequence[str],
    layers: LayerNamespaces,
    problem: ProblemSink,
) -> None:
    """Report the problems of the gateway with the posture and the approved registries."""
    if posture.issuer.startswith("letsencrypt") and ingress.acme_email is None:
        problem("ingress.acmeEmail", f"required: the issuer {posture.issuer} registers an account with it")
    if posture.issuer != "none" and posture.mtls is None and ingress.kind == "gateway-api":
        problem("posture.issuer", "the gateway is the mesh's, and mTLS is off", posture.issuer, ["none"])
    if posture.issuer == "vault" and not posture.vault:
        others = [str(issuer) for issuer in SCALE["issuer"] if issuer != "vault"]
        problem("posture.issuer", "this stack has no Vault that could sign", posture.issuer, others)
    for issuer in ("ca", "vault"):
        if getattr(ingress, issuer) is not None and posture.issuer != issuer:
            problem(f"ingress.{issuer}", f"the issuer is {posture.issuer}: set posture.issuer, or leave this out")
    for namespace in sorted({*layers.platform, ingress.gateway_namespace} & set(ingress.hosts)):
        problem(f"ingress.hosts.{namespace}", "a namespace of the platform, which may name every host: leave it out")
    if ingress.waf and not any(ingress.waf.image.startswith((f"{image}/", f"{image}@")) for image in images):
        problem("ingress.waf.image", "not from registries or platformImages", ingress.waf.image, images)
    if ingress.kind == "ingress":
        _class_problems(ingress, posture, problem)
    elif "annotations" in ingress.model_fields_set:
        problem("ingress.annotations", "belong to an Ingress, and ingress.kind is gateway-api: leave them out")


def _class_problems(ingress: IngressSettings, posture: Posture, problem: ProblemSink) -> None:
    if ingress.class_name is None:
        problem("ingress.className", "required when ingress.kind is ingress")
    if ingress.controller is None:
        problem("ingress.controller", "required when ingress.kind is ingress: its identity is what services admit")
    written = ingress.model_fields_set
    for name in ingress.unsaid:
        value = cast("object", getattr(ingress, name))
        # A default that the posture turns on counts like a written setting, except for TLS, which the controller sets.
        due = name in written or (name in ROUTE_SETTINGS and posture.authorization != "off")
        if due and value not in ("none", None):
            _unsaid(name, problem)
    if isinstance(ingress.hsts, HstsSettings) and "headers" in ingress.unsaid:
        problem("ingress.hsts", "an Ingress cannot say it: write it as ingress.annotations.headers, or leave it out")


def _unsaid(name: str, problem: ProblemSink) -> None:
    key = to_camel(name)
    instead = "set it to none" if name in ROUTE_SETTINGS else "leave it out"
    problem(
        f"ingress.{key}", f"an Ingress cannot say it: write ingress.annotations.{key} as its class does, or {instead}"
    )
