"""Requests from the internet to a host that three services share: each has its paths, and what it says of them."""

import http

import pytest

from components.kube.names import PUBLIC_HOSTS
from embedded.data_plane.pods import OUTSIDE
from tests.e2e import host_claims
from tests.e2e.admission import Admission, RefusedError
from tests.e2e.gateway_routes import (
    COOKIE,
    GUEST,
    GUEST_REQUESTS,
    HOST,
    LOGIN,
    OTHER_PAGE,
    OWNER,
    PAGE,
    PARTNER,
    Client,
    claim,
    served_by,
)
from tests.e2e.mesh_pods import Mesh
from tests.e2e.mesh_setup import GATEWAY_NAMESPACE, gateway, mesh_on, trust_of
from tests.e2e.plane import Plane
from tests.e2e.signed_tokens import TokenIssuer
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def mesh(plane: Plane, tmp_path_factory: pytest.TempPathFactory) -> Mesh:
    return mesh_on(plane, tmp_path_factory.mktemp("checkout"))


@pytest.fixture(scope="module")
def client(mesh: Mesh) -> Client:
    """Somebody on the internet, once the gateway leads to every service of the host."""
    anybody = Client(mesh.workload(OUTSIDE), gateway(mesh), trust_of(mesh, HOST))

    def answers(path: str, service: str) -> bool:
        try:
            return served_by(anybody.ask(path)) == service
        except OSError:
            return False

    for path, service in (("/docs", "shop/catalog"), ("/", OWNER)):
        eventually(lambda path=path, service=service: answers(path, service), f"{service} answers")
    return anybody


@pytest.fixture(scope="module")
def buyer(client: Client) -> Client:
    return client.with_token(LOGIN, role="buyer")


class TestSharedHost:
    def test_each_service_has_a_rate_of_its_own_for_all_its_paths(self, client: Client) -> None:
        answers = [client.ask(path) for path in ("/accounts/1", "/statements") * GUEST_REQUESTS]
        assert {served_by(answer) for answer in answers if answer.status == 200} == {GUEST}
        assert [answer.status for answer in answers].count(200) == GUEST_REQUESTS
        assert answers[-1].status == http.HTTPStatus.TOO_MANY_REQUESTS
        assert served_by(client.ask("/docs")) == "shop/catalog"

    def test_a_guest_has_its_paths_alone(self, client: Client) -> None:
        for path in ("/accountsx", "/account", "/statement/accounts"):
            assert served_by(client.ask(path)) == OWNER, path

    @pytest.mark.parametrize(
        ("kind", "paths", "path_type"),
        [
            ("HTTPRoute", ("/accounts/eu", "/statements"), "PathPrefix"),
            ("HTTPRoute", ("/accounts",), "Exact"),
            ("GRPCRoute", ("accounts",), ""),
        ],
    )
    def test_its_namespace_may_name_what_it_was_lent(
        self, mesh: Mesh, kind: str, paths: tuple[str, ...], path_type: str
    ) -> None:
        admin, made = Admission(mesh.plane, [PUBLIC_HOSTS]), claim(kind, *paths, path_type=path_type)
        admin.request("POST", made, "bank")
        admin.request("DELETE", made, "bank")

    @pytest.mark.parametrize(
        ("kind", "paths", "path_type"),
        [
            ("HTTPRoute", (), ""),
            ("HTTPRoute", ("/",), "PathPrefix"),
            ("HTTPRoute", ("/accounts", "/accountsx"), "PathPrefix"),
            ("HTTPRoute", ("/accounts/.*",), "RegularExpression"),
            ("GRPCRoute", (), ""),
            ("GRPCRoute", ("login",), ""),
        ],
    )
    def test_it_may_not_name_the_rest(self, mesh: Mesh, kind: str, paths: tuple[str, ...], path_type: str) -> None:
        admin, made = Admission(mesh.plane, [PUBLIC_HOSTS]), claim(kind, *paths, path_type=path_type)
        with pytest.raises(RefusedError, match=rf"bank may not name the host {HOST}; .* {HOST} at /accounts, /statem"):
            admin.request("POST", made, "bank")

    def test_nor_in_anything_but_a_route(self, mesh: Mesh) -> None:
        admin = Admission(mesh.plane, [PUBLIC_HOSTS])
        for made in (host_claims.ingress(HOST), host_claims.certificate(HOST), host_claims.virtual_service(HOST)):
            with pytest.raises(RefusedError, match=PUBLIC_HOSTS):
                admin.request("POST", made, "bank")


