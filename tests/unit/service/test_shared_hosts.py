"""A public host that several services share: whose it is, who may have which paths, and what holds for each of them."""

from pathlib import Path
from typing import Any

import pytest

from components.ingress.hardening import BUFFER_FILTER, RATE_LIMIT_FILTER, limits_filter
from components.ingress.secure_ingress import gateway
from components.kube.service_ref import ServiceRef
from components.program.plan import Plan, plan
from components.program.stack import read_stack
from components.schema.problem import ConfigError
from components.service.file.directory import Admission, read_services
from components.service.manifests.authorization import authorization_policy
from components.service.manifests.route import route_names, route_spec
from tests.support.stacks import settings
from tests.unit.service.test_directory import SMALL, write

pytestmark = pytest.mark.unit

OPEN = Admission((), api_server_reachable=True)
BANK = SMALL.replace("namespace: shop", "namespace: bank")
HOST = "x.example.org"
WEB = SMALL + f"host: {HOST}\n"
LENT = WEB + "hostUsers: {bank/ledger: [/accounts]}\n"
OWNED = f"host: {HOST}\nhostOwner: shop/web\n"
LEDGER = BANK + OWNED + "paths: [/accounts]\n"


@pytest.mark.parametrize(
    "texts",
    [
        {"web": WEB, "api": WEB + "paths: [/api]"},
        {"web": WEB + "paths: [/v1]", "api": WEB + "paths: [/v10, /v1/users]"},
        {"web": SMALL + f"host: y.example.org\naliases: [{HOST}]", "api": WEB + "paths: [/api]"},
        {"web": LENT, "ledger": LEDGER},
        {"web": LENT, "ledger": LEDGER, "api": WEB + "paths: [/api]"},
        {"web": LENT, "ledger": LEDGER.replace("[/accounts]", "[/accounts/eu, /accounts/us]")},
        {"web": WEB + "hostUsers: {bank/ledger: [/]}", "ledger": LEDGER},
        # A consent that nobody uses yet opens nothing.
        {"web": LENT, "ledger": BANK},
    ],
)
def test_what_is_shared(tmp_path: Path, texts: dict[str, str]) -> None:
    assert len(read_services(write(tmp_path, **texts), OPEN)) == len(texts)


@pytest.mark.parametrize(
    ("texts", "error"),
    [
        (
            {"web": WEB, "api": WEB + "paths: [/api, /]"},
            r"web\.yaml:5: host: services/api\.yaml already claims / of the host x\.example\.org: write other paths",
        ),
        (
            {"api": WEB + "paths: [/api]", "web": WEB + "paths: [/, /api/]"},
            r"web\.yaml:6: paths\[1\]: services/api\.yaml already claims /api/ of the host x\.example\.org",
        ),
        (
            {"api": WEB, "ledger": BANK + f"host: {HOST}\npaths: [/accounts]"},
            (
                r"ledger\.yaml:5: host: services/api\.yaml already claims this host, for namespace shop: write "
                r"hostOwner: shop/api if its owners share it, found 'x\.example\.org'"
            ),
        ),
        # What one end says of itself makes it neither owner nor guest.
        (
            {"api": WEB, "ledger": BANK + f"host: {HOST}\npaths: [/login]\nhostUsers: {{shop/api: [/]}}"},
            r"ledger\.yaml:5: host: services/api\.yaml already claims this host",
        ),
        (
            {"web": WEB, "ledger": LEDGER},
            (
                r"web\.yaml:\d: hostUsers: services/ledger\.yaml has /accounts of its host, and it does not agree: add "
                r"bank/ledger: \[/accounts\] here, or take it out of bank/ledger"
            ),
        ),
        (
            {"web": LENT, "ledger": LEDGER.replace("[/accounts]", "[/accounts, /accountsx, /login]")},
            (
                r"web\.yaml:6: hostUsers: .* has /accountsx, /login of its host.* bank/ledger: "
                r"\[/accounts, /accountsx, /login\]"
            ),
        ),
        (
            {"web": WEB + "paths: [/accounts]\nhostUsers: {bank/ledger: [/accounts]}", "ledger": LEDGER},
            r"web\.yaml:6: paths\[0\]: services/ledger\.yaml already claims /accounts",
        ),
        ({"ledger": LEDGER}, r"ledger\.yaml:6: hostOwner: no such service, found 'shop/web'"),
        (
            {"web": LENT, "ledger": LEDGER.replace(f"host: {HOST}", "host: y.example.org")},
            r"ledger\.yaml:5: host: services/web\.yaml has no such host, found 'y\.example\.org'; legal: x\.example",
        ),
        (
            {"web": LENT, "ledger": LEDGER, "till": LEDGER.replace("shop/web", "bank/ledger").replace("/acc", "/x")},
            r"till\.yaml:6: hostOwner: its host is that of shop/web itself",
        ),
        (
            {"web": LENT, "ledger": LEDGER, "api": WEB + "hostOwner: web\npaths: [/api]"},
            r"api\.yaml:6: hostOwner: services of one namespace share a host by their paths alone",
        ),
        ({"web": LENT}, r"web\.yaml:6: hostUsers\.bank/ledger: no such service, and a later one of that name"),
        (
            {"web": WEB + "hostUsers: {api: [/api]}", "api": SMALL},
            r"web\.yaml:6: hostUsers\.api: services of one namespace share a host by their paths alone",
        ),
        (
            {"web": LENT, "ledger": LEDGER + "hostUsers: {shop/web: [/]}"},
            r"ledger\.yaml:8: hostUsers: the host is that of shop/web, whose file says this: leave it out",
        ),
        ({"web": SMALL + "hostUsers: {bank/a: [/]}"}, r"web\.yaml:5: hostUsers: it needs host"),
        ({"web": SMALL + "hostOwner: bank/a"}, r"web\.yaml:5: hostOwner: it needs host"),
        (
            {"api": WEB, "web": WEB + "paths: [/shop.Cart]\nprotocol: grpc"},
            r"web\.yaml:7: protocol: services/api\.yaml speaks http at x\.example\.org, .*; legal: http2",
        ),
    ],
)
def test_what_is_not(tmp_path: Path, texts: dict[str, str], error: str) -> None:
    with pytest.raises(ConfigError, match=error) as caught:
        read_services(write(tmp_path, **texts), OPEN)
    assert len(caught.value.problems) == 1


