"""What follows from a package file: policies, both ends of each call, exceptions, and the chart's objects in order."""

from pathlib import Path
from typing import Any

import pulumi
import pulumi_vault
import pytest
from pulumi_kubernetes import Provider

from components.kube.names import WORKLOAD_LABEL
from components.package.args import PackageArgs
from components.package.package import Package
from components.program.plan import plan
from components.service.manifests.authorization import authorization_policy
from components.service.manifests.egress import sidecar
from components.service.manifests.network_policy import network_policy_spec
from tests.support.monitor import Recording, Registered, record
from tests.support.packages import API, DAYS, FILE, Manifest, objects, role, stack_of, write

pytestmark = pytest.mark.unit

CALLED: Manifest = {**FILE, "callers": ["shop/api"], "calls": [{"service": "shop/api", "workloads": ["web"]}]}
CALLING: Manifest = {**API, "calls": ["guests/guestbook"], "callers": ["guests/guestbook"]}
PODS = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "guests"}}}
WEB_ACCOUNT = "cluster.local/ns/guests/sa/web"


def planned(root: Path, file: Manifest, environment: str = "production", /, **services: Manifest) -> Any:
    return plan(stack_of(write(root, objects(), file, **services), environment))


def run(args: PackageArgs) -> Recording:
    def program() -> None:
        providers = [Provider("cluster"), pulumi_vault.Provider("vault", address="https://v:8200")]
        options = pulumi.ResourceOptions(providers=providers)
        Package("guests.guestbook", args, options)

    return record(program)


def name_in(policy: Any) -> list[str]:
    return [peer["podSelector"]["matchLabels"][WORKLOAD_LABEL] for rule in policy for peer in rule["from"]]


@pytest.fixture
def package(tmp_path: Path) -> PackageArgs:
    [args] = planned(tmp_path, CALLED, api=CALLING).packages
    return args


def test_a_service_calls_a_package_by_its_service_its_port_and_its_identity(tmp_path: Path) -> None:
    made = planned(tmp_path, CALLED, api=CALLING)
    [api], [package] = made.services, made.packages
    web = next(each for each in package.workloads if each.name == "web")
    # The Service has port 80, and the pods 8080, which is what policies see.
    assert {
        "to": [{**PODS, "podSelector": {"matchLabels": {WORKLOAD_LABEL: "web"}}}],
        "ports": [{"port": 8080, "protocol": "TCP"}],
    } in network_policy_spec(api)["egress"]
    proxy = sidecar(api)
    assert proxy is not None
    assert "guests/web.guests.svc.cluster.local" in proxy["spec"]["egress"][0]["hosts"]
    rules = (authorization_policy(web) or {})["spec"]["rules"]
    assert rules == [
        {
            "from": [{"source": {"principals": ["cluster.local/ns/shop/sa/api"]}}],
            "to": [{"operation": {"ports": ["8080"]}}],
        }
    ]
    assert network_policy_spec(web)["podSelector"] == {"matchLabels": {WORKLOAD_LABEL: "web"}}


def test_a_package_calls_a_service_as_the_account_of_its_workload(tmp_path: Path) -> None:
    made = planned(tmp_path, CALLED, api=CALLING)
    [api] = made.services
    sources = [rule["from"][0]["source"]["principals"] for rule in (authorization_policy(api) or {})["spec"]["rules"]]
    assert sources == [[WEB_ACCOUNT]]
    assert name_in(network_policy_spec(api)["ingress"]) == ["web"]
    others = [each for each in made.packages[0].workloads if each.name != "web"]
    assert not any(each.calls for each in others)


def test_a_package_knows_each_replica_of_a_service_whose_port_is_that_of_its_peers(tmp_path: Path) -> None:
    """A console for Kafka out of a chart, for one."""
    made = planned(tmp_path, CALLED, api={**CALLING, "peers": [CALLING["port"]]})
    web = next(each for each in made.packages[0].workloads if each.name == "web")
    hosts = (sidecar(web) or {})["spec"]["egress"][0]["hosts"]
    assert {"shop/api.shop.svc.cluster.local", "shop/api-peers.shop.svc.cluster.local"} <= {*hosts}


