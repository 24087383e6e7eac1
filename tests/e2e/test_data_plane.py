"""Connections between real proxies: the production stack's rules, held by Envoy and by certificates of istiod."""

import http
import json
import ssl
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from components.kube.names import VAULT_INBOUND
from components.kube.service_ref import ServiceRef
from embedded.data_plane.network import OUTSIDE_ADDRESS
from embedded.data_plane.pods import OUTSIDE, OUTSIDE_PORT
from tests.e2e import mesh_objects
from tests.e2e.admission import Admission, RefusedError
from tests.e2e.gateway_routes import HOST
from tests.e2e.mesh_pods import Mesh
from tests.e2e.mesh_revisions import Watch, istiods, revision_of, watching
from tests.e2e.mesh_revisions import pods as pods_of_services
from tests.e2e.mesh_setup import (
    ADMIN_PORT,
    API_PORT,
    GATEWAY_NAMESPACE,
    INTRUDER,
    PEER_PORT,
    REQUESTS_A_MINUTE,
    SHOP,
    configure,
    gateway,
    intrude,
    mesh_on,
    self_made,
    trust_of,
)
from tests.e2e.plane import Plane
from tests.e2e.vault_inbound import vault_comes_in
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e

ANSWER = "42"
POSTGRES_PORT = 5432
REVISION = "1-31-0"
ISTIODS = {"istiod", f"istiod-{REVISION}"}
DENIED = r"rbac\.denied$"
JUDGED = r"rbac\.(allowed|denied)$"


@pytest.fixture(scope="module")
def mesh(plane: Plane, tmp_path_factory: pytest.TempPathFactory) -> Mesh:
    running = mesh_on(plane, tmp_path_factory.mktemp("checkout"))
    running.plane.core.create_namespaced_service_account(SHOP, {"metadata": {"name": INTRUDER}})
    intrude(running)
    return running


def test_each_service_has_a_certificate_for_its_own_account(mesh: Mesh) -> None:
    for name in ("api", "postgres", "redis", INTRUDER):
        identity = mesh.workload(f"{SHOP}.{name}").certificate()["identity"]
        assert identity == f"spiffe://cluster.local/ns/{SHOP}/sa/{name}"


def test_api_reaches_postgres(mesh: Mesh) -> None:
    api, postgres = mesh.workload(f"{SHOP}.api"), mesh.workload(f"{SHOP}.postgres")
    before = postgres.counter(JUDGED)
    assert api.psql(mesh.address_of_service("postgres"), mesh.database_password) == ANSWER
    assert postgres.counter(JUDGED) > before


def test_an_intruder_with_a_valid_certificate_is_refused_by_the_policy(mesh: Mesh) -> None:
    """Its certificate is accepted, and its connection is then ended by the policy."""
    intruder, postgres = mesh.workload(f"{SHOP}.{INTRUDER}"), mesh.workload(f"{SHOP}.postgres")
    before = postgres.counter(DENIED)
    answer = intruder.psql(mesh.address_of_service("postgres"), mesh.database_password)
    assert "server closed the connection" in answer
    assert postgres.counter(DENIED) == before + 1


def test_redis_cannot_reach_postgres(mesh: Mesh) -> None:
    """Its own proxy knows of no callee, so that nothing leaves for the other one to refuse."""
    redis, postgres = mesh.workload(f"{SHOP}.redis"), mesh.workload(f"{SHOP}.postgres")
    before = postgres.counter(JUDGED)
    assert "server closed the connection" in redis.psql(mesh.address_of_service("postgres"), mesh.database_password)
    assert postgres.counter(JUDGED) == before


def test_plaintext_to_postgres_is_refused(mesh: Mesh) -> None:
    outside = mesh.workload(OUTSIDE)
    answer = outside.psql(mesh.address_of_pod("app=postgres"), mesh.database_password)
    assert "server closed the connection" in answer or "reset by peer" in answer


