"""Stages the Helm charts and CRDs that the pinned Go modules carry, so that they install from a local directory."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import cast

import yaml

from embedded.paths import cache_dir
from embedded.toolchain.errors import ToolchainError
from embedded.toolchain.gomodule import module_dir, module_version
from embedded.toolchain.keys import digest
from embedded.toolchain.staging import staged
from embedded.toolchain.table import CLUSTER, EXTERNAL_SECRETS, Module

_CERT_MANAGER = "github.com/cert-manager/cert-manager"
_EXTERNAL_SECRETS = "github.com/external-secrets/external-secrets"
_GATEWAY_API = "sigs.k8s.io/gateway-api"
_ISTIO = "istio.io/istio"
_KYVERNO = "github.com/kyverno/kyverno"
_KYVERNO_API = "github.com/kyverno/api"
_OPENREPORTS = "github.com/openreports/reports-api"

_ISTIO_CHARTS = {"base": "base", "cni": "istio-cni", "istiod": "istio-control/istio-discovery", "ztunnel": "ztunnel"}

# Subcharts of Kyverno that its module leaves out, and the modules that hold them.
_KYVERNO_SUBCHARTS = {"kyverno-api": _KYVERNO_API, "openreports": _OPENREPORTS}

# Off by default, and its chart is in no Go module.
_KYVERNO_WITHOUT = "reports-server"

_ANY_VERSION = ">=0.0.0-0"


def stage_charts(lines: Module = CLUSTER) -> Path:
    """A directory with the CRDs of the Gateway API and the charts that the program releases, all editable.

    The charts are those of the pinned Go modules. Changed are only what their release process fills in or adds: chart
    versions, Kyverno's subcharts from their own modules, its lock file and its optional ``reports-server``, which are
    left out. ``gateway-api.yaml`` holds the CRDs of the Gateway API's standard channel. ``lines`` pins Kyverno,
    cert-manager and the Gateway API: with ``PREVIOUS`` they are of the release lines before. Raises ``ToolchainError``
    when a module can't be downloaded or a chart is not where it was.
    """
    modules = (lines, CLUSTER, EXTERNAL_SECRETS)
    pins = [(module.directory / name).read_bytes() for module in modules for name in ("go.mod", "go.sum")]
    key = digest(Path(__file__).read_bytes(), *pins)
    place = cache_dir() / "charts" / key
    if not place.exists():
        _stage(place, lines)
    return place


def _stage(place: Path, lines: Module) -> None:
    with staged(place) as fresh:
        _stage_kyverno(fresh / "kyverno", lines)
        for name, path in _ISTIO_CHARTS.items():
            _stage_istio(path, fresh / name)
        _stage_cert_manager(fresh / "cert-manager", lines)
        _stage_external_secrets(fresh / "external-secrets")
        _stage_gateway_api(fresh / "gateway-api.yaml", lines)


def _copy(module: str, path: str, place: Path, pinned_by: Module = CLUSTER) -> None:
    source = module_dir(module, pinned_by) / path
    if not (source / "Chart.yaml").is_file():
        raise ToolchainError(
            f"module {module} {module_version(module, pinned_by)} has no chart at {path}: its layout changed"
        )
    # The module cache is read-only; copyfile leaves the permissions behind, so that charts can be edited and removed.
    shutil.copytree(source, place, copy_function=shutil.copyfile)
    for directory in (place, *(item for item in place.rglob("*") if item.is_dir())):
        directory.chmod(0o755)


def _edit_chart(place: Path, edit: Callable[[dict[str, object]], None]) -> None:
    file = place / "Chart.yaml"
    chart = yaml.safe_load(file.read_text())
    edit(chart)
    file.write_text(yaml.safe_dump(chart, sort_keys=False))


def _stage_kyverno(place: Path, lines: Module) -> None:
    _copy(_KYVERNO, "charts/kyverno", place, lines)
    (place / "Chart.lock").unlink()
    for name, module in _KYVERNO_SUBCHARTS.items():
        _copy(module, f"charts/{name}", place / "charts" / name, lines)
        _edit_chart(place / "charts" / name, lambda chart: chart.update(version="0.0.0"))
    _edit_chart(place, _keep_available_dependencies)


def _keep_available_dependencies(chart: dict[str, object]) -> None:
    kept: list[dict[str, str]] = []
    for dependency in cast("list[dict[str, str]]", chart["dependencies"]):
        if dependency["name"] == _KYVERNO_WITHOUT:
            continue
        if dependency["name"] in _KYVERNO_SUBCHARTS:
            dependency.pop("repository", None)
            dependency["version"] = _ANY_VERSION
        kept.append(dependency)
    chart["dependencies"] = kept


def _stage_istio(path: str, place: Path) -> None:
    _copy(_ISTIO, f"manifests/charts/{path}", place)
    version = (module_dir(_ISTIO) / "VERSION").read_text().strip() + ".0"
    _edit_chart(place, lambda chart: chart.update(version=version, appVersion=version))


def _stage_cert_manager(place: Path, lines: Module) -> None:
    _copy(_CERT_MANAGER, "deploy/charts/cert-manager", place, lines)
    version = module_version(_CERT_MANAGER, lines)
    _edit_chart(place, lambda chart: chart.update(version=version, appVersion=version))


def _stage_external_secrets(place: Path) -> None:
    _copy(_EXTERNAL_SECRETS, "deploy/charts/external-secrets", place, EXTERNAL_SECRETS)
    # Off by default, and its chart is in no Go module.
    (place / "Chart.lock").unlink()
    tag = module_version(_EXTERNAL_SECRETS, EXTERNAL_SECRETS)
    _edit_chart(place, lambda chart: chart.update(version=tag.removeprefix("v"), appVersion=tag, dependencies=[]))
    definitions = place / "templates" / "crds"
    (definitions / "README.md").unlink()
    bundle = module_dir(_EXTERNAL_SECRETS, EXTERNAL_SECRETS) / "deploy" / "crds" / "bundle.yaml"
    for crd in yaml.safe_load_all(bundle.read_text()):
        kind = crd["spec"]["names"]["kind"]
        wanted = ".Values.installCRDs"
        if "Cluster" in kind or "PushSecret" in kind:
            wanted = f"and {wanted} .Values.crds.create{kind}"
        # A description may hold what the chart's language would read as its own.
        text = yaml.safe_dump(crd, sort_keys=False).replace("{{", '{{"{{"}}')
        (definitions / f"{kind.lower()}.yaml").write_text(f"{{{{- if {wanted} }}}}\n{text}{{{{- end }}}}\n")


def _stage_gateway_api(place: Path, lines: Module) -> None:
    crds = sorted((module_dir(_GATEWAY_API, lines) / "config" / "crd" / "standard").glob("*.yaml"))
    if not crds:
        raise ToolchainError(
            f"module {_GATEWAY_API} {module_version(_GATEWAY_API, lines)} has no CRDs at config/crd/standard"
        )
    documents = (file.read_text().removeprefix("---\n").rstrip() for file in crds if file.name != "kustomization.yaml")
    place.write_text("\n---\n".join(documents) + "\n")