def test_workloads_of_a_package_call_each_other_only_as_the_file_says(package: PackageArgs) -> None:
    by_name = {each.name: each for each in package.workloads}
    store = by_name["store"]
    assert name_in(network_policy_spec(store)["ingress"]) == ["web"]
    rules = (authorization_policy(store) or {})["spec"]["rules"]
    assert rules[0]["from"][0]["source"]["principals"] == [WEB_ACCOUNT]
    assert authorization_policy(by_name["migrate"]) is None
    assert "ingress" not in network_policy_spec(by_name["migrate"])


def test_packages_call_each_other(tmp_path: Path) -> None:
    other = {
        **FILE,
        "namespace": "books",
        "calls": [{"service": "guests/guestbook", "workloads": ["web"], "methods": ["GET"]}],
    }
    write(tmp_path, objects(), other)
    (tmp_path / "packages" / "guestbook.yaml").rename(tmp_path / "packages" / "library.yaml")
    made = planned(tmp_path, {**FILE, "callers": ["books/library"]})
    books, guests = made.packages
    web = next(each for each in guests.workloads if each.name == "web")
    [rule] = (authorization_policy(web) or {})["spec"]["rules"]
    assert rule["from"][0]["source"]["principals"] == ["cluster.local/ns/books/sa/web"]
    assert rule["to"][0]["operation"]["methods"] == ["GET"]
    [call] = [peer for each in books.workloads for peer in each.calls if peer.service.namespace == "guests"]
    assert (call.port, call.host) == (8080, "web")


def test_the_chart_is_created_behind_what_closes_it_and_in_helms_order(package: PackageArgs) -> None:
    made = run(package)
    web = made.one("Deployment")
    behind = made.behind(web)
    assert "guests.guestbook.default-deny" in behind
    assert "guests.guestbook.web.authorization" in behind
    assert "guests.guestbook.job.migrate" in behind
    assert "guests.guestbook.serviceaccount.web" in made.behind(made.one("Job"))
    assert made.one("NetworkPolicy", "guests.guestbook.default-deny").inputs["spec"] == {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
    }


def _pods(made: Registered) -> Any:
    return made.inputs["spec"]["template"]


def test_pods_are_known_by_a_label_that_the_chart_does_not_write(package: PackageArgs) -> None:
    made = run(package)
    assert _pods(made.one("Deployment"))["metadata"]["labels"][WORKLOAD_LABEL] == "web"
    assert _pods(made.one("StatefulSet"))["metadata"]["labels"][WORKLOAD_LABEL] == "store"
    job = made.one("Job")
    assert _pods(job)["metadata"]["labels"][WORKLOAD_LABEL] == "migrate"
    assert not any(key.startswith("helm.sh/hook") for key in job.inputs["metadata"].get("annotations", {}))
    [rule] = [each for each in made.of("DestinationRule") if each.inputs["metadata"]["name"] == "web"]
    assert rule.inputs["spec"]["trafficPolicy"]["tls"]["subjectAltNames"] == [f"spiffe://{WEB_ACCOUNT}"]
    exposed = next(each for each in made.of("Service") if each.inputs["metadata"]["name"] == "web")
    assert exposed.inputs["spec"]["ports"][0]["appProtocol"] == "http"


def test_an_exception_is_that_of_one_workload_and_comes_before_it(tmp_path: Path) -> None:
    excepted = {**FILE, "exceptions": [{"rule": "require-run-as-non-root", "workload": "web", **DAYS}]}
    [args] = planned(tmp_path, excepted).packages
    made = run(args)
    exception = made.one("PolicyException")
    [condition] = exception.inputs["spec"]["matchConditions"]
    assert 'in ["web"]' in condition["expression"]
    assert 'n.startsWith("web-")' in condition["expression"]
    assert exception.inputs["metadata"]["annotations"]["zero-trust.dev/service"] == "guests/guestbook"
    assert exception.name in made.behind(made.one("Deployment"))
    assert "zero-trust.dev/exceptions" in made.one("Deployment").inputs["metadata"]["annotations"]
    assert "zero-trust.dev/exceptions" not in made.one("StatefulSet").inputs["metadata"].get("annotations", {})


