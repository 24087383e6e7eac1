"""A listener of a gateway that a package brings: what others may call takes the mesh's mutual TLS, or is refused."""

from pathlib import Path
from typing import Any

import pytest

from components.schema.problem import ConfigError
from tests.support.packages import API, DAYS, FILE, Manifest, labels, objects, stack_of, write
from tests.unit.package.test_injected_pods import gateway

pytestmark = pytest.mark.unit

NAME = "public"
GRANTS = [{"kind": "Gateway", "names": [NAME], **DAYS}]
OPTION = "gateway.istio.io/tls-terminate-mode"
CALLED = {"callers": ["shop/api"], "expose": [{"service": "web", "port": 80}]}
CALLER = {**API, "calls": ["guests/guestbook"]}


def of_istio(port: int, tls: Any = None, selector: Any = None) -> Manifest:
    server = {"port": {"number": port, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}
    spec = {"selector": selector or labels("web"), "servers": [{**server, **({"tls": tls} if tls else {})}]}
    return {"apiVersion": "networking.istio.io/v1", "kind": "Gateway", "metadata": {"name": NAME}, "spec": spec}


def of_kubernetes(port: int, options: Any = None, address: str = "web", **more: Any) -> Manifest:
    tls = {"tls": {"mode": "Terminate", "options": options}} if options else {}
    spec = {
        "gatewayClassName": "istio",
        "addresses": [{"type": "Hostname", "value": address}],
        "listeners": [{"name": "http", "port": port, "protocol": "HTTP", **tls}],
        **more,
    }
    meta = {"name": NAME}
    return {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": meta, "spec": spec}


def problems(root: Path, made: list[Manifest], /, **changes: Any) -> list[str]:
    file = {**FILE, "callers": [], "grants": GRANTS, **changes}
    services = {"api": CALLER} if changes.get("callers") else {}
    try:
        stack_of(write(root, made, file, **services))
    except ConfigError as error:
        return [str(problem) for problem in error.problems]
    return []


PLAINTEXT = [
    of_istio(80),
    of_istio(80, {"mode": "SIMPLE", "credentialName": "own"}),
    # The number of the pods' port, where no Service has it.
    of_istio(8080),
    of_kubernetes(80),
    of_kubernetes(80, {OPTION: "MUTUAL"}),
    of_kubernetes(80, address="web.guests.svc.cluster.local"),
]


@pytest.mark.parametrize("listener", PLAINTEXT)
def test_a_plaintext_listener_that_others_call_is_refused(tmp_path: Path, listener: Manifest) -> None:
    [line] = problems(tmp_path / "called", [*gateway(), listener], **CALLED)
    assert "expose[0].port: its callers send mutual TLS, and Gateway public listens there without" in line
    assert "ISTIO_MUTUAL" in line
    public = [{"service": "web", "port": 80, "host": "guests.example.org"}]
    [line] = problems(tmp_path, [*gateway(), listener], expose=public)
    assert "expose[0].port: its callers send mutual TLS" in line
    within = [{"workloads": ["store"], "service": "web", "port": 80}]
    [line] = problems(tmp_path, [*gateway(), listener], expose=[], between=within)
    assert "between[0].port: its callers send mutual TLS" in line


@pytest.mark.parametrize("listener", PLAINTEXT)
def test_nobody_calls_it_and_it_is_no_matter(tmp_path: Path, listener: Manifest) -> None:
    assert problems(tmp_path, [*gateway(), listener], expose=[{"service": "web", "port": 80}]) == []


@pytest.mark.parametrize(
    "listener",
    [
        of_istio(80, {"mode": "ISTIO_MUTUAL"}),
        of_istio(81),
        of_istio(80, selector=labels("other")),
        of_kubernetes(80, {OPTION: "ISTIO_MUTUAL"}),
        of_kubernetes(81),
        of_kubernetes(80, address="web.other.svc.cluster.local"),
    ],
)
def test_one_with_the_meshs_tls_or_of_something_else_passes(tmp_path: Path, listener: Manifest) -> None:
    assert problems(tmp_path, [*gateway(), listener], **CALLED) == []


def test_before_an_application_the_mesh_takes_the_tls_off(tmp_path: Path) -> None:
    assert problems(tmp_path, [*objects(), of_istio(80)], **CALLED) == []


@pytest.mark.parametrize("addresses", [[], [{"value": "10.0.0.9"}]])
def test_pods_that_istiod_makes_are_of_no_package(tmp_path: Path, addresses: Any) -> None:
    lines = problems(tmp_path, [*gateway(), of_kubernetes(80, addresses=addresses)])
    assert any("values: the chart brings Gateway public, and istiod would make its pods" in line for line in lines)
    other = of_kubernetes(80, addresses=addresses, gatewayClassName="envoy")
    assert problems(tmp_path, [*gateway(), other]) == []
