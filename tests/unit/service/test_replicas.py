"""Names of replicas that a file tells its program: each is there, and the program may connect to it."""

from pathlib import Path

import pytest

from components.schema.problem import ConfigError
from components.service.file.directory import read_services
from tests.unit.service.test_directory import OPEN, SMALL, write

pytestmark = pytest.mark.unit

VOLUME = "volumes: {data: {path: /data, size: 1Gi}}\n"
BROKER = f"{SMALL}replicas: 3\npeers: [8080, 7946]\ncallers: [client]\n{VOLUME}"
CLIENT = f"{SMALL}calls: [broker]\n"
OWN = "services/broker.yaml"


def problems(tmp_path: Path, broker: str = "", client: str = "", base: str = BROKER, caller: str = CLIENT) -> list[str]:
    try:
        read_services(write(tmp_path, broker=base + broker, client=caller + client), OPEN)
    except ConfigError as error:
        return [f"{problem.file}: {problem.key}: {problem.message}" for problem in error.problems]
    return []


@pytest.mark.parametrize(
    "text",
    [
        "args: ['tcp://broker-peers.shop.svc:7946', 'broker-2.broker-peers.shop.svc.cluster.local:8080']",
        "podEnv: {POD: name}\nenv: {NODE: 'broker@$(POD).broker-peers.shop.svc'}",
        "args: ['http://broker-{0...2}.broker-peers.shop.svc:8080/data']",
        "config: {files: {a: '*.broker-peers.shop.svc'}}",
        # Other people's.
        "args: [a-peers.elsewhere.svc, broker-peers.example.org]",
    ],
)
def test_what_peers_makes_is_there(tmp_path: Path, text: str) -> None:
    assert problems(tmp_path, broker=text) == []


def test_a_caller_reaches_each_replica_at_the_port_that_it_calls(tmp_path: Path) -> None:
    assert problems(tmp_path, client="args: ['broker-0.broker-peers.shop.svc:8080', broker-peers.shop.svc]") == []


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("args: [a, broker-3.broker-peers.shop.svc]", "args[1]: shop/broker has 3 of them at most"),
        ("env: {A: 'broker-peers.shop.svc:9094'}", "env.A: not a port at which it reaches a replica of shop/broker"),
        ("command: [x, 'brokr-peers.shop.svc']", "command[1]: no service brokr is in shop"),
        ("env: {A: client-0.broker-peers.shop.svc}", "env.A: the pods of shop/broker are called otherwise"),
        ("config: {files: {a: client-peers.shop.svc}}", "config.files.a: no replica of shop/client has a name"),
        ("jobs: {init: {args: [broker-peers.shop.svc]}}", "jobs.init.args[0]: a job is none of the replicas"),
        ("init: {a: {env: {B: brokr-peers.shop.svc}}}", "init.a.env.B: no service brokr is in shop"),
        ("secrets: {a: {values: {host: brokr-peers.shop.svc}}}", "secrets.a.values.host: no service brokr is in shop"),
        (
            "secrets: {a: {generate: [b], template: 'x@brokr-peers.shop.svc {{ .Data.data.b }}'}}",
            "secrets.a.template: no service brokr is in shop",
        ),
        ("sidecars: {a: {port: 9000, args: [brokr-peers.shop.svc]}}", "sidecars.a.args[0]: no service brokr is in"),
    ],
)
def test_a_name_that_no_replica_has_is_refused(tmp_path: Path, text: str, error: str) -> None:
    (problem,) = problems(tmp_path, broker=text)
    assert problem.startswith(f"{OWN}: {error}")


def test_so_is_one_that_the_caller_may_not_connect_to(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, client="args: ['broker-peers.shop.svc:7946']")
    assert problem.startswith("services/client.yaml: args[0]: not a port at which it reaches a replica of shop/broker")
    base = BROKER.replace("[8080, 7946]", "[7946]")
    (folder := tmp_path / "b").mkdir()
    (problem,) = problems(folder, base=base, client="args: [broker-peers.shop.svc]")
    assert problem.startswith("services/client.yaml: args[0]: it calls no port that shop/broker has under peers")


def test_pods_without_volumes_have_no_names(tmp_path: Path) -> None:
    base = BROKER.replace(VOLUME, "")
    (problem,) = problems(tmp_path, base=base, broker="podEnv: {POD: name}\nenv: {A: '$(POD).broker-peers.shop.svc'}")
    assert problem.startswith(f"{OWN}: env.A: the pods of shop/broker have no names of their own")


def test_an_autoscaler_may_make_as_many_as_it_says(tmp_path: Path) -> None:
    base = BROKER.replace("replicas: 3", "autoscaling: {min: 2, max: 4}")
    assert problems(tmp_path, base=base, broker="args: [broker-3.broker-peers.shop.svc]") == []
