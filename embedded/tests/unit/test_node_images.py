"""The images of the real node: their names, the pods that wait for them, and what an archive holds."""

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from embedded.node.images import store as images_store
from embedded.node.images.archive import Content, write_archive
from embedded.node.images.store import ImageStore, in_full, let_go
from embedded.node.images.table import image_of
from embedded.node.names import HOSTS, IMAGES_GATE, NODE
from embedded.tests.unit.recording_api import RecordingApi
from embedded.toolchain import ToolchainError

pytestmark = pytest.mark.unit

API = "registry.example.org/shop/api:v1.2.3"


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
        api = RecordingApi()
        let_go(api, [_pod(API, "docker.io/library/nginx:1")], [store])  # pyright: ignore[reportArgumentType]
        assert api.changed == {}
        assert store.missing == {
            "docker.io/library/nginx:1": "no image docker.io/library/nginx:1: add a row for it in "
            "embedded/node/images/table.py"
        }
        assert self.node.imported == ["/api.tar"]

    def test_a_pod_is_let_go_and_keeps_the_gates_of_others(self, store: ImageStore):
        api = RecordingApi()
        let_go(api, [_pod(API, gates=("other", IMAGES_GATE))], [store])  # pyright: ignore[reportArgumentType]
        assert api.changed == {"/api/v1/namespaces/shop/pods/one": {"spec": {"schedulingGates": [{"name": "other"}]}}}

    def test_a_pod_without_the_gate_is_left_alone(self, store: ImageStore):
        api = RecordingApi()
        let_go(api, [_pod(API, gates=()), _pod(API, gates=("other",))], [store])  # pyright: ignore[reportArgumentType]
        assert api.changed == {}
        assert self.node.imported == []

    def test_a_pod_waits_until_each_node_has_them(self, store: ImageStore, monkeypatch: pytest.MonkeyPatch):
        api, other = RecordingApi(), ImageStore(_Node())  # pyright: ignore[reportArgumentType]
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
