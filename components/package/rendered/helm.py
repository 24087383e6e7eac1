"""Renders a package: a chart by `helm template`, or the manifests of a folder. Nothing is sent to a cluster.

Helm's own hooks are among the objects, and its tests are not. https://helm.sh/docs/helm/helm_template/
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import yaml

from components.kube.charts import OCI, OLDEST_KUBERNETES, ChartSources
from components.kube.manifest import Manifest
from components.package.file.chart import ChartSpec
from components.package.file.keys import PackageSpec
from components.schema.problem import Key
from components.schema.yaml_text import YAML_LOADER

_TIMEOUT_SECONDS = 120
_KUBERNETES = ".".join(map(str, (*OLDEST_KUBERNETES, 0)))
_SHOWN = 600


class RenderError(Exception):
    """A package that cannot be rendered: the key of its file that says what, why, and the value there."""

    def __init__(self, key: Key, message: str, value: str = "") -> None:
        super().__init__(message)
        self.key, self.message, self.value = key, message, value


@dataclass(frozen=True)
class Renderer:
    """Renders the packages of a project. `charts` is where a stack takes charts from."""

    root: Path
    charts: ChartSources

    def manifests(self, spec: PackageSpec, *, steady: bool = True) -> list[Manifest]:
        """The objects of a package, as the chart writes them. Raises `RenderError`.

        With `steady` it is rendered twice, and refused if the two differ. What came out twice in an earlier run is
        rendered once: values that differ each time make a text that was never there before.
        """
        if spec.manifests is not None:
            return list(self._folder(spec.manifests))
        chart = cast("ChartSpec", spec.chart)
        with TemporaryDirectory(prefix="zero-trust-chart-") as name:
            place = self.chart(chart, Path(name))
            values = Path(name) / "values.json"
            values.write_text(json.dumps(spec.values, default=str), encoding="utf-8")
            first = self._template(spec, chart, place, values)
            made = list(_documents(first, ("chart",)))
            if steady and not (known := _known_steady(first)).exists():
                _refuse_changed(first, made, self._template(spec, chart, place, values))
                # Nothing rests on it but this second rendering. Where it cannot be written, the next run does that too.
                with suppress(OSError):
                    known.parent.mkdir(parents=True, exist_ok=True)
                    known.touch()
        return made

    def text(self, spec: PackageSpec) -> str:
        """What Helm renders of a chart, each object with the file that it comes from. Raises `RenderError`."""
        chart = cast("ChartSpec", spec.chart)
        with TemporaryDirectory(prefix="zero-trust-chart-") as name:
            values = Path(name) / "values.json"
            values.write_text(json.dumps(spec.values, default=str), encoding="utf-8")
            return self._template(spec, chart, self.chart(chart, Path(name)), values)

    def _folder(self, folder: str) -> Iterator[Manifest]:
        place = self.root / folder
        files = sorted(path for path in place.rglob("*") if path.suffix in (".yaml", ".yml")) if place.is_dir() else []
        if not files:
            raise RenderError(("manifests",), "no folder of this project with YAML files", repr(folder))
        for path in files:
            yield from _documents(path.read_text(encoding="utf-8"), ("manifests",))

    def chart(self, chart: ChartSpec, into: Path) -> Path:
        """The folder of a chart, or its archive, which is downloaded `into` a folder. Raises `RenderError`."""
        if chart.folder is not None:
            place = self.root / chart.folder
            if not (place / "Chart.yaml").is_file():
                raise RenderError(("chart", "folder"), "no chart: there is no Chart.yaml in it", repr(chart.folder))
            return place
        if self.charts.directory is not None:
            return _unpacked(Path(self.charts.directory), chart)
        return _pulled(chart, into)

    def _template(self, spec: PackageSpec, chart: ChartSpec, place: Path, values: Path) -> str:
        arguments = ["template", spec.name, str(place), "--namespace", spec.namespace, "--values", str(values)]
        # Helm's own version would be that of whoever built it, and differ between machines.
        arguments += ["--include-crds", "--skip-tests", "--kube-version", chart.kubernetes or _KUBERNETES]
        arguments += [part for api in chart.apis for part in ("--api-versions", api)]
        return _helm(arguments, ("chart",))


def defaults(renderer: Renderer, spec: PackageSpec) -> tuple[Manifest, str]:
    """The values that a chart has by itself, and the version of its application. Raises `RenderError`."""
    chart = cast("ChartSpec", spec.chart)
    with TemporaryDirectory(prefix="zero-trust-chart-") as name:
        place = renderer.chart(chart, Path(name))
        values, about = (_mapping(_helm(["show", what, str(place)], ("chart",))) for what in ("values", "chart"))
    return values, str(about.get("appVersion", ""))


def pinned(renderer: Renderer, name: str, repository: str, version: str) -> Manifest:
    """The section `chart` of a package file, with the digest of what the repository has now. Raises `RenderError`.

    With the stack's directory of charts nothing is downloaded, and the digest is that of no archive.
    """
    section: Manifest = {"name": name, "repository": repository, "version": version}
    if renderer.charts.directory is not None:
        return {**section, "digest": f"sha256:{'0' * 64}"}
    with TemporaryDirectory(prefix="zero-trust-chart-") as into:
        remote = repository.startswith(OCI)
        where = [f"{repository}/{name}"] if remote else [name, "--repo", repository]
        pulled = _run(["pull", *where, "--version", version, "--destination", into], ("chart",))
        if remote:
            # Which of the two outputs has it differs between the versions of Helm.
            found = re.search(r"Digest: (sha256:[0-9a-f]{64})", pulled.stdout + pulled.stderr)
            if found is None:
                raise RenderError(("chart",), "helm pull names no digest: install Helm 3.14 or later")
            return {**section, "digest": found[1]}
        [archive] = Path(into).glob("*.tgz")
        return {**section, "digest": _digest(archive)}


def _mapping(text: str) -> Manifest:
    loaded: object = yaml.load(text, Loader=YAML_LOADER)  # noqa: S506 - one of the two safe loaders
    return cast("Manifest", loaded) if isinstance(loaded, dict) else {}


def _unpacked(directory: Path, chart: ChartSpec) -> Path:
    """The chart in the stack's directory of charts, if it has the version that the file says."""
    place = directory / str(chart.name)
    try:
        held = yaml.safe_load((place / "Chart.yaml").read_text(encoding="utf-8"))["version"]
    except (OSError, KeyError, TypeError, yaml.YAMLError) as error:
        raise RenderError(
            ("chart", "name"), f"no chart in {directory}, the stack's charts.directory", repr(chart.name)
        ) from error
    if str(held).removeprefix("v") != str(chart.version).removeprefix("v"):
        raise RenderError(("chart", "version"), f"{place} has version {held}", repr(chart.version))
    return place