class TestSticky:
    """The owner of the host has two pods, and keeps a client with one of them."""

    def test_a_browser_stays_with_the_pod_that_answered_first(self, client: Client) -> None:
        first = client.ask("/")
        cookie, *attributes = first.headers["set-cookie"].split("; ")
        assert cookie.startswith(f"{COOKIE}=")
        assert {text.lower() for text in attributes} == {"path=/", "httponly", "secure"}
        again = [client.ask("/", Cookie=cookie) for _ in range(8)]
        assert {answer.headers["x-pod"] for answer in again} == {first.headers["x-pod"]}
        assert not [answer for answer in again if "set-cookie" in answer.headers]

    def test_browsers_are_spread_over_the_pods(self, mesh: Mesh, client: Client) -> None:
        asked = {client.ask("/", Cookie=f"{COOKIE}={number}").headers["x-pod"] for number in range(16)}
        assert asked == {*mesh.replicas("app=api")}

    def test_the_pod_is_still_one_with_the_services_certificate(self, mesh: Mesh) -> None:
        [proxy, *_] = mesh.replicas("gateway.networking.k8s.io/gateway-name=public", GATEWAY_NAMESPACE).values()
        assert proxy.accepts("api.shop", 8080) == ["spiffe://cluster.local/ns/shop/sa/api"]


class TestRoutes:
    def test_a_prefix_is_replaced(self, buyer: Client) -> None:
        assert buyer.seen("/catalog/items?page=2") == "GET /items?page=2"
        assert buyer.seen("/catalog") == "GET /"
        assert buyer.seen("/moved/1", "PUT") == "PUT /items/new/1"

    def test_an_answer_is_waited_for_as_long_as_it_says(self, buyer: Client) -> None:
        assert buyer.ask("/slow?wait=2").status == http.HTTPStatus.GATEWAY_TIMEOUT
        assert buyer.ask("/flaky?wait=2").status == http.HTTPStatus.OK

    def test_a_request_is_sent_again_where_it_says_so(self, buyer: Client) -> None:
        assert buyer.ask("/flaky?failures=2&of=a").status == http.HTTPStatus.OK
        assert buyer.ask("/flaky?failures=3&of=b").status == http.HTTPStatus.SERVICE_UNAVAILABLE
        assert buyer.ask("/slow?failures=1&of=c").status == http.HTTPStatus.SERVICE_UNAVAILABLE

    def test_the_gateway_answers_a_preflight_without_a_token(self, client: Client) -> None:
        answer = client.preflight("/catalog/items", PAGE)
        assert answer.status == http.HTTPStatus.OK
        assert "x-asked" not in answer.headers
        allowed = {name: value for name, value in answer.headers.items() if name.startswith("access-control-")}
        assert allowed == {
            "access-control-allow-origin": PAGE,
            "access-control-allow-methods": "GET,HEAD,POST,PUT",
            "access-control-allow-headers": "Authorization",
            "access-control-allow-credentials": "true",
            "access-control-max-age": "600",
        }

    def test_it_allows_no_other_page_and_no_other_path(self, client: Client) -> None:
        for path, origin in (("/catalog/items", OTHER_PAGE), ("/slow", PAGE)):
            answer = client.preflight(path, origin)
            assert "access-control-allow-origin" not in answer.headers, path
            assert "x-asked" not in answer.headers

    def test_a_page_may_read_what_its_request_brings(self, client: Client, buyer: Client) -> None:
        assert buyer.ask("/catalog/items", Origin=PAGE).headers["access-control-allow-origin"] == PAGE
        assert "access-control-allow-origin" not in buyer.ask("/catalog/items", Origin=OTHER_PAGE).headers
        # So that a script can tell that its token has ended.
        refused = client.ask("/catalog/items", Origin=PAGE)
        assert (refused.status, refused.headers["access-control-allow-origin"]) == (http.HTTPStatus.FORBIDDEN, PAGE)

    def test_a_token_of_any_issuer_will_do_with_its_own_claims(self, client: Client) -> None:
        asked = {
            "buyer": client.with_token(LOGIN, role="buyer"),
            "partner": client.with_token(PARTNER),
            "no claim": client.with_token(LOGIN),
            "another audience": client.with_token(PARTNER, aud="till"),
            "a stranger": client.with_token(TokenIssuer("https://evil.example.org"), role="buyer"),
            "a forger": client.with_token(TokenIssuer(LOGIN.address), role="buyer"),
            "nobody": client,
        }
        assert {who: one.ask("/catalog/items").status for who, one in asked.items()} == {
            "buyer": 200,
            "partner": 200,
            "no claim": 403,
            "another audience": 403,
            "a stranger": 401,
            "a forger": 401,
            "nobody": 403,
        }

    def test_a_path_needs_no_token_and_what_is_beside_it_does(self, client: Client, buyer: Client) -> None:
        assert client.seen("/docs/index.html") == "GET /docs/index.html"
        assert buyer.seen("/docs/private/1") == "GET /docs/private/1"
        for path in ("/docs/private", "/docs/private/1", "/docsx", "/catalog/docs/private"):
            assert client.ask(path).status != http.HTTPStatus.OK or served_by(client.ask(path)) == OWNER, path

    @pytest.mark.parametrize(
        "hidden",
        ["..%2fitems", "%2e%2e/items", "./private", "..;/items", "%2E%2e%3bx/items", ";/../private", "/private"],
    )
    def test_no_spelling_leads_from_there_to_the_rest(self, client: Client, hidden: str) -> None:
        answer = client.ask(f"/docs/{hidden}")
        assert served_by(answer) != "shop/catalog", answer
