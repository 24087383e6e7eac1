"""`zt attack` on the production stack with a node: packets are sent, and each control alone stops its own."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from typer.testing import CliRunner

from embedded.node.names import METADATA_ADDRESS, OUTSIDE_ADDRESS
from tests.e2e.attack_weakenings import Weaken, allow, call, collection, network_policy, permissive, without_rule
from tests.e2e.plane import Plane
from tests.node.cluster import Cluster
from tests.support.waiting import eventually
from zt.cli import app

pytestmark = pytest.mark.node

# The only image with curl is that of api; as a probe pod it is anybody's.
PROBE = "registry.example.org/shop/api:v1.2.3"
SERVICES = {"shop/api", "shop/postgres", "shop/redis"}
DECLARED = {("shop/api", "shop/postgres"), ("shop/api", "shop/redis")}
PACKETS = ("packets", "packets-past-the-proxy", "packets-outside", "packets-host-network", "packets-names")
SHELL = ("shell-env", "shell-vault-read", "shell-kubectl-get", "shell-kubectl-run")


@dataclass(frozen=True)
class Found:
    """What a run of `zt attack` says."""

    code: int
    differing: int
    rows: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])

    def packets(self, name: str) -> list[dict[str, Any]]:
        return self.rows[name]["packets"]


@pytest.fixture(scope="module")
def cluster(production: Cluster) -> Cluster:
    return production


def attack(cluster: Cluster, *names: str) -> Found:
    words = ["attack", "--stack", "production", "--embedded", "--project", str(cluster.plane.checkout)]
    words += ["--format", "json", "--probe-image", PROBE, "--internet", OUTSIDE_ADDRESS]
    words += [word for name in names for word in ("--only", name)]
    done = CliRunner(env={"ZERO_TRUST_EMBEDDED_DIR": str(cluster.plane.state)}).invoke(app, words)
    assert done.stdout, done.stderr
    document = json.loads(done.stdout)
    rows = {row["name"]: row for attack in document["attacks"] for row in attack["attempts"]}
    return Found(done.exit_code, document["summary"]["differing"], rows)


@contextmanager
def listening(cluster: Cluster) -> Iterator[None]:
    """Somebody is at the metadata service and on the internet."""
    with ExitStack() as open_:
        for address, port in ((METADATA_ADDRESS, 80), (OUTSIDE_ADDRESS, 443), (OUTSIDE_ADDRESS, 53)):
            open_.enter_context(cluster.somebody_at(address, port))
        yield


class TestEveryControlOn:
    @pytest.fixture(scope="class")
    def found(self, cluster: Cluster) -> Found:
        with listening(cluster):
            return attack(cluster, *PACKETS, *SHELL)

    def test_nothing_gets_through_and_everything_is_as_the_rules_say(self, found: Found) -> None:
        results = {name: row["result"] for name, row in found.rows.items()}
        assert results == dict.fromkeys((*PACKETS, *SHELL), "blocked"), found.rows
        assert (found.code, found.differing) == (0, 0), [
            one for name in PACKETS for one in found.rows[name].get("packets", []) if one["differs"]
        ]

    def test_every_undeclared_edge_was_tried_by_each_way(self, found: Found) -> None:
        tried = {(one["from"], one["to"].partition(":")[0], one["by"]) for one in found.packets("packets")}
        for source in {*SERVICES, "shop/intruder"}:
            for target in SERVICES - {source}:
                ways = {by for sender, to, by in tried if (sender, to) == (source, target)}
                declared = (source, target) in DECLARED
                assert ways == ({"Service", "name"} if declared else {"pod address", "Service", "name"})

    def test_the_declared_ones_are_open(self, found: Found) -> None:
        declared = [one for one in found.packets("packets") if one["declared"]]
        assert {(one["from"], one["to"].partition(":")[0]) for one in declared} == DECLARED
        assert {one["sent"] for one in declared} == {"open"}

    def test_the_pod_itself_sends_where_it_has_what_is_needed(self, found: Found) -> None:
        senders = {one["from"] for one in found.packets("packets-outside")}
        assert senders == {"shop/api", "shop/api without a proxy"}
        targets = {one["to"] for one in found.packets("packets-outside")}
        assert {f"{METADATA_ADDRESS}:80", f"{OUTSIDE_ADDRESS}:443", "198.18.0.10:10250"} <= targets

    def test_each_command_says_itself_why_it_failed(self, found: Found) -> None:
        for name, word in (("shell-vault-read", "vault read"), ("shell-kubectl-get", "kubectl get pods")):
            assert f"$ {word}" in found.rows[name]["answer"]

    def test_no_probe_pod_stays(self, cluster: Cluster, found: Found) -> None:
        assert found
        assert cluster.pod("zt-attack", "shop") is None


EVERYTHING = network_policy({"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [{}], "egress": [{}]})
ANYBODY = allow({"selector": {"matchLabels": {"app": "postgres"}}, "rules": [{}]})


@contextmanager
def wide_sidecar(plane: Plane) -> Iterator[None]:
    """The proxy of redis knows every service of its namespace."""
    path = f"{collection('networking.istio.io/v1', 'sidecars', 'shop')}/redis"
    before = call(plane, "GET", path)["spec"]["egress"]
    call(plane, "PATCH", path, {"spec": {"egress": [{"hosts": ["./*", "istio-system/*"]}]}})
    try:
        yield
    finally:
        call(plane, "PATCH", path, {"spec": {"egress": before}})


@dataclass(frozen=True)
class Layers:
    """An attempt, an edge of it, and the controls that are in its way, each with what the judgement says of it."""

    attempt: str
    source: str
    controls: dict[str, Weaken]


LAYERS = (
    Layers("packets-outside", "shop/api without a proxy", {"no egress rule": EVERYTHING}),
    Layers(
        "packets",
        "shop/redis",
        {
            "rule of shop/": EVERYTHING,
            "no host of Sidecar shop/redis": wide_sidecar,
            "no rule of AuthorizationPolicy": ANYBODY,
        },
    ),
    Layers(
        "packets-past-the-proxy",
        "shop/api without a proxy",
        {"PeerAuthentication": permissive, "no rule of AuthorizationPolicy": ANYBODY},
    ),
    Layers(
        "packets-host-network",
        "shop/neighbour in the node's network",
        {
            "disallow-host-namespaces": without_rule("disallow-host-namespaces"),
            "PeerAuthentication": permissive,
            "no rule of AuthorizationPolicy": ANYBODY,
        },
    ),
)


@pytest.mark.parametrize("layers", LAYERS, ids=lambda layers: layers.attempt)
def test_packets_arrive_without_the_controls_and_each_alone_stops_them(cluster: Cluster, layers: Layers) -> None:
    plane = cluster.plane
    off = {said: ExitStack() for said in layers.controls}

    def arrives() -> bool:
        found = attack(cluster, layers.attempt)
        return found.code == 1 and any(one["sent"] == "open" for one in _undeclared(found, layers))

    with listening(cluster), ExitStack() as everything:
        for said, weaken in layers.controls.items():
            everything.push(off[said])
            off[said].enter_context(weaken(plane))
        eventually(arrives, f"{layers.attempt} without any control", timeout=180)
        for said, weaken in layers.controls.items():
            off[said].close()
            eventually(
                lambda said=said: _stopped(attack(cluster, layers.attempt), layers, said),
                f"{layers.attempt} is stopped by {said} alone",
                timeout=180,
            )
            if len(layers.controls) > 1:
                off[said].enter_context(weaken(plane))
                eventually(arrives, f"{layers.attempt} without any control, again", timeout=180)


def _undeclared(found: Found, layers: Layers) -> list[dict[str, Any]]:
    """The packets of the edge's source: those of others have fewer controls in their way."""
    packets = found.rows[layers.attempt].get("packets", [])
    return [one for one in packets if one["from"] == layers.source and not one["declared"]]


def _stopped(found: Found, layers: Layers, said: str) -> bool:
    row, own = found.rows[layers.attempt], _undeclared(found, layers)
    if found.differing or any(one["sent"] == "open" for one in own):
        return False
    if not own:
        return row["result"] == "blocked" and said in row["answer"]
    return any(said in one["rule"] for one in own)