def test_vault_comes_to_a_database_at_a_port_of_its_own(mesh: Mesh) -> None:
    """From outside the mesh. What comes to the service's own port is held as before."""
    outside, address = mesh.workload(OUTSIDE), mesh.address_of_pod("app=postgres")
    api, intruder = mesh.workload(f"{SHOP}.api"), mesh.workload(f"{SHOP}.{INTRUDER}")
    where, password = mesh.address_of_service("postgres"), mesh.database_password
    with vault_comes_in(mesh.plane, ServiceRef(SHOP, "postgres")):
        eventually(lambda: outside.psql(address, password, VAULT_INBOUND) == ANSWER, "the proxy passes it on")
        refused = outside.psql(address, password)
        assert "server closed the connection" in refused or "reset by peer" in refused
        assert api.psql(where, password) == ANSWER
        assert "server closed the connection" in intruder.psql(where, password)
    eventually(lambda: outside.psql(address, password, VAULT_INBOUND) != ANSWER, "the port is closed again")


def test_a_caller_accepts_of_a_service_its_own_identity_alone(mesh: Mesh) -> None:
    """Whatever pod becomes its endpoint, and with no way left to speak plaintext to one."""
    accepted = mesh.workload(f"{SHOP}.api").accepts(f"postgres.{SHOP}", POSTGRES_PORT)
    assert accepted == [f"spiffe://cluster.local/ns/{SHOP}/sa/postgres"]


def test_replicas_reach_each_other_and_nobody_else_reaches_them(mesh: Mesh) -> None:
    """By the proxies of both: at the application's port arrives what they let through."""
    (address, listening), (_, other), *_ = mesh.replicas("app=api").items()
    with listening.answering(PEER_PORT, b"hello"):
        before = listening.counter(JUDGED)
        assert other.hears(address, PEER_PORT) == b"hello"
        assert listening.counter(JUDGED) == before + 1
        for stranger in (f"{SHOP}.{INTRUDER}", f"{SHOP}.redis", OUTSIDE):
            assert mesh.workload(stranger).hears(address, PEER_PORT) == b"", stranger


def test_replicas_send_each_other_requests_at_the_services_own_port(mesh: Mesh) -> None:
    """By the name of each, as those of MinIO do. The proxy finds it in the headless Service."""
    (address, _), (_, other), *_ = mesh.replicas("app=api").items()
    name = "api-0.api-peers.shop.svc.cluster.local"
    answer = other.ask("GET", address, API_PORT, "/", host=f"{name}:{API_PORT}")
    assert (answer.status, answer.headers["x-pod"]) == (200, address)
    assert f"URI=spiffe://cluster.local/ns/{SHOP}/sa/api" in answer.body
    for stranger in (f"{SHOP}.{INTRUDER}", f"{SHOP}.redis"):
        refused = mesh.workload(stranger).ask("GET", address, API_PORT, "/", host=f"{name}:{API_PORT}")
        assert refused.status in (403, 502), stranger


def test_who_may_call_a_port_of_the_replicas_chooses_one_of_them(mesh: Mesh) -> None:
    """As a client of Kafka does, which is told the address of each."""
    for address, replica in mesh.replicas("app=api").items():
        with replica.answering(ADMIN_PORT, address.encode()):
            assert mesh.workload(f"{SHOP}.redis").hears(address, ADMIN_PORT) == address.encode()
            assert mesh.workload(f"{SHOP}.postgres").hears(address, ADMIN_PORT) == b""


def test_a_further_port_is_reached_by_whom_it_agrees_to_and_no_other_port_is(mesh: Mesh) -> None:
    service = mesh.address_of_service("api")
    with ExitStack() as answering:
        for replica in mesh.replicas("app=api").values():
            answering.enter_context(replica.answering(ADMIN_PORT, b"hello"))
        assert mesh.workload(f"{SHOP}.redis").hears(service, ADMIN_PORT) == b"hello"
        for stranger in (f"{SHOP}.{INTRUDER}", f"{SHOP}.postgres"):
            assert mesh.workload(stranger).hears(service, ADMIN_PORT) == b"", stranger
        for address in mesh.replicas("app=api"):
            assert mesh.workload(OUTSIDE).hears(address, ADMIN_PORT) == b""
    refused = mesh.workload(f"{SHOP}.redis").get(service, API_PORT, "/", host="api")
    assert (refused.status, refused.body) == (403, "RBAC: access denied")


def test_a_replica_is_found_by_the_headless_service(mesh: Mesh) -> None:
    """Its proxy knows every replica as one that has to show the service's own certificate."""
    accepted = mesh.workload(f"{SHOP}.api").accepts(f"api-peers.{SHOP}", PEER_PORT)
    assert accepted == [f"spiffe://cluster.local/ns/{SHOP}/sa/api"]


