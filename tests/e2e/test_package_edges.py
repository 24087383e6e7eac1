"""Calls to, from and between packages, and within one, between real proxies: what no file says is refused, by each
control alone."""

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
import yaml

from components.kube.names import WORKLOAD_LABEL
from tests.e2e.attack_weakenings import added, call, collection, patched
from tests.e2e.mesh_pods import Mesh
from tests.e2e.mesh_setup import INTRUDER, SHOP, intruding_pod, is_ready
from tests.e2e.plane import Plane, copy_program
from tests.support import packages
from tests.support.packages import CHART, CHART_FILE, MENDED
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e

GUESTS, READERS = "guests", "readers"
WEB, STORE, READER, LATE = "guestbook-web", "guestbook-store", "reader", "late"
STORE_PORT, API_PORT, WEB_PORT = 6379, 8080, 80
ANSWER, DENIED = (200, ""), (403, "RBAC: access denied")
ACCOUNT = "guestbook"
OUTSIDE = "outside"
SECURITY, NETWORKING = "security.istio.io/v1", "networking.istio.io/v1"
GUESTBOOK: dict[str, Any] = {
    **CHART_FILE,
    "values": MENDED,
    "callers": ["shop/api", f"{READERS}/readers"],
    "calls": [{"service": "shop/api", "workloads": [WEB], "methods": ["GET"], "paths": ["/orders"]}],
}
READING: dict[str, Any] = {
    "namespace": READERS,
    "team": "web",
    "manifests": "packages/readers",
    "expose": [{"service": READER, "port": WEB_PORT}],
    "calls": [{"service": f"{GUESTS}/guestbook", "workloads": [READER]}],
}


def reading() -> list[dict[str, Any]]:
    """What the second package brings: who reads the first, and somebody beside it whom no file lets do so."""
    made = [*(packages.account(name) for name in (READER, LATE)), packages.service(READER, WEB_PORT, "http")]
    return [*made, *(packages.workload("Deployment", name, http=API_PORT) for name in (READER, LATE))]


