"""Port 80 of the simulated Gateway, as far as ACME needs it: the way of a challenge from the host name to its solver.

Nothing runs in a simulated pod, so this follows the objects that would carry the request and answers as the program at
their end would: the HTTPRoute that istiod accepted for a Gateway, its Service, the pod behind it, and that pod's
arguments. What is missing on the way is missing here: a request that no such chain takes gets 404.
"""

import asyncio
import logging
from collections.abc import Iterator
from urllib.parse import urlsplit

from embedded.supervisor.controllers import labels_of
from embedded.supervisor.egress import close
from embedded.supervisor.https_api import ApiError
from embedded.supervisor.kubernetes_api import KubernetesApi, Manifest
from embedded.supervisor.ports import LOOPBACK

_LOG = logging.getLogger(__name__)
_LIMIT = 8192
_ROUTES = "/apis/gateway.networking.k8s.io/v1/httproutes"
_CHALLENGE = "/.well-known/acme-challenge/"


class ChallengeGateway:
    """Answers challenges on a loopback port, both directly and as the HTTP proxy of a client without our DNS."""

    def __init__(self, port: int, api: KubernetesApi) -> None:
        self._port = port
        self._api = api
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Begin to listen."""
        self._server = await asyncio.start_server(self._serve, LOOPBACK, self._port, limit=_LIMIT)

    async def stop(self) -> None:
        """Stop listening, if it does."""
        if self._server:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            host, path = parse_get(await reader.readuntil(b"\r\n\r\n"))
            answer = await asyncio.to_thread(self._answer, host, path)
            status, body = ("200 OK", answer) if answer else ("404 Not Found", "no route leads to a solver\n")
            head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            writer.write((head + body).encode())
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
            _LOG.debug("challenge connection ended: %s", error)
        finally:
            await close(writer)

    def _answer(self, host: str, path: str) -> str:
        try:
            return next(self._keys(host, path), "")
        except ApiError as error:
            _LOG.info("challenge for %s: %s", host, error)
            return ""

    def _keys(self, host: str, path: str) -> Iterator[str]:
        for route in self._api.list(_ROUTES):
            namespace = route["metadata"]["namespace"]
            if host not in route["spec"].get("hostnames", []) or not accepted(route):
                continue
            for name in backends(route, path):
                service = self._api.find(f"/api/v1/namespaces/{namespace}/services/{name}")
                for pod in self._pods(namespace, service):
                    yield from solves(pod, host, path)

    def _pods(self, namespace: str, service: Manifest | None) -> list[Manifest]:
        selector = (service or {}).get("spec", {}).get("selector") or {}
        if not selector:
            return []
        pods = self._api.list(f"/api/v1/namespaces/{namespace}/pods")
        return [pod for pod in pods if selector.items() <= labels_of(pod).items() and _ready(pod)]


def parse_get(request: bytes) -> tuple[str, str]:
    """Host and path of a GET, written for a server or for a proxy. Raises ``ValueError`` for any other request."""
    line, *headers = request.decode("ascii").split("\r\n")
    method, target, _ = line.split(" ")
    if method != "GET":
        raise ValueError(f"not a GET: {line!r}")
    named = next((text.partition(":")[2].strip() for text in headers if text.lower().startswith("host:")), "")
    url = urlsplit(target if "://" in target else f"http://{named}{target}")
    return url.hostname or "", url.path


def accepted(route: Manifest) -> bool:
    """Whether the controller of a Gateway took the route and found what it leads to."""
    wanted = {("Accepted", "True"), ("ResolvedRefs", "True")}
    parents = route.get("status", {}).get("parents") or []
    return any(wanted <= {(c["type"], c["status"]) for c in parent["conditions"]} for parent in parents)


def backends(route: Manifest, path: str) -> Iterator[str]:
    """The Services that the route sends this very path to."""
    for rule in route["spec"].get("rules", []):
        if any(match.get("path", {}).get("value") == path for match in rule.get("matches", [])):
            yield from (backend["name"] for backend in rule.get("backendRefs", []))


def solves(pod: Manifest, host: str, path: str) -> Iterator[str]:
    """What the pod's solver answers, by its arguments: one token of one host."""
    for container in pod["spec"]["containers"]:
        given = dict(argument.lstrip("-").partition("=")[::2] for argument in container.get("args", []))
        if given.get("domain") == host and path == f"{_CHALLENGE}{given.get('token')}":
            yield given["key"]


def _ready(pod: Manifest) -> bool:
    conditions = pod.get("status", {}).get("conditions") or []
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
