"""The images of the services: whether their registries have them, as far as that shows without credentials.

The nodes pull them, not this machine, so that nothing here fails a stack.
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus

from zt.preflight.line import Check, Line, Theme, not_checked, ok, warns
from zt.preflight.registry import image, manifest
from zt.preflight.session import Session
from zt.preflight.web import UnreachedError

_AT_ONCE = 8


def _images(session: Session) -> Iterable[Line]:
    names = sorted({service.image for service in session.planned.services})

    def line(name: str) -> Line:
        return _line(session, name)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        yield from pool.map(line, names)


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
        return warns(about, f"{artifact.registry} answers {reply.status}", "push it before its service is deployed")
    return ok(about, "there")


THEME = Theme("images", (Check("images", "images of the services", _images, lambda s: bool(s.planned.services)),))
