"""What the platform reaches of the hosts that the stack's own gateway serves."""

import pytest

from components.kube.manifest import Manifest
from tests.support.stacks import values
from tests.unit.program.test_platform_network import ADMISSION, GATEWAY, INJECTOR, VAULT, is_open, pod, production

pytestmark = pytest.mark.unit


def without_networks(policy: Manifest) -> Manifest:
    """A policy as a plugin reads it for a connection between two pods that no network of a rule has in it."""
    spec = dict(policy["spec"])
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        rules = [
            {**rule, peers: [peer for peer in rule[peers] if "ipBlock" not in peer]} if peers in rule else rule
            for rule in spec.get(direction, [])
        ]
        # A rule without peers is for everybody.
        spec[direction] = [rule for rule in rules if rule.get(peers) != []]
    return {**policy, "spec": spec}


@pytest.mark.parametrize("ingress_class", [None, "traefik"])
def test_what_the_own_gateway_serves_is_reached_behind_it(ingress_class: str | None) -> None:
    """A plugin that knows pods by their identity has none of them in a network (Cilium, in all its versions)."""
    own = {**values("production")["ingress"], "domain": "example.org"}
    front, port = GATEWAY, 443
    if ingress_class:
        place = {"namespace": "traefik", "serviceAccount": "traefik"}
        own |= {"kind": "ingress", "className": ingress_class, "controller": place}
        own |= {"headers": "none", "rateLimit": "none", "maxRequestBytes": "none"}
        front, port = pod("traefik"), 8443
    signer = {"name": "ci", "issuer": "https://token.example.org", "subject": "repo:example/app"}
    vault = {**values("production")["vault"], "login": {"method": "jwt"}}
    given = {"registries": ["registry.example.org"], "kyverno": {"imageSignatures": [signer]}, "vault": vault}
    made, elsewhere = (
        [without_networks(each) for each in production(**given, ingress={**own, "domain": domain})]
        for domain in ("example.org", "example.net")
    )
    for source in (ADMISSION, VAULT):
        assert is_open(made, source, front, port), source
    assert not is_open(elsewhere, ADMISSION, front, port)
    assert not is_open(made, INJECTOR, front, port)