def test_a_self_made_certificate_fails_the_handshake(mesh: Mesh, tmp_path: Path) -> None:
    outside = mesh.workload(OUTSIDE)
    context = self_made(tmp_path, f"spiffe://cluster.local/ns/{SHOP}/sa/api")
    connection = outside.connect(mesh.address_of_pod("app=postgres"), POSTGRES_PORT)
    with connection, pytest.raises(ssl.SSLError, match="alert unknown ca"), context.wrap_socket(connection) as secured:
        # In TLS 1.3 the server's verdict on a client certificate comes after the client's side of the handshake.
        secured.recv(1)


def test_api_cannot_reach_an_undeclared_external_host(mesh: Mesh) -> None:
    api = mesh.workload(f"{SHOP}.api")
    request = (
        f'exec 3<>/dev/tcp/{OUTSIDE_ADDRESS}/{OUTSIDE_PORT}; printf "GET / HTTP/1.0\\r\\n\\r\\n" >&3; head -n 1 <&3'
    )
    past_the_proxy = ("setpriv", "--reuid=1337", "--regid=1337", "--clear-groups", "bash", "-c", request)
    assert "200" in api.network.output(past_the_proxy), "the host answers, so that it is the proxy that refuses"
    assert "200" not in api.network.output(("bash", "-c", request))


def test_the_certificate_rotates(mesh: Mesh) -> None:
    caller = mesh.workload(f"{SHOP}.{INTRUDER}")
    first = caller.certificate()
    eventually(lambda: caller.certificate()["serial"] != first["serial"], "another certificate")
    assert caller.certificate()["identity"] == first["identity"]


@pytest.fixture(scope="module")
def trust(mesh: Mesh) -> ssl.SSLContext:
    return trust_of(mesh, HOST)


def test_a_request_from_outside_reaches_api_as_the_gateways_identity(mesh: Mesh, trust: ssl.SSLContext) -> None:
    outside = mesh.workload(OUTSIDE)

    def served() -> str:
        try:
            answer = outside.get(gateway(mesh), 443, "/healthz", HOST, trust)
        except OSError:
            return ""
        return answer.body if answer.status == 200 else ""

    identities = eventually(served, "the gateway serves the certificate and the route")
    assert f"By=spiffe://cluster.local/ns/{SHOP}/sa/api;" in identities
    assert f"URI=spiffe://cluster.local/ns/{GATEWAY_NAMESPACE}/sa/public-istio" in identities


def test_plain_http_is_redirected(mesh: Mesh) -> None:
    answer = mesh.workload(OUTSIDE).get(gateway(mesh), 80, "/orders", HOST)
    assert (answer.status, answer.location) == (301, f"https://{HOST}/orders")


def test_an_unknown_host_is_refused(mesh: Mesh, trust: ssl.SSLContext) -> None:
    with pytest.raises(OSError, match=r"EOF|reset"):
        mesh.workload(OUTSIDE).get(gateway(mesh), 443, "/", "other.example.org", trust)


def test_more_requests_than_the_host_allows_get_429(mesh: Mesh, trust: ssl.SSLContext) -> None:
    outside, address = mesh.workload(OUTSIDE), gateway(mesh)
    answers = (outside.get(address, 443, "/", HOST, trust).status for _ in range(2 * REQUESTS_A_MINUTE))
    assert http.HTTPStatus.TOO_MANY_REQUESTS in answers


@pytest.fixture(scope="module")
def moved(mesh: Mesh) -> Watch:
    """The stack takes a revision, in one run, and is looked at all the while."""
    plane = mesh.plane
    assert {revision_of(pod) for pod in pods_of_services(plane)} == {"default"}
    plane.core.delete_namespaced_pod(INTRUDER, SHOP, grace_period_seconds=0)
    configure(plane, "mesh", {"replicas": 2, "revision": REVISION})
    with watching(mesh) as watch:
        plane.run("up", "--stack", "production")
    intrude(mesh)
    return watch


