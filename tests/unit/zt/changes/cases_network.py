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


NETWORK_CASES = [
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
