"""The real node: what it asks of the machine, what runs on it, and its images. tests/node proves that it runs."""

import asyncio
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from embedded.node import cgroups, machine, programs
from embedded.node.cgroups import Hierarchy
from embedded.node.configuration import write_kubelet
from embedded.node.errors import NodeError
from embedded.node.images import store as images_store
from embedded.node.images.archive import Content, write_archive
from embedded.node.images.store import ImageStore, in_full, let_go
from embedded.node.images.table import image_of
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
from embedded.toolchain import ToolchainError

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


class _Api:
    def __init__(self) -> None:
        self.changed: dict[str, Any] = {}

    def patch(self, path: str, change: dict[str, Any]) -> None:
        self.changed[path] = change


class _Node:
    """A node that imports whatever archive it is given."""

    def __init__(self) -> None:
        self.layout, self.host = self, HOSTS[0]
        self.tools = Path("/tools")
        self.imported: list[str] = []

    def run(self, *command: str) -> str:
        self.imported.append(command[-1])
        return ""


def _pod(*images: str, gates: tuple[str, ...] = (IMAGES_GATE,), node: str = "") -> dict[str, Any]:
    spec: dict[str, Any] = {"containers": [{"image": image} for image in images]}
    spec |= {"schedulingGates": [{"name": name} for name in gates]} if gates else {}
    spec |= {"nodeName": node} if node else {}
    return {"metadata": {"namespace": "shop", "name": "one"}, "spec": spec}


class TestImages:
    @pytest.fixture
    def store(self, monkeypatch: pytest.MonkeyPatch) -> ImageStore:
        monkeypatch.setattr(images_store, "archive_of", lambda image, *_: Path(f"/{image.name}.tar"))
        self.node = _Node()
        return ImageStore(self.node)  # pyright: ignore[reportArgumentType]

    @pytest.mark.parametrize(
        "reference",
        [API, "api", "localhost:5000/api", "docker.io/x/api:v1@sha256:00", "docker.io/x/api@sha256:00"],
    )
    def test_are_known_by_the_last_part_of_their_name(self, reference: str):
        image = image_of(reference)
        assert image
        assert image.name == "api"

    @pytest.mark.parametrize(
        ("reference", "full"),
        [
            (API, API),
            ("localhost/api:v1", "localhost/api:v1"),
            ("localhost:5000/api", "localhost:5000/api"),
            ("hashicorp/vault:2.0.4", "docker.io/hashicorp/vault:2.0.4"),
            ("redis:8", "docker.io/library/redis:8"),
        ],
    )
    def test_have_the_name_that_the_runtime_looks_for(self, reference: str, full: str):
        assert in_full(reference) == full

    def test_a_pod_waits_for_all_of_its_images(self, store: ImageStore):
        api = _Api()
        let_go(api, [_pod(API, "docker.io/library/nginx:1")], [store])  # pyright: ignore[reportArgumentType]
        assert api.changed == {}
        assert store.missing == {
            "docker.io/library/nginx:1": "no image docker.io/library/nginx:1: add a row for it in "
            "embedded/node/images/table.py"
        }
        assert self.node.imported == ["/api.tar"]

    def test_a_pod_is_let_go_and_keeps_the_gates_of_others(self, store: ImageStore):
        api = _Api()
        let_go(api, [_pod(API, gates=("other", IMAGES_GATE))], [store])  # pyright: ignore[reportArgumentType]
        assert api.changed == {"/api/v1/namespaces/shop/pods/one": {"spec": {"schedulingGates": [{"name": "other"}]}}}

    def test_a_pod_without_the_gate_is_left_alone(self, store: ImageStore):
        api = _Api()
        let_go(api, [_pod(API, gates=()), _pod(API, gates=("other",))], [store])  # pyright: ignore[reportArgumentType]
        assert api.changed == {}
        assert self.node.imported == []

    def test_a_pod_waits_until_each_node_has_them(self, store: ImageStore, monkeypatch: pytest.MonkeyPatch):
        api, other = _Api(), ImageStore(_Node())  # pyright: ignore[reportArgumentType]
        monkeypatch.setattr(other, "provide", lambda _: False)
        let_go(api, [_pod(API)], [store, other])  # pyright: ignore[reportArgumentType]
        assert api.changed == {}

    def test_what_is_on_the_node_has_its_images_after_a_start(self, store: ImageStore):
        store.provide_again([_pod(API, gates=(), node=NODE), _pod("x/redis:8", gates=(), node="node-a")])
        assert self.node.imported == ["/api.tar"]

    def test_what_cannot_be_fetched_is_said(self, store: ImageStore, monkeypatch: pytest.MonkeyPatch):
        def fails(*_: object) -> Path:
            raise ToolchainError("redis is not installed")

        monkeypatch.setattr(images_store, "archive_of", fails)
        assert not store.provide("x/redis:8")
        assert store.missing == {"x/redis:8": "image x/redis:8: redis is not installed"}

    def test_an_archive_is_whole(self, tmp_path: Path):
        root = tmp_path / "root"
        (root / "bin").mkdir(parents=True)
        (root / "bin" / "sh").write_text("shell")
        (root / "bin" / "sh").chmod(0o700)
        (root / "usr" / "share" / "doc").mkdir(parents=True)
        (root / "usr" / "share" / "doc" / "read.me").write_text("for people")
        program = tmp_path / "program"
        program.write_text("program")
        content = Content({"/": root}, {"/app": (program, 0o755)}, {"/bin/bash": "sh"}, without=("usr/share/*",))
        place = tmp_path / "image.tar"
        write_archive(place, API, content, {"Entrypoint": ["/app"]})
        with tarfile.open(place) as archive:
            index = json.loads(_read(archive, "index.json"))
            [named] = index["manifests"]
            assert named["annotations"] == {"io.containerd.image.name": API}
            manifest = json.loads(_blob(archive, named))
            config = json.loads(_blob(archive, manifest["config"]))
            [layer] = manifest["layers"]
            assert config["rootfs"]["diff_ids"] == [layer["digest"]]
            assert config["config"] == {"Entrypoint": ["/app"]}
            with tarfile.open(fileobj=io.BytesIO(_blob(archive, layer))) as files:
                entries = {entry.name: entry for entry in files}
                assert entries.keys() == {"bin", "bin/sh", "bin/bash", "app", "tmp", "usr", "usr/share"}
                # Containers run as users of their own.
                assert entries["bin/sh"].mode & 0o044 == 0o044
                assert entries["tmp"].mode == 0o1777
                assert {entry.uid for entry in entries.values()} == {0}
                assert entries["bin/bash"].linkname == "sh"


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    assert file
    return file.read()


def _blob(archive: tarfile.TarFile, descriptor: dict[str, Any]) -> bytes:
    content = _read(archive, f"blobs/{descriptor['digest'].replace(':', '/')}")
    assert descriptor["digest"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert descriptor["size"] == len(content)
    return content


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


class _Services(_Api):
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
