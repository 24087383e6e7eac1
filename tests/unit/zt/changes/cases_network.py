"""The cases of `zt diff` that change who may reach whom: requests, outside hosts, tokens, plaintext and metrics."""

from typing import Any

from tests.unit.zt.changes.files import SMALL, Case, Files, posture

_READS = {"service": "api", "methods": ["GET"], "paths": ["/orders/*"]}
_JWT: dict[str, Any] = {
    "issuer": "https://login.example.org",
    "jwksUri": "https://login.example.org/keys",
    "audiences": ["shop"],
}
_LOGIN = "https://login.example.org (https://login.example.org/keys)"
_CLEAR: dict[str, Any] = {
    "port": 9000,
    "cidrs": ["10.7.0.0/24"],
    "reason": "the tills have no certificate yet",
    "owner": "ann",
    "granted": "2026-01-01",
    "expires": "2026-02-01",
}
_PAY = {"host": "pay.example.org", "port": 443}
_SCRAPED = {"mesh": {"replicas": 2, "scraper": {"namespace": "monitoring", "serviceAccount": "prometheus"}}}


def _calls(*calls: Any, **stack: Any) -> Files:
    # Without the gateway, whose own terms follow the posture too.
    return Files({"web": {"calls": list(calls)}, "api": {"host": None}}, stack)


def _web(**keys: Any) -> Files:
    return Files({"web": keys})


def _token(**keys: Any) -> Files:
    return Files({"api": {"jwt": {**_JWT, **keys}}})


_PARTNER: dict[str, Any] = {
    "issuer": "https://id.example.org",
    "jwksUri": "https://id.example.org/keys",
    "audiences": ["shop"],
}
_PARTNERS = "https://id.example.org (https://id.example.org/keys)"


def _either(*tokens: dict[str, Any]) -> Files:
    return Files({"api": {"jwt": list(tokens)}})


def _paths(*paths: Any, **keys: Any) -> Files:
    return Files({"api": {"paths": list(paths), **keys}})


def _pages(*origins: str, path: str = "/", **keys: Any) -> Files:
    return _paths({"path": path, "cors": {"origins": list(origins), **keys}})


_PATIENCE = "the patience of the gateway of api"
_CLAIMS = "the set of claims asked for at the gateway of api goes from"
_BOTH = "https://login.example.org: aud=shop or https://id.example.org: aud=shop"
_SHOP, _TILL = "https://shop.example.org", "https://till.example.org"

