"""Renders the objects of a plan's Helm releases by `helm template`, with the values of the plan."""

import json
import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import yaml

from components.kube.kinds import CLUSTER_KINDS
from components.schema.yaml_text import YAML_LOADER
from zt.check.plan import Manifest, PlannedObject, PlannedRelease, as_manifest, text
from zt.check.remembered import Remembered, key_of, program_of
from zt.project.errors import ToolError
from zt.project.pool import Pool

_TIMEOUT_SECONDS = 120
# Increase it when the form of the cached objects changes, so that no older entry is used.
_FORMAT = "charts 1"
# Marks a secret among Pulumi's values; https://www.pulumi.com/docs/iac/concepts/secrets/
_CLASSIFIED = "4dabf18193072939515e22adb298388d"
_DOCUMENT = re.compile(r"^---[ \t]*$", re.MULTILINE)
# Definitions are left out: they are megabytes in some charts, and no rule applies to them.
_DEFINITION = re.compile(r"^kind: CustomResourceDefinition\s*$", re.MULTILINE)


def render(
    helm: Path, releases: Sequence[PlannedRelease], kubernetes: str, kept: Remembered | None = None
) -> tuple[list[PlannedObject], list[tuple[PlannedRelease, str]]]:
    """The objects of every release for a Kubernetes version, and the releases that could not be rendered, with reasons.

    A local chart that `kept` has an answer for is not rendered again.

    Raises `ToolError` when a chart exists but cannot be rendered.
    """
    objects: list[PlannedObject] = []
    missing: list[tuple[PlannedRelease, str]] = []
    with TemporaryDirectory(prefix="zt-charts-") as name, Pool(max(2, os.cpu_count() or 2)) as pool:
        rendered = [
            pool.submit(_render, Helm(helm, kubernetes, kept), release, Path(name) / f"{number}.json")
            for number, release in enumerate(releases)
        ]
        for release, future in zip(releases, rendered, strict=True):
            rendered_objects, why = future.result()
            objects += rendered_objects
            if why:
                missing.append((release, why))
    return objects, missing


def parse_rendered(rendered: str, release: PlannedRelease) -> list[PlannedObject]:
    """The objects in the output of `helm template`, placed in the release's namespace."""
    return _objects(documents(rendered), release)


def _objects(manifests: Iterable[Manifest], release: PlannedRelease) -> list[PlannedObject]:
    return [
        PlannedObject(
            as_manifest(document, "" if text(document, "kind") in CLUSTER_KINDS else release.namespace),
            release.urn,
            release.service,
            release.source,
            release.name,
        )
        for document in manifests
    ]


@dataclass(frozen=True)
class Helm:
    """The executable, the Kubernetes version that charts are rendered for, and the cache of rendered charts."""

    executable: Path
    kubernetes: str
    kept: Remembered | None = None


def _render(helm: Helm, release: PlannedRelease, values: Path) -> tuple[list[PlannedObject], str]:
    if release.beyond:
        return [], release.beyond
    if not _is_remote(release) and not Path(release.chart).exists():
        return [], f"the chart {release.chart!r} is not on this machine"
    key = _key(helm, release) if helm.kept else ""
    if helm.kept and key and (cached := helm.kept.get(key)) is not None:
        return _objects(cast("list[Manifest]", json.loads(cached)), release), ""
    values.write_text(json.dumps(release.values))
    try:
        done = subprocess.run(
            [str(helm.executable), *template_arguments(release, values, helm.kubernetes)],
            capture_output=True,
            text=True,
            check=False,
            timeout=_TIMEOUT_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolError(f"helm template {release.name}: {error}") from error
    stderr = done.stderr.strip()
    if not done.returncode:
        manifests = list(documents(done.stdout))
        if helm.kept and key:
            helm.kept.put(key, json.dumps(manifests, default=str))
        return _objects(manifests, release), ""
    # A repository that cannot be reached is not a fault of the plan.
    if _is_remote(release):
        return [], stderr.splitlines()[-1] if stderr else f"helm ended with status {done.returncode}"
    raise ToolError(f"helm template {release.name} {release.chart} ended with status {done.returncode}:\n{stderr}")


def template_arguments(release: PlannedRelease, values: Path, kubernetes: str) -> list[str]:
    """The arguments of helm that render a release, without its tests, which an installation never runs."""
    arguments = ["template", release.name, release.chart, "--namespace", release.namespace, "--values", str(values)]
    arguments += ["--skip-tests", "--kube-version", kubernetes]
    if release.repository:
        arguments += ["--repo", release.repository]
    if release.version and _is_remote(release):
        arguments += ["--version", release.version]
    return arguments


def _is_remote(release: PlannedRelease) -> bool:
    return bool(release.repository) or release.chart.startswith(("oci://", "https://", "http://"))


def _key(helm: Helm, release: PlannedRelease) -> str:
    """The cache key of a release's input; empty if the input is unknown or must not be cached."""
    values = json.dumps(release.values, sort_keys=True)
    chart = Path(release.chart)
    if _is_remote(release) or _CLASSIFIED in values:
        return ""
    files = [chart] if chart.is_file() else sorted(path for path in chart.rglob("*") if not path.is_dir())
    if any(path.is_symlink() for path in (chart, *chart.rglob("*"))):
        # Helm follows links, which may lead outside the chart.
        return ""
    content = (part for path in files for part in (str(path.relative_to(chart)), path.read_bytes()))
    return key_of(
        (_FORMAT, program_of(helm.executable), helm.kubernetes, release.name, release.namespace, values, *content)
    )


def documents(rendered: str) -> Iterator[Manifest]:
    """The documents of rendered charts, without definitions and without the values that charts generate for Secrets."""
    for part in _DOCUMENT.split(rendered):
        if _DEFINITION.search(part):
            continue
        loaded: object = yaml.load(part, Loader=YAML_LOADER)  # noqa: S506 - one of the two safe loaders
        document = cast("Manifest", loaded) if isinstance(loaded, dict) else {}
        if text(document, "apiVersion") and text(document, "kind"):
            yield _without_values(document) if document["kind"] == "Secret" else document


def _without_values(secret: Manifest) -> Manifest:
    """A Secret with its keys alone, so that no value gets into a file or a log. Rules only look at keys."""
    kept = {key: dict.fromkeys(cast("Manifest", secret[key]), "") for key in ("data", "stringData") if secret.get(key)}
    return {**secret, **kept}
