"""Writes an image as an OCI archive (https://github.com/opencontainers/image-spec): one layer, one name."""

import hashlib
import io
import json
import os
import tarfile
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

_DIRECTORY, _FILE = 0o755, 0o644
_CONFIG = "application/vnd.oci.image.config.v1+json"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_ANY_TIME = "1970-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class Content:
    """What is in an image. ``trees`` are directories whose content begins at a place of the image, in this order.
    ``without`` are patterns of paths in them, each a file or a directory, that are left out.

    ``files`` are single ones by their place, each with its mode; ``links`` symbolic ones; ``scratch`` directories that
    everybody may write to.
    """

    trees: Mapping[str, Path] = field(default_factory=dict[str, Path])
    files: Mapping[str, tuple[Path, int]] = field(default_factory=dict[str, tuple[Path, int]])
    links: Mapping[str, str] = field(default_factory=dict[str, str])
    scratch: Iterable[str] = ("tmp",)
    without: Iterable[str] = ()


def write_archive(place: Path, name: str, content: Content, config: Mapping[str, object]) -> None:
    """Write the archive of an image with this name in full. ``config`` is its section of that name."""
    with tempfile.TemporaryDirectory(dir=place.parent) as scratch:
        layer = Path(scratch) / "layer.tar"
        _write_layer(layer, content)
        fresh = Path(scratch) / place.name
        _write_image(fresh, name, layer, config)
        fresh.replace(place)


def _write_layer(layer: Path, content: Content) -> None:
    with tarfile.open(layer, "w") as archive:
        for place, root in content.trees.items():
            for path in sorted(root.rglob("*")):
                inside = _inside(place, path.relative_to(root))
                if not _left_out(inside, content.without):
                    archive.add(path, inside, recursive=False, filter=_of_root)
        for place, (path, mode) in content.files.items():
            with path.open("rb") as file:
                archive.addfile(_entry(place, mode, size=path.stat().st_size), file)
        for place, target in content.links.items():
            entry = _entry(place, 0o777)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            archive.addfile(entry)
        for place in content.scratch:
            entry = _entry(place, 0o1777)
            entry.type = tarfile.DIRTYPE
            archive.addfile(entry)


def _inside(place: str, path: Path) -> str:
    return os.fspath(Path(place.strip("/")) / path)


def _left_out(path: str, patterns: Iterable[str]) -> bool:
    below = [path, *(str(parent) for parent in Path(path).parents)]
    return any(fnmatch(place, pattern) for place in below for pattern in patterns)


def _of_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = 0
    # Readable by every user that a container may run as.
    entry.mode |= _DIRECTORY if entry.isdir() else _FILE
    return entry


def _entry(place: str, mode: int, size: int = 0) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(place.strip("/"))
    entry.mode, entry.size = mode, size
    return entry


def _write_image(place: Path, name: str, layer: Path, config: Mapping[str, object]) -> None:
    with layer.open("rb") as file:
        layer_digest = hashlib.file_digest(file, "sha256").hexdigest()
    described = {
        "created": _ANY_TIME,
        "architecture": "amd64",
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer_digest}"]},
    }
    configuration = json.dumps(described).encode()
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": _descriptor(_CONFIG, configuration),
            "layers": [{"mediaType": _LAYER, "digest": f"sha256:{layer_digest}", "size": layer.stat().st_size}],
        }
    ).encode()
    named = {**_descriptor(_MANIFEST, manifest), "annotations": {"io.containerd.image.name": name}}
    index = json.dumps({"schemaVersion": 2, "mediaType": _INDEX, "manifests": [named]}).encode()
    with tarfile.open(place, "w") as archive:
        _add(archive, "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
        _add(archive, "index.json", index)
        for blob in (configuration, manifest):
            _add(archive, f"blobs/sha256/{hashlib.sha256(blob).hexdigest()}", blob)
        with layer.open("rb") as file:
            archive.addfile(_entry(f"blobs/sha256/{layer_digest}", _FILE, layer.stat().st_size), file)


def _descriptor(kind: str, content: bytes) -> dict[str, object]:
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    return {"mediaType": kind, "digest": digest, "size": len(content)}


def _add(archive: tarfile.TarFile, place: str, content: bytes) -> None:
    archive.addfile(_entry(place, _FILE, len(content)), io.BytesIO(content))
