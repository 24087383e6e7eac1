"""Requests that stay with one pod: what a file may say, and what the proxies of callers and gateway are told."""

from pathlib import Path
from typing import Any

import pytest

from components.program.plan import plan
from components.program.stack import read_stack
from components.schema.problem import ConfigError, FieldError
from components.service.args.network import PortArgs, StickyArgs
from components.service.file.directory import Admission, parse_service, read_services
from components.service.manifests.authorization import destination_rule
from tests.support.stacks import platform, service, settings
from tests.unit.service.test_directory import OPEN, SMALL, write

pytestmark = pytest.mark.unit

ALONE = SMALL.replace("r.example.org", "registry.example.org")
BY_COOKIE = {"httpCookie": {"name": "seat", "path": "/", "ttl": "0s", "attributes": [{"name": "Secure"}]}}
BY_HEADER = {"httpHeaderName": "X-Seat"}
TLS = {"mode": "ISTIO_MUTUAL", "subjectAltNames": ["spiffe://cluster.local/ns/shop/sa/web"]}


def policy(directory: Path, more: str, environment: str = "production") -> dict[str, Any]:
    write(directory, web=ALONE + more)
    [args] = plan(read_stack(directory, f"Pulumi.{environment}.yaml", settings(environment))).services
    rule = destination_rule(args)
    return rule["spec"]["trafficPolicy"] if rule else {}


def test_each_port_has_its_own_and_still_accepts_the_services_identity_alone(tmp_path: Path) -> None:
    """Settings of a port take the place of those of the rule: without `tls` a proxy would accept any certificate."""
    text = "sticky: {cookie: seat}\nports: {admin: {port: 9001, sticky: {header: X-Seat}}, other: 9002}\n"
    assert policy(tmp_path, text) == {
        "tls": TLS,
        "portLevelSettings": [
            {"tls": TLS, "port": {"number": 8080}, "loadBalancer": {"consistentHash": BY_COOKIE}},
            {"tls": TLS, "port": {"number": 9001}, "loadBalancer": {"consistentHash": BY_HEADER}},
        ],
    }


def test_where_the_mesh_takes_plaintext_too_it_decides_about_the_pod_alone(tmp_path: Path) -> None:
    [port] = policy(tmp_path, "sticky: {header: X-Seat}\n", "dev")["portLevelSettings"]
    assert port == {"port": {"number": 8080}, "loadBalancer": {"consistentHash": BY_HEADER}}


def test_without_a_proxy_there_is_nobody_to_tell() -> None:
    assert destination_rule(service(sticky=StickyArgs("seat"), platform=platform(mesh=False))) is None


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ("sticky: {}", "sticky: it is one of the two"),
        ("sticky: {cookie: seat, header: X-Seat}", "sticky: it is one of the two"),
        ("sticky: {cookie: 'a b'}", "sticky.cookie: not the name of a cookie"),
        ("sticky: {header: 'X:Y'}", "sticky.header: not the name of a header"),
        ("protocol: tcp\nsticky: {cookie: seat}", "sticky: the mesh forwards tcp as it is"),
        ("ports: {sync: {port: 9001, protocol: tcp, sticky: {cookie: seat}}}", "ports.sync.sticky: the mesh forwards"),
        ("ports: {tcp: {port: 9001, sticky: {cookie: seat}}}", "ports.tcp.sticky: the mesh forwards"),
    ],
)
def test_what_no_proxy_could_hold_is_refused(more: str, error: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_service(f"{SMALL}{more}\n", "services/web.yaml")
    assert error in str(raised.value)


def test_a_worker_has_nobodys_requests() -> None:
    worker = SMALL.replace("port: 8080\n", "") + "metrics: {port: 9100}\nsticky: {cookie: seat}\n"
    with pytest.raises(ConfigError, match="sticky: it needs port"):
        parse_service(worker, "services/web.yaml")


def test_an_ingress_of_another_class_chooses_the_pod_itself(tmp_path: Path) -> None:
    ingress = Admission((), api_server_reachable=True, gateway_api=False)
    further = f"{SMALL}host: a.example.org\nports: {{admin: {{port: 9001, sticky: {{cookie: seat}}}}}}\n"
    services = write(tmp_path, web=further, worker=f"{SMALL}sticky: {{cookie: seat}}\n")
    read_services(services, ingress)
    (services / "web.yaml").write_text(f"{SMALL}host: a.example.org\nsticky: {{cookie: seat}}\n")
    read_services(services, OPEN)
    with pytest.raises(ConfigError, match=r"web\.yaml:6: sticky: an Ingress has no words for it"):
        read_services(services, ingress)


@pytest.mark.parametrize(
    "changes",
    [
        {"sticky": StickyArgs("seat", "X-Seat")},
        {"sticky": StickyArgs("a b")},
        {"sticky": StickyArgs("seat"), "protocol": "tcp"},
        {"ports": [PortArgs("sync", 9001, "tcp", StickyArgs("seat"))]},
        {"sticky": StickyArgs("seat"), "platform": platform(ambient=True)},
    ],
)
def test_code_may_say_no_more_than_a_file(changes: dict[str, Any]) -> None:
    with pytest.raises(FieldError, match="sticky"):
        service(**changes)
