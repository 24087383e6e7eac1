"""What an OCI registry has, asked without credentials: https://github.com/opencontainers/distribution-spec."""

import re
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlencode

from zt.preflight.web import Reply, Request, UnreachedError, Web

_MANIFESTS = (
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json"
)
_DOCKER_HUB, _DOCKER_HUB_API = "docker.io", "registry-1.docker.io"
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True)
class Artifact:
    """A chart or an image: its registry, its repository there, and a tag or a digest."""

    registry: str
    repository: str
    reference: str

    def __str__(self) -> str:
        mark = "@" if self.reference.startswith("sha256:") else ":"
        return f"{self.registry}/{self.repository}{mark}{self.reference}"


def image(name: str) -> Artifact:
    """The artifact of an image's full name."""
    name, _, digest = name.partition("@")
    registry, _, path = name.partition("/")
    repository, _, tag = path.partition(":")
    return Artifact(registry, repository, digest or tag or "latest")


def manifest(web: Web, artifact: Artifact) -> Reply:
    """The registry's reply to the question for an artifact's manifest. Raises `UnreachedError`.

    A registry that is public gives a token to whoever asks, and says at the first refusal where.
    """
    api = _DOCKER_HUB_API if artifact.registry == _DOCKER_HUB else artifact.registry
    url = f"https://{api}/v2/{artifact.repository}/manifests/{artifact.reference}"
    reply = web(Request(url, headers={"Accept": _MANIFESTS}, whole=False))
    challenge = reply.headers.get("www-authenticate", "")
    if reply.status != HTTPStatus.UNAUTHORIZED or not challenge.lower().startswith("bearer"):
        return reply
    token = _token(web, dict(_PARAMETER.findall(challenge)), artifact)
    if not token:
        return reply
    return web(Request(url, headers={"Accept": _MANIFESTS, "Authorization": f"Bearer {token}"}, whole=False))


def _token(web: Web, challenge: dict[str, str], artifact: Artifact) -> str:
    realm = challenge.get("realm", "")
    if not realm.startswith("https://"):
        return ""
    query = {"scope": challenge.get("scope") or f"repository:{artifact.repository}:pull"}
    if service := challenge.get("service"):
        query["service"] = service
    try:
        answer = web(Request(f"{realm}{'&' if '?' in realm else '?'}{urlencode(query)}")).json
    except UnreachedError:
        return ""
    return str(answer.get("token") or answer.get("access_token") or "")
