"""Further ports with a public host of their own: who reaches them, at which paths, and with what of the service."""

from pathlib import Path
from typing import Any

import pytest

from components.program.plan import Plan, plan
from components.program.stack import read_stack
from components.schema.problem import ConfigError
from components.service.args.service import SecureServiceArgs
from components.service.file.directory import parse_service
from components.service.manifests.authorization import authorization_policy
from components.service.manifests.held import held_names
from components.service.manifests.network_policy import network_policy_spec
from components.service.manifests.route import ingress_manifest
from tests.support import stacks
from tests.unit.service.test_directory import SMALL
from tests.unit.service.test_workload import run
from zt.facts.model import Public
from zt.facts.read_service import public_facts

pytestmark = pytest.mark.unit

FILE = "namespace: shop\nteam: commerce\nimage: registry.example.org/shop/x:v1\n"
STORE = """port: 9000
host: s3.example.org
ports:
  console: {port: 9001, host: console.example.org, paths: [/ui, /api]}
  events: {port: 9002, protocol: grpc, host: events.example.org}
  admin: 9003
"""
NGINX: dict[str, Any] = {
    "kind": "ingress",
    "className": "nginx",
    "controller": {"namespace": "nginx", "serviceAccount": "nginx"},
    "acmeEmail": "ops@example.com",
    **dict.fromkeys(("headers", "hsts", "rateLimit", "maxRequestBytes"), "none"),
}
TOKEN = "jwt: {issuer: 'https://l.example.org', jwksUri: 'https://l.example.org/keys', audiences: [shop]}\n"


def stack(folder: Path, ingress: dict[str, Any] | None = None, **files: str) -> Plan:
    (folder / "services").mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / "services" / f"{name}.yaml").write_text(text if text.startswith("namespace") else FILE + text)
    changes: dict[str, Any] = {"ingress": ingress} if ingress else {}
    return plan(read_stack(folder, "Pulumi.production.yaml", stacks.settings("production", **changes)))


def store(folder: Path, text: str = STORE) -> SecureServiceArgs:
    return stack(folder, store=text).services[0]


def from_gateway(args: SecureServiceArgs) -> dict[str, list[dict[str, Any]]]:
    """The rules for the gateway, by port."""
    rules = (authorization_policy(args) or {})["spec"]["rules"]
    found: dict[str, list[dict[str, Any]]] = {}
    for rule in rules:
        [to] = rule["to"]
        found.setdefault(to["operation"]["ports"][0], []).append(rule)
    return found


def test_each_has_a_route_of_its_own(tmp_path: Path) -> None:
    made = run(store(tmp_path))
    routes = {each.inputs["metadata"]["name"]: each.inputs for each in (*made.of("HTTPRoute"), *made.of("GRPCRoute"))}
    assert {name: (each["kind"], each["spec"]["hostnames"]) for name, each in routes.items()} == {
        "store": ("HTTPRoute", ["s3.example.org"]),
        "store.console": ("HTTPRoute", ["console.example.org"]),
        "store.events": ("GRPCRoute", ["events.example.org"]),
    }
    [console] = routes["store.console"]["spec"]["rules"]
    assert [match["path"]["value"] for match in console["matches"]] == ["/ui", "/api"]
    assert console["backendRefs"] == [{"name": "store", "port": 9001}]
    # The headers of the service hold at each of its hosts.
    assert all(rule["filters"] for each in routes.values() for rule in each["spec"]["rules"])


def test_the_gateway_reaches_those_ports_alone_at_those_paths_alone(tmp_path: Path) -> None:
    args = store(tmp_path)
    paths = {port: rules[0]["to"][0]["operation"].get("paths") for port, rules in from_gateway(args).items()}
    assert paths == {"9000": None, "9001": ["/ui", "/ui/*", "/api", "/api/*"], "9002": None}
    ports = [port["port"] for rule in network_policy_spec(args)["ingress"] for port in rule["ports"]]
    assert ports == [9000, 9001, 9002]


def test_the_gateway_has_a_listener_a_certificate_limits_and_a_way_to_each(tmp_path: Path) -> None:
    made = stack(tmp_path, store=STORE)
    hosts = ("console.example.org", "events.example.org", "s3.example.org")
    assert made.ingress.hosts == hosts
    assert dict.fromkeys(hosts, "shop") == made.ingress.owners
    assert [limit.host for limit in made.ingress.limits] == list(hosts)
    assert made.hosts is not None
    assert sorted(made.hosts.hosts["shop"]) == list(hosts)
    assert {f"hosts/{host}" for host in hosts} <= held_names(made.services)["shop"].keys()
    for port in (9000, 9001, 9002):
        assert str(port) in str(made.ingress.network_policies)
    assert "9003" not in str(made.ingress.network_policies)


