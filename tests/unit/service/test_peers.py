"""Replicas that reach each other, and nobody else at these ports."""

from itertools import product
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi_kubernetes import Provider

from components.kyverno.library import load_library
from components.program.plan import plan
from components.program.stack import read_stack
from components.schema.problem import ConfigError, FieldError
from components.service.args.service import SecureServiceArgs
from components.service.file.directory import Admission, parse_service, read_services
from components.service.manifests.authorization import authorization_policy
from components.service.manifests.egress import sidecar
from components.service.manifests.network_policy import mesh_objects, network_policy_spec
from components.service.manifests.peers import peers_service
from components.service.manifests.workload import service_spec, workload_spec
from components.service.secure_service import SecureService
from tests.support.monitor import record
from tests.support.stacks import service, settings
from tests.unit.service.test_directory import SMALL, write
from zt.facts.model import Reach
from zt.facts.read import facts_of

pytestmark = pytest.mark.unit

PEERS = "peers: [9092, 9093]\n"
ALONE = SMALL.replace("r.example.org", "registry.example.org")
VOLUME = "volumes: {data: {path: /data, size: 1Gi}}\n"
OPEN = Admission((), api_server_reachable=True)
REPLICA = {
    "podSelector": {"matchLabels": {"app": "kafka"}},
    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}},
}


def kafka(directory: Path, more: str = PEERS, **changes: Any) -> SecureServiceArgs:
    write(directory, kafka=ALONE + more)
    [args] = plan(read_stack(directory, "Pulumi.production.yaml", settings("production", **changes))).services
    return args


def test_each_has_a_name_of_its_own_before_it_is_ready(tmp_path: Path) -> None:
    args = kafka(tmp_path, PEERS + VOLUME)
    made = peers_service(args)
    assert made
    assert made["metadata"]["name"] == "kafka-peers"
    assert (made["spec"]["clusterIP"], made["spec"]["publishNotReadyAddresses"]) == ("None", True)
    assert [(port["port"], port["appProtocol"]) for port in made["spec"]["ports"]] == [(9092, "tcp"), (9093, "tcp")]
    assert workload_spec(args)["serviceName"] == "kafka-peers"


@pytest.mark.parametrize(
    ("ports", "spoken"),
    [
        ("protocol: tcp\n", {8080: "tcp", 9001: "tcp", 9002: "tcp"}),
        ("ports: {grpc: 9001}\n", {8080: "http", 9001: "grpc", 9002: "tcp"}),
        ("protocol: http2\nmetrics: {port: 9001}\n", {8080: "kubernetes.io/h2c", 9001: "http", 9002: "tcp"}),
    ],
)
def test_a_port_speaks_one_protocol_whichever_service_leads_to_it(
    tmp_path: Path, ports: str, spoken: dict[int, str]
) -> None:
    scraped = {"mesh": {"scraper": {"namespace": "monitoring", "serviceAccount": "prometheus"}}}
    args = kafka(tmp_path, f"{ports}peers: [8080, 9001, 9002]\n", **scraped)
    made = peers_service(args)
    assert made
    assert {port["port"]: port["appProtocol"] for port in made["spec"]["ports"]} == spoken
    own = {port["port"]: port["appProtocol"] for port in service_spec(args)["ports"]}
    assert own.items() <= spoken.items()


def test_who_calls_a_port_of_the_replicas_knows_each_of_them(tmp_path: Path) -> None:
    """As clients of Kafka have to, which are told the names of the brokers."""
    callee = "protocol: tcp\nports: {admin: 9001}\npeers: [8080]\ncallers: [web, 'ops:admin']\n"
    write(tmp_path, kafka=ALONE + callee, web=f"{ALONE}calls: [kafka]\n", ops=f"{ALONE}calls: ['kafka:admin']\n")
    services = plan(read_stack(tmp_path, "Pulumi.production.yaml", settings("production"))).services
    known = {args.name: (sidecar(args) or {})["spec"]["egress"][0]["hosts"] for args in services}
    headless = "shop/kafka-peers.shop.svc.cluster.local"
    assert {name for name, hosts in known.items() if headless in hosts} == {"kafka", "web"}
    assert all("shop/kafka.shop.svc.cluster.local" in known[name] for name in ("web", "ops"))


def test_a_service_without_peers_is_as_it_was(tmp_path: Path) -> None:
    args = kafka(tmp_path, VOLUME)
    assert peers_service(args) is None
    assert workload_spec(args)["serviceName"] == "kafka"


@pytest.mark.parametrize(
    ("more", "policy"),
    [
        # The first of a cluster would wait for the others, and the second for the first.
        (PEERS + VOLUME, "Parallel"),
        (PEERS + VOLUME + "startInOrder: true\n", None),
        (PEERS + VOLUME + "startInOrder: false\n", "Parallel"),
        (VOLUME, None),
        # A Deployment starts them together anyhow.
        (PEERS, None),
    ],
)
def test_they_start_together_unless_the_file_says_otherwise(tmp_path: Path, more: str, policy: str | None) -> None:
    assert workload_spec(kafka(tmp_path, more)).get("podManagementPolicy") == policy


