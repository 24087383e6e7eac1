"""What `docs/how-to/clusters.md` and `docs/real-cluster.md` say that a cluster must have, with the thing missing."""

import json
from typing import Any

import pytest

from tests.support.stacks import values
from tests.unit.zt.preflight.stack import CREATED, FakeCluster, FakeWeb, lines, metadata, node, one, session
from zt.preflight.checks import agents, api_server, images, nodes, public, vault_servers
from zt.preflight.created import Created, Release
from zt.preflight.line import Line
from zt.preflight.web import Reply, UnreachedError

DAEMON_SETS, DEPLOYMENTS = "/apis/apps/v1/daemonsets", "/apis/apps/v1/deployments"
ENDPOINTS = "/api/v1/namespaces/default/endpoints/kubernetes"
SERVICES = "/api/v1/services"
VAULT = values("production")["vault"]


def workload(name: str, namespace: str, account: str = "", labels: Any = None, **pod: Any) -> Any:
    spec = {"containers": [{"name": name}], **({"serviceAccountName": account} if account else {}), **pod}
    return {**metadata(name, namespace, labels=labels or {}), "spec": {"template": {"spec": spec}}}


HOST: Any = {"hostNetwork": True}
PATH: Any = {"volumes": [{"name": "run", "hostPath": {"path": "/run"}}]}
PRIVILEGED: Any = {"initContainers": [{"name": "i", "securityContext": {"privileged": True}}]}


def agents_of(*found: Any, kind: str = DAEMON_SETS, environment: str = "production", **changes: Any) -> list[Line]:
    return lines(agents.THEME, session(environment, cluster=FakeCluster({kind: list(found)}), **changes))


class TestWorkloadsOfOthers:
    @pytest.mark.parametrize(
        ("pod", "rule"),
        [
            (HOST, "disallow-host-namespaces"),
            ({"hostPID": True}, "disallow-host-namespaces"),
            (PATH, "disallow-host-path"),
            (PRIVILEGED, "disallow-privileged"),
        ],
    )
    @pytest.mark.parametrize("kind", [DAEMON_SETS, DEPLOYMENTS])
    def test_a_plugin_in_a_namespace_of_its_own_is_refused_on_the_next_node(
        self, pod: Any, rule: str, kind: str
    ) -> None:
        [line] = agents_of(workload("calico-node", "calico-system", **pod), kind=kind)
        assert line.result == "fails"
        assert "kyverno.excludedNamespaces.calico-system in Pulumi.production.yaml" in line.fix
        assert rule in line.details[0]

    def test_where_the_rules_only_report_it_is_a_warning(self) -> None:
        [line] = agents_of(workload("calico-node", "calico-system", **HOST), environment="staging")
        assert line.result == "warns"
        assert not agents_of(workload("calico-node", "calico-system", **HOST), environment="local")

    def test_what_no_rule_looks_at_and_what_breaks_none_is_left(self) -> None:
        days = {"reason": "the network plugin", "owner": "ann", "granted": "2026-11-01", "expires": "2027-10-01"}
        found = (workload("calico-node", "calico-system", **HOST), workload("coredns", "kube-system", **HOST))
        plain = workload("web", "apps")
        kyverno = {**values("production").get("kyverno", {}), "excludedNamespaces": {"calico-system": days}}
        [line] = agents_of(*found, plain, kyverno=kyverno)
        assert line.result == "ok"

    def test_an_exception_of_its_account_is_enough_for_its_own_rule(self) -> None:
        days = {"reason": "a node agent", "owner": "ann", "granted": "2026-11-01", "expires": "2026-12-20"}
        excepted = {**days, "rule": "disallow-host-namespaces", "namespace": "logs", "serviceAccount": "agent"}
        kyverno = {**values("production").get("kyverno", {}), "exceptions": [excepted]}
        agent = workload("agent", "logs", "agent", **HOST)
        assert agents_of(agent, kyverno=kyverno)[0].result == "ok"
        assert agents_of(workload("agent", "logs", "other", **HOST), kyverno=kyverno)[0].result == "fails"
        [line] = agents_of(workload("agent", "logs", "agent", **HOST, **PATH), kyverno=kyverno)
        assert line.details == ("DaemonSet agent: disallow-host-path",)


def endpoints(address: str) -> Any:
    return {"subsets": [{"addresses": [{"ip": address}], "ports": [{"port": 443}]}]}


@pytest.mark.parametrize(("address", "result"), [("10.0.0.9", "ok"), ("10.1.0.9", "warns"), ("fd00::9", "warns")])
def test_the_networks_that_webhooks_are_called_from(address: str, result: str) -> None:
    of = session(cluster=FakeCluster({ENDPOINTS: endpoints(address)}), webhookCidrs=["10.0.0.0/24"])
    line = one(api_server.THEME, "webhook-callers", of)
    assert line.result == result
    if result == "warns":
        bits = 128 if ":" in address else 32
        assert f"webhookCidrs: [10.0.0.0/24, {address}/{bits}] in Pulumi.production.yaml" in line.fix


