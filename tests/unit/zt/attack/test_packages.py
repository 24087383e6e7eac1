"""The attacks on what packages bring: who may reach it, whom it may reach, and what an open policy lets through."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from components.kube.names import WORKLOAD_LABEL
from components.program.plan import plan
from tests.support.packages import API, FILE, objects, stack_of, write
from tests.unit.zt.attack.stack import PROXY, Stack, address, network_policy
from zt.attack.command import Connections
from zt.attack.connections import edges
from zt.attack.packets.packet import Way
from zt.attack.packets.parcels import to_services
from zt.attack.session import Declared, Session
from zt.cli import app

pytestmark = pytest.mark.unit

PACKAGE = {**FILE, "callers": ["shop/api"], "calls": [{"service": "shop/api", "workloads": ["web"]}]}
SERVICE = {**API, "calls": ["guests/guestbook"], "callers": ["guests/guestbook"], "secrets": {"a": {"generate": ["b"]}}}
DECLARED = {("shop/api", "guests/web:8080"), ("guests/web", "shop/api:8080"), ("guests/web", "guests/store:6379")}


def packaged_pod(name: str) -> dict[str, Any]:
    container = {"name": name, "image": f"registry.example.org/guestbook/{name}:v1"}
    labels = {WORKLOAD_LABEL: name, "app.kubernetes.io/component": name}
    return {
        "metadata": {"name": f"{name}-1", "namespace": "guests", "labels": labels},
        "spec": {"serviceAccountName": name, "initContainers": [PROXY], "containers": [container], "volumes": []},
        "status": {"phase": "Running", "podIP": address(name)},
    }


@pytest.fixture
def stack(stack: Stack) -> Stack:
    """The services, and the pods of a package, closed like those."""
    stack.pods = [stack.pods[0], *map(packaged_pod, ("web", "store"))]
    closed = network_policy("default-deny", {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]})
    stack.network.append({**closed, "metadata": {"name": "default-deny", "namespace": "guests"}})
    return stack


@pytest.fixture
def project(tmp_path: Path) -> Path:
    from tests.support.stacks import ROOT

    root = write(tmp_path / "project", objects(), PACKAGE, api=SERVICE)
    for name in ("policies", "Pulumi.production.yaml"):
        (root / name).symlink_to(ROOT / name)
    return root


@pytest.fixture
def session(stack: Stack, project: Path) -> Session:
    read = stack_of(project)
    declared = Declared(
        "production",
        read.posture,
        "cluster.local",
        read.services,
        read.services[0],
        packages=tuple(plan(read).packages),
    )
    return Session(declared, stack.cluster(None), None)


@pytest.fixture
def run(stack: Stack, project: Path) -> Callable[..., dict[str, Any]]:
    """The attempts of a run, by name."""
    beats = itertools.count()
    connections = Connections(stack.cluster, stack.vault, lambda: next(beats) / 10)

    def run(*names: str) -> dict[str, Any]:
        where = ["--stack", "production", "--vault-addr", "https://vault.example.org:8200", "--project", str(project)]
        only = [word for name in names for word in ("--only", name)]
        done = CliRunner().invoke(app, ["attack", *where, *only, "--format", "json"], obj=connections)
        assert done.stdout, done.stderr
        return {row["name"]: row for attack in json.loads(done.stdout)["attacks"] for row in attack["attempts"]}

    return run


def test_each_pair_is_an_edge_and_those_of_the_files_are_declared(session: Session) -> None:
    found = list(edges(session))
    pairs = {(str(edge.source), f"{edge.target}:{edge.port}") for edge in found}
    targets = {"shop/api:8080", "guests/web:8080", "guests/store:6379"}
    names = {"shop/api", "guests/web", "guests/store"}
    everybody = {*names, "shop/intruder"}
    assert pairs == {(a, b) for a in everybody for b in targets if a != b.partition(":")[0]}
    assert {(str(edge.source), f"{edge.target}:{edge.port}") for edge in found if edge.declared} == DECLARED


def test_a_packet_to_a_service_of_a_chart_has_that_one_s_port(session: Session) -> None:
    to_web = {(one.by, one.host, one.port) for one in to_services(session) if str(one.target) == "guests/web"}
    assert (Way.NAME, "web.guests.svc", 80) in to_web
    assert (Way.ADDRESS, address("web"), 8080) in to_web


CLOSED = ("connect-in", "connect-out", "identity-undeclared", "plaintext")


def test_a_closed_package_lets_nobody_in(run: Callable[..., dict[str, Any]]) -> None:
    assert {name: row["result"] for name, row in run(*CLOSED).items()} == dict.fromkeys(CLOSED, "blocked")


def test_an_open_network_policy_of_a_package_is_found(stack: Stack, run: Callable[..., dict[str, Any]]) -> None:
    everybody = {"podSelector": {}, "ingress": [{}]}
    stack.network.append({"metadata": {"name": "open", "namespace": "guests"}, "spec": everybody})
    found = run("connect-in")["connect-in"]
    assert (found["result"], "guests/" in found["answer"]) == ("succeeded", True)


def test_an_identity_that_a_package_takes_from_everybody_is_found(
    stack: Stack, run: Callable[..., dict[str, Any]]
) -> None:
    stack.authorization.append({"metadata": {"name": "open", "namespace": "guests"}, "spec": {"rules": [{}]}})
    found = run("identity-undeclared")["identity-undeclared"]
    assert (found["result"], "guests/" in found["answer"]) == ("succeeded", True)


def test_a_way_out_of_a_package_s_pods_to_a_service_is_found(stack: Stack, run: Callable[..., dict[str, Any]]) -> None:
    from_guests = {"from": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {WORKLOAD_LABEL: "store"}}}]}
    stack.network.append(
        network_policy("open", {"podSelector": {"matchLabels": {"app": "api"}}, "ingress": [from_guests]})
    )
    found = run("connect-in")["connect-in"]
    assert (found["result"], "guests/store to shop/api:8080" in found["answer"]) == ("succeeded", True)
