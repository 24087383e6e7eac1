"""What Istio's own source says of the containers and annotations that the rules and the packages' checks know."""

import re
from pathlib import Path

import pytest
import yaml

from components.kube.mesh_labels import PASSING_BY
from components.kube.names import PLATFORM_CONTAINERS
from components.kyverno.library import load_library
from embedded.toolchain.gomodule import module_dir

pytestmark = pytest.mark.policy

# Which container kubectl shows by itself, and the variables of a tracer that no stack has.
READ_BY_OTHERS = {
    "kubectl.kubernetes.io/default-container",
    "kubectl.kubernetes.io/default-logs-container",
    "apm.datadoghq.com/env",
}


@pytest.fixture(scope="module")
def istio() -> Path:
    return module_dir("istio.io/istio")


def test_the_rule_knows_each_name_that_the_injector_and_the_plugin_act_on(istio: Path) -> None:
    injector = re.findall(
        r'(?:Proxy|Init|Validation)ContainerName = "([\w-]+)"', (istio / "pkg/kube/inject/inject.go").read_text()
    )
    plugin = re.findall(r'ISTIO(?:INIT|PROXY)\s+= "([\w-]+)"', (istio / "cni/pkg/plugin/plugin.go").read_text())
    assert len(injector) == 3
    assert len(plugin) == 2
    variables = yaml.safe_load(load_library().rule("disallow-proxy-user").path.read_text())["spec"]["variables"]
    [impostors] = [each["expression"] for each in variables if each["name"] == "impostors"]
    listed = re.search(r"c[.]name in \[(.*?)\]", impostors)
    assert listed
    assert set(re.findall(r"'([\w-]+)'", listed[1])) == {*injector, *plugin}
    assert {*injector, *plugin} <= {*PLATFORM_CONTAINERS}


def test_only_a_sidecar_is_redirected(istio: Path) -> None:
    """So whatever else the proxy can be has to be alone in its pod."""
    assert 'pi.ProxyType != "" && pi.ProxyType != "sidecar"' in (istio / "cni/pkg/plugin/plugin.go").read_text()
    files = istio / "manifests/charts/istio-control/istio-discovery/files"
    types = {
        kind
        for path in files.glob("*injection-template.yaml")
        for kind in re.findall(r"- proxy\n +- (\w+)", path.read_text())
    }
    assert types == {"sidecar", "router"}


def test_every_annotation_that_injection_reads_is_one_that_the_checks_see(istio: Path) -> None:
    files = istio / "manifests/charts/istio-control/istio-discovery/files"
    read = {
        key
        for path in files.glob("*injection-template.yaml")
        for key in re.findall(r"`([a-zA-Z0-9.]+/[a-zA-Z-]+)`", path.read_text())
    } - {"default/istio-cni"}
    assert "sidecar.istio.io/proxyImage" in read
    assert {key for key in read if not any(part in key for part in PASSING_BY)} <= READ_BY_OTHERS | {
        "app.kubernetes.io/name",
        "app.kubernetes.io/version",
    }


def test_a_variable_that_injection_gives_the_proxy_is_known_or_asked_for_by_an_annotation(istio: Path) -> None:
    """`bootstrapOverride` and the traffic policy of another's mesh ask for the first two, a scraper for the third."""
    rule = load_library().rule("disallow-proxy-user").path.read_text()
    known = re.search(r"'environment': '(.*?)'", rule)
    assert known
    files = istio / "manifests/charts/istio-control/istio-discovery/files"
    written = {
        name
        for path in (files / "injection-template.yaml", files / "gateway-injection-template.yaml")
        for name in re.findall(r"- name: ([A-Z][A-Z_]+)\n", path.read_text())
    }
    assert {name for name in written if not re.search(known[1], name)} == {
        "ISTIO_BOOTSTRAP_OVERRIDE",
        "REWRITE_PROBE_LEGACY_LOCALHOST_DESTINATION",
    }
    webhook = (istio / "pkg/kube/inject/webhook.go").read_text()
    assert set(re.findall(r"EnvVar\{Name: ([\w.]+),", webhook)) == {
        "status.KubeAppProberEnvName",
        "status.PrometheusScrapingConfig.Name",
    }
