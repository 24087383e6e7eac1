"""What an Istio that others installed gives each proxy: each setting that the rules would refuse, set in turn."""

from typing import Any

import pytest
import yaml

from tests.support.installed import APPS, INJECTOR_CONFIG, MESH_CONFIG, changed, istio
from tests.unit.mesh.asked import ROOT, SELECTED, UNKNOWN, only, proxies, root, said, share

pytestmark = pytest.mark.unit

ALL = {"cpu": "100m", "memory": "64Mi"}


def test_settings_of_the_proxies_are_merged_from_both() -> None:
    living = changed(istio(), MESH_CONFIG, "mesh", **proxies(concurrency=2))
    share(living, "defaultConfig: {binaryPath: /own}\n")
    assert "binaryPath" in only(living, UNKNOWN)


@pytest.mark.parametrize(
    ("spec", "about"),
    [
        ({"environmentVariables": {"EXIT_ON_ZERO_ACTIVE_CONNECTIONS": "true"}}, UNKNOWN),
        ({"image": {"imageType": "debug"}}, "image of the proxy"),
    ],
)
def test_an_object_for_the_proxies_of_the_whole_mesh(spec: dict[str, Any], about: str) -> None:
    path = f"/apis/networking.istio.io/v1beta1/{ROOT}/proxyconfigs"
    assert only(istio().with_(path, [root("all", **spec)]), about)
    assert not said(istio().with_(path, [root("all", **spec, **SELECTED)]))
    assert not said(istio().with_(path, [root("all", concurrency=1)]))


@pytest.mark.parametrize(
    ("change", "about", "word"),
    [
        ({"pilot": {"cni": {"enabled": False}}}, "CNI plugin of the mesh", "NET_ADMIN"),
        ({"pilot": None}, "CNI plugin of the mesh", "NET_ADMIN"),
        ({"gateways": None}, "seccomp profile of gateways", "RuntimeDefault"),
        ({"gateways__seccompProfile__type": "Unconfined"}, "seccomp profile of gateways", "RuntimeDefault"),
        ({"global__tag": "1.30.2"}, "image of the proxy", "add docker.io/istio/proxyv2:1.30.2 to platformImages"),
        ({"global__hub": "mirror.example.org"}, "image of the proxy", "mirror.example.org/proxyv2:1.31.0"),
        ({"global__variant": "distroless"}, "image of the proxy", "proxyv2:1.31.0-distroless"),
        ({"global__proxy__image": "mirror.example.org/p:1"}, "image of the proxy", "mirror.example.org/p:1"),
        ({"global__proxy__excludeOutboundPorts": "5432"}, "traffic past the proxies", "excludeOutboundPorts: 5432"),
        ({"global__proxy__excludeInboundPorts": "9100"}, "traffic past the proxies", "excludeInboundPorts"),
        ({"global__proxy__excludeIPRanges": "10.0.0.0/8"}, "traffic past the proxies", "excludeIPRanges"),
        ({"global__proxy__includeIPRanges": "10.0.0.0/8"}, "traffic past the proxies", "includeIPRanges"),
        ({"global__proxy__privileged": True}, "rights of the proxies", "privileged"),
        ({"global__proxy__enableCoreDump": True}, "rights of the proxies", "enableCoreDump"),
        ({"global__proxy__capNetBindService": "true"}, "rights of the proxies", "capNetBindService"),
        ({"global__proxy__includeInboundPorts": "8080"}, "traffic past the proxies", "includeInboundPorts: 8080"),
        ({"global__proxy_init": {"image": "mirror.example.org/i:1"}}, "image of the proxy", "mirror.example.org/i:1"),
        ({"global__mountMtlsCerts": True}, UNKNOWN, "mountMtlsCerts"),
        ({"global__proxy__tracer": "lightstep"}, UNKNOWN, "lightstep"),
        ({"global__proxy__lifecycle": {"preStop": {"exec": {"command": ["sleep", "5"]}}}}, UNKNOWN, "lifecycle"),
        ({"global__proxy__seccompProfile": {"type": "Unconfined"}}, UNKNOWN, "Unconfined is no profile"),
        ({"global__proxy__resources": {}}, UNKNOWN, "has no requests.cpu, requests.memory, limits.cpu, limits.mem"),
        ({"global__proxy__resources": {"requests": ALL, "limits": {"memory": "1Gi"}}}, UNKNOWN, "has no limits.cpu"),
        ({"global__proxy__resources": {"requests": ALL, "limits": {**ALL, "cpu": "no"}}}, UNKNOWN, "no limits.cpu"),
        ({"global__caAddress": "ca.example.org:443"}, "istiod of the proxies", "ca.example.org:443"),
        ({"global__proxy__clusterDomain": "corp.local"}, "domain of the cluster", "corp.local, not cluster.local"),
        ({"gateways__securityContext": {"runAsUser": 5}}, "seccomp profile of gateways", "gateways.securityContext."),
        ({"sidecarInjectorWebhook__rewriteAppHTTPProbe": False}, "probes of the kubelet", "becomes ready"),
    ],
)
def test_a_value_of_the_injector(change: dict[str, Any], about: str, word: str) -> None:
    assert word in only(changed(istio(), INJECTOR_CONFIG, "values", **change), about)


@pytest.mark.parametrize(
    "change",
    [
        {"global__proxy__lifecycle": {"postStart": {"exec": {"command": ["pilot-agent", "wait"]}}}},
        {"global__proxy__lifecycle": {"preStop": {"sleep": {"seconds": 5}}}},
        {"global__proxy__resources": {"requests": ALL, "limits": {**ALL, "cpu": 2}}},
        {"global__proxy__seccompProfile": {"type": "RuntimeDefault"}},
        {"global__proxy_init": {"image": "proxyv2"}},
        {"gateways__securityContext": {"seccompProfile": {"type": "RuntimeDefault"}}},
    ],
)
def test_a_value_that_changes_nothing_for_the_rules(change: dict[str, Any]) -> None:
    assert not said(changed(istio(), INJECTOR_CONFIG, "values", **change))


@pytest.mark.parametrize(
    ("config", "word"),
    [
        ({"neverInjectSelector": [{"matchLabels": {"mesh": "off"}}]}, "takes it out of the mesh"),
        ({"policy": "disabled"}, "policy: disabled"),
        ({"defaultTemplates": ["sidecar", "own"]}, "defaultTemplates: sidecar, own"),
        ({"defaultTemplates": ["sidecar"], "policy": "enabled", "neverInjectSelector": []}, ""),
    ],
)
def test_a_choice_of_the_injector(config: dict[str, Any], word: str) -> None:
    living = istio()
    living.at[INJECTOR_CONFIG]["data"]["config"] = yaml.safe_dump(config)
    if not word:
        assert not said(living)
    else:
        assert word in only(living, "pods that the injector leaves alone")


def test_a_plugin_without_its_agent_leaves_pods_out() -> None:
    assert "no node agent" in only(istio().with_(f"{APPS}/daemonsets", []), "CNI plugin of the mesh")