def test_without_such_networks_they_are_called_from_anywhere() -> None:
    assert not lines(
        api_server.THEME, session(cluster=FakeCluster({ENDPOINTS: endpoints("10.1.0.9")})), "webhook-callers"
    )


def test_the_firewall_of_a_private_control_plane_is_named_with_the_ports_of_the_stack() -> None:
    google = [node("a", providerID="gce://project/zone/a")]
    line = one(api_server.THEME, "webhook-firewall", session(cluster=FakeCluster({"/api/v1/nodes": google})))
    assert line.result == "not checked"
    assert "--allow tcp:9443,tcp:15017,tcp:8080" in line.fix
    assert one(api_server.THEME, "webhook-firewall", session()).result == "ok"
    without = session(cluster=FakeCluster({"/api/v1/nodes": google}), vault={**VAULT, "injector": False})
    assert "8080" not in one(api_server.THEME, "webhook-firewall", without).fix


MESH = Created((), (*CREATED.releases, Release("istio-cni", "istio-system", "cni")), ())


def labelled(name: str, **labels: str) -> Any:
    made = node(name)
    made["metadata"]["labels"] |= {key.replace("__", "/").replace("_", "."): value for key, value in labels.items()}
    return made


FARGATE = node("f")
FARGATE["metadata"]["labels"]["eks.amazonaws.com/compute-type"] = "fargate"
VIRTUAL = node("v")
VIRTUAL["metadata"]["labels"]["type"] = "virtual-kubelet"
AUTOPILOT = node("gk3-pool-1", providerID="gce://project/zone/gk3-pool-1")


@pytest.mark.parametrize("refusing", [FARGATE, VIRTUAL, AUTOPILOT], ids=lambda each: each["metadata"]["name"])
def test_nodes_on_which_the_meshs_agent_does_not_run(refusing: Any) -> None:
    def asked(*found: Any) -> Line:
        return one(
            nodes.THEME, "agent-nodes", session(cluster=FakeCluster({"/api/v1/nodes": list(found)}), created=MESH)
        )

    assert asked(node("a")).result == "ok"
    assert asked(node("gk3-of-somebody")).result == "ok"
    assert asked(node("a"), refusing).result == "warns"
    assert asked(refusing).result == "fails"
    assert refusing["metadata"]["name"] in asked(refusing).details[0]


def test_without_the_agent_any_node_will_do() -> None:
    assert not lines(nodes.THEME, session(cluster=FakeCluster({"/api/v1/nodes": [FARGATE]})), "agent-nodes")


def balancer(name: str, namespace: str, *addresses: str, kind: str = "LoadBalancer") -> Any:
    given = {"loadBalancer": {"ingress": [{"ip": address} for address in addresses]}} if addresses else {}
    return {**metadata(name, namespace), "spec": {"type": kind}, "status": given}


@pytest.mark.parametrize(
    ("services", "result"),
    [
        ([], "not checked"),
        ([balancer("web", "apps", kind="ClusterIP")], "not checked"),
        ([balancer("web", "apps", "203.0.113.1")], "ok"),
        ([balancer("web", "apps")], "warns"),
        ([balancer("web", "apps"), balancer("mail", "apps", "203.0.113.1")], "ok"),
        ([balancer("public-istio", "istio-ingress"), balancer("mail", "apps", "203.0.113.1")], "fails"),
        ([balancer("public-istio", "istio-ingress", "203.0.113.1")], "ok"),
    ],
)
def test_an_address_for_the_gateway(services: list[Any], result: str) -> None:
    line = one(public.THEME, "load-balancer", session(cluster=FakeCluster({SERVICES: services})))
    assert line.result == result
    if result == "fails":
        assert "kubectl describe service public-istio --namespace istio-ingress" in line.fix


def by_k3s(service: str, namespace: str, *ports: int) -> Any:
    """A DaemonSet of k3s' load balancer."""
    label = "svccontroller.k3s.cattle.io/svc"
    made: Any = metadata(f"svclb-{service}", "kube-system")
    made["metadata"]["labels"] = {f"{label}name": service, f"{label}namespace": namespace}
    containers = [{"name": f"lb-tcp-{port}", "ports": [{"containerPort": port, "hostPort": port}]} for port in ports]
    return {**made, "spec": {"template": {"spec": {"containers": containers}}}}


