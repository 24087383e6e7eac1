"""No network policy opens a metadata service, however wide the networks of the files are."""

import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.kube.cluster_dns import DNS_PORT
from components.kube.manifest import Manifest
from components.kube.networks import OpenNetworks
from components.kyverno.library import load_library
from components.program.plan import plan, platform_terms
from components.program.plans.teams import team_grants_args
from components.program.stack import read_stack
from components.program.stack_parameters import ALLOW_RULE, FOLLOWING
from components.schema.metadata_services import METADATA_SERVICES, metadata_networks
from components.schema.problem import ConfigError
from components.service.args.network import EgressArgs
from components.service.args.service import ApiRuleArgs
from components.service.manifests.network_policy import network_policy_spec
from components.teams.grants import policy_spec
from tests.support.stacks import platform, service, settings, stack, values
from zt.attack.network import Address, Pod, egress

pytestmark = pytest.mark.unit

OWN = "198.51.100.53/32"
WIDE = ["100.64.0.0/10", "168.0.0.0/8", "192.0.0.0/16", "198.51.0.0/16", "fc00::/32", "fd00:ec2::/64", "fd20:ce::/64"]
SERVICES = [*(each.address for each in METADATA_SERVICES if each.address), "198.51.100.53", "169.254.42.42", "fe80::7"]
PRODUCTION = values("production")
CHANGES: dict[str, Any] = {
    "metadataCidrs": [OWN],
    "apiServerCidrs": WIDE,
    "databases": {"main": {"host": "db.example.org", "database": "shop", "adminUser": "vault", "cidrs": WIDE}},
    "ingress": {
        **PRODUCTION["ingress"],
        "waf": {"image": f"registry.example.org/waf@sha256:{'a' * 64}", "cidrs": WIDE},
    },
}
EXTERNAL = {"mode": "external", "address": "https://vault.example.org", "cidrs": WIDE}
JWT = {
    "login": {"method": "jwt"},
    "seal": {"transit": {"address": "https://seal.example.org", "keyName": "k", "tokenSecret": "s"}},
}


def opened(policies: Sequence[Manifest]) -> Iterator[tuple[str, str, int]]:
    """Each policy that opens a metadata service at another port than that of names."""
    for policy in policies:
        spec = policy["spec"]
        pod = Pod(policy.get("metadata", {}).get("namespace", "shop"), spec["podSelector"].get("matchLabels", {}))
        for rule in spec.get("egress", []):
            for port in {each["port"] for each in rule["ports"]} - {DNS_PORT}:
                one = {"metadata": {"name": "one", "namespace": pod.namespace}, "spec": {**spec, "egress": [rule]}}
                for address in SERVICES:
                    if egress([one], pod, Address(address), port).allowed:
                        yield policy.get("metadata", {}).get("name", ""), address, port


def policies_of(**changes: Any) -> list[Manifest]:
    made = plan(stack("production", **{**CHANGES, **changes}))
    layers = (made.policies, made.mesh, made.certificates, made.ingress, made.vault, made.external_secrets)
    platform_policies = [policy for layer in layers if layer for policy in layer.network_policies]
    return [*platform_policies, *({"spec": network_policy_spec(args)} for args in made.services)]


@pytest.mark.parametrize("vault", [{}, JWT, EXTERNAL], ids=["seal of AWS", "login by token", "external"])
def test_the_policies_of_a_stack_with_wide_networks(vault: dict[str, Any]) -> None:
    found = list(opened(policies_of(vault={**PRODUCTION["vault"], **vault})))
    # The agent of EKS Pod Identity tells Vault's servers of their own identity alone, for the seal's key.
    seal = {("servers", "169.254.170.23", 80), ("servers", "fd00:ec2::23", 80)}
    assert set(found) == (set() if vault else seal)


def test_the_policy_of_a_service_with_wide_networks() -> None:
    terms = platform(networks=OpenNetworks((OWN,)), api_server_networks=WIDE, vault_networks=WIDE)
    args = service(
        platform=terms,
        egress=[EgressArgs("a.example.org", 443, "tls", WIDE), EgressArgs("b.example.org", 443)],
        kubernetes_api=[ApiRuleArgs([""], ["pods"], ["get"])],
    )
    spec = network_policy_spec(args)
    assert [*opened([{"spec": spec}])] == []
    # What is beside them in the wide networks is open.
    pod = Pod("shop", args.selector)
    policy = {"metadata": {"name": "api", "namespace": "shop"}, "spec": spec}
    for address in ("100.64.0.9", "168.63.129.17", "198.51.100.54", "fd00:ec2::7"):
        assert egress([policy], pod, Address(address), 443).allowed, address