def test_an_ingress_has_its_key_in_its_own_namespace(tmp_path: Path) -> None:
    folder = write(tmp_path, web=LENT, ledger=LEDGER)
    with pytest.raises(ConfigError, match=r"ledger\.yaml:6: hostOwner: two Ingresses of two namespaces would each"):
        read_services(folder, Admission((), api_server_reachable=True, gateway_api=False))


@pytest.fixture
def planned(tmp_path: Path) -> Plan:
    texts = {
        "web": LENT + "rateLimit: none\n",
        "api": WEB + "paths: [/api, /v2]\nrateLimit: {requests: 5, per: minute}\naliases: [api.example.org]\n",
        "ledger": LEDGER + "maxRequestBytes: none\n",
    }
    write(tmp_path, **{name: text.replace("r.example.org", "registry.example.org") for name, text in texts.items()})
    return plan(read_stack(tmp_path, "Pulumi.production.yaml", settings("production")))


def test_the_listener_takes_routes_of_both_namespaces_and_of_no_other(planned: Plan) -> None:
    listeners = {made.get("hostname"): made for made in gateway(planned.ingress)["spec"]["listeners"]}
    assert sorted(str(host) for host in listeners) == ["None", "api.example.org", HOST]
    [chosen] = listeners[HOST]["allowedRoutes"]["namespaces"]["selector"]["matchExpressions"]
    assert chosen == {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["shop", "bank"]}
    own = listeners["api.example.org"]["allowedRoutes"]["namespaces"]["selector"]
    assert own == {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}


def test_the_policy_on_hosts_knows_what_was_lent(planned: Plan) -> None:
    assert planned.hosts
    assert planned.hosts.hosts == {"shop": ["x.example.org", "api.example.org", "x.example.org"]}
    assert planned.hosts.lent == {"bank": {HOST: ["/accounts"]}}


def test_each_has_a_route_and_a_policy_of_its_own(planned: Plan) -> None:
    ledger = next(args for args in planned.services if args.name == "ledger")
    spec = route_spec(ledger, ledger.public_ports[0])
    assert spec["hostnames"] == [HOST]
    assert spec["rules"][0]["matches"] == [{"path": {"type": "PathPrefix", "value": "/accounts"}}]
    policy = authorization_policy(ledger)
    assert policy
    [rule] = policy["spec"]["rules"]
    assert rule["to"][0]["operation"]["paths"] == ["/accounts", "/accounts/*"]


def test_each_has_a_bucket_of_its_own_at_the_shared_host(planned: Plan) -> None:
    made = patches(planned)
    rates = made["VIRTUAL_HOST", HOST, ""]["typed_per_filter_config"][RATE_LIMIT_FILTER]
    buckets = {each["entries"][0]["value"]: each["token_bucket"]["max_tokens"] for each in rates["descriptors"]}
    assert buckets == {"shop.api": 5, "bank.ledger": 100}
    assert rates["always_consume_default_token_bucket"] is False
    own = made["VIRTUAL_HOST", "api.example.org", ""]["typed_per_filter_config"][RATE_LIMIT_FILTER]
    assert own["token_bucket"]["max_tokens"] == 5
    assert "descriptors" not in own


def test_each_route_says_whose_it_is_and_how_large_a_request_may_be(planned: Plan) -> None:
    routes = {route: value for (_, host, route), value in patches(planned).items() if route and host == HOST}
    assert {route: value.get("metadata", {}) for route, value in routes.items()} == {
        "shop.web.0": {},
        "shop.api.0": {"filter_metadata": {"gateway": {"service": "shop.api"}}},
        "bank.ledger.0": {"filter_metadata": {"gateway": {"service": "bank.ledger"}}},
    }
    sizes = {route for route, value in routes.items() if BUFFER_FILTER in value.get("typed_per_filter_config", {})}
    assert sizes == {"shop.web.0", "shop.api.0"}


def test_the_routes_have_the_names_that_istiod_gives_them(planned: Plan) -> None:
    assert [route_names(args, args.public_ports[0]) for args in planned.services] == [
        ["bank.ledger.0"],
        ["shop.api.0"],
        ["shop.web.0"],
    ]


def patches(planned: Plan) -> dict[tuple[str, str, str], dict[str, Any]]:
    made = limits_filter(("public", "istio-ingress"), planned.ingress.limits, planned.ingress.enforce)
    assert made
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for patch in made["spec"]["configPatches"]:
        if patch["applyTo"] != "HTTP_FILTER":
            vhost = patch["match"]["routeConfiguration"]["vhost"]
            place = (patch["applyTo"], vhost["domainName"], vhost.get("route", {}).get("name", ""))
            assert place not in found
            found[place] = patch["patch"]["value"]
    return found


def test_the_owner_is_a_service_of_another_namespace(tmp_path: Path) -> None:
    [ledger, _] = read_services(write(tmp_path, web=LENT, ledger=LEDGER), OPEN)
    assert ledger.owner_of_host == ServiceRef("shop", "web")
