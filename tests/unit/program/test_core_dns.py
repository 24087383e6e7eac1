"""The Corefile of a stack: which names it resolves, and that it answers no other."""

import re
from dataclasses import replace
from typing import Any

import pytest

from components.program.core_dns import corefile, outside_names
from components.program.stack import Stack
from tests.support.stacks import ENVIRONMENTS, stack, values

pytestmark = pytest.mark.unit


def with_api(here: Stack, **changes: Any) -> Stack:
    """The stack with further keys in a service file."""
    [api] = [spec for spec in here.services if spec.name == "api"]
    changed = api.model_validate({**api.model_dump(by_alias=True, exclude_unset=True), **changes})
    return replace(here, services=(changed,))


def blocks(text: str) -> dict[str, str]:
    """The server blocks, by their zones."""
    return dict(re.findall(r"^(\S[^\n]*) \{\n(.*?)^\}$", text, re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_what_is_not_declared_does_not_exist(environment: str) -> None:
    found = blocks(corefile(stack(environment)))
    assert re.search(r"template ANY ANY \{\n\s+rcode NXDOMAIN\n\s+\}", found[".:53"])
    assert "forward" not in found[".:53"]
    assert "kubernetes cluster.local in-addr.arpa ip6.arpa" in found["cluster.local:53 in-addr.arpa:53 ip6.arpa:53"]


def test_every_block_ends() -> None:
    text = corefile(stack("production"))
    assert text.count("{") == text.count("}") > 4


def test_names_that_a_service_declares_are_resolved() -> None:
    egress = [{"host": "pay.example.com", "port": 443}, {"host": "mail.example.com", "port": 465}]
    jwt = {"issuer": "https://login.example.com", "jwksUri": "https://keys.example.com/jwks", "audiences": ["shop"]}
    here = with_api(stack("production"), egress=egress, jwt=jwt)
    assert outside_names(here) == [
        "acme-v02.api.letsencrypt.org",
        "api.example.org",
        "keys.example.com",
        "mail.example.com",
        "pay.example.com",
    ]
    zones = " ".join(f"{host}:53" for host in outside_names(here))
    assert "forward . /etc/resolv.conf" in blocks(corefile(here))[zones]


def test_names_that_the_platform_needs_are_resolved() -> None:
    changes: dict[str, Any] = {
        "dns": {"allow": ["kms.eu-central-1.amazonaws.com"]},
        "databases": {
            name: {"host": host, "database": "shop", "adminUser": "vault", "cidrs": ["10.30.0.0/24"]}
            for name, host in (("a", "pg.example.com"), ("b", "pg.data.svc"), ("c", "10.30.0.9"))
        },
        "kyverno": {"imageSignatures": [{"name": "ci", "issuer": "https://token.example.com", "subject": "repo:x"}]},
        "ingress": {
            **values("production")["ingress"],
            "acmeServer": {"directory": "https://acme.example.com:14000/dir"},
        },
    }
    assert set(outside_names(stack("production", **changes))) == {
        "acme.example.com",
        "api.example.org",
        "docker.io",
        "kms.eu-central-1.amazonaws.com",
        "pg.example.com",
        "registry.example.org",
        "rekor.sigstore.dev",
    }


def test_a_stack_without_names_has_no_block_for_them() -> None:
    here = replace(stack("local"), services=())
    assert list(blocks(corefile(here))) == ["cluster.local:53 in-addr.arpa:53 ip6.arpa:53", ".:53"]
