"""A service that speaks HTTP/2 or gRPC: its Service, its callers' rights by method, its probes and its public route."""

from pathlib import Path
from typing import Any

import pytest

from components.kyverno.library import load_library
from components.program.plan import plan
from components.program.stack import Stack, read_stack
from components.schema.problem import ConfigError
from components.service.args.service import SecureServiceArgs
from components.service.file.directory import parse_service
from components.service.manifests.authorization import authorization_policy
from components.service.manifests.route import route_kind, route_spec
from components.service.manifests.workload import deployment_spec, service_spec
from tests.support.consents import agreeing
from tests.support.stacks import settings
from tests.unit.service.test_directory import SMALL
from zt.facts.gateway import Public
from zt.facts.read import facts_of

pytestmark = pytest.mark.unit

CART = SMALL.replace("r.example.org", "registry.example.org") + "name: cart\nprotocol: grpc\n"
CALLER = SMALL.replace("r.example.org", "registry.example.org") + "name: web\n"


def read(directory: Path, *files: str, **changes: Any) -> Stack:
    (directory / "services").mkdir(exist_ok=True)
    for name, text in agreeing({f"s{number}": text for number, text in enumerate(files)}).items():
        (directory / "services" / f"{name}.yaml").write_text(text)
    return read_stack(directory, "Pulumi.production.yaml", settings("production", **changes))


def cart(directory: Path, tail: str = "", call: str = "calls: [cart]") -> SecureServiceArgs:
    services = plan(read(directory, CART + tail, f"{CALLER}{call}")).services
    return next(args for args in services if args.name == "cart")


@pytest.mark.parametrize(
    ("protocol", "said"), [("http", "http"), ("http2", "kubernetes.io/h2c"), ("grpc", "grpc"), ("tcp", "tcp")]
)
def test_the_service_says_what_the_port_speaks(tmp_path: Path, protocol: str, said: str) -> None:
    [args] = plan(read(tmp_path, CART.replace("protocol: grpc", f"protocol: {protocol}"))).services
    [port] = service_spec(args)["ports"]
    assert (port["name"], port["appProtocol"]) == (protocol, said)


def test_a_caller_may_call_the_methods_that_it_names(tmp_path: Path) -> None:
    call = "calls: [{service: cart, rpc: [shop.Cart/AddItem, shop.Cart/*]}]"
    policy = authorization_policy(cart(tmp_path, call=call))
    assert policy is not None
    [rule] = policy["spec"]["rules"]
    assert rule["to"] == [
        {"operation": {"ports": ["8080"], "methods": ["POST"], "paths": ["/shop.Cart/AddItem", "/shop.Cart/*"]}}
    ]


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("{service: cart, rpc: [AddItem]}", r"s1\.yaml:6: calls\[0\]\.rpc\[0\]: not a method of a gRPC service"),
        ("{service: cart, rpc: [/shop.Cart/AddItem]}", "not a method of a gRPC service"),
        ("{service: cart, rpc: ['*']}", "not a method of a gRPC service"),
        ("{service: cart, rpc: ['shop.*/Add']}", "not a method of a gRPC service"),
        ("{service: cart, rpc: [a.B/C], methods: [POST]}", "keep rpc, or the two others"),
    ],
)
def test_a_wrong_method_is_refused(tmp_path: Path, call: str, error: str) -> None:
    with pytest.raises(ConfigError, match=error):
        cart(tmp_path, call=f"calls: [{call}]")


@pytest.mark.parametrize("protocol", ["http", "http2", "tcp"])
def test_only_grpc_has_methods_of_services(tmp_path: Path, protocol: str) -> None:
    callee = CART.replace("protocol: grpc", f"protocol: {protocol}")
    with pytest.raises(ConfigError, match=rf"s1\.yaml:6: calls\[0\]\.rpc: cart speaks {protocol}"):
        read(tmp_path, callee, f"{CALLER}calls: [{{service: cart, rpc: [a.B/C]}}]")