def test_an_exception_lies_within_its_network() -> None:
    """As the API server has it: https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/network-policy-v1/"""
    networks = OpenNetworks((OWN, "10.0.0.0/24"))
    for opened_networks in (networks.anywhere(), networks.internet(), networks.without(WIDE)):
        for network, excepted in opened_networks.items():
            outer = ipaddress.ip_network(network)
            assert len({*excepted}) == len(excepted)
            for each in map(ipaddress.ip_network, excepted):
                assert each != outer
                assert each.subnet_of(outer)  # pyright: ignore[reportArgumentType] - of one version


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"apiServerCidrs": [OWN]}, "apiServerCidrs[0]"),
    ({"apiServerCidrs": ["10.0.0.0/24", "198.51.100.53/32"]}, "apiServerCidrs[1]"),
    ({"dns": {"servers": [OWN]}}, "dns.servers[0]"),
    ({"databases": {"m": {"host": "198.51.100.53", "database": "x", "adminUser": "a"}}}, "databases.m.host"),
    ({"vault": {**PRODUCTION["vault"], "address": "https://198.51.100.53:8200"}}, "vault.address"),
    ({"registries": ["198.51.100.53:5000/x"]}, "registries[0]"),
    ({"pullSecrets": {"198.51.100.53:5000": "x"}}, "pullSecrets.198.51.100.53:5000"),
    ({"teams": {"a": {"namespaces": ["n"], "approved": {"networks": [OWN]}}}}, "teams.a.approved.networks[0]"),
]


@pytest.mark.parametrize(("changes", "key"), REFUSED, ids=lambda value: value if isinstance(value, str) else "")
def test_a_stack_file_that_names_the_clusters_own_is_refused(changes: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings("production", **{"metadataCidrs": [OWN], **changes})
    assert f"zero-trust:{key}: it is of {OWN}, where identities are handed out" in str(caught.value)


@pytest.mark.parametrize("wide", ["10.0.0.0/8", "::/0", "nonsense", "::ffff:10.0.0.7/128", "fd00::/16"])
def test_a_setting_that_would_close_too_much_is_refused(wide: str) -> None:
    with pytest.raises(ConfigError, match=r"zero-trust:metadataCidrs\[0\]"):
        settings("production", metadataCidrs=[wide])


def files(root: Path, folder: str, text: str) -> Path:
    (root / folder).mkdir(parents=True)
    (root / folder / "api.yaml").write_text(text)
    return root


SERVICE = f"""namespace: shop
team: commerce
image: registry.example.org/api:v1
port: 8080
egress:
  - {{host: a.example.org, port: 443, cidrs: ["{OWN}"]}}
"""
PACKAGE = f"""namespace: nats
team: commerce
manifests: packages/nats
egress:
  - {{host: a.example.org, port: 443, cidrs: ["{OWN}"]}}
"""


@pytest.mark.parametrize(("folder", "text", "line"), [("services", SERVICE, 6), ("packages", PACKAGE, 5)])
def test_a_file_that_names_it_is_refused_with_its_line(tmp_path: Path, folder: str, text: str, line: int) -> None:
    here = settings("production", metadataCidrs=[OWN])
    with pytest.raises(ConfigError) as caught:
        read_stack(files(tmp_path, folder, text), "Pulumi.production.yaml", here)
    assert f"{folder}/api.yaml:{line}: egress[0].cidrs[0]: it is of {OWN}" in str(caught.value)


def test_every_parameter_of_the_rule_that_opens_networks_follows_from_other_keys() -> None:
    assert {*load_library().rules[ALLOW_RULE].parameters} == {*FOLLOWING}


@pytest.mark.parametrize("name", FOLLOWING)
def test_none_of_them_is_set_by_itself(tmp_path: Path, name: str) -> None:
    here = settings("production", kyverno={**PRODUCTION.get("kyverno", {}), "parameters": {ALLOW_RULE: {name: []}}})
    with pytest.raises(ConfigError, match=f"kyverno.parameters.{ALLOW_RULE}.{name}: it follows from {FOLLOWING[name]}"):
        read_stack(tmp_path, "Pulumi.production.yaml", here)


def test_what_a_team_may_open_leaves_them_out() -> None:
    teams = {"blue": {"namespaces": ["blue"], "approved": {"networks": ["100.64.0.0/10"]}}}
    here = replace(stack("production", **CHANGES, teams=teams), services=())
    args = team_grants_args(here, platform_terms(here, ()))
    assert args is not None
    variables = {each["name"]: each["expression"] for each in policy_spec(args)["variables"]}
    assert all(f'"{network}"' in variables["metadata"] for network in metadata_networks((OWN,)))