def test_a_definition_stays_and_what_its_operator_answers_for_comes_last(tmp_path: Path) -> None:
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "pages.x.org"},
    }
    page = {"apiVersion": "x.org/v1", "kind": "Page", "metadata": {"name": "first"}, "spec": {}}
    issuer = {"apiVersion": "cert-manager.io/v1", "kind": "ClusterIssuer", "metadata": {"name": "own"}, "spec": {}}
    grants = [
        {"kind": "CustomResourceDefinition", "names": ["pages.x.org"], **DAYS},
        {"kind": "Page", "names": ["first"], **DAYS},
        {"kind": "ClusterIssuer", "names": ["own"], **DAYS},
    ]
    stack = stack_of(write(tmp_path, [*objects(), crd, page, issuer], {**FILE, "grants": grants}))
    made = run(plan(stack).packages[0])
    definition = made.one("CustomResourceDefinition")
    assert definition.retain_on_delete
    assert definition.name in made.behind(made.one("ServiceAccount", "guests.guestbook.serviceaccount.web"))
    for kind in ("Page", "ClusterIssuer"):
        assert {"guests.guestbook.deployment.web", definition.name} <= made.behind(made.one(kind))


CLAIM: Manifest = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}, "spec": {}}


def test_a_claim_stays_when_its_package_goes(tmp_path: Path) -> None:
    made = run(plan(stack_of(write(tmp_path, [*objects(), CLAIM], FILE))).packages[0])
    assert made.one("PersistentVolumeClaim").retain_on_delete
    assert not made.one("Deployment").retain_on_delete


def test_a_package_keeps_data_where_it_claims_volumes(tmp_path: Path) -> None:
    without, claimed, templated = ([*objects()] for _ in range(3))
    claimed.append(CLAIM)
    store = next(each for each in templated if each["kind"] == "StatefulSet")
    templated[templated.index(store)] = {**store, "spec": {**store["spec"], "volumeClaimTemplates": [CLAIM]}}
    kept = [
        plan(stack_of(write(tmp_path / str(number), each, FILE))).packages[0].keeps_data
        for number, each in enumerate((without, claimed, templated))
    ]
    assert kept == [False, True, True]


def test_the_rights_of_the_chart_are_those_of_a_workload_that_reaches_the_api_server(tmp_path: Path) -> None:
    rules = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "reads"},
        "roleRef": {"kind": "Role", "name": "reads"},
        "subjects": [{"kind": "ServiceAccount", "name": "web"}],
    }
    made = [*objects(), role("Role", "reads", rules), binding]
    stack = stack_of(write(tmp_path, made, {**FILE, "kubernetesApi": ["web"]}), apiServerCidrs=["10.0.0.1/32"])
    workloads = {each.name: each for each in plan(stack).packages[0].workloads}
    [right] = workloads["web"].kubernetes_api
    assert (right.resources, right.verbs) == (["configmaps"], ["get"])
    assert not workloads["store"].kubernetes_api
    assert any(
        rule.get("ports") == [{"port": 443, "protocol": "TCP"}, {"port": 6443, "protocol": "TCP"}]
        for rule in network_policy_spec(workloads["web"])["egress"]
    )


@pytest.mark.parametrize("automount", [False, True, None])
def test_a_workload_that_reaches_the_api_server_has_a_token_for_it(tmp_path: Path, automount: bool | None) -> None:
    """Where the rule is kept to, the chart mounts none, and the program could not say who it is."""
    written = objects()
    for each in written:
        if each["kind"] in ("Deployment", "StatefulSet"):
            pod = each["spec"]["template"]["spec"]
            pod |= {"automountServiceAccountToken": automount, "initContainers": [{"name": "first", "image": "r/a:v1"}]}
    stack = stack_of(write(tmp_path, written, {**FILE, "kubernetesApi": ["web"]}), apiServerCidrs=["10.0.0.1/32"])
    made = run(plan(stack).packages[0])
    web, store = (_pods(made.one(kind))["spec"] for kind in ("Deployment", "StatefulSet"))
    mounts = [
        mount["mountPath"]
        for container in (*web["containers"], *web["initContainers"])
        for mount in container.get("volumeMounts", [])
    ]
    own = automount is False
    assert mounts == ["/var/run/secrets/kubernetes.io/serviceaccount"] * (2 if own else 0)
    projected = [volume["projected"] for volume in web.get("volumes", [])]
    assert len(projected) == own
    # Nobody knows as which users the containers of a chart run, and each has its own.
    assert all(each["defaultMode"] == 0o644 for each in projected)
    assert not store.get("volumes")