@pytest.fixture(scope="module")
def mesh(plane: Plane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    own = Plane(plane.state, copy_program(tmp_path_factory.mktemp("checkout")))
    shutil.copytree(CHART, own.checkout / "packages" / "guestbook")
    (own.checkout / "packages" / "readers").mkdir()
    (own.checkout / "packages" / "readers" / "all.yaml").write_text(yaml.safe_dump_all(reading()))
    for name, file in (("guestbook", GUESTBOOK), ("readers", READING)):
        (own.checkout / "packages" / f"{name}.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(file))))
    path = own.checkout / "services" / "api.yaml"
    api = yaml.safe_load(path.read_text())
    api |= {"calls": [*api["calls"], f"{GUESTS}/guestbook"], "callers": [f"{GUESTS}/guestbook"]}
    path.write_text(yaml.safe_dump(api, sort_keys=False))
    own.run("up", "--stack", "production", "--data-plane", timeout=3600)
    running = Mesh(own)
    for namespace in (SHOP, GUESTS):
        own.core.create_namespaced_service_account(namespace, {"metadata": {"name": INTRUDER}})
        own.core.create_namespaced_pod(namespace, intruding_pod())
        eventually(lambda at=namespace: is_ready(running, f"{at}.{INTRUDER}"), "the intruder's proxy is ready")
    yield running
    # The next module has an intruder of that name.
    for namespace in (SHOP, GUESTS):
        own.core.delete_namespaced_pod(INTRUDER, namespace, grace_period_seconds=0)
        own.core.delete_namespaced_service_account(INTRUDER, namespace)


def asked(mesh: Mesh, caller: str, service: str, namespace: str, path: str = "/", port: int = WEB_PORT) -> Any:
    """Status and refusal of a request of a workload to a Service; status 0 if the connection was ended."""
    try:
        where = mesh.address_of_service(service, namespace)
        answer = mesh.workload(caller).get(where, port, path, host=f"{service}.{namespace}")
    except OSError:
        return 0, ""
    return answer.status, answer.body if answer.status != ANSWER[0] else ""


def heard(mesh: Mesh, caller: str) -> bool:
    """Whether a workload hears the store of the guest book."""
    return mesh.workload(caller).hears(mesh.address_of_service(STORE, GUESTS), STORE_PORT) == b"?"


def test_each_workload_has_the_identity_of_its_own_account(mesh: Mesh) -> None:
    """The first chart gives one to both of its workloads: to the mesh they are the same."""
    accounts = {WEB: ACCOUNT, STORE: ACCOUNT, READER: READER, LATE: LATE}
    for name, account in accounts.items():
        namespace = GUESTS if account == ACCOUNT else READERS
        identity = mesh.workload(f"{namespace}.{name}").certificate()["identity"]
        assert identity == f"spiffe://cluster.local/ns/{namespace}/sa/{account}"


class TestWhatAFileSays:
    def test_a_service_calls_a_package(self, mesh: Mesh) -> None:
        assert asked(mesh, f"{SHOP}.api", WEB, GUESTS) == ANSWER

    def test_a_package_calls_another(self, mesh: Mesh) -> None:
        assert asked(mesh, f"{READERS}.{READER}", WEB, GUESTS) == ANSWER

    def test_a_package_calls_a_service_with_the_requests_that_its_file_names(self, mesh: Mesh) -> None:
        assert asked(mesh, f"{GUESTS}.{WEB}", "api", SHOP, "/orders", API_PORT) == ANSWER
        assert asked(mesh, f"{GUESTS}.{WEB}", "api", SHOP, "/admin", API_PORT) == DENIED

    def test_its_workloads_call_each_other(self, mesh: Mesh) -> None:
        assert heard(mesh, f"{GUESTS}.{WEB}")

    def test_a_caller_accepts_the_accounts_behind_the_service_alone(self, mesh: Mesh) -> None:
        dump = json.loads(mesh.workload(f"{SHOP}.api").admin("/config_dump?resource=dynamic_active_clusters"))
        clusters = {entry["cluster"]["name"]: entry["cluster"] for entry in dump["configs"]}
        cluster = clusters[f"outbound|{WEB_PORT}||{WEB}.{GUESTS}.svc.cluster.local"]
        context = cluster["transport_socket"]["typed_config"]["common_tls_context"]["combined_validation_context"]
        accepted = context["default_validation_context"]["match_subject_alt_names"]
        assert accepted == [{"exact": f"spiffe://cluster.local/ns/{GUESTS}/sa/{ACCOUNT}"}]


# Who has no proxy that knows the callee, or none that limits him: the callee refuses the second with its policy.
STOPPED_AT_HOME = (f"{SHOP}.redis", f"{READERS}.{LATE}", f"{GUESTS}.{STORE}")
STOPPED_AT_THE_DOOR = (f"{SHOP}.{INTRUDER}", f"{GUESTS}.{INTRUDER}")


class TestWhatNoFileSays:
    @pytest.mark.parametrize("caller", STOPPED_AT_HOME)
    def test_who_declares_no_call_sends_none(self, mesh: Mesh, caller: str) -> None:
        web = mesh.workload(f"{GUESTS}.{WEB}")
        before = web.counter(r"rbac\.(allowed|denied)$")
        assert asked(mesh, caller, WEB, GUESTS)[0] != ANSWER[0]
        assert web.counter(r"rbac\.(allowed|denied)$") == before

    @pytest.mark.parametrize("caller", STOPPED_AT_THE_DOOR)
    def test_a_valid_certificate_is_not_enough(self, mesh: Mesh, caller: str) -> None:
        assert asked(mesh, caller, WEB, GUESTS) == DENIED
        assert not heard(mesh, caller)

    @pytest.mark.parametrize("caller", [f"{SHOP}.api", f"{READERS}.{READER}"])
    def test_who_may_call_one_workload_reaches_no_other(self, mesh: Mesh, caller: str) -> None:
        assert not heard(mesh, caller)

    def test_a_package_reaches_no_service_that_it_does_not_name(self, mesh: Mesh) -> None:
        redis = mesh.workload(f"{GUESTS}.{WEB}").hears(mesh.address_of_service("redis", SHOP), STORE_PORT)
        assert redis == b""
        assert asked(mesh, f"{GUESTS}.{STORE}", "api", SHOP, "/orders", API_PORT)[0] != ANSWER[0]
        assert asked(mesh, f"{GUESTS}.{WEB}", READER, READERS)[0] != ANSWER[0]

    def test_nobody_comes_without_a_certificate(self, mesh: Mesh) -> None:
        assert not plain(mesh)


def plain(mesh: Mesh) -> bool:
    """Whether somebody outside of the mesh is answered by the web front, past every proxy but its own."""
    address = mesh.address_of_pod(f"{WORKLOAD_LABEL}={WEB}", GUESTS)
    try:
        return mesh.workload(OUTSIDE).get(address, API_PORT, "/").status == ANSWER[0]
    except OSError:
        return False


@contextmanager
def open_to_all(mesh: Mesh, workload: str) -> Iterator[None]:
    """The workload's policy off: one beside it admits everybody."""
    spec = {"selector": {"matchLabels": {WORKLOAD_LABEL: workload}}, "rules": [{}]}
    body = {"apiVersion": SECURITY, "kind": "AuthorizationPolicy", "metadata": {"name": "weakened"}, "spec": spec}
    with added(mesh.plane, collection(SECURITY, "authorizationpolicies", GUESTS), body):
        yield


@contextmanager
def without_limits(mesh: Mesh, namespace: str, sidecar: str) -> Iterator[None]:
    """The caller's own proxy knows every service."""
    path = f"{collection(NETWORKING, 'sidecars', namespace)}/{sidecar}"
    spec = call(mesh.plane, "GET", path)["spec"]
    with patched(mesh.plane, path, {"egress": [{"hosts": ["*/*"]}]}, {"egress": spec["egress"]}):
        yield


@contextmanager
def permissive(mesh: Mesh, workload: str) -> Iterator[None]:
    spec = {"selector": {"matchLabels": {WORKLOAD_LABEL: workload}}, "mtls": {"mode": "PERMISSIVE"}}
    body = {"apiVersion": SECURITY, "kind": "PeerAuthentication", "metadata": {"name": "weakened"}, "spec": spec}
    with added(mesh.plane, collection(SECURITY, "peerauthentications", GUESTS), body):
        yield


class TestEachControlAlone:
    """With one of them off the other still refuses, where there are two; with both off the call gets through."""

    @pytest.mark.parametrize("caller", STOPPED_AT_THE_DOOR)
    def test_the_policy_of_the_callee(self, mesh: Mesh, caller: str) -> None:
        with open_to_all(mesh, WEB):
            eventually(lambda: asked(mesh, caller, WEB, GUESTS) == ANSWER, "the request gets through")
        eventually(lambda: asked(mesh, caller, WEB, GUESTS) == DENIED, "it is refused again")

    def test_the_proxy_of_the_caller(self, mesh: Mesh) -> None:
        caller = f"{READERS}.{LATE}"
        with open_to_all(mesh, WEB):
            assert asked(mesh, caller, WEB, GUESTS)[0] != ANSWER[0]
        with without_limits(mesh, READERS, LATE):
            eventually(lambda: asked(mesh, caller, WEB, GUESTS) == DENIED, "the callee refuses it")
            with open_to_all(mesh, WEB):
                eventually(lambda: asked(mesh, caller, WEB, GUESTS) == ANSWER, "the request gets through")

    def test_within_the_package(self, mesh: Mesh) -> None:
        with open_to_all(mesh, STORE):
            eventually(lambda: heard(mesh, f"{GUESTS}.{INTRUDER}"), "the store answers")
        eventually(lambda: not heard(mesh, f"{GUESTS}.{INTRUDER}"), "it is silent again")

    def test_the_certificate(self, mesh: Mesh) -> None:
        with ExitStack() as off:
            off.enter_context(open_to_all(mesh, WEB))
            who = f"{GUESTS}.{INTRUDER}"
            eventually(lambda: asked(mesh, who, WEB, GUESTS) == ANSWER, "who has a certificate gets through")
            assert not plain(mesh)
            off.enter_context(permissive(mesh, WEB))
            eventually(lambda: plain(mesh), "somebody without one gets through")
        eventually(lambda: not plain(mesh), "it is refused again")


def test_a_second_run_changes_nothing(mesh: Mesh) -> None:
    mesh.plane.run("pulumi", "preview", "--stack", "production", "--expect-no-changes")