@pytest.mark.parametrize("more", ["", PEERS, VOLUME])
def test_an_order_that_nobody_keeps_is_refused(more: str) -> None:
    with pytest.raises(ConfigError, match=r"x\.yaml:\d+: startInOrder: replicas with peers and volumes of their own"):
        parse_service(f"{SMALL}{more}startInOrder: true\n", "services/x.yaml")
    with pytest.raises(FieldError, match=r"shop\.api\.startInOrder: replicas with peers"):
        service(start_in_order=True)


def test_network_and_mesh_let_them_through_to_each_other_alone(tmp_path: Path) -> None:
    args = kafka(tmp_path)
    policy = network_policy_spec(args)
    for direction, side in (("ingress", "from"), ("egress", "to")):
        [rule] = [rule for rule in policy[direction] if 9092 in [port["port"] for port in rule["ports"]]]
        assert rule[side] == [REPLICA]
        assert [port["port"] for port in rule["ports"]] == [9092, 9093]
    allowed = authorization_policy(args)
    assert allowed
    assert allowed["spec"]["rules"] == [
        {
            "from": [{"source": {"principals": ["cluster.local/ns/shop/sa/kafka"]}}],
            "to": [{"operation": {"ports": ["9092", "9093"]}}],
        }
    ]
    known = sidecar(args)
    assert known
    assert "shop/kafka-peers.shop.svc.cluster.local" in known["spec"]["egress"][0]["hosts"]


def test_a_replica_accepts_the_certificate_of_another_one_alone(tmp_path: Path) -> None:
    rules = [made["spec"] for made in mesh_objects(kafka(tmp_path)) if made["kind"] == "DestinationRule"]
    identity = {"mode": "ISTIO_MUTUAL", "subjectAltNames": ["spiffe://cluster.local/ns/shop/sa/kafka"]}
    assert {spec["host"]: spec["trafficPolicy"]["tls"] for spec in rules} == {
        f"{name}.shop.svc.cluster.local": identity for name in ("kafka", "kafka-peers")
    }


@pytest.mark.parametrize(
    ("stack", "data_plane"), [("dev", "sidecar"), *product(["production", "staging"], ["sidecar", "ambient"])]
)
def test_in_every_posture_it_is_a_connection_to_itself(tmp_path: Path, stack: str, data_plane: str) -> None:
    write(tmp_path, kafka=ALONE + PEERS, web=ALONE)
    read = read_stack(tmp_path, f"Pulumi.{stack}.yaml", settings(stack, mesh={"dataPlane": data_plane}))
    facts = facts_of(read, plan(read), load_library())
    reached = {(fact.source, fact.port) for fact in facts if isinstance(fact, Reach) and fact.target == "shop/kafka"}
    source = "shop/kafka" if read.posture.closed else "*"
    assert {port for origin, port in reached if origin == source} >= {9092, 9093}
    assert not read.posture.closed or {origin for origin, _ in reached} == {source}


def test_in_the_ambient_mode_they_come_through_the_tunnel(tmp_path: Path) -> None:
    policy = network_policy_spec(kafka(tmp_path, mesh={"dataPlane": "ambient"}))
    [rule] = [rule for rule in policy["ingress"] if rule["from"] == [REPLICA]]
    assert [port["port"] for port in rule["ports"]] == [15008]


def test_a_job_of_theirs_is_no_peer(tmp_path: Path) -> None:
    args = kafka(tmp_path, PEERS + "jobs: {night: {schedule: '0 3 * * *'}}\n")

    def program() -> None:
        SecureService("shop.kafka", args, pulumi.ResourceOptions(providers=[Provider("cluster")]))

    made = record(program)
    assert sorted(each.name for each in made.of("Service")) == ["shop.kafka", "shop.kafka.peers"]
    [policy] = [each for each in made.of("NetworkPolicy") if each.name == "shop.kafka.night"]
    assert "9092" not in str(policy.inputs["spec"])


@pytest.mark.parametrize(
    ("texts", "error"),
    [
        ({"a": SMALL + "peers: [9092, 9092]"}, r"a\.yaml:5: peers\[1\]: it stands there twice"),
        ({"a": SMALL + "peers: [15001]"}, r"peers\[0\]: ports 15000 to 15099 are the mesh proxy's"),
        ({"a": SMALL + "peers: [0]"}, r"peers\[0\]"),
        ({"a": SMALL + f"peers: [1]\nname: {'x' * 58}"}, r"name: longer than 57 characters"),
        (
            {"a": SMALL + "peers: [1]", "a-peers": SMALL},
            r"a\.yaml:5: peers: the Service of its peers is called a-peers, as the service a-peers is in shop",
        ),
        (
            {"a": SMALL + "peers: [1]\njobs: {peers: {schedule: '0 3 * * *'}}"},
            r"a\.yaml:\d: peers: the Service of its peers is called a-peers, as the job peers of a is in shop",
        ),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, texts: dict[str, str], error: str) -> None:
    with pytest.raises(ConfigError, match=error):
        read_services(write(tmp_path, **texts), OPEN)


def test_in_code_they_are_ports_too(tmp_path: Path) -> None:
    good = kafka(tmp_path)
    with pytest.raises(FieldError, match="peers"):
        SecureServiceArgs("x", "shop", "t", good.image, 80, good.platform, peers=[15001])