@pytest.mark.parametrize(
    ("environment", "closed"), [("production", True), ("staging", True), ("dev", False), ("local", False)]
)
def test_the_posture_decides_what_closes_a_package(tmp_path: Path, environment: str, closed: bool) -> None:
    [args] = planned(tmp_path, FILE, environment).packages
    made = run(args)
    assert bool(made.of("NetworkPolicy")) == closed
    assert bool(made.of("Deployment"))


def test_its_namespace_is_kept_as_those_of_services_are(tmp_path: Path) -> None:
    made = planned(tmp_path, FILE)
    assert made.identities is not None
    assert made.objects is not None
    assert made.identities.namespaces == ("guests",)
    assert made.objects.accounts == {"guests": ["migrate", "store", "web"]}


PUBLIC: Manifest = {
    **FILE,
    "expose": [{"service": "web", "port": 80, "host": "guests.example.org"}],
    "secrets": {"session": {"workload": "web", "generate": ["key"]}},
}


def test_a_public_host_leads_to_the_service_and_the_gateway_to_its_pods(tmp_path: Path) -> None:
    made = planned(tmp_path, PUBLIC)
    [package] = made.packages
    route = run(package).one("HTTPRoute")
    assert route.inputs["spec"]["hostnames"] == ["guests.example.org"]
    assert route.inputs["spec"]["rules"][0]["backendRefs"] == [{"name": "web", "port": 80}]
    web = next(each for each in package.workloads if each.name == "web")
    [rule] = (authorization_policy(web) or {})["spec"]["rules"]
    assert rule["from"][0]["source"]["principals"] == ["cluster.local/ns/istio-ingress/sa/public-istio"]
    assert rule["to"][0]["operation"]["ports"] == ["8080"]
    assert "guests.example.org" in made.ingress.hosts
    assert made.ingress.owners["guests.example.org"] == "guests"
    assert made.hosts is not None
    assert list(made.hosts.hosts["guests"]) == ["guests.example.org"]
    backends = [rule for policy in made.ingress.network_policies for rule in policy["spec"].get("egress", [])]
    pods = [peer.get("podSelector", {}).get("matchLabels") for rule in backends for peer in rule.get("to", [])]
    assert {WORKLOAD_LABEL: "web"} in pods


def test_secrets_are_read_by_the_account_of_their_workload_alone(tmp_path: Path) -> None:
    [package] = planned(tmp_path, PUBLIC).packages
    made = run(package)
    role = made.one("AuthBackendRole")
    assert role.inputs["boundServiceAccountNames"] == ["web"]
    assert role.inputs["boundServiceAccountNamespaces"] == ["guests"]
    assert 'path "secret/data/guests/guestbook/session"' in made.one("Policy").inputs["policy"]
    assert made.one("SecretV2").inputs["name"] == "guests/guestbook/session"
    pod = _pods(made.one("Deployment"))
    annotations = pod["metadata"]["annotations"]
    assert annotations["vault.hashicorp.com/role"] == "guests.web"
    assert annotations["vault.hashicorp.com/agent-inject-containers"] == "web"
    [token] = [volume for volume in pod["spec"]["volumes"] if volume["name"] == "vault-token"]
    assert token["projected"]["defaultMode"] == 0o644
    assert "annotations" not in _pods(made.one("StatefulSet"))["metadata"]
    egress = network_policy_spec(next(each for each in package.workloads if each.name == "web"))["egress"]
    assert any(rule["ports"][0]["port"] == 8200 for rule in egress)
    assert made.one("AuthBackendRole").name in made.behind(made.one("Deployment"))