def probes(args: SecureServiceArgs) -> dict[str, Any]:
    [container] = deployment_spec(args)["template"]["spec"]["containers"]
    return {name: container[f"{name}Probe"] for name in ("readiness", "liveness")}


def test_probes_ask_the_health_service_or_connect(tmp_path: Path) -> None:
    connect = probes(cart(tmp_path))
    assert {"tcpSocket"} <= connect["readiness"].keys() & connect["liveness"].keys()
    asked = probes(cart(tmp_path, "probes: {readiness: {grpc: shop.Cart}, liveness: {grpc: '', port: 9090}}"))
    assert asked["readiness"]["grpc"] == {"port": 8080, "service": "shop.Cart"}
    assert asked["liveness"]["grpc"] == {"port": 9090, "service": ""}


@pytest.mark.parametrize(
    ("tail", "error"),
    [
        ("health: /healthz", "s0.yaml:7: health: gRPC has no paths to probe"),
        ("probes: {readiness: {grpc: '', path: /x}}", r"readiness\.path: the probe has grpc"),
        ("probes: {readiness: {grpc: '', command: [x]}}", r"readiness\.grpc: the probe has a command"),
        ("host: a.example.org\npaths: [/shop.Cart/Add/More]", r"paths\[0\]: no service of gRPC"),
        ("host: a.example.org\npaths: [/shop-cart]", r"paths\[0\]: no service of gRPC"),
    ],
)
def test_what_grpc_has_not_is_refused(tmp_path: Path, tail: str, error: str) -> None:
    with pytest.raises(ConfigError, match=error):
        cart(tmp_path, tail)


def test_its_public_route_is_one_of_grpc(tmp_path: Path) -> None:
    everything = cart(tmp_path, "host: cart.example.org")
    assert route_kind(everything.public_ports[0]) == "GRPCRoute"
    assert not any("matches" in rule for rule in route_spec(everything, everything.public_ports[0])["rules"])
    some = cart(tmp_path, "host: cart.example.org\npaths: [/shop.Cart, /shop.Stock/Get]")
    [rule] = route_spec(some, some.public_ports[0])["rules"]
    assert rule["matches"] == [
        {"method": {"type": "Exact", "service": "shop.Cart"}},
        {"method": {"type": "Exact", "service": "shop.Stock", "method": "Get"}},
    ]
    policy = authorization_policy(some)
    assert policy is not None
    allowed = [
        path for rule in policy["spec"]["rules"] for to in rule["to"] for path in to["operation"].get("paths", [])
    ]
    assert allowed == ["/shop.Cart", "/shop.Cart/*", "/shop.Stock/Get", "/shop.Stock/Get/*"]


def test_the_comparison_of_two_versions_knows_its_public_methods(tmp_path: Path) -> None:
    tail = "host: cart.example.org\npaths: [/shop.Cart, /shop.Stock/Get]"
    stack = read(tmp_path, CART + tail)
    facts = facts_of(stack, plan(stack), load_library())
    assert {fact.path for fact in facts if isinstance(fact, Public)} == {"/shop.Cart", "/shop.Stock/Get"}


def test_an_ingress_does_not_speak_it(tmp_path: Path) -> None:
    ingress = {**settings("production").ingress.model_dump(by_alias=True, exclude_unset=True), "kind": "ingress"}
    ingress |= {"className": "nginx", "controller": {"namespace": "edge", "serviceAccount": "nginx"}}
    ingress |= {"headers": "none", "rateLimit": "none", "maxRequestBytes": "none", "hsts": "none"}
    with pytest.raises(ConfigError, match=r"protocol: an Ingress speaks HTTP/1\.1 to its services"):
        read(tmp_path, CART + "host: cart.example.org", ingress=ingress)


def test_a_file_of_either_loads() -> None:
    assert parse_service(CART, "x.yaml").spec.protocol == "grpc"
