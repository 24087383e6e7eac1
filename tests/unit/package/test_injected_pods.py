"""A package is refused by what injection would make of its pods: no rule admits them, or they leave the mesh."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from components.kube.mesh_labels import REVISION, STAYING
from components.package.manifests import applied
from components.program.plan import plan
from components.schema.problem import ConfigError
from tests.support.packages import DAYS, FILE, Manifest, objects, stack_of, write

pytestmark = pytest.mark.unit

GATEWAY = {"inject.istio.io/templates": "gateway"}
AMOUNTS = {f"sidecar.istio.io/proxy{name}": text for name, text in (("CPU", "50m"), ("CPULimit", "1"))}
MEMORY = {f"sidecar.istio.io/proxy{name}": "64Mi" for name in ("Memory", "MemoryLimit")}
CONFIG = "proxy.istio.io/config"
GRANT = {"kind": "Deployment", "names": ["web"], **DAYS}


def template(made: list[Manifest], name: str = "web") -> Manifest:
    return next(each for each in made if each["metadata"]["name"] == name and "template" in each.get("spec", {}))[
        "spec"
    ]["template"]


def marked(annotations: Manifest, **labels: str) -> list[Manifest]:
    made = objects()
    meta = template(made)["metadata"]
    meta["annotations"] = dict(annotations)
    meta["labels"] = {**meta["labels"], **labels}
    return made


def gateway(annotations: Manifest = GATEWAY, **fields: Any) -> list[Manifest]:
    """The web front as Istio's chart of a gateway writes one."""
    made = marked(annotations)
    spec = template(made)["spec"]
    [container] = spec["containers"]
    container |= {"name": "istio-proxy", "image": "auto"}
    spec |= fields
    return made


def named(name: str, kind: str = "containers") -> list[Manifest]:
    made = objects()
    spec = template(made)["spec"]
    spec[kind] = [{**each, "name": name} for each in spec["containers"]]
    return made


def problems(
    root: Path, made: list[Manifest], mesh: Mapping[str, Any] = MappingProxyType({}), **changes: Any
) -> list[str]:
    try:
        stack_of(write(root, made, {**FILE, **changes}), mesh=dict(mesh))
    except ConfigError as error:
        return [str(problem) for problem in error.problems]
    return []


@pytest.mark.parametrize(
    "made",
    [
        marked({key: value or "any" for key, value in STAYING.items()}),
        marked({**AMOUNTS, **MEMORY}),
        marked({"prometheus.io/scrape": "true"}, **{"sidecar.istio.io/inject": "true"}),
        # The program writes its own over it.
        marked({}, **{"istio.io/dataplane-mode": "none"}),
        marked({"inject.istio.io/templates": "sidecar"}),
        gateway(),
    ],
)
def test_what_leaves_a_pod_in_the_mesh_needs_no_word(tmp_path: Path, made: list[Manifest]) -> None:
    assert problems(tmp_path, made) == []


@pytest.mark.parametrize(
    ("annotations", "why"),
    [
        ({"sidecar.istio.io/proxyImage": "evil.example.net/proxy:1"}, "proxyImage gives its pods another proxy"),
        ({"sidecar.istio.io/proxyImageType": "debug"}, "proxyImageType gives its pods another proxy"),
        ({"sidecar.istio.io/bootstrapOverride": "own"}, "bootstrapOverride gives its pods another proxy"),
        ({"sidecar.istio.io/userVolumeMount": "{}"}, "userVolumeMount gives its pods another proxy"),
        ({"sidecar.istio.io/interceptionMode": "NONE"}, "interceptionMode gives its pods another proxy"),
        ({"proxy.istio.io/overrides": "{}"}, "overrides gives its pods another proxy"),
        (GATEWAY, "gateway gives its pods another proxy: gateway is for the container istio-proxy alone"),
        ({"inject.istio.io/templates": "grpc-agent"}, "grpc-agent gives its pods another proxy"),
        ({"vault.hashicorp.com/agent-inject": "true"}, "a secret stands under secrets of the file"),
        (AMOUNTS, "proxyCPU without sidecar.istio.io/proxyMemory leaves the proxy without requests or limits"),
        ({**AMOUNTS, **MEMORY, "sidecar.istio.io/proxyCPU": "0"}, "proxyCPU: 0 is no amount above 0"),
        ({CONFIG: "binaryPath: /own"}, "binaryPath of proxy.istio.io/config gives its pods another program"),
        ({CONFIG: "binary_path: /own"}, "binary_path of proxy.istio.io/config gives its pods another program"),
        ({CONFIG: "proxy_metadata: {DISABLE_ENVOY: 'true'}"}, "DISABLE_ENVOY of proxy.istio.io/config is a variable"),
        ({CONFIG: "proxyMetadata: {DISABLE_ENVOY: 'true'}"}, "DISABLE_ENVOY of proxy.istio.io/config is a variable"),
        ({CONFIG: "- a"}, "proxy.istio.io/config is no mapping"),
    ],
)
def test_what_no_rule_admits_after_injection_takes_no_grant(tmp_path: Path, annotations: Manifest, why: str) -> None:
    [line] = problems(tmp_path, marked(annotations), grants=[GRANT])[:1]
    assert line.startswith("packages/guestbook.yaml")
    assert f"values: the chart brings Deployment web, and {why}" in line or why in line