class TestAnotherRevision:
    """After all other tests of the mesh: what has not moved has lost its istiod."""

    def test_both_istiods_stand_until_the_last_pod_has_moved(self, moved: Watch) -> None:
        assert ISTIODS in [sight.ready for sight in moved.sights]
        for sight in moved.sights:
            needed = {"istiod" if revision == "default" else f"istiod-{revision}" for revision in sight.revisions}
            assert needed <= sight.istiods, sight

    def test_the_mesh_was_closed_all_along(self, moved: Watch) -> None:
        assert {str(sight.rules) for sight in moved.sights} == {str(({"mtls": {"mode": "STRICT"}}, {}))}
        assert moved.refusing == {"default", REVISION}
        assert not moved.answers

    def test_every_pod_was_injected_by_the_new_webhook(self, mesh: Mesh, moved: Watch) -> None:
        assert moved.sights[-1].revisions == {REVISION}
        labels = mesh.plane.core.read_namespace(SHOP).metadata.labels
        assert labels["istio.io/rev"] == REVISION
        assert "istio-injection" not in labels
        for service in ("api", "postgres", "redis"):
            status = mesh.plane.apps.read_namespaced_deployment(service, SHOP).status
            assert status.ready_replicas == status.updated_replicas == status.replicas

    def test_the_gateway_moves_too(self, mesh: Mesh, moved: Watch) -> None:
        assert moved
        selector = "gateway.networking.k8s.io/gateway-name=public"

        def revisions() -> set[str]:
            found = pods_of_services(mesh.plane, selector, GATEWAY_NAMESPACE)
            return {pod.metadata.annotations["istio.io/rev"] for pod in found}

        eventually(lambda: revisions() == {REVISION}, "the gateway's pods have the new revision")
        # A ReplicaSet has this history when its Deployment went back to it: two istiods at odds.
        sets = mesh.plane.apps.list_namespaced_replica_set(GATEWAY_NAMESPACE).items
        assert not [made for made in sets if "deployment.kubernetes.io/revision-history" in made.metadata.annotations]

    def test_nothing_of_the_old_istiod_is_left(self, mesh: Mesh, moved: Watch) -> None:
        assert moved
        plane, new = mesh.plane, f"istiod-{REVISION}"
        assert istiods(plane) == {new: True}
        assert [item["name"] for item in mesh.plane.processes if item["name"].startswith("istiod")] == [new]
        listings = (
            plane.admission.list_validating_webhook_configuration,
            plane.admission.list_mutating_webhook_configuration,
        )
        hooks = [hook for listing in listings for item in listing().items for hook in item.webhooks]
        called = {hook.client_config.service.name for hook in hooks if hook.name.endswith("istio.io")}
        assert called == {new}

    def test_the_new_webhook_refuses_a_wrong_authorization_policy(self, mesh: Mesh, moved: Watch) -> None:
        assert moved
        admission = Admission(mesh.plane, ())
        admission.request("POST", mesh_objects.right()["AuthorizationPolicy full"], dry_run=True)
        with pytest.raises(RefusedError, match=r"validation\.istio\.io"):
            admission.request("POST", mesh_objects.wrong()["a source that names nobody"], dry_run=True)

    def test_its_proxies_judge_as_before(self, mesh: Mesh, moved: Watch) -> None:
        assert moved
        api, intruder = mesh.workload(f"{SHOP}.api"), mesh.workload(f"{SHOP}.{INTRUDER}")
        where = mesh.address_of_service("postgres")
        eventually(lambda: api.psql(where, mesh.database_password) == ANSWER, "api reaches postgres")
        postgres = mesh.workload(f"{SHOP}.postgres")
        before = postgres.counter(DENIED)
        assert "server closed the connection" in intruder.psql(where, mesh.database_password)
        assert postgres.counter(DENIED) == before + 1

    def test_a_second_up_changes_nothing(self, mesh: Mesh, moved: Watch) -> None:
        assert moved
        preview = mesh.plane.run("pulumi", "preview", "--stack", "production", "--expect-no-changes", "--diff")
        assert "unchanged" in preview.stdout


def test_a_killed_supervisor_leaves_no_process_behind(mesh: Mesh) -> None:
    """The last test of the plane: nothing runs after it. A namespace without a process is gone as well."""
    supervisor = psutil.Process(json.loads((mesh.plane.state / "status.json").read_text())["pid"])
    family = supervisor.children(recursive=True)
    assert {"envoy", "pilot-agent", "postgres"} <= {process.name() for process in family}
    supervisor.kill()
    eventually(lambda: not any(alive(process) for process in family), "every process has ended")


def alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
