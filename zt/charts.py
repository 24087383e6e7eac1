"""The objects of a plan's Helm releases, rendered by `helm template` with the values of the plan."""

import json
import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import yaml

from components.yaml_loader import YAML_LOADER
from zt.plan import Manifest, PlannedObject, PlannedRelease, as_manifest, text
from zt.tool_error import ToolError

_TIMEOUT_SECONDS = 120
_DOCUMENT = re.compile(r"^---[ \t]*$", re.MULTILINE)
# Megabytes in some charts, and no rule judges a definition.
_DEFINITION = re.compile(r"^kind: CustomResourceDefinition\s*$", re.MULTILINE)
# Kinds without a namespace that charts carry; for every other kind the release's own is the default.
_CLUSTER_KINDS = frozenset(
    {
        "APIService",
        "ClusterIssuer",
        "ClusterRole",
        "ClusterRoleBinding",
        "GatewayClass",
        "IngressClass",
        "MutatingAdmissionPolicy",
        "MutatingWebhookConfiguration",
        "Namespace",
        "PersistentVolume",
        "PriorityClass",
        "StorageClass",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "ValidatingWebhookConfiguration",
    }
)


def render(
    helm: Path, releases: Sequence[PlannedRelease], kubernetes: str
) -> tuple[list[PlannedObject], list[tuple[PlannedRelease, str]]]:
    """The objects of every release for a Kubernetes version, and the releases that could not be had, each with why.

    Raises `ToolError` when a chart that is there cannot be rendered.
    """
    objects: list[PlannedObject] = []
    missing: list[tuple[PlannedRelease, str]] = []
    with TemporaryDirectory(prefix="zt-charts-") as name, ThreadPoolExecutor(max(2, os.cpu_count() or 2)) as pool:
        rendered = [
            pool.submit(_render, helm, release, kubernetes, Path(name) / f"{number}.json")
            for number, release in enumerate(releases)
        ]
        for release, future in zip(releases, rendered, strict=True):
            found, why = future.result()
            objects += found
            if why:
                missing.append((release, why))
    return objects, missing


def parse_rendered(rendered: str, release: PlannedRelease) -> list[PlannedObject]:
    """The objects in the output of `helm template`, as they arrive in the release's namespace."""
    return [
        PlannedObject(
            as_manifest(document, "" if text(document, "kind") in _CLUSTER_KINDS else release.namespace),
            release.urn,
            release.service,
            release.source,
            release.name,
        )
        for document in _documents(rendered)
    ]


def _render(helm: Path, release: PlannedRelease, kubernetes: str, values: Path) -> tuple[list[PlannedObject], str]:
    if release.beyond:
        return [], release.beyond
    if not _is_remote(release) and not Path(release.chart).exists():
        return [], f"the chart {release.chart!r} is not on this machine"
    values.write_text(json.dumps(release.values))
    try:
        done = subprocess.run(
            [str(helm), *template_arguments(release, values, kubernetes)],
            capture_output=True,
            text=True,
            check=False,
            timeout=_TIMEOUT_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolError(f"helm template {release.name}: {error}") from error
    said = done.stderr.strip()
    if not done.returncode:
        return parse_rendered(done.stdout, release), ""
    # The network between here and a repository is no failure of the plan.
    if _is_remote(release):
        return [], said.splitlines()[-1] if said else f"helm ended with status {done.returncode}"
    raise ToolError(f"helm template {release.name} {release.chart} ended with status {done.returncode}:\n{said}")


def template_arguments(release: PlannedRelease, values: Path, kubernetes: str) -> list[str]:
    """The arguments of helm that render a release. A test is run by hand, never by an installation."""
    found = ["template", release.name, release.chart, "--namespace", release.namespace, "--values", str(values)]
    found += ["--skip-tests", "--kube-version", kubernetes]
    if release.repository:
        found += ["--repo", release.repository]
    if release.version and _is_remote(release):
        found += ["--version", release.version]
    return found


def _is_remote(release: PlannedRelease) -> bool:
    return bool(release.repository) or release.chart.startswith(("oci://", "https://", "http://"))


def _documents(rendered: str) -> Iterator[Manifest]:
    for part in _DOCUMENT.split(rendered):
        if _DEFINITION.search(part):
            continue
        loaded: object = yaml.load(part, Loader=YAML_LOADER)  # noqa: S506 - one of the two safe loaders
        document = cast("Manifest", loaded) if isinstance(loaded, dict) else {}
        if text(document, "apiVersion") and text(document, "kind"):
            yield document