@pytest.mark.parametrize("name", ["istio-proxy", "istio-init", "istio-validation", "vault-agent", "acmesolver"])
@pytest.mark.parametrize("kind", ["containers", "initContainers"])
def test_a_container_has_no_name_of_the_platforms(tmp_path: Path, name: str, kind: str) -> None:
    [line] = problems(tmp_path, named(name, kind))
    assert f"a container has the name {name}, which is one of the platform's own" in line


def test_nothing_is_beside_a_gateway(tmp_path: Path) -> None:
    [line, *_] = problems(tmp_path, gateway(initContainers=[{"name": "first", "image": "registry.example.org/a:v1"}]))
    assert "a container has the name istio-proxy" in line
    secret = {"key": {"workload": "web", "generate": ["key"]}}
    [line] = problems(tmp_path, gateway(), secrets=secret)
    assert "secrets.key.workload: a gateway of the mesh runs alone" in line


@pytest.mark.parametrize(
    ("made", "by"),
    [
        (marked({"sidecar.istio.io/inject": "false"}), "sidecar.istio.io/inject: false"),
        (marked({}, **{"sidecar.istio.io/inject": "false"}), "sidecar.istio.io/inject: false"),
        # The injector and the plugin prefer the label.
        (
            marked({"sidecar.istio.io/inject": "true"}, **{"sidecar.istio.io/inject": "false"}),
            "sidecar.istio.io/inject: false",
        ),
        (marked({"traffic.sidecar.istio.io/excludeOutboundPorts": "443"}), "excludeOutboundPorts: 443"),
        (marked({"traffic.sidecar.istio.io/includeInboundPorts": ""}), "includeInboundPorts: "),
        (marked({"status.sidecar.istio.io/port": "8080"}), "status.sidecar.istio.io/port: 8080"),
        (marked({}, **{"security.istio.io/tlsMode": "disabled"}), "security.istio.io/tlsMode: disabled"),
        (marked({CONFIG: "holdApplicationUntilProxyStarts: true"}), "proxy.istio.io/config: hold"),
        (marked({"k8s.v1.cni.cncf.io/networks": "storage"}), "k8s.v1.cni.cncf.io/networks: storage"),
        (marked({}, **{"istio.io/rev": "other"}), "istio.io/rev: other"),
    ],
)
def test_a_pod_that_leaves_the_mesh_has_a_grant(tmp_path: Path, made: list[Manifest], by: str) -> None:
    [line] = problems(tmp_path, made)
    assert "grants: the chart brings Deployment web, and its pods leave the mesh" in line
    assert by in line
    assert problems(tmp_path, made, grants=[GRANT]) == []


@pytest.mark.parametrize(
    ("mesh", "own", "others"),
    [
        ({}, "default", "1-31-0"),
        ({"revision": "1-31-0"}, "1-31-0", "default"),
        ({"mode": "existing", "revision": "stable"}, "stable", "1-31-0"),
    ],
)
def test_the_stacks_own_control_plane_needs_no_grant(tmp_path: Path, mesh: Manifest, own: str, others: str) -> None:
    for place in (lambda value: marked({}, **{REVISION: value}), lambda value: marked({REVISION: value})):
        assert problems(tmp_path, place(own), mesh) == []
        [line] = problems(tmp_path, place(others), mesh)
        assert f"by {REVISION}: {others}" in line
        assert problems(tmp_path, place(others), mesh, grants=[GRANT]) == []


def test_with_it_a_pod_of_the_ambient_mode_gets_a_sidecar(tmp_path: Path) -> None:
    ambient = {"dataPlane": "ambient"}
    for value in ("default", "other"):
        lines = problems(tmp_path, marked({}, **{REVISION: value}), ambient)
        assert any(f"by {REVISION}: {value}" in line for line in lines)


def test_a_grant_that_no_pod_needs_is_refused(tmp_path: Path) -> None:
    [line] = problems(tmp_path, objects(), grants=[GRANT])
    assert "the chart brings no Deployment of that name that needs a grant" in line


@pytest.mark.parametrize("key", ["prometheus.io/scrape", "prometheus.io.scrape"])
def test_the_metrics_of_a_pod_for_a_scraper_are_not_merged_with_its_proxys(tmp_path: Path, key: str) -> None:
    """Merged, they are a variable of the proxy, which no rule knows, and a port that answers everybody in plaintext."""
    made = marked({key: "true", "prometheus.istio.io/merge-metrics": "true"})
    [package] = plan(stack_of(write(tmp_path, made, FILE))).packages
    pods = {
        each.name: template([applied(package, each)], each.name)["metadata"].get("annotations", {})
        for each in package.objects.objects
        if each.kind in ("Deployment", "StatefulSet")
    }
    assert pods["web"]["prometheus.istio.io/merge-metrics"] == "false"
    assert "prometheus.istio.io/merge-metrics" not in pods["store"]
