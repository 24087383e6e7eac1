"""The section `ingress` of the stack file: wrong values, keys that need each other, what an Ingress cannot say."""

from typing import Any

import pytest

from components.schema.problem import ConfigError
from tests.support.stacks import ENVIRONMENTS, settings

pytestmark = pytest.mark.unit

WAF = f"registry.example.org/waf/coraza@sha256:{'a' * 64}"
INGRESS = {"kind": "ingress", "className": "nginx", "controller": {"namespace": "nginx", "serviceAccount": "nginx"}}
OUT = {"acmeEmail": "ops@example.org", **INGRESS, "headers": "none", "rateLimit": "none", "maxRequestBytes": "none"}
NO_VAULT = {"vault": {"value": False, "reason": "no customer data here"}}

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"kind": "nginx"}, "gateway-api, ingress"),
    ({"acmeEmail": "nobody"}, "mail address"),
    ({"acmeServer": {"directory": "http://acme.example.org/dir"}}, "TLS only"),
    ({"acmeServer": {"directory": "https://acme.example.org"}}, "directory of an ACME server"),
    ({"acmeServer": {"directory": "https://a.example.org/d", "caBundleFile": "ca.pem"}}, "absolute path"),
    ({"ca": {"keyPair": "Company CA"}}, "keyPair: not a name"),
    ({"vault": {"server": "http://vault:8200"}}, "TLS only"),
    ({"tls": {"minVersion": "1.1"}}, "1.2, 1.3"),
    ({"tls": {"ciphers": ["AES128-SHA"]}}, "ECDHE-ECDSA-AES128-GCM-SHA256"),
    ({"tls": {"ciphers": []}}, "fewer than 1"),
    ({"hsts": {"maxAge": 300, "preload": True}}, "hsts.preload: it needs maxAge of 31536000"),
    ({"headers": {"X Frame": "DENY"}}, "name of a header"),
    ({"headers": {"X-Frame-Options": "DENY\nX-Other: 1"}}, "printable ASCII"),
    ({"headers": {"A": "1", "a": "2"}}, "stands there twice"),
    ({"headers": {f"X-{number}": "1" for number in range(16)}}, "15 at most"),
    ({"rateLimit": {"requests": 0}}, "less than 1"),
    ({"rateLimit": {"requests": 5, "per": "day"}}, "second, minute, hour"),
    ({"maxRequestBytes": 0}, "less than 1"),
    ({"maxRequestBytes": "1Mi"}, "legal: none"),
    ({"waf": {"image": "registry.example.org/waf:v1"}}, "sha256"),
    ({"waf": {"image": WAF, "directives": ["SecRuleEngine Off"]}}, "follows from the posture"),
    ({"gatewayNamespace": "Ingress"}, "DNS label"),
]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize(("ingress", "legal"), WRONG)
def test_a_wrong_value_is_refused(environment: str, ingress: dict[str, Any], legal: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(environment, ingress=ingress)
    problem = caught.value.problems[0]
    assert problem.key.startswith("zero-trust:ingress.")
    assert legal in str(problem)


@pytest.mark.parametrize(
    ("environment", "changes", "key"),
    [
        ("production", {"ingress": INGRESS}, "ingress.headers"),
        ("production", {"ingress": INGRESS}, "ingress.rateLimit"),
        ("production", {"ingress": INGRESS}, "ingress.maxRequestBytes"),
        ("dev", {"ingress": {**INGRESS, "rateLimit": {"requests": 5}}}, "ingress.rateLimit"),
        ("production", {"ingress": {**OUT, "tls": {"minVersion": "1.3"}}}, "ingress.tls"),
        ("production", {"ingress": {**OUT, "waf": {"image": WAF}}}, "ingress.waf"),
        ("production", {"ingress": {**OUT, "hsts": {"maxAge": 300}}}, "ingress.hsts"),
        ("production", {"ingress": {"annotations": {"tls": {"a": "b"}}}}, "ingress.annotations"),
        ("production", {"ingress": {"waf": {"image": WAF.replace("registry", "other")}}}, "ingress.waf.image"),
        ("production", {"ingress": {"ca": {"keyPair": "company-ca"}}}, "ingress.ca"),
        ("production", {"ingress": {"vault": {}}}, "ingress.vault"),
        ("production", {"posture": {**NO_VAULT, "issuer": {"value": "vault", "reason": "r"}}}, "posture.issuer"),
    ],
)
def test_keys_that_need_each_other(environment: str, changes: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(environment, **changes)
    assert f"zero-trust:{key}" in {problem.key for problem in caught.value.problems}


def test_an_ingress_says_by_annotations_or_leaves_out_what_it_cannot_say() -> None:
    assert settings("production", ingress=OUT)
    said = {"headers": {"h": "x"}, "rateLimit": {"r": "{requests}"}, "maxRequestBytes": {"b": "{bytes}"}}
    assert settings("production", ingress={"acmeEmail": "ops@example.org", **INGRESS, "annotations": said})
    assert settings("dev", ingress=INGRESS), "dev asks nothing of a service"