@pytest.mark.parametrize(
    ("balanced", "result", "fix"),
    [
        ([], "ok", ""),
        ([by_k3s("traefik", "kube-system", 80, 443)], "fails", "--disable=traefik"),
        ([by_k3s("web", "apps", 443)], "fails", "delete the Service web"),
        ([by_k3s("mail", "apps", 25)], "ok", ""),
        ([by_k3s("public-istio", "istio-ingress", 80, 443)], "ok", ""),
        ([{**metadata("agent", "apps"), "spec": by_k3s("web", "apps", 80)["spec"]}], "ok", ""),
    ],
)
def test_the_ports_that_k3s_gave_to_another_service(balanced: list[Any], result: str, fix: str) -> None:
    cluster = FakeCluster({DAEMON_SETS: balanced, "/version": {"gitVersion": "v1.36.0+k3s1"}})
    line = one(public.THEME, "node-ports", session(cluster=cluster))
    assert (line.result, fix in line.fix) == (result, True)


def test_only_k3s_gives_the_ports_of_nodes() -> None:
    cluster = FakeCluster({DAEMON_SETS: [by_k3s("traefik", "kube-system", 80)]})
    assert not lines(public.THEME, session(cluster=cluster), "node-ports")


CLIENT = {"azure.workload.identity/client-id": "7b3f6a0e"}
AZURE = {"tenantId": "t", "vaultName": "v", "keyName": "k"}


@pytest.mark.parametrize(
    ("labels", "annotations", "result"),
    [
        ({}, CLIENT, "fails"),
        ({"azure.workload.identity/use": "false"}, CLIENT, "fails"),
        ({"azure.workload.identity/use": "true"}, CLIENT, "not checked"),
        ({}, {}, "not checked"),
    ],
)
def test_a_pod_of_azure_asks_for_its_token(labels: Any, annotations: Any, result: str) -> None:
    vault = {**VAULT, "seal": {"azurekeyvault": AZURE}, "podLabels": labels, "serviceAccountAnnotations": annotations}
    line = one(vault_servers.THEME, "vault-seal", session(vault=vault))
    assert line.result == result
    if result == "fails":
        assert line.fix == 'vault.podLabels: {azure.workload.identity/use: "true"} in Pulumi.production.yaml'


ISSUER = "https://token.example.org"
DISCOVERY = f"{ISSUER}/.well-known/openid-configuration"
TOKENS = {"login": {"jwt": {"issuer": ISSUER, "audience": "vault", "subject": "repo:x"}}, "plainKeysReason": "none"}


@pytest.mark.parametrize(
    ("reply", "result"),
    [
        (Reply(200, {}, json.dumps({"issuer": ISSUER})), "ok"),
        (Reply(200, {}, json.dumps({"issuer": f"{ISSUER}/"})), "fails"),
        (Reply(404), "fails"),
        (UnreachedError("no answer"), "warns"),
    ],
)
def test_the_issuer_of_the_deployers_tokens(reply: Any, result: str) -> None:
    of = session(web=FakeWeb({DISCOVERY: reply}), vault={**VAULT, "login": {"method": "jwt"}, "bootstrap": TOKENS})
    line = one(vault_servers.THEME, "vault-deployer", of)
    assert line.result == result
    if result == "fails":
        assert "vault.bootstrap.login.jwt.issuer: " in line.fix


@pytest.mark.parametrize(("there", "result"), [(True, "ok"), (False, "fails")])
def test_the_service_account_of_the_deployer(there: bool, result: str) -> None:
    path = "/api/v1/namespaces/ci/serviceaccounts/deployer"
    login = {"login": {"kubernetes": {"namespace": "ci", "serviceAccount": "deployer"}}, "plainKeysReason": "none"}
    of = session(
        cluster=FakeCluster({path: metadata("deployer", "ci")} if there else {}),
        vault={**VAULT, "login": {"method": "kubernetes"}, "bootstrap": login},
    )
    line = one(vault_servers.THEME, "vault-deployer", of)
    assert line.result == result
    if not there:
        assert line.fix == "kubectl create serviceaccount deployer --namespace ci"


def test_images_that_the_stack_file_names() -> None:
    digest = f"sha256:{'a' * 64}"
    changes: dict[str, Any] = {
        "vault": {**VAULT, "snapshots": {"image": "registry.example.org/vault:1.2"}},
        "ingress": {**values("production")["ingress"], "waf": {"image": f"registry.example.org/waf@{digest}"}},
    }
    there = "https://registry.example.org/v2/vault/manifests/1.2"
    absent = f"https://registry.example.org/v2/waf/manifests/{digest}"
    found = lines(
        images.THEME, session(web=FakeWeb({there: Reply(200), absent: Reply(404)}), **changes), "named-images"
    )
    assert [line.result.value for line in found] == ["ok", "warns"]
    assert not lines(images.THEME, session(), "named-images")
