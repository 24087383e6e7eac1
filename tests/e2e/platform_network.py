"""The platform's own namespaces on a living cluster: what its network policies let through of what its parts need.

No simulated node enforces a network policy, so the policies are read by what Kubernetes says of them.
"""

from typing import Any

import pytest

from components.kube.names import PLATFORM_NAMESPACES
from tests.e2e.plane import Plane
from zt.attack.network import Address, End, Pod, egress, ingress

_UNTOUCHED = ("kube-system", "kube-node-lease", "kube-public")
_OURS = tuple(name for name in PLATFORM_NAMESPACES if name not in _UNTOUCHED)
_API_SERVER = Address("10.9.0.4")
_TUNNEL = Pod(
    "kube-system", {"app": "konnectivity-agent"}, namespace_labels={"kubernetes.io/metadata.name": "kube-system"}
)
_STRANGER = Pod("team", {"app": "any"}, ip="10.244.9.9", namespace_labels={"kubernetes.io/metadata.name": "team"})
_METADATA = Address("169.254.169.254")


def _plain(plane: Plane, listed: Any) -> list[dict[str, Any]]:
    found: Any = plane.api.sanitize_for_serialization(listed.items)
    return found


def _pod(made: dict[str, Any]) -> Pod:
    metadata, spec = made["metadata"], made["spec"]
    ports = {
        port["name"]: port["containerPort"]
        for container in spec["containers"]
        for port in container.get("ports", [])
        if "name" in port
    }
    return Pod(
        metadata["namespace"],
        metadata.get("labels", {}),
        name=metadata["name"],
        ip=made["status"].get("podIP", ""),
        namespace_labels={"kubernetes.io/metadata.name": metadata["namespace"]},
        ports=ports,
    )


class PlatformNetwork:
    """Tests of a plane with a stack that closes the network."""

    @pytest.fixture(scope="class")
    @classmethod
    def policies(cls, production: Plane) -> list[dict[str, Any]]:
        return _plain(production, production.networking.list_network_policy_for_all_namespaces())

    @pytest.fixture(scope="class")
    @classmethod
    def pods(cls, production: Plane) -> list[dict[str, Any]]:
        found = _plain(production, production.core.list_pod_for_all_namespaces())
        return [made for made in found if made["metadata"]["namespace"] in _OURS]

    def test_the_api_server_reaches_every_webhook(
        self, production: Plane, policies: list[dict[str, Any]], pods: list[dict[str, Any]]
    ) -> None:
        reached = 0
        for namespace, name, port in _webhooks(production):
            service: Any = production.api.sanitize_for_serialization(
                production.core.read_namespaced_service(name, namespace)
            )
            [target] = [each["targetPort"] for each in service["spec"]["ports"] if each["port"] == port]
            for made in pods:
                labels = made["metadata"].get("labels", {})
                if (
                    made["metadata"]["namespace"] != namespace
                    or not service["spec"]["selector"].items() <= labels.items()
                ):
                    continue
                pod = _pod(made)
                number = pod.ports[target] if isinstance(target, str) else target
                sources: tuple[End, ...] = (_API_SERVER, Address("203.0.113.10"), Address("fd00::4"), _TUNNEL)
                for source in sources:
                    assert ingress(policies, source, pod, number).allowed, f"{source} to {pod}:{number}"
                reached += 1
        assert reached >= 3

    def test_every_pod_that_has_a_token_of_the_api_server_reaches_it(
        self, policies: list[dict[str, Any]], pods: list[dict[str, Any]]
    ) -> None:
        callers = [made for made in pods if _calls_the_api_server(made)]
        assert len(callers) >= 5
        for made in callers:
            for port in (443, 6443):
                assert egress(policies, _pod(made), _API_SERVER, port).allowed, str(_pod(made))

    def test_every_proxy_reaches_its_control_plane(
        self, production: Plane, policies: list[dict[str, Any]], pods: list[dict[str, Any]]
    ) -> None:
        istiods = [_pod(made) for made in pods if made["metadata"].get("labels", {}).get("app") == "istiod"]
        every = _plain(production, production.core.list_pod_for_all_namespaces())
        proxies = [_pod(made) for made in every if _has_a_proxy(made)]
        assert istiods
        assert len(proxies) >= 3
        for proxy in proxies:
            assert egress(policies, proxy, istiods[0], 15012).allowed, str(proxy)
            assert ingress(policies, proxy, istiods[0], 15012).allowed, str(proxy)

    def test_no_pod_of_the_platform_is_open(self, policies: list[dict[str, Any]], pods: list[dict[str, Any]]) -> None:
        assert {made["metadata"]["namespace"] for made in pods} >= {"kyverno", "istio-system", "cert-manager"}
        for made in pods:
            pod = _pod(made)
            for port in (8000, 8080, 9402, 15010, 15014, 15090):
                assert not ingress(policies, _STRANGER, pod, port).allowed, f"{pod}:{port}"
            for port in (80, 443, 6443):
                assert not egress(policies, pod, _METADATA, port).allowed, f"{pod} to metadata"

    def test_every_namespace_of_the_stack_has_a_pod_security_label(self, production: Plane) -> None:
        for made in _plain(production, production.core.list_namespace()):
            labels = made["metadata"]["labels"]
            if made["metadata"]["name"] in _OURS:
                assert "pod-security.kubernetes.io/enforce" in labels, made["metadata"]["name"]


def _webhooks(plane: Plane) -> set[tuple[str, str, int]]:
    """Namespace, name and port of the Service of every webhook."""
    listed = (
        plane.admission.list_validating_webhook_configuration(),
        plane.admission.list_mutating_webhook_configuration(),
    )
    services = [
        webhook["clientConfig"]["service"]
        for each in listed
        for configuration in _plain(plane, each)
        for webhook in configuration["webhooks"]
        if "service" in webhook["clientConfig"]
    ]
    return {
        (service["namespace"], service["name"], service.get("port", 443))
        for service in services
        if service["namespace"] in _OURS
    }


def _calls_the_api_server(made: dict[str, Any]) -> bool:
    volumes = made["spec"].get("volumes", [])
    tokens = [
        source["serviceAccountToken"]
        for volume in volumes
        for source in volume.get("projected", {}).get("sources", [])
        if "serviceAccountToken" in source
    ]
    # A proxy has the account's token as well, and calls nobody but istiod.
    return any("audience" not in token for token in tokens) and not _has_a_proxy(made)


def _has_a_proxy(made: dict[str, Any]) -> bool:
    containers = [*made["spec"].get("initContainers", []), *made["spec"]["containers"]]
    return any(container["name"] == "istio-proxy" for container in containers)
