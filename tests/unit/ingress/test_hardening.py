"""What the Gateway's Envoy is told: the lowest TLS version, the limits of each host, the firewall."""

from typing import Any

import pytest

from components.ingress.hardening import (
    BUFFER_FILTER,
    RATE_LIMIT_FILTER,
    FirewallArgs,
    HostLimits,
    firewall,
    host_config,
    limits_filter,
    tls_filter,
)

pytestmark = pytest.mark.unit

GATEWAY = ("public", "istio-ingress")
API = HostLimits("api.example.org", 100, 60, 1_048_576)
FIREWALL = FirewallArgs(f"registry.example.org/waf/coraza@sha256:{'a' * 64}", ("Include @recommended-conf",))


def patches(made: dict[str, Any] | None, applied_to: str) -> list[dict[str, Any]]:
    assert made is not None
    return [patch for patch in made["spec"]["configPatches"] if patch["applyTo"] == applied_to]


@pytest.mark.parametrize(("version", "envoy"), [("1.2", "TLSv1_2"), ("1.3", "TLSv1_3")])
def test_the_lowest_tls_version_is_written_down(version: str, envoy: str) -> None:
    [patch] = patches(tls_filter(GATEWAY, version), "FILTER_CHAIN")
    # The chain of port 80 has no TLS, and would get a half of it.
    assert patch["match"]["listener"]["portNumber"] == 443
    context = patch["patch"]["value"]["transport_socket"]["typed_config"]["common_tls_context"]
    assert context["tls_params"] == {"tls_minimum_protocol_version": envoy}


@pytest.mark.parametrize(
    "made",
    [
        tls_filter(GATEWAY, "1.2"),
        limits_filter(GATEWAY, [API], enforce=True),
        firewall(GATEWAY, FIREWALL, enforce=True),
    ],
)
def test_everything_is_for_the_gateway_alone(made: dict[str, Any]) -> None:
    assert made["metadata"]["namespace"] == "istio-ingress"
    assert made["spec"]["targetRefs"] == [
        {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "public"},
    ]


def test_each_host_has_its_own_limits() -> None:
    other = HostLimits("shop.example.org", max_request_bytes=10)
    made = limits_filter(GATEWAY, [API, other, HostLimits("free.example.org")], enforce=True)
    hosts = {
        patch["match"]["routeConfiguration"]["vhost"]["domainName"]: patch["patch"]["value"]["typed_per_filter_config"]
        for patch in patches(made, "VIRTUAL_HOST")
    }
    assert {host: set(config) for host, config in hosts.items()} == {
        "api.example.org": {RATE_LIMIT_FILTER, BUFFER_FILTER},
        "shop.example.org": {BUFFER_FILTER},
    }
    bucket = hosts["api.example.org"][RATE_LIMIT_FILTER]["token_bucket"]
    assert bucket == {"max_tokens": 100, "tokens_per_fill": 100, "fill_interval": "60s"}
    assert hosts["shop.example.org"][BUFFER_FILTER]["buffer"] == {"max_request_bytes": 10}


def test_the_filters_are_off_where_a_host_does_not_ask_and_the_rate_is_judged_first() -> None:
    inserted = [patch["patch"] for patch in patches(limits_filter(GATEWAY, [API], enforce=True), "HTTP_FILTER")]
    assert all(patch["value"]["disabled"] and patch["operation"] == "INSERT_FIRST" for patch in inserted)
    assert [patch["value"]["name"] for patch in inserted] == [BUFFER_FILTER, RATE_LIMIT_FILTER]


def test_without_a_limit_there_is_no_filter() -> None:
    assert limits_filter(GATEWAY, [HostLimits("api.example.org")], enforce=True) is None


@pytest.mark.parametrize(("enforce", "percent"), [(True, 100), (False, 0)])
def test_a_dry_run_counts_and_answers(enforce: bool, percent: int) -> None:
    configured = host_config(API, enforce)[RATE_LIMIT_FILTER]
    assert configured["filter_enabled"]["default_value"]["numerator"] == 100
    assert configured["filter_enforced"]["default_value"]["numerator"] == percent


@pytest.mark.parametrize("changes", [{"requests": -1}, {"max_request_bytes": -1}, {"seconds": 0}])
def test_a_limit_is_a_number_of_something(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r": less than"):
        HostLimits("api.example.org", **changes)


@pytest.mark.parametrize(
    ("enforce", "engine", "fails"), [(True, "On", "FAIL_CLOSE"), (False, "DetectionOnly", "FAIL_OPEN")]
)
def test_the_firewall_is_pinned_and_blocks_as_the_posture_says(enforce: bool, engine: str, fails: str) -> None:
    spec = firewall(GATEWAY, FIREWALL, enforce)["spec"]
    assert spec["url"] == f"oci://{FIREWALL.image}"
    assert spec["sha256"] == "a" * 64
    assert spec["failStrategy"] == fails
    assert spec["pluginConfig"]["directives_map"]["default"] == ["Include @recommended-conf", f"SecRuleEngine {engine}"]
