"""The network half of a service file: what a team may write, what is refused, and what only shows across files."""

from datetime import date
from pathlib import Path

import pytest

from components.kube.service_ref import ServiceRef
from components.schema.problem import ConfigError
from components.schema.timed_exception import CRITICAL_DAYS
from components.service.args.network import EgressArgs, Peer, jwt_args
from components.service.args.resolve import services_args
from components.service.args.service import SecureServiceArgs
from components.service.file.directory import Admission, parse_service, read_services
from components.service.file.service import ServiceSpec
from tests.support.stacks import ROOT, platform
from tests.unit.service.test_directory import SMALL, write

pytestmark = pytest.mark.unit

JWT = "issuer: https://login.example.org, audiences: [shop]"
KEY = "kty: EC, crv: P-256, x: a, y: b"
CLEAR = (
    "plaintextPorts: [{port: 8080, cidrs: [10.0.0.0/24], owner: ann, granted: 2026-01-01, expires: 2026-02-01, "
    "reason: the old till has no certificate}]"
)
WRONG = [
    ("calls: [{service: '*'}]", r"x\.yaml:5: calls\[0\]\.service: .*wildcards are over-broad"),
    ("calls: [{methods: [GET]}]", r"calls\[0\]\.service: missing"),
    ("calls: [{service: a, verbs: [GET]}]", r"calls\[0\]\.verbs: unknown key.*legal: service, port, methods, paths"),
    ("calls: [{service: a, methods: [get]}]", r"calls\[0\]\.methods\[0\]: not a legal value, found 'get'; legal: GET"),
    ("calls: [{service: a, methods: ['*']}]", r"methods\[0\]: not a legal value"),
    ("calls: [{service: a, paths: [orders]}]", r"calls\[0\]\.paths\[0\]: not a path such as /orders"),
    ("calls: [{service: a, paths: ['/a*']}]", "not a path"),
    ("calls: [{service: a, paths: ['/a/*/b']}]", "not a path"),
    ("calls: [{service: a, paths: ['/{**}']}]", "not a path"),
    ("calls: [{service: a, paths: ['/*']}]", "every path: leave paths out"),
    ("calls: [1]", r"calls\[0\]"),
    ("calls: [a, {service: shop/a, methods: [GET]}]", "calls: it stands there twice: keep one, found 'shop/a'"),
    ("egress: [{host: '*.example.org', port: 443}]", r"egress\[0\]\.host: a wildcard host"),
    ("egress: [{host: example, port: 443}]", "not a host name"),
    ("egress: [{host: 10.0.0.1, port: 443}]", "not a host name"),
    ("egress: [{host: redis.shop.svc, port: 6379}]", "written under calls"),
    ("egress: [{host: metadata.google.internal, port: 80}]", "metadata is out of reach"),
    ("egress: [{host: a.example.org, port: 5432}]", r"x\.yaml:5: egress\[0\]\.protocol: .*PostgreSQL.*legal: tcp, tls"),
    ("egress: [{host: mq.example.org, port: 5672, cidrs: [10.0.0.0/24]}]", r"egress\[0\]\.protocol: .*AMQP"),
    ("egress: [{host: db.corp.internal, port: 443}]", r"egress\[0\]\.cidrs: required: the name is a private one"),
    ("egress: [{host: printer.local, port: 80}]", r"egress\[0\]\.cidrs: required"),
    (f"egress: [{{host: {'a' * 60}.{'b' * 60}.{'c' * 60}.{'d' * 20}.org, port: 443}}]", "longer than 189"),
    ("egress: [{host: a.example.org, port: 0}]", r"egress\[0\]\.port"),
    ("egress: [{host: a.example.org, port: 443, protocol: udp}]", "legal: tls, https, http, tcp"),
    ("egress: [{host: a.example.org, port: 443, cidrs: [0.0.0.0/0]}]", r"cidrs\[0\]: anywhere is over-broad"),
    ("egress: [{host: a.example.org, port: 443, cidrs: ['::/0']}]", "anywhere is over-broad"),
    ("egress: [{host: a.example.org, port: 443, cidrs: [0.0.0.0/1]}]", "broader than /8"),
    ("egress: [{host: a.example.org, port: 443, cidrs: ['2000::/3']}]", "broader than /32"),
    ("egress: [{host: a.example.org, port: 443, cidrs: [169.254.0.0/17]}]", "metadata services"),
    ("egress: [{host: a.example.org, port: 443, cidrs: [169.254.169.254/32]}]", "metadata services"),
    ("egress: [{host: a.example.org, port: 443, cidrs: [168.63.129.16/32]}]", "metadata services"),
    ("egress: [{host: a.example.org, port: 443, cidrs: [127.0.0.0/16]}]", "loopback"),
    ("egress: [{host: a.example.org, port: 443, cidrs: [10.0.0.1/24]}]", "not a network"),
    ("egress: [{host: a.example.org, port: 5432, protocol: tcp}]", r"egress\[0\]: tcp names no host"),
    (
        "egress: [{host: a.example.org, port: 1}, {host: a.example.org, port: 1, protocol: https}]",
        r"egress: it stands there twice: keep one, found 'a\.example\.org:1'",
    ),
    (
        "egress: [{host: a.example.org, port: 1}, {host: a.example.org, port: 2, protocol: tcp, cidrs: [10.0.0.0/24]}]",
        "egress: it stands there with tcp and without",
    ),
    (f"jwt: {{{JWT}, jwksUri: https://login.example.org/keys}}", "jwt: it needs host"),
    (f"host: a.example.org\njwt: {{{JWT}}}", "write jwksUri or jwks: one of them"),
    (
        f"host: a.example.org\njwt: {{{JWT}, jwksUri: https://a.example.org/k, jwks: {{keys: [{{{KEY}}}]}}}}",
        "one of them",
    ),
    (f"host: a.example.org\njwt: {{{JWT}, jwksUri: http://a.example.org/k}}", r"x\.yaml:6: jwt\.jwksUri: .*TLS only"),
    (f"host: a.example.org\njwt: {{{JWT}, jwksUri: https://u:p@a.example.org/k}}", "no credentials"),
    (f"host: a.example.org\njwt: {{{JWT}, jwks: {{keys: []}}}}", "not a JSON Web Key Set"),
    (f"host: a.example.org\njwt: {{{JWT}, jwks: {{keys: [{{use: sig}}]}}}}", "needs its kty"),
    (f"host: a.example.org\njwt: {{{JWT}, jwks: {{keys: [{{{KEY}, d: s}}]}}}}", "a private or a shared key"),
    (f"host: a.example.org\njwt: {{{JWT}, jwks: {{keys: [{{kty: oct, k: s}}]}}}}", "a private or a shared key"),
    (
        "host: a.example.org\njwt: {issuer: https://l.example.org, jwksUri: https://l.example.org/k}",
        "audiences: missing",
    ),
    (
        "host: a.example.org\njwt: {issuer: https://l.example.org, jwksUri: https://l.example.org/k, audiences: []}",
        "fewer than 1",
    ),
    (
        "host: a.example.org\njwt: {issuer: '*', jwksUri: https://l.example.org/k, audiences: [a]}",
        r"jwt\.issuer: not an https",
    ),
    (
        f"host: a.example.org\njwt: {{{JWT}, jwksUri: https://l.example.org/k, requiredClaims: {{role: ['*']}}}}",
        r"requiredClaims\.role\[0\]: not one exact value",
    ),
    (
        f"host: a.example.org\njwt: {{{JWT}, jwksUri: https://l.example.org/k, requiredClaims: {{role: []}}}}",
        r"requiredClaims\.role has no value",
    ),
    (
        f"host: a.example.org\njwt: {{{JWT}, jwksUri: https://l.example.org/k, requiredClaims: {{'a[b': [c]}}}}",
        "not the name of a claim",
    ),
    (CLEAR.replace("reason: the old till has no certificate", "reason: none"), r"plaintextPorts\[0\]\.reason"),
    (CLEAR.replace("cidrs: [10.0.0.0/24]", "cidrs: []"), r"plaintextPorts\[0\]\.cidrs"),
    (CLEAR.replace("10.0.0.0/24", "0.0.0.0/0"), "over-broad"),
    (CLEAR.replace(", expires: 2026-02-01", ""), r"plaintextPorts\[0\]\.expires: missing"),
    (CLEAR.replace("2026-02-01", "2026-01-01"), "expires: not after granted, which is 2026-01-01, found '2026-01-01'"),
    (CLEAR.replace("8080", "9090"), "plaintextPorts: the service does not listen on it, found 9090; legal: 8080"),
    ("metrics: {path: /m}", r"metrics\.port: missing"),
    ("metrics: {port: 15020}", "mesh proxy's"),
    ("metrics: {port: 9090, path: m}", r"metrics\.path: not an absolute path"),
]


