"""Published applications that need more than the examples do: each is a plan, and reaches what its file names.

An application learns where others are from its own settings, which no schema knows: a name that nothing answers at is
found here.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.program.plan import plan
from components.service.args.service import SecureServiceArgs
from components.service.manifests.egress import sidecar
from components.service.manifests.peers import peers_service
from components.service.manifests.workload import service_spec, workload_spec
from tests.support.examples import EXAMPLES, example_stack

pytestmark = pytest.mark.unit

APPLICATIONS = sorted(path.parent for path in (Path(__file__).parent / "applications").glob("*/services"))
_REPLICA = re.compile(r"(?:\b([a-z0-9-]+)-([0-9]+)\.)?\b([a-z0-9-]+)-peers\.([a-z0-9-]+)\.svc(?::([0-9]+))?")
Services = dict[str, SecureServiceArgs]


def services_of(folder: Path, environment: str = "production") -> Services:
    return {args.name: args for args in plan(example_stack(folder, environment)).services}


@pytest.mark.parametrize("folder", APPLICATIONS, ids=lambda folder: folder.name)
@pytest.mark.parametrize("environment", ["production", "staging"])
def test_it_is_planned(folder: Path, environment: str) -> None:
    assert len(services_of(folder, environment)) == len(list((folder / "services").glob("*.yaml")))


def replicas_named(args: SecureServiceArgs) -> Iterator[tuple[str, ...]]:
    """The replicas that an application is told of: service, number, service of the peers, namespace and port."""
    texts = [*args.env.values(), *args.command, *args.arguments, *args.config.files.values()]
    texts += [secret.template for secret in args.secrets]
    yield from (found.groups("") for text in texts for found in _REPLICA.finditer(text))


@pytest.mark.parametrize("folder", [*APPLICATIONS, *EXAMPLES], ids=lambda folder: folder.name)
def test_each_replica_that_it_names_is_there_and_known_to_its_proxy(folder: Path) -> None:
    services = services_of(folder)
    for args in services.values():
        for pod, number, name, namespace, port in replicas_named(args):
            callee = services[name]
            made, known = peers_service(callee), sidecar(args)
            assert made
            assert known
            assert pod in ("", name)
            assert int(number or 0) < callee.smallest
            assert not pod or callee.stateful, "only pods of a StatefulSet have names"
            assert namespace == callee.namespace
            assert not port or int(port) in [each["port"] for each in made["spec"]["ports"]]
            assert f"{namespace}/{name}-peers.{namespace}.svc.cluster.local" in known["spec"]["egress"][0]["hosts"]


def test_each_application_with_replicas_is_among_them() -> None:
    """Those whose clients choose a node, too."""
    named = {
        (args.name, found[2])
        for folder in APPLICATIONS
        for args in services_of(folder).values()
        for found in replicas_named(args)
    }
    assert {("broker", "controller"), ("producer", "broker"), ("rabbitmq", "rabbitmq"), ("loki", "loki")} <= named
    assert {("solr", "zookeeper"), ("web", "redis"), ("rocketchat", "mongodb"), ("etcd", "etcd")} <= named


def _pod(args: SecureServiceArgs) -> Any:
    return workload_spec(args)["template"]["spec"]


def test_brokers_reach_each_controller_and_controllers_no_broker() -> None:
    services = services_of(next(folder for folder in APPLICATIONS if folder.name == "kafka"))
    known = {name: (sidecar(args) or {})["spec"]["egress"][0]["hosts"] for name, args in services.items()}
    assert "streams/controller-peers.streams.svc.cluster.local" in known["broker"]
    assert "streams/broker-peers.streams.svc.cluster.local" in known["producer"]
    assert not [host for host in known["controller"] if "broker" in host]
    assert not [host for host in known["producer"] if "controller" in host]


def test_a_server_that_is_not_root_has_a_port_of_root() -> None:
    services = services_of(next(folder for folder in APPLICATIONS if folder.name == "gitea"))
    assert 22 in [port["port"] for port in service_spec(services["gitea"])["ports"]]
    assert '"value": "22"' in json.dumps(_pod(services["gitea"])["securityContext"])


def test_what_the_roles_of_temporal_call_by_address_is_handed_on_as_it_is() -> None:
    """A proxy knows a pod's address for tcp alone: a request of gRPC to one is refused, as to any unknown host."""
    services = services_of(next(folder for folder in APPLICATIONS if folder.name == "temporal"))
    for caller, callee in [(a, b) for a in ("frontend", "history", "matching") for b in ("history", "matching")]:
        made, known = peers_service(services[callee]), sidecar(services[caller])
        assert made
        assert known
        assert {port["appProtocol"] for port in made["spec"]["ports"]} == {"tcp"}
        assert f"flows/{callee}-peers.flows.svc.cluster.local" in known["spec"]["egress"][0]["hosts"]
    spoken = {port["port"]: port["appProtocol"] for port in service_spec(services["frontend"])["ports"]}
    assert (spoken[7233], spoken[7236]) == ("grpc", "tcp")
    assert [peer.port for peer in services["orders"].calls] == [7233]
