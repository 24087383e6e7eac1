"""The real node: what it asks of the machine, and what runs on it. tests/node proves that it runs."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from embedded.node import cgroups, machine, programs
from embedded.node.cgroups import Hierarchy
from embedded.node.configuration import write_kubelet
from embedded.node.errors import NodeError
from embedded.node.load_balancer import addresses_of, give_addresses
from embedded.node.names import HOSTS, IMAGES_GATE, NODE, NODE_ADDRESS, REAL, VAULT_ADDRESS
from embedded.node.objects import SIMULATED_NAMESPACES, placement
from embedded.node.volumes import provide
from embedded.paths import State
from embedded.supervisor.controllers import CONTROLLERS
from embedded.supervisor.core_programs import kwok
from embedded.supervisor.egress import EgressProxy
from embedded.supervisor.layout import Layout
from embedded.supervisor.overlay import write_overlay
from embedded.supervisor.pki import KeyPair, Pki
from embedded.supervisor.presentation import Reporter
from embedded.tests.unit.recording_api import RecordingApi

pytestmark = pytest.mark.unit

API = "registry.example.org/shop/api:v1.2.3"


class TestMachine:
    def test_without_root_it_says_so_and_what_to_do(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr("os.geteuid", lambda: 1000)
        with pytest.raises(NodeError, match=r"--node needs root: .*sudo make up NODE=1.* or without --node"):
            machine.check_machine(data_plane=False)

    def test_the_node_and_the_data_plane_exclude_each_other(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr("os.geteuid", lambda: 0)
        with pytest.raises(NodeError, match="--node takes the place of --data-plane"):
            machine.check_machine(data_plane=True)


class TestControlGroups:
    def test_reads_both_versions_from_the_mounts(self, tmp_path: Path):
        mounts = tmp_path / "mountinfo"
        mounts.write_text(
            "31 24 0:26 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n"
            "32 24 0:27 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,release_agent=/x,name=systemd\n"
            "33 24 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n"
            "34 24 0:29 / /tmp rw - tmpfs tmpfs rw\n"
        )
        assert cgroups.hierarchies(mounts) == [
            Hierarchy(Path("/sys/fs/cgroup/memory"), "memory", 1),
            Hierarchy(Path("/sys/fs/cgroup/systemd"), "name=systemd", 1),
            Hierarchy(Path("/sys/fs/cgroup/unified"), "", 2),
        ]

    def test_a_machine_without_any_is_named(self, tmp_path: Path):
        (tmp_path / "mountinfo").write_text("34 24 0:29 / /tmp rw - tmpfs tmpfs rw\n")
        with pytest.raises(NodeError, match="no control groups are mounted"):
            cgroups.hierarchies(tmp_path / "mountinfo")

    def test_removes_what_an_earlier_node_left(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(cgroups, "hierarchies", lambda: [Hierarchy(tmp_path, "memory", 1)])
        (tmp_path / "zero-trust-1" / "kubepods" / "pod1").mkdir(parents=True)
        (tmp_path / "others").mkdir()
        cgroups.remove("zero-trust-1")
        assert [group.name for group in tmp_path.iterdir()] == ["others"]

    def test_two_checkouts_have_groups_of_their_own(self):
        assert cgroups.group_name(Path("/one/.embedded")) != cgroups.group_name(Path("/two/.embedded"))


class TestPlacement:
    def test_the_platforms_own_pods_stay_simulated(self):
        (policy, binding), (daemons, _) = placement()
        [expression] = policy["spec"]["matchConstraints"]["namespaceSelector"]["matchExpressions"]
        assert expression["operator"] == "NotIn"
        assert set(expression["values"]) == set(SIMULATED_NAMESPACES)
        assert "istio-ingress" not in SIMULATED_NAMESPACES
        assert binding["spec"] == {"policyName": policy["metadata"]["name"]}
        # Those of a DaemonSet choose their nodes themselves, in every namespace.
        assert daemons["spec"]["matchConstraints"]["namespaceSelector"]["matchExpressions"] == []
        conditions = [made["spec"]["matchConditions"][0]["expression"] for made in (policy, daemons)]
        assert conditions[0].startswith(f"!({conditions[1]}) && !(")
        # Vault's servers run, and its injector is played.
        assert "vault" not in SIMULATED_NAMESPACES
        assert "'-agent-injector'" in conditions[0]

    def test_no_pod_is_admitted_unplaced(self):
        for policy, _ in placement():
            assert policy["spec"]["failurePolicy"] == "Fail"
            assert policy["spec"]["matchConstraints"]["resourceRules"][0]["resources"] == ["pods"]
            assert IMAGES_GATE in policy["spec"]["mutations"][0]["jsonPatch"]["expression"]

    def test_kwok_leaves_the_node_alone(self, tmp_path: Path):
        state = State(tmp_path).create()
        layout = Layout(state, Path("/tools"), {"kwok": 20001, "kube-apiserver": 20002}, Pki(state.pki))
        assert f"--manage-nodes-with-label-selector=!{REAL}" in kwok(layout).arguments


class TestPrograms:
    def test_the_kubelet_changes_no_parameter_of_this_machine(self, tmp_path: Path):
        pair = KeyPair(tmp_path / "crt", tmp_path / "key")
        write_kubelet(tmp_path / "kubelet.yaml", HOSTS[0], pair, tmp_path / "ca", tmp_path / "resolv.conf")
        said = yaml.safe_load((tmp_path / "kubelet.yaml").read_text())
        assert said["protectKernelDefaults"] is True
        assert said["oomScoreAdj"] == 0
        assert said["authentication"]["anonymous"] == {"enabled": False}
        assert said["authorization"] == {"mode": "Webhook"}
        assert said["readOnlyPort"] == 0

    def test_the_first_process_ends_with_the_supervisor_and_all_with_it(self, tmp_path: Path):
        state = State(tmp_path).create()
        layout = Layout(state, Path("/tools"), {}, Pki(state.pki))

        class Network:
            enter = ("nsenter", "--net=/proc/1/fd/5", "--")

        made = programs.init_program(layout, Network(), [tmp_path / "group"], tmp_path, HOSTS[1])  # pyright: ignore[reportArgumentType]
        assert {"--pid", "--mount", "--cgroup", "--kill-child"} <= set(made.arguments)
        assert made.name == "node-1"

    def test_a_way_to_a_simulated_pod_is_that_of_its_revision(self):
        [istiod] = [row for row in CONTROLLERS if row.name == "istiod"]
        pod = {
            "metadata": {
                "namespace": "istio-system",
                "labels": {"app": "istiod", "pod-template-hash": "6c"},
                "ownerReferences": [{"kind": "ReplicaSet", "name": "istiod-1-31-0-6c"}],
            }
        }
        made = istiod.of_pod(pod)
        assert made
        assert (made.name, made.suffix) == ("istiod-1-31-0", "-1-31-0")
        assert istiod.of_pod({"metadata": {**pod["metadata"], "namespace": "shop"}}) is None


class TestPresentation:
    def test_the_summary_says_how_many_pods_run(self, capsys: pytest.CaptureFixture[str]):
        pods = [{"runs": runs, "node": NODE if runs else "node-a"} for runs in (True, False, False)]
        Reporter().where_pods_run({"node": {"name": NODE, "pods": pods, "missing_images": ["no image x"]}})
        said = capsys.readouterr()
        assert "1 pods run on real-0, 2 are simulated: make status" in said.out
        assert "error: no image x" in said.err

    @pytest.mark.parametrize("status", [None, {"node": None}])
    def test_without_the_node_it_says_nothing(self, status: Any, capsys: pytest.CaptureFixture[str]):
        Reporter().where_pods_run(status)
        assert capsys.readouterr() == ("", "")


class TestLoadBalancer:
    def test_each_service_that_asks_gets_an_address_of_its_own_and_keeps_it(self):
        api = _Services(
            {"name": "one", "type": "LoadBalancer", "ip": "203.0.113.129"},
            {"name": "two", "type": "LoadBalancer"},
            {"name": "three", "type": "LoadBalancer"},
            {"name": "four", "type": "ClusterIP"},
        )
        give_addresses(api)  # pyright: ignore[reportArgumentType]
        assert {path: next(addresses_of(change)) for path, change in api.changed.items()} == {
            "/api/v1/namespaces/web/services/two/status": "203.0.113.130",
            "/api/v1/namespaces/web/services/three/status": "203.0.113.131",
        }


class TestVolumes:
    def test_each_claim_that_waits_gets_a_volume_that_is_only_its_own(self, tmp_path: Path):
        unscheduled = _claim("four", "Pending")
        del unscheduled["metadata"]["annotations"]
        api = _Claims(
            *(_claim("one", "Pending"), _claim("two", "Bound"), _claim("three", "Pending", "other")),
            unscheduled,
        )
        provide(api, tmp_path)  # pyright: ignore[reportArgumentType]
        [volume] = api.made
        assert volume["spec"]["claimRef"]["uid"] == "uid-one"
        assert volume["spec"]["local"] == {"path": "/var/lib/volumes/local-uid-one"}
        assert volume["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
        [term] = volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
        assert term["matchExpressions"][0]["values"] == ["real-1"]
        assert [place.name for place in tmp_path.iterdir()] == ["local-uid-one"]
        provide(api, tmp_path)  # pyright: ignore[reportArgumentType]


class _Claims:
    def __init__(self, *claims: dict[str, Any]) -> None:
        self._claims = claims
        self.made: list[dict[str, Any]] = []

    def list(self, _path: str) -> tuple[dict[str, Any], ...]:
        return self._claims

    def ensure(self, _collection: str, manifest: dict[str, Any]) -> None:
        if manifest not in self.made:
            self.made.append(manifest)


def _claim(name: str, phase: str, kind: str = "local") -> dict[str, Any]:
    return {
        "metadata": {
            "namespace": "shop",
            "name": name,
            "uid": f"uid-{name}",
            "annotations": {"volume.kubernetes.io/selected-node": "real-1"},
        },
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
            "storageClassName": kind,
        },
        "status": {"phase": phase},
    }


class _Services(RecordingApi):
    def __init__(self, *services: dict[str, str]) -> None:
        super().__init__()
        self._services = services

    def list(self, _path: str) -> list[dict[str, Any]]:
        return [
            {
                "metadata": {"namespace": "web", "name": service["name"]},
                "spec": {"type": service["type"]},
                "status": {"loadBalancer": {"ingress": [{"ip": service["ip"]}]} if "ip" in service else {}},
            }
            for service in self._services
        ]


def test_pods_of_the_node_have_an_address_of_vault(tmp_path: Path) -> None:
    state = State(tmp_path).create()
    state.ports.write_text(json.dumps({"vault": 20001, "kube-apiserver": 20002}))
    write_overlay(state, Path("/charts"))
    assert "cidrs" not in yaml.safe_load(state.overlay.read_text())["vault"]
    write_overlay(state, Path("/charts"), node=True)
    assert yaml.safe_load(state.overlay.read_text())["vault"]["cidrs"] == [f"{VAULT_ADDRESS}/32"]


def test_the_api_server_reaches_the_kubelet_through_the_nodes_network(tmp_path: Path) -> None:
    asked: list[tuple[str, int]] = []

    async def kubelet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"kubelet:" + await reader.read(100))
        writer.close()

    class Network:
        def reaches(self, host: str, port: int) -> bool:
            return (host, port) == (NODE_ADDRESS, 10250)

        async def connect(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            asked.append((host, port))
            return await asyncio.open_unix_connection(tmp_path / "kubelet")

    async def ask() -> bytes:
        proxy = EgressProxy(tmp_path / "egress", lambda *_: None, Network())
        await proxy.start()
        server = await asyncio.start_unix_server(kubelet, tmp_path / "kubelet")
        async with server:
            reader, writer = await asyncio.open_unix_connection(tmp_path / "egress")
            writer.write(f"CONNECT {NODE_ADDRESS}:10250 HTTP/1.1\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            writer.write(b"logs")
            writer.write_eof()
            answer = await reader.read()
        await proxy.stop()
        return head + answer

    assert asyncio.run(ask()) == b"HTTP/1.1 200 Connection established\r\n\r\nkubelet:logs"
    assert asked == [(NODE_ADDRESS, 10250)]
