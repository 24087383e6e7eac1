"""Where a cluster answers names: CoreDNS, a cache on the nodes, or the provider itself."""

from typing import Any

import pytest

from tests.unit.zt.preflight.stack import FakeCluster, lines, metadata, session
from zt.preflight.checks import dns
from zt.preflight.line import Line

CORE_DNS = metadata("coredns-1", "kube-system", labels={"k8s-app": "kube-dns"})
CACHE: dict[str, Any] = {
    **metadata("node-local-dns", "kube-system"),
    "spec": {
        "template": {
            "spec": {"containers": [{"args": ["-localip", "169.254.20.10,10.96.0.10", "-conf", "/etc/Corefile"]}]}
        }
    },
}
SERVICE = {"spec": {"clusterIP": "10.96.0.10"}}


def asked(*pods: Any, daemons: tuple[Any, ...] = (), **changes: Any) -> dict[str, Line]:
    at = {
        "/api/v1/pods": list(pods),
        "/apis/apps/v1/daemonsets": list(daemons),
        "/api/v1/namespaces/kube-system/services/kube-dns": SERVICE,
    }
    return {line.about: line for line in lines(dns.THEME, session(cluster=FakeCluster(at), **changes))}


def test_pods_with_the_usual_labels() -> None:
    assert {line.result for line in asked(CORE_DNS).values()} == {"ok"}


@pytest.mark.parametrize(
    "pod",
    [
        metadata("dns-1", "openshift-dns", labels={"k8s-app": "kube-dns"}),
        metadata("coredns-1", "kube-system", labels={"app": "coredns"}),
    ],
)
def test_pods_elsewhere_or_with_other_labels_are_not_reached(pod: Any) -> None:
    line = asked(pod)["pods that answer names"]
    assert line.result == "fails"
    assert "dns.namespace and dns.labels" in line.fix


def test_their_own_namespace_and_labels() -> None:
    pod = metadata("dns-1", "openshift-dns", labels={"dns": "default"})
    named = {"namespace": "openshift-dns", "labels": {"dns": "default"}}
    assert asked(pod, dns=named)["pods that answer names"].result == "ok"


def test_a_cache_on_the_nodes_needs_its_address_open() -> None:
    line = asked(CORE_DNS, daemons=(CACHE,))["cache of names on the nodes"]
    assert line.result == "fails"
    assert "dns.servers: [169.254.20.10/32]" in line.fix
    # The Service's address is that of the pods.
    assert line.details == ("169.254.20.10/32",)
    opened = asked(CORE_DNS, daemons=(CACHE,), dns={"servers": ["169.254.20.10/32"]})
    assert opened["cache of names on the nodes"].result == "ok"


def test_a_provider_that_answers_itself() -> None:
    cloud = asked(dns={"labels": {}, "servers": ["169.254.169.254/32"]})
    assert cloud["pods that answer names"].result == "ok"
    assert cloud["metadata service"].result == "warns"
    assert "port 53" in cloud["metadata service"].found


def test_a_stack_that_closes_nothing_is_not_asked() -> None:
    of = session("dev", cluster=FakeCluster())
    assert not lines(dns.THEME, of)