def test_one_may_be_public_alone(tmp_path: Path) -> None:
    args = store(tmp_path, "port: 9000\nports: {console: {port: 9001, host: console.example.org}}\nrateLimit: none\n")
    assert args.public
    assert set(from_gateway(args)) == {"9001"}
    assert [port["port"] for rule in network_policy_spec(args)["ingress"] for port in rule["ports"]] == [9001]


def test_the_token_of_the_service_is_asked_for_at_each(tmp_path: Path) -> None:
    args = store(tmp_path, STORE + TOKEN + "paths: [/, {path: /open, token: none}]\n")
    rules = from_gateway(args)
    for port in ("9001", "9002"):
        assert all("requestPrincipals" in rule["from"][0]["source"] for rule in rules[port])
    assert [rule for rule in rules["9000"] if "requestPrincipals" not in rule["from"][0]["source"]]


def test_the_facts_say_where_everybody_reaches_it(tmp_path: Path) -> None:
    assert set(public_facts("shop/store", store(tmp_path))) == {
        Public("shop/store", 9000, "s3.example.org", "/", ""),
        Public("shop/store", 9001, "console.example.org", "/ui", ""),
        Public("shop/store", 9001, "console.example.org", "/api", ""),
        Public("shop/store", 9002, "events.example.org", "/", ""),
    }


def test_an_ingress_has_a_rule_for_each_host(tmp_path: Path) -> None:
    text = STORE.replace("protocol: grpc, host: events.example.org", "protocol: grpc")
    (args,) = stack(tmp_path, NGINX, store=text).services
    spec = ingress_manifest(args)["spec"]
    assert {
        rule["host"]: rule["http"]["paths"][0]["backend"]["service"]["port"]["number"] for rule in spec["rules"]
    } == {
        "s3.example.org": 9000,
        "console.example.org": 9001,
    }
    assert spec["tls"][0]["hosts"] == ["s3.example.org", "console.example.org"]


def test_the_domain_of_the_stack_stands_in_them_too(tmp_path: Path) -> None:
    text = "port: 9000\nports: {console: {port: 9001, host: 'console.{domain}'}, admin: 9003}\n"
    (tmp_path / "services").mkdir()
    (tmp_path / "services" / "store.yaml").write_text(FILE + text)
    chosen = stacks.settings("production", ingress={"domain": "example.net", "acmeEmail": "ops@example.com"})
    (args,) = plan(read_stack(tmp_path, "Pulumi.production.yaml", chosen)).services
    assert args.hosts == ("console.example.net",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ports: {a: {port: 1, host: a.example.org, protocol: tcp}}", r"ports\.a\.protocol: host needs another"),
        ("ports: {tcp: {port: 1, host: a.example.org}}", r"ports\.tcp\.protocol: host needs another"),
        ("ports: {a: {port: 1, paths: [/x]}}", r"ports\.a\.paths: it needs host"),
        (
            "ports: {a: {port: 1, host: a.example.org, paths: [/x, /x/]}}",
            r"ports\.a\.paths\[1\]: it stands there twice",
        ),
        (
            "ports: {grpc: {port: 1, host: a.example.org, paths: [/x/y/z]}}",
            r"ports\.grpc\.paths\[0\]: no service of gRPC",
        ),
        (
            "host: a.example.org\nports: {a: {port: 1, host: a.example.org}}",
            r"ports\.a\.host: it leads to another port",
        ),
        (
            "ports: {a: {port: 1, host: a.example.org}, b: {port: 2, host: a.example.org}}",
            r"ports\.a\.host: it leads to another port already",
        ),
        (
            "host: a.example.org\nhostOwner: bank/web\nports: {a: {port: 1, host: b.example.org}}",
            r"ports\.a\.host: bank/web has the host of this service",
        ),
        ("ports: {a: {port: 1, host: '*.example.org'}}", r"ports\.a\.host: "),
        ("ports: {a: {port: 1}}\nrateLimit: none", "rateLimit: it needs host"),
    ],
)
def test_what_could_not_work_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_service(f"{SMALL}{text}\n", "x.yaml")


@pytest.mark.parametrize(
    "other",
    [
        "port: 8080\nhost: console.example.org\npaths: [/other]\n",
        "port: 8080\nports: {x: {port: 9001, host: console.example.org, paths: [/other]}}\n",
        "namespace: bank\nteam: bank\nimage: registry.example.org/bank/x:v1\nport: 8080\nhost: console.example.org\n",
    ],
)
def test_nobody_shares_the_host_of_a_further_port(tmp_path: Path, other: str) -> None:
    with pytest.raises(ConfigError, match=r"ports\.(console|x)\.host: .* already claims this host"):
        stack(tmp_path, store=STORE, other=other)


def test_what_an_ingress_cannot_say_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ports\.events\.protocol: an Ingress speaks HTTP/1\.1"):
        stack(tmp_path, NGINX, store=STORE)
