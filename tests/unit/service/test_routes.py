"""What the gateway does with the requests for each public path, and which of them need a token."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from components.ingress.routes import RouteRetries, retries_filter
from components.ingress.secure_ingress import gateway_filters
from components.program.plan import Plan, plan
from components.program.stack import Stack
from components.schema.problem import ConfigError
from components.service.args.network import JwtArgs
from components.service.args.routes import CorsArgs, RouteArgs
from components.service.args.service import SecureServiceArgs
from components.service.file.directory import Admission, parse_service, read_services
from components.service.file.service import ServiceSpec
from components.service.manifests.authorization import authorization_policy, request_authentication
from components.service.manifests.route import route_names, route_spec
from tests.support.stacks import service, settings
from tests.unit.service.test_directory import SMALL, write

pytestmark = pytest.mark.unit

HOST = "host: x.example.org\n"
JWT = "jwt: {issuer: https://l.example.org, jwksUri: https://l.example.org/k, audiences: [a]}\n"
_ONE = JWT.removeprefix("jwt: ").strip()
PAGES = "cors: {origins: [https://shop.example.org]}"
LOGIN = JwtArgs("https://l.example.org", "https://l.example.org/k", "", ["a"], {"role": ["buyer"]})
PARTNER = JwtArgs("https://p.example.org", "https://p.example.org/k", "", ["b"])


def spec(text: str) -> ServiceSpec:
    return parse_service(SMALL + text, "services/x.yaml").spec


def planned(text: str) -> Plan:
    chosen = settings("production")
    found = spec(text.replace("r.example.org", "registry.example.org"))
    return plan(Stack("Pulumi.production.yaml", chosen, chosen.decisions(), (found,)))


class TestFile:
    def test_a_path_is_a_text_or_what_holds_there(self) -> None:
        made = spec(HOST + "paths: [/v1, {path: /v2, rewrite: /v1, timeout: 5s}]")
        assert made.public_paths == ("/v1", "/v2")
        assert [path.arrives_at for path in made.paths] == ["/v1", "/v1"]
        assert spec(HOST).public_paths == ("/",)

    @pytest.mark.parametrize(
        ("text", "error"),
        [
            ("paths: [/a, {path: /a/}]", r"x\.yaml:6: paths\[1\]: it stands there twice: keep one, found '/a/'"),
            ("paths: [{rewrite: /a}]", r"paths\[0\]\.path: missing"),
            (
                "paths: [{path: /a, rewrites: /b}]",
                r"paths\[0\]\.rewrites: unknown key, .*; legal: path, rewrite",
            ),
            ("paths: [{path: /a, rewrite: /../b}]", r"paths\[0\]\.rewrite: /\.\./ in it"),
            ("paths: [{path: /, rewrite: /b}]", r"rewrite: it takes the place of a prefix such as /v1, and / is none"),
            ("paths: [{path: /a, timeout: 2h}]", r"paths\[0\]\.timeout: more than an hour"),
            ("paths: [{path: /a, timeout: 1s, retries: {attempts: 1, each: 2s}}]", r"each: longer than the timeout"),
            ("paths: [{path: /a, retries: {}}]", r"paths\[0\]\.retries\.attempts: missing"),
            ("paths: [{path: /a, retries: {attempts: 11}}]", r"attempts: more than 10"),
            ("paths: [{path: /a, retries: {attempts: 1, codes: [404]}}]", r"codes\[0\]: less than 500"),
            ("paths: [{path: /a, retries: {attempts: 1, codes: [503, 503]}}]", "it stands there twice"),
            ("paths: [{path: /a, cors: {origins: []}}]", r"origins: fewer than 1"),
            ("paths: [{path: /a, cors: {origins: ['https://*.example.org']}}]", "not an origin as a browser sends it"),
            ("paths: [{path: /a, cors: {origins: [https://a.example.org/]}}]", "not an origin as a browser sends it"),
            ("paths: [{path: /a, cors: {origins: [http://a.example.org]}}]", "not an origin as a browser sends it"),
            ("paths: [{path: /a, cors: {origins: ['*'], credentials: true}}]", "any page could do there what its"),
            ("paths: [{path: /a, cors: {origins: ['*', https://a.example.org]}}]", "it is every origin: keep it, or"),
            ("paths: [{path: /a, cors: {origins: [https://a.example.org], headers: ['*']}}]", "every header is over"),
            ("paths: [{path: /a, token: none}]", r"paths\[0\]\.token: it needs jwt"),
            (JWT + "paths: [{path: /a, token: some}]", r"paths\[0\]\.token: .*legal: none"),
            (
                JWT + "paths: [/, {path: /a, rewrite: /, token: none}]",
                r"paths\[1\]\.token: its requests come to the service as those for / do, which need a token",
            ),
            (
                "protocol: grpc\npaths: [{path: /shop.Cart, timeout: 1s}]",
                r"paths\[0\]\.timeout: a route of gRPC has none: leave it out, or write protocol: http2",
            ),
            (JWT.replace("{", "[{").replace("}", "}, 5]"), r"jwt\[1\]: a mapping of keys is expected"),
            ("jwt: []", "jwt: fewer than 1"),
            (
                JWT.replace("{issuer: https", "[{issuer: ftp").replace("}", "}]"),
                r"x\.yaml:6: jwt\[0\]\.issuer: not an https address",
            ),
            (
                "ports: {c: {port: 9001, host: c.example.org, paths: [{path: /a, token: none}]}}",
                r"ports\.c\.paths\[0\]\.token: it needs jwt",
            ),
            (
                JWT + "ports: {c: {port: 9001, host: c.example.org, paths: [{path: /a, rewrite: /, token: none}, /]}}",
                r"ports\.c\.paths\[0\]\.token: its requests come to the service as those for / do",
            ),
            (
                "ports: {c: {port: 9001, protocol: grpc, host: c.example.org, paths: [{path: /a.B, timeout: 1s}]}}",
                r"ports\.c\.paths\[0\]\.timeout: a route of gRPC has none",
            ),
            (
                f"jwt: [{_ONE}, {_ONE.replace('[a]', '[b]')}]",
                "jwt: two are of one issuer: keep one, with all its audiences",
            ),
            (
                f"paths: [{', '.join(f'{{path: /{number}, timeout: 1s}}' for number in range(16))}, /x]",
                "paths: 16 of them have settings of their own, and a route has 16 rules",
            ),
        ],
    )
    def test_what_is_wrong_is_named(self, text: str, error: str) -> None:
        with pytest.raises(ConfigError, match=error) as caught:
            spec(HOST + text)
        assert len(caught.value.problems) == 1

    def test_sixteen_rules_are_a_route(self) -> None:
        paths = [{"path": f"/{number}", "timeout": "1s"} for number in range(16)]
        [made] = planned(HOST + yaml.safe_dump({"paths": paths})).services
        assert (
            len(route_spec(made, made.public_ports[0])["rules"])
            == len(set(route_names(made, made.public_ports[0])))
            == 16
        )

    @pytest.mark.parametrize("setting", ["rewrite: /b", "timeout: 5s", "retries: {attempts: 1}", PAGES])
    def test_an_ingress_has_no_words_for_it(self, tmp_path: Path, setting: str) -> None:
        folder = write(tmp_path, a=SMALL + HOST + f"paths: [/, {{path: /a, {setting}}}]")
        error = rf"a\.yaml:6: paths\[1\]\.{setting.partition(':')[0]}: an Ingress has no words for it"
        with pytest.raises(ConfigError, match=error):
            read_services(folder, Admission((), api_server_reachable=True, gateway_api=False))

    def test_an_ingress_has_no_words_for_it_at_a_further_port(self, tmp_path: Path) -> None:
        console = "ports: {c: {port: 9001, host: c.example.org, paths: [/, {path: /a, timeout: 5s}]}}"
        folder = write(tmp_path, a=SMALL + console)
        error = r"a\.yaml:5: ports\.c\.paths\[1\]\.timeout: an Ingress has no words for it"
        with pytest.raises(ConfigError, match=error):
            read_services(folder, Admission((), api_server_reachable=True, gateway_api=False))

    def test_an_ingress_needs_no_words_for_a_token(self, tmp_path: Path) -> None:
        folder = write(tmp_path, a=SMALL + HOST + JWT + "paths: [/, {path: /a, token: none}]")
        assert read_services(folder, Admission((), api_server_reachable=True, gateway_api=False))


class TestRoute:
    def test_a_path_with_settings_has_a_rule_and_the_others_share_one(self) -> None:
        text = f"paths: [/v1, {{path: /v2, rewrite: /, timeout: 5s, {PAGES}}}, /v3]"
        [made] = planned(HOST + text).services
        plain, own = route_spec(made, made.public_ports[0])["rules"]
        assert [match["path"]["value"] for match in plain["matches"]] == ["/v1", "/v3"]
        assert "name" not in plain
        assert own["matches"] == [{"path": {"type": "PathPrefix", "value": "/v2"}}]
        headers, rewrite, cors = own["filters"]
        assert headers == plain["filters"][0]
        assert rewrite["urlRewrite"] == {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}}
        assert cors["cors"] == {"allowOrigins": ["https://shop.example.org"], "maxAge": 600}
        assert own["timeouts"] == {"request": "5s"}
        assert own["backendRefs"] == plain["backendRefs"]
        assert route_names(made, made.public_ports[0]) == ["shop.x.0", own["name"]]

    def test_a_further_port_has_the_same_settings_at_its_host(self) -> None:
        paths = f"[/, {{path: /v2, rewrite: /, retries: {{attempts: 2}}, {PAGES}}}]"
        console = f"console: {{port: 9001, host: c.example.org, paths: {paths}}}"
        made = planned(HOST + "paths: [{path: /v2, retries: {attempts: 1}}]\nports: {" + console + "}")
        main, further = made.services[0].public_ports
        [own] = route_names(made.services[0], main)
        _, other = route_names(made.services[0], further)
        assert own != other
        assert made.ingress.retries == (RouteRetries(own, 1, (), 0, 0), RouteRetries(other, 2, (), 0, 0))
        plain, rule = route_spec(made.services[0], further)["rules"]
        assert plain["matches"] == [{"path": {"type": "PathPrefix", "value": "/"}}]
        assert [each["type"] for each in rule["filters"]] == ["ResponseHeaderModifier", "URLRewrite", "CORS"]
        assert rule["backendRefs"] == [{"name": "x", "port": 9001}]

    def test_a_path_of_a_further_port_needs_no_token(self) -> None:
        console = "console: {port: 9001, host: c.example.org, paths: [/, {path: /up, token: none}]}"
        made = planned(JWT + "ports: {" + console + "}")
        policy = authorization_policy(made.services[0])
        assert policy
        with_token, without = policy["spec"]["rules"]
        assert with_token["from"][0]["source"]["requestPrincipals"] == ["https://l.example.org/*"]
        assert without["to"] == [{"operation": {"ports": ["9001"], "paths": ["/up", "/up/*"]}}]
        assert made.ingress.tokenless

    def test_a_rule_keeps_its_name_when_others_come(self) -> None:
        [before], [after] = (
            planned(HOST + f"paths: [{more}{{path: /a, timeout: 1s}}]").services for more in ("", "/x, ")
        )
        assert route_names(before, before.public_ports[0]) == route_names(after, after.public_ports[0])[1:]

    def test_pages_have_what_was_named(self) -> None:
        cors = "origins: [https://s.example.org], methods: [PUT], headers: [Authorization], exposeHeaders: [ETag]"
        [made] = planned(HOST + f"paths: [{{path: /, cors: {{{cors}, credentials: true, maxAge: 1h}}}}]").services
        [rule] = route_spec(made, made.public_ports[0])["rules"]
        assert rule["filters"][-1]["cors"] == {
            "allowOrigins": ["https://s.example.org"],
            "allowMethods": ["GET", "HEAD", "POST", "PUT"],
            "allowHeaders": ["Authorization"],
            "exposeHeaders": ["ETag"],
            "allowCredentials": True,
            "maxAge": 3600,
        }

    def test_retries_are_the_gateways(self) -> None:
        made = planned(HOST + "paths: [{path: /, retries: {attempts: 3, codes: [503], each: 2s, backoff: 1s}}]")
        [name] = route_names(made.services[0], made.services[0].public_ports[0])
        assert made.ingress.retries == (RouteRetries(name, 3, (503,), 2, 1),)
        found = retries_filter(("public", "istio-ingress"), made.ingress.retries)
        assert found
        [patch] = found["spec"]["configPatches"]
        assert patch["match"]["routeConfiguration"]["vhost"]["route"] == {"name": name}
        policy = patch["patch"]["value"]["route"]["retry_policy"]
        assert (policy["num_retries"], policy["retriable_status_codes"]) == (3, [503])
        assert (policy["per_try_timeout"], policy["retry_back_off"]) == ("2s", {"base_interval": "1s"})

    def test_without_them_the_gateway_has_no_further_filter(self) -> None:
        names = [made["metadata"]["name"] for made in gateway_filters(planned(HOST).ingress)]
        assert names == ["public-tls", "public-limits"]


class TestAuthorization:
    @staticmethod
    def rules(**changes: Any) -> list[dict[str, Any]]:
        policy = authorization_policy(service(host="x.example.org", **changes))
        return policy["spec"]["rules"] if policy else []

    def test_the_service_is_asked_for_what_it_sees(self) -> None:
        [rule] = self.rules(paths=["/v1", "/v2"], routes=[RouteArgs("/v2", rewrite="/new/")])
        assert rule["to"][0]["operation"]["paths"] == ["/v1", "/v1/*", "/new", "/new/*"]
        [rule] = self.rules(paths=["/v1"], routes=[RouteArgs("/v1", rewrite="/")])
        assert "paths" not in rule["to"][0]["operation"]

    def test_a_token_of_any_issuer_will_do_with_its_own_claims(self) -> None:
        first, second = self.rules(jwt=LOGIN, other_jwt=[PARTNER])
        assert first["from"][0]["source"]["requestPrincipals"] == ["https://l.example.org/*"]
        assert first["when"] == [{"key": "request.auth.claims[role]", "values": ["buyer"]}]
        assert second["from"][0]["source"]["requestPrincipals"] == ["https://p.example.org/*"]
        assert "when" not in second
        made = request_authentication(service(host="x.example.org", jwt=LOGIN, other_jwt=[PARTNER]))
        assert made
        assert [rule["issuer"] for rule in made["spec"]["jwtRules"]] == [LOGIN.issuer, PARTNER.issuer]

    def test_a_path_without_a_token_is_open_to_the_gateway_alone(self) -> None:
        token, without = self.rules(
            paths=["/", "/docs", "/docs/private"], routes=[RouteArgs("/docs", without_token=True)], jwt=LOGIN
        )
        assert "requestPrincipals" in token["from"][0]["source"]
        [source] = without["from"]
        assert source["source"] == {"principals": ["cluster.local/ns/istio-ingress/sa/public-istio"]}
        assert without["to"][0]["operation"] == {
            "ports": ["8080"],
            "paths": ["/docs", "/docs/*"],
            "notPaths": ["/docs/private", "/docs/private/*"],
        }

    def test_without_jwt_it_changes_nothing(self) -> None:
        changes: dict[str, Any] = {"paths": ["/", "/docs"]}
        assert self.rules(**changes) == self.rules(**changes, routes=[RouteArgs("/docs", without_token=True)])

    def test_what_a_service_and_the_gateway_read_differently_is_refused(self) -> None:
        text = HOST + JWT + "paths: [/, {path: /docs, token: none}]"
        names = [made["metadata"]["name"] for made in gateway_filters(planned(text).ingress)]
        assert names == ["public-tls", "public-limits", "public-paths"]

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"routes": [RouteArgs("/b")]}, r"shop\.api\.routes: not among paths, found '/b'; legal: /"),
            (
                {"paths": ["/", "/b"], "routes": [RouteArgs("/b", "/", without_token=True)]},
                "it comes to the service as one that needs a token, found '/b'",
            ),
        ],
    )
    def test_code_is_checked_as_a_file_is(self, changes: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            service(**changes)


def test_what_is_plain_needs_no_rule() -> None:
    args: SecureServiceArgs = service(host="x.example.org", routes=[RouteArgs("/", without_token=True)])
    assert all(route.plain for route in args.public_routes)
    assert not RouteArgs("/", cors=CorsArgs(["https://a.example.org"])).plain
