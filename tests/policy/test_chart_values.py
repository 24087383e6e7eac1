"""Each value that the program hands to a chart of Helm is one that the chart has, in every stack: Helm refuses none."""

import re
import runpy
from collections.abc import Iterator, Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest
import trustme
import yaml

from components.config.mesh import Platform
from components.config.stack_file import decode_config, parse_settings
from components.program.plan import plan
from components.program.stack import read_stack
from embedded.toolchain.charts import stage_charts
from embedded.toolchain.gomodule import module_dir
from tests.policy.test_chart_images import VAULT
from tests.support.monitor import record
from tests.support.stack_values import KINDS, Stack, full
from tests.support.stacks import ENVIRONMENTS, ROOT, pulumi_config
from tests.support.stacks import values as committed

pytestmark = pytest.mark.policy

# Istio's charts keep their defaults below a key that nobody sets, and know a platform by the profile of its name.
_HIDDEN = "_internal_defaults_do_not_set"
FULL = [(environment, kind) for environment in ("production", "staging") for kind in KINDS] + [("dev", "of others")]
DAY = date(2026, 11, 15)
EVERY = {
    "base",
    "cert-manager",
    "cni",
    "external-secrets",
    "istiod",
    "kyverno",
    "ztunnel",
    *(["vault"] if VAULT else []),
}

Values = Mapping[str, Any]


def chart_of(name: str) -> Path:
    return Path(VAULT) if name == "vault" and VAULT else stage_charts() / name


@cache
def defaults(chart: Path) -> Values:
    """The values of a chart, with those of the charts in it below their names."""
    file = chart / "values.yaml"
    own = (yaml.safe_load(file.read_text()) if file.exists() else {}) or {}
    inner = {each.name: defaults(each) for each in (chart / "charts").glob("*/") if (each / "Chart.yaml").exists()}
    of_istiod = {"meshConfig": mesh_config()} if chart.name == "istiod" else {}
    return {
        **own,
        **own.get(_HIDDEN, {}),
        **of_istiod,
        **{name: {**made, **own.get(name, {})} for name, made in inner.items()},
    }


@cache
def mesh_config() -> Values:
    """The fields of Istio's MeshConfig, for which its chart has two defaults alone.

    https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/
    """
    source = module_dir("istio.io/api") / "mesh" / "v1alpha1" / "config.pb.go"
    fields = source.read_text().split("type MeshConfig struct {")[1].split("\n}\n")[0]
    return {name: {} for name in re.findall(r"json=(\w+)", fields)}


@cache
def templates(chart: Path) -> str:
    """Everything that a chart is made of besides its values."""
    files = (file for folder in ("templates", "files") for file in sorted((chart / folder).rglob("*")))
    return "\n".join(file.read_text() for file in files if file.is_file())


def unknown(chart: Path, values: Values) -> list[str]:
    """The keys of `values`, as paths, that are no values of the chart and that no template of it reads."""
    return [path for path in _not_among(values, defaults(chart)) if not _read(chart, path)]


def _not_among(values: Values, known: Values, place: str = "") -> Iterator[str]:
    for key, value in values.items():
        path = f"{place}{key}"
        if key not in known:
            yield path
        # An empty one is filled in by whoever installs the chart, with whatever Kubernetes has there.
        elif isinstance(value, dict) and isinstance(inner := known[key], dict) and inner:
            yield from _not_among(value, inner, f"{path}.")


def _read(chart: Path, path: str) -> bool:
    whole = rf"[.$]Values\)?[.]{re.escape(path)}\b"
    # A profile says its name to each chart: (($.Values).global).platform.
    parent, _, key = path.rpartition(".")
    in_part = rf"[.$]Values\)?[.]{re.escape(parent)}\)[.]{re.escape(key)}\b"
    return bool(re.search(f"{whole}|{in_part}", templates(chart)))


def handed_over(environment: str, written: Stack) -> dict[str, Values]:
    """The values of each release of the whole program, by the name of its chart."""
    config, file = pulumi_config(written), f"Pulumi.{environment}.yaml"
    stack = read_stack(ROOT, file, parse_settings(decode_config(config, frozenset(), file), file), lambda: DAY)
    create = runpy.run_path(str(ROOT / "__main__.py"))["create"]
    releases = record(lambda: create(stack, plan(stack)) and None, environment, config).of("helm.sh/v3:Release")
    handed: dict[str, Values] = {_chart_name(each.inputs["chart"]): each.inputs.get("values", {}) for each in releases}
    # That chart is in no Go module: with the official one at hand it is asked, too.
    return handed if VAULT else {chart: values for chart, values in handed.items() if chart != "vault"}


def _chart_name(written: str) -> str:
    return written.rsplit("/", 1)[-1].partition("@")[0]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("authority") / "ca.pem"
    file.write_bytes(trustme.CA().cert_pem.bytes())
    return file


def stacks(authority: Path) -> Iterator[tuple[str, Stack]]:
    yield from ((environment, committed(environment)) for environment in ENVIRONMENTS)
    yield from ((environment, full(environment, kind, authority)) for environment, kind in FULL)
    production = committed("production")
    copied = {"delivery": "external-secrets", "deliveryReason": "as before", "tlsSecret": "own"}
    yield "production", {**production, "vault": {**production["vault"], **copied, "caCertFile": str(authority)}}
    for platform in get_args(Platform):
        yield "production", {**production, "mesh": {"dataPlane": "ambient", "platform": platform}}


def test_every_value_of_every_stack_is_one_of_its_chart(authority: Path) -> None:
    seen: set[str] = set()
    for environment, stack in stacks(authority):
        handed = handed_over(environment, stack)
        seen |= handed.keys()
        wrong = {chart: found for chart, values in handed.items() if (found := unknown(chart_of(chart), values))}
        assert wrong == {}, environment
    assert seen == EVERY


@pytest.mark.parametrize(
    ("chart", "values", "found"),
    [
        ("kyverno", {"admissionController": {"replicaCount": 3}}, ["admissionController.replicaCount"]),
        ("istiod", {"global": {"proxy": {"seccomp": {}}}}, ["global.proxy.seccomp"]),
        ("istiod", {"meshConfig": {"trustDomains": "example.org"}}, ["meshConfig.trustDomains"]),
        ("cni", {"exclude_namespaces": []}, ["exclude_namespaces"]),
        ("cni", {"global": {"platforms": "gke"}}, ["global.platforms"]),
        ("cert-manager", {"webhook": {"replicas": 2}}, ["webhook.replicas"]),
        ("external-secrets", {"certControler": {}}, ["certControler"]),
    ],
)
def test_a_slip_of_the_pen_is_found(chart: str, values: Values, found: list[str]) -> None:
    assert unknown(chart_of(chart), values) == found