def _pulled(chart: ChartSpec, into: Path) -> Path:
    """The archive of a chart, which has the digest that the file says."""
    repository, name, digest = str(chart.repository), str(chart.name), str(chart.digest)
    kept = _cache() / f"{digest.removeprefix('sha256:')}.tgz"
    remote = repository.startswith(OCI)
    if kept.is_file() and (remote or _digest(kept) == digest):
        return kept
    where = [f"{repository}/{name}@{digest}"] if remote else [name, "--repo", repository]
    arguments = ["pull", *where, *([] if remote else ["--version", str(chart.version)]), "--destination", str(into)]
    _helm(arguments, ("chart",))
    [archive] = into.glob("*.tgz")
    if not remote and (held := _digest(archive)) != digest:
        raise RenderError(("chart", "digest"), f"what {repository} has is {held}", repr(digest))
    kept.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(archive, fresh := kept.with_suffix(f".{os.getpid()}"))
    fresh.replace(kept)
    return kept


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zero-trust-platform" / "packages"


def _known_steady(rendered: str) -> Path:
    """The empty file that says of a rendering that it came out twice."""
    return _cache() / "steady" / hashlib.sha256(rendered.encode()).hexdigest()


def _digest(archive: Path) -> str:
    return f"sha256:{hashlib.sha256(archive.read_bytes()).hexdigest()}"


def _helm(arguments: Sequence[str], key: Key) -> str:
    return _run(arguments, key).stdout


def _run(arguments: Sequence[str], key: Key) -> subprocess.CompletedProcess[str]:
    helm = shutil.which("helm")
    if helm is None:
        raise RenderError(key, "helm is not on PATH, and a chart is rendered by it: install Helm 3.14 or later")
    try:
        done = subprocess.run([helm, *arguments], capture_output=True, text=True, check=False, timeout=_TIMEOUT_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RenderError(key, f"helm {arguments[0]}: {error}") from error
    if done.returncode:
        said = " ".join(done.stderr.split())
        raise RenderError(key, f"helm {arguments[0]} ended with status {done.returncode}: {said[-_SHOWN:]}")
    return done


def _documents(text: str, key: Key) -> Iterator[Manifest]:
    try:
        for document in _loaded(text):
            if document is None:
                continue
            made = cast("Manifest", document) if isinstance(document, dict) else {}
            metadata = made.get("metadata")
            whole = made.get("apiVersion") and made.get("kind") and isinstance(metadata, dict)
            if not whole and made.get("kind") != "List":
                raise RenderError(
                    key, "it renders what is no Kubernetes object: apiVersion, kind and metadata are needed"
                )
            yield made
    except yaml.YAMLError as error:
        raise RenderError(key, f"it renders what is no YAML: {' '.join(str(error).split())[:_SHOWN]}") from error


def _loaded(text: str) -> list[object]:
    """The documents of a text. A chart's objects are the same in most renderings, so each is read once."""
    try:
        return [document for each in re.split(r"^(?=---)", text, flags=re.MULTILINE) for document in _read(each)]
    except yaml.YAMLError:
        # A directive, such as %YAML, stands before the line that begins its document.
        return list(cast("Iterator[object]", yaml.load_all(text, Loader=YAML_LOADER)))


@lru_cache(maxsize=1024)
def _read(text: str) -> tuple[object, ...]:
    return tuple(cast("Iterator[object]", yaml.load_all(text, Loader=YAML_LOADER)))


def _refuse_changed(first: str, made: Sequence[Manifest], second: str) -> None:
    if second == first or not (changed := _changed(made, list(_documents(second, ("chart",))))):
        return
    message = f"each rendering has other values in {changed}, so each run would change it: set them in values"
    raise RenderError(("values",), message)


def _changed(first: Sequence[Manifest], second: Sequence[Manifest]) -> str:
    """The objects that differ between two renderings; empty if only their text does."""
    other = {_identity(each): each for each in second}
    return ", ".join(sorted({_identity(each) for each in first if other.get(_identity(each)) != each}))


def _identity(manifest: Manifest) -> str:
    metadata = cast("Manifest", manifest.get("metadata") or {})
    return f"{manifest.get('kind')} {metadata.get('name', '')}"
