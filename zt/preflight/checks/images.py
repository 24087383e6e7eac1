"""The images of services, mirrored layers and stack file: whether a registry has them, as far as that shows to nobody.

The nodes pull them, not this machine, so that nothing here fails a stack.
"""

from collections.abc import Iterable
from http import HTTPStatus

from components.kube.images import IMAGES, from_hub
from zt.preflight.line import Check, Line, Theme, not_checked, ok, warns
from zt.preflight.registry import image, manifest
from zt.preflight.session import Session
from zt.preflight.web import UnreachedError
from zt.project.pool import Pool

_AT_ONCE = 8


def _images(session: Session) -> Iterable[Line]:
    yield from _lines(session, {service.image for service in session.planned.services})


def _mirrored(session: Session) -> set[str]:
    """The images of the layers that come from a mirror of the stack's own."""
    planned, created = session.planned, session.created
    layers = (
        (planned.policies, ("kyverno",)),
        (planned.mesh, ("istiod", "cni", "ztunnel")),
        (planned.certificates, ("cert-manager",)),
        (planned.external_secrets, ("external-secrets",)),
        (planned.vault, ("vault", "openbao")),
    )
    return {
        from_hub(name, layer.hub)
        for layer, charts in layers
        if layer and layer.hub
        for chart in charts
        if created.chart(chart)
        for name in IMAGES[chart]
    }


def _further(session: Session) -> set[str]:
    """The images that a key of the stack file names: that of the snapshots, and the firewall's module."""
    settings = session.stack.settings
    waf = settings.ingress.waf if session.stack.posture.authorization != "off" else None
    snapshots = settings.vault.snapshots.image if session.in_cluster_vault else None
    return {name for name in (snapshots, waf and waf.image) if name}


def _lines(session: Session, names: set[str]) -> Iterable[Line]:
    def line(name: str) -> Line:
        return _line(session, name)

    with Pool(_AT_ONCE) as pool:
        yield from pool.map(line, sorted(names))


def _line(session: Session, name: str) -> Line:
    about, artifact = f"image {name}", image(name)
    try:
        reply = manifest(session.outside.web, artifact)
    except UnreachedError as error:
        fix = f"see that the nodes reach {artifact.registry}, or push the image to a registry that they reach"
        return warns(about, f"{artifact.registry} does not answer here: {error}", fix)
    if reply.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return not_checked(about, f"{artifact.registry} asks for credentials", "see that the nodes have them")
    if not reply.ok:
        return warns(about, f"{artifact.registry} answers {reply.status}", "push it before it is deployed")
    return ok(about, "there")


THEME = Theme(
    "images",
    (
        Check("images", "images of the services", _images, lambda s: bool(s.planned.services)),
        Check(
            "mirrored-images",
            "images of the platform in its mirrors",
            lambda session: _lines(session, _mirrored(session)),
            lambda session: bool(_mirrored(session)),
        ),
        Check(
            "named-images",
            "images that the stack file names",
            lambda session: _lines(session, _further(session)),
            lambda session: bool(_further(session)),
        ),
    ),
)