NETWORK_CASES = [
    Case(
        "another prefix of its own behind a public one",
        [
            "weaker: port 8080 of api is now public at api.example.org/v1, as / of its own, and not only /v1",
        ],
        _paths({"path": "/v1", "rewrite": "/"}),
        _paths("/v1"),
    ),
    Case(
        "the gateway's patience",
        [f"neutral: {_PATIENCE} goes from plain to /: 5 s at most, 2 more times after 503, 1 s each"],
        _paths({"path": "/", "timeout": "5s", "retries": {"attempts": 2, "codes": [503], "each": "1s"}}),
    ),
    Case(
        "pages of another origin",
        [f"weaker: pages of {_SHOP} may now read answers of api at /"],
        _pages(_SHOP),
    ),
    Case(
        "pages of every origin",
        [f"weaker: pages of any origin may now read answers of api at /, and not only those of {_SHOP}"],
        _pages("*"),
        _pages(_SHOP),
    ),
    Case(
        "cookies for pages of another origin",
        [
            (
                f"weaker: pages of {_SHOP} may now read answers of api at /, with its visitors' cookies, and not only "
                "without cookies"
            )
        ],
        _pages(_SHOP, credentials=True),
        _pages(_SHOP),
    ),
    Case(
        "pages of one origin less",
        [f"stronger: pages of {_TILL} may no longer read answers of api at /"],
        _pages(_SHOP),
        _pages(_SHOP, _TILL),
    ),
    Case(
        "a path without a token",
        ["weaker: requests from outside for /docs of api now need no token"],
        _paths("/", {"path": "/docs", "token": "none"}, jwt=_JWT),
        _paths("/", "/docs", jwt=_JWT),
    ),
    Case(
        "a path with a token",
        ["stronger: requests from outside for /docs of api now need a token"],
        _paths("/", "/docs", jwt=_JWT),
        _paths("/", {"path": "/docs", "token": "none"}, jwt=_JWT),
    ),
    Case(
        "tokens of another issuer too",
        [
            f"weaker: the end user's token at the gateway of api goes from {_LOGIN} to {_LOGIN} or {_PARTNERS}",
            f"neutral: {_CLAIMS} aud=shop to {_BOTH}",
        ],
        _either(_JWT, _PARTNER),
        _token(),
    ),
    Case(
        "tokens of an issuer less",
        [
            f"stronger: the end user's token at the gateway of api goes from {_LOGIN} or {_PARTNERS} to {_LOGIN}",
            f"neutral: {_CLAIMS} {_BOTH} to aud=shop",
        ],
        _token(),
        _either(_JWT, _PARTNER),
    ),
    Case(
        "a claim of one of two issuers",
        [
            f"stronger: {_CLAIMS} {_BOTH} to {_BOTH}; role=buyer",
        ],
        _either(_JWT, {**_PARTNER, "requiredClaims": {"role": ["buyer"]}}),
        _either(_JWT, _PARTNER),
    ),
    Case(
        "some requests", ["weaker: web may now send GET requests for /orders/* to api:8080"], _calls(_READS), _calls()
    ),
    Case(
        "every request",
        ["weaker: web may now reach api:8080, and not only GET requests for /orders/*"],
        _calls("api"),
        _calls(_READS),
    ),
    Case(
        "one path",
        ["stronger: web may no longer send GET requests for /orders/* to api:8080, except GET requests for /orders/1"],
        _calls({**_READS, "paths": ["/orders/1"]}),
        _calls(_READS),
    ),
    Case(
        "another method on every path",
        [
            "weaker: web may now send GET requests to api:8080, and not only GET requests for /orders/*",
            "weaker: web may now send POST requests to api:8080",
        ],
        _calls({"service": "api", "methods": ["GET", "POST"]}),
        _calls(_READS),
    ),
    Case(
        "no rule for requests",
        [
            "weaker: anything in the cluster may now reach api:8080, and not only web with GET requests for /orders/*",
            "weaker: anything in the cluster may now reach redis:6379, and not only api",
            "weaker: anything in the cluster may now reach web:9000",
            "weaker: authorization by identity goes from enforce to off",
            "weaker: the network policy of every service goes from on to off",
            "weaker: what the proxy of a service knows goes from what the service declares to the whole mesh",
        ],
        _calls(_READS, **posture(networkPolicies=False, authorization="off")),
        _calls(_READS),
    ),
    Case(
        "the network alone",
        [
            "weaker: web may now reach api:8080, and not only GET requests for /orders/*",
            "weaker: authorization by identity goes from enforce to off",
        ],
        _calls(_READS, **posture(authorization="off")),
        _calls(_READS),
    ),
    Case(
        "a host outside",
        [
            "weaker: the proxy of web now lets it reach pay.example.org:443 (TLS) outside the cluster",
            "weaker: web may now reach the internet:443",
        ],
        _web(egress=[_PAY]),
    ),
    Case(
        "the networks of a host",
        ["weaker: web may now reach 203.0.113.0/24:443", "stronger: web may no longer reach the internet:443"],
        _web(egress=[{**_PAY, "cidrs": ["203.0.113.0/24"]}]),
        _web(egress=[_PAY]),
    ),
    Case(
        "plaintext to a host",
        [
            "weaker: the proxy of web now lets it reach pay.example.org:443 (HTTP) outside the cluster",
            "stronger: the proxy of web no longer lets it reach pay.example.org:443 (TLS) outside the cluster",
        ],
        _web(egress=[{**_PAY, "protocol": "http"}]),
        _web(egress=[_PAY]),
    ),
    Case(
        "a token",
        [f"stronger: the end user's token at the gateway of api goes from off to {_LOGIN}"],
        _token(),
    ),
    Case(
        "a token less",
        [f"weaker: the end user's token at the gateway of api goes from {_LOGIN} to off"],
        SMALL,
        _token(),
    ),
    Case(
        "another issuer",
        [
            f"weaker: the end user's token at the gateway of api goes from {_LOGIN} to https://l.example.net (https://l.example.net/k)"
        ],
        _token(issuer="https://l.example.net", jwksUri="https://l.example.net/k"),
        _token(),
    ),
    Case(
        "a claim",
        ["stronger: the set of claims asked for at the gateway of api goes from aud=shop to aud=shop; role=buyer"],
        _token(requiredClaims={"role": ["buyer"]}),
        _token(),
    ),
    Case(
        "another audience",
        ["weaker: the set of claims asked for at the gateway of api goes from aud=shop to aud=bank|shop"],
        _token(audiences=["shop", "bank"]),
        _token(),
    ),
    Case(
        "one audience for another",
        ["weaker: the set of claims asked for at the gateway of api goes from aud=shop to aud=bank"],
        _token(audiences=["bank"]),
        _token(),
    ),
    Case(
        "plaintext",
        [
            "weaker: port 9000 of web now takes connections without a certificate, until 2026-02-01",
            "weaker: 10.7.0.0/24 may now reach web:9000",
        ],
        _web(plaintextPorts=[_CLEAR]),
    ),
    Case(
        "plaintext for longer",
        [
            "weaker: port 9000 of web takes connections without a certificate until 2026-03-01, and not 2026-02-01",
        ],
        _web(plaintextPorts=[{**_CLEAR, "expires": "2026-03-01"}]),
        _web(plaintextPorts=[_CLEAR]),
    ),
    Case(
        "plaintext no more",
        [
            "stronger: port 9000 of web no longer takes connections without a certificate",
            "stronger: 10.7.0.0/24 may no longer reach web:9000",
        ],
        SMALL,
        _web(plaintextPorts=[_CLEAR]),
    ),
    Case(
        "metrics",
        ["weaker: monitoring/prometheus may now send GET requests for /metrics to web:9100"],
        Files({"web": {"metrics": {"port": 9100}}}, _SCRAPED),
        Files(stack=_SCRAPED),
    ),
    Case(
        "a control plane that grows",
        ["stronger: the most istiods under load is 5"],
        Files(stack={"mesh": {"autoscaling": {}}}),
    ),
    Case(
        "a control plane that grows less",
        ["weaker: the most istiods under load goes from 5 to 3"],
        Files(stack={"mesh": {"autoscaling": {"maximum": 3}}}),
        Files(stack={"mesh": {"autoscaling": {}}}),
    ),
    Case(
        "another revision",
        ["neutral: the revision of the mesh goes from default to 1-31-0"],
        Files(stack={"mesh": {"replicas": 2, "revision": "1-31-0"}}),
    ),
    Case(
        "spans",
        [
            "weaker: every service may now reach observability/*:4317",
            "weaker: the place of the mesh's spans goes from nowhere to observability/otel:4317, 1 % of the requests",
        ],
        Files(stack={"mesh": {"replicas": 2, "tracing": {"namespace": "observability", "service": "otel"}}}),
    ),
]