@pytest.mark.parametrize(("text", "error"), WRONG)
def test_a_wrong_file_is_refused(text: str, error: str) -> None:
    with pytest.raises(ConfigError, match=error) as caught:
        parse_service(SMALL + text, "services/x.yaml")
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize("key", ["jwks: {keys: [{kty: oct, k: hunter2}]}", 'jwks: \'{"keys": [{"k": "hunter2"}]}\''])
def test_a_refused_key_is_not_repeated(key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_service(f"{SMALL}host: a.example.org\njwt: {{{JWT}, {key}}}", "services/x.yaml")
    assert "hunter2" not in str(caught.value)


def spec(text: str, name: str = "x") -> ServiceSpec:
    return parse_service(SMALL + text, f"services/{name}.yaml").spec


def test_a_call_is_a_name_or_a_mapping() -> None:
    calls = "calls: [a, bank/b, {service: c, methods: [GET, POST], paths: [/orders, '/orders/*']}]"
    assert spec(calls).callees() == (ServiceRef("shop", "a"), ServiceRef("bank", "b"), ServiceRef("shop", "c"))
    plain, other, narrow = spec(calls).calls
    assert not plain.http
    assert not other.http
    assert (narrow.methods, narrow.paths) == (("GET", "POST"), ("/orders", "/orders/*"))


def test_both_ends_of_an_edge_know_its_requests() -> None:
    specs = [
        spec("calls: [{service: b, methods: [GET], paths: [/v1]}, c]", "a"),
        spec("", "b"),
        spec("", "c"),
    ]
    a, b, c = services_args(specs, platform(), 1)
    assert list(a.calls) == [
        Peer(ServiceRef("shop", "b"), 8080, ("GET",), ("/v1",)),
        Peer(ServiceRef("shop", "c"), 8080),
    ]
    assert list(b.called_by) == [Peer(ServiceRef("shop", "a"), 8080, ("GET",), ("/v1",))]
    assert list(c.called_by) == [Peer(ServiceRef("shop", "a"), 8080)]


def test_a_tcp_service_takes_no_requests(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        a=SMALL + "calls:\n  - {service: b, methods: [GET]}\n  - {service: c, paths: [/x]}\n",
        b=SMALL + "protocol: tcp\ncallers: [a]",
        c=SMALL + "protocol: tcp\ncallers: [a]",
    )
    with pytest.raises(ConfigError) as caught:
        read_services(folder, Admission((), api_server_reachable=True))
    assert [(problem.key, problem.line) for problem in caught.value.problems] == [
        ("calls[0].methods", 6),
        ("calls[1].paths", 7),
    ]
    assert "b speaks tcp" in caught.value.problems[0].message


TCP = "protocol: tcp, cidrs: [10.1.0.0/24]"


@pytest.mark.parametrize(
    ("one", "other", "agree"),
    [
        ("{host: a.example.org, port: 443}", "{host: a.example.org, port: 443}", True),
        ("{host: a.example.org, port: 443}", "{host: a.example.org, port: 444, protocol: http}", True),
        ("{host: a.example.org, port: 443}", "{host: b.example.org, port: 443, protocol: http}", True),
        ("{host: a.example.org, port: 443}", "{host: a.example.org, port: 443, protocol: http}", False),
        (f"{{host: a.example.org, port: 1, {TCP}}}", f"{{host: a.example.org, port: 2, {TCP}}}", True),
        (f"{{host: a.example.org, port: 1, {TCP}}}", "{host: a.example.org, port: 443}", False),
        ("{host: a.example.org, port: 443}", f"{{host: a.example.org, port: 1, {TCP}}}", False),
        (
            f"{{host: a.example.org, port: 1, {TCP}}}",
            "{host: a.example.org, port: 1, protocol: tcp, cidrs: [10.2.0.0/24]}",
            False,
        ),
    ],
)
def test_a_namespace_declares_a_host_in_one_way(tmp_path: Path, one: str, other: str, agree: bool) -> None:
    texts = {"a": SMALL + f"egress: [{one}]", "b": SMALL + f"egress: [{other}]"}
    admission = Admission((), api_server_reachable=True)
    if agree:
        assert len(read_services(write(tmp_path, **texts), admission)) == 2
    else:
        with pytest.raises(
            ConfigError, match=r"services/b\.yaml:5: egress\[0\]: services/a\.yaml of the same namespace"
        ):
            read_services(write(tmp_path, **texts), admission)
        texts["b"] = texts["b"].replace("namespace: shop", "namespace: bank")
        (tmp_path / "other").mkdir()
        assert len(read_services(write(tmp_path / "other", **texts), admission)) == 2


@pytest.mark.parametrize(
    ("day", "error"),
    [
        (date(2025, 12, 31), r"plaintextPorts\[0\]\.granted: 2026-01-01 is in the future"),
        (date(2026, 1, 1), ""),
        (date(2026, 1, 31), ""),
        (date(2026, 2, 1), r"a\.yaml:5: plaintextPorts\[0\]\.expires: expired as of 2026-02-01: remove it"),
        (None, ""),
    ],
)
def test_plaintext_ends_on_its_day(tmp_path: Path, day: date | None, error: str) -> None:
    folder, admission = write(tmp_path, a=SMALL + CLEAR), Admission((), api_server_reachable=True, as_of=lambda: day)
    if error:
        with pytest.raises(ConfigError, match=error):
            read_services(folder, admission)
    else:
        assert read_services(folder, admission)[0].plaintext_ports[0].port == 8080


def test_plaintext_does_not_last(tmp_path: Path) -> None:
    folder = write(tmp_path, a=SMALL + CLEAR.replace("2026-02-01", "2026-04-02"))
    with pytest.raises(ConfigError, match=rf"expires: 91 days, {CRITICAL_DAYS} at most"):
        read_services(folder, Admission((), api_server_reachable=True))


def test_metrics_need_somebody_who_reads_them(tmp_path: Path) -> None:
    folder = write(tmp_path, a=SMALL + "metrics: {port: 9090}")
    with pytest.raises(ConfigError, match=r"a\.yaml:5: metrics: the stack's mesh\.scraper is not set"):
        read_services(folder, Admission((), api_server_reachable=True, scraper=False))
    assert read_services(folder, Admission((), api_server_reachable=True))[0].metrics is not None


def test_the_keys_of_a_token_are_kept_as_they_are() -> None:
    text = f"host: a.example.org\njwt: {{{JWT}, jwks: {{keys: [{{{KEY}}}]}}, forwardToken: true}}"
    [made] = map(jwt_args, spec(text).tokens)
    assert made.jwks == '{"keys": [{"crv": "P-256", "kty": "EC", "x": "a", "y": "b"}]}'
    assert (made.jwks_uri, made.forward_token, list(made.audiences)) == ("", True, ["shop"])
    assert spec("").tokens == ()


def test_the_projects_services_declare_nothing_outside() -> None:
    for made in read_services(ROOT / "services", Admission((), api_server_reachable=True)):
        assert made.egress == made.plaintext_ports == ()


def test_what_a_file_declares_reaches_the_arguments() -> None:
    text = "egress: [{host: a.example.org, port: 443, protocol: https}]\nmetrics: {port: 9090}\n" + CLEAR
    made: SecureServiceArgs
    (made,) = services_args([spec(text)], platform(), 1)
    assert list(made.egress) == [EgressArgs("a.example.org", 443, "https", ())]
    assert (made.metrics.port, made.metrics.path) == (9090, "/metrics")
    (clear,) = made.plaintext_ports
    assert (clear.port, list(clear.networks), clear.expires) == (8080, ["10.0.0.0/24"], "2026-02-01")


@pytest.mark.parametrize(
    ("outside", "protocol"),
    [
        ("{host: a.example.org, port: 443}", "tls"),
        ("{host: a.example.org, port: 80}", "http"),
        ("{host: a.example.org, port: 80, protocol: tls}", "tls"),
        ("{host: a.example.org, port: 5432, protocol: tls}", "tls"),
        ("{host: a.example.org, port: 5432, protocol: tcp, cidrs: [203.0.113.0/28]}", "tcp"),
        ("{host: a.internal, port: 443, cidrs: [10.0.0.0/24]}", "tls"),
    ],
)
def test_the_protocol_follows_the_port_or_is_written(outside: str, protocol: str) -> None:
    [made] = spec(f"egress: [{outside}]").egress
    assert made.protocol == protocol
