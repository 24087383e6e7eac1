"""The way of an ACME challenge on the embedded stack: a route that was accepted, its Service, a ready solver pod."""

import asyncio
from collections.abc import Callable, Coroutine
from copy import deepcopy
from typing import Any, cast

import pytest
import urllib3

from embedded.supervisor.challenge_gateway import ChallengeGateway, parse_get
from embedded.supervisor.kubernetes_api import KubernetesApi, Manifest
from embedded.supervisor.ports import LOOPBACK, choose_ports

pytestmark = pytest.mark.unit

HOST, PATH, KEY = "api.example.org", "/.well-known/acme-challenge/token1", "token1.thumbprint"
OBJECTS: dict[str, Any] = {
    "route": {
        "metadata": {"name": "cm-acme-http-solver-1", "namespace": "istio-ingress"},
        "spec": {
            "hostnames": [HOST],
            "rules": [
                {
                    "matches": [{"path": {"type": "Exact", "value": PATH}}],
                    "backendRefs": [{"name": "solver", "port": 8089}],
                }
            ],
        },
        "status": {
            "parents": [
                {"conditions": [{"type": "Accepted", "status": "True"}, {"type": "ResolvedRefs", "status": "True"}]}
            ]
        },
    },
    "service": {"metadata": {"name": "solver"}, "spec": {"selector": {"solver": "1"}}},
    "pod": {
        "metadata": {"name": "solver-1", "labels": {"solver": "1"}},
        "spec": {
            "containers": [
                {"args": ["--listen-port=8089", f"--domain={HOST}", "--token=token1", f"--key={KEY}"]},
            ]
        },
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    },
}


class Cluster:
    """The API, as far as the gateway asks it."""

    def __init__(self, objects: dict[str, Manifest]) -> None:
        self.objects = objects

    def list(self, path: str) -> list[Manifest]:
        kind = "route" if path.endswith("/httproutes") else "pod"
        return [self.objects[kind]] if kind in self.objects else []

    def find(self, path: str) -> Manifest | None:
        assert path == "/api/v1/namespaces/istio-ingress/services/solver"
        return self.objects.get("service")


async def asked(port: int, objects: dict[str, Manifest], url: str) -> tuple[int, str]:
    gateway = ChallengeGateway(port, cast("KubernetesApi", Cluster(objects)))
    await gateway.start()
    try:
        proxy = urllib3.ProxyManager(f"http://{LOOPBACK}:{port}", retries=False, timeout=5)
        answer = await asyncio.to_thread(proxy.request, "GET", url)
        return answer.status, answer.data.decode()
    finally:
        await gateway.stop()


def run(work: Coroutine[None, None, tuple[int, str]]) -> tuple[int, str]:
    # `asyncio.run` would leave the thread without the loop that Pulumi's own tests look for.
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(work)
    finally:
        loop.close()


@pytest.fixture
def port(tmp_path: Any) -> int:
    return choose_ports(tmp_path / "ports.json", ["challenges"])["challenges"]


def test_a_challenge_finds_its_solver(port: int) -> None:
    assert run(asked(port, OBJECTS, f"http://{HOST}{PATH}")) == (200, KEY)


def without(kind: str) -> Callable[[dict[str, Any]], object]:
    return lambda objects: objects.pop(kind)


@pytest.mark.parametrize(
    "broken",
    [
        without("route"),
        without("service"),
        without("pod"),
        lambda objects: objects["route"]["spec"].update(hostnames=["other.example.org"]),
        lambda objects: objects["route"].pop("status"),
        lambda objects: objects["route"]["status"]["parents"][0]["conditions"][0].update(status="False"),
        lambda objects: objects["route"]["spec"]["rules"][0]["matches"][0]["path"].update(value="/"),
        lambda objects: objects["service"]["spec"].update(selector={}),
        lambda objects: objects["service"]["spec"].update(selector={"solver": "2"}),
        lambda objects: objects["pod"]["status"]["conditions"][0].update(status="False"),
        lambda objects: objects["pod"]["spec"]["containers"][0].update(args=["--domain=other.example.org"]),
        lambda objects: objects["pod"]["spec"]["containers"][0].update(args=[f"--domain={HOST}", "--token=token2"]),
    ],
)
def test_whatever_is_missing_on_the_way_is_missing_here(port: int, broken: Callable[[Any], object]) -> None:
    objects = deepcopy(OBJECTS)
    broken(objects)
    assert run(asked(port, objects, f"http://{HOST}{PATH}"))[0] == 404


@pytest.mark.parametrize(
    ("request_", "place"),
    [
        (b"GET /a HTTP/1.1\r\nHost: api.example.org:80\r\n\r\n", (HOST, "/a")),
        (b"GET http://api.example.org/a?b=c HTTP/1.1\r\nHost: other\r\n\r\n", (HOST, "/a")),
        (b"GET /a HTTP/1.0\r\n\r\n", ("", "/a")),
    ],
)
def test_a_request_is_read_as_a_server_and_as_a_proxy(request_: bytes, place: tuple[str, str]) -> None:
    assert parse_get(request_) == place


@pytest.mark.parametrize("request_", [b"POST / HTTP/1.1\r\n\r\n", b"nonsense\r\n\r\n", b"\xff / HTTP/1.1\r\n\r\n"])
def test_nothing_but_a_get_is_answered(request_: bytes) -> None:
    with pytest.raises(ValueError, match=r"not a GET|unpack|decode"):
        parse_get(request_)
