"""The headers and limits of a public service: by posture, by its own file, as annotations of an Ingress."""

from pathlib import Path
from typing import Any, ClassVar

import pytest
import trustme
import yaml

from components.ingress.issuers import AcmeIssuer, CaIssuer, VaultIssuer
from components.program.plan import Plan, plan
from components.program.stack import Stack
from components.schema.problem import ConfigError
from components.service.args.service import SecureServiceArgs
from components.service.file.directory import Admission, parse_service, read_services
from components.service.manifests.route import ingress_manifest, route_spec
from tests.support.stacks import settings

pytestmark = pytest.mark.unit

WEB: dict[str, Any] = {
    "namespace": "shop",
    "team": "commerce",
    "image": "registry.example.org/shop/web:v1",
    "port": 9000,
    "host": "www.example.org",
}
REASON = {"reason": "a case of a test"}
AUTHORITY = trustme.CA().cert_pem.bytes().decode()
WAF = {"image": f"registry.example.org/waf@sha256:{'a' * 64}"}


def planned(environment: str = "production", stack: dict[str, Any] | None = None, **web: Any) -> Plan:
    chosen = settings(environment, **(stack or {}))
    spec = parse_service(yaml.safe_dump({**WEB, **web}), "services/web.yaml").spec
    return plan(Stack("Pulumi.test.yaml", chosen, chosen.decisions(), (spec,)))


def service(environment: str = "production", stack: dict[str, Any] | None = None, **web: Any) -> SecureServiceArgs:
    return planned(environment, stack, **web).services[0]


def headers(args: SecureServiceArgs) -> dict[str, str]:
    [rule] = route_spec(args, args.public_ports[0])["rules"]
    written = [made for found in rule.get("filters", []) for made in found["responseHeaderModifier"]["set"]]
    return {made["name"]: made["value"] for made in written}


class TestByPosture:
    @pytest.mark.parametrize(("environment", "enforced"), [("production", True), ("staging", False)])
    def test_limits_are_enforced_where_authorization_is(self, environment: str, enforced: bool) -> None:
        made = planned(environment).ingress
        assert [(limit.host, limit.requests, limit.max_request_bytes) for limit in made.limits] == [
            ("www.example.org", 100, 1_048_576)
        ]
        assert made.enforce is enforced

    def test_dev_asks_nothing(self) -> None:
        made = planned("dev", {"ingress": {"waf": WAF}}, rateLimit={"requests": 5})
        assert [(limit.requests, limit.max_request_bytes) for limit in made.ingress.limits] == [(0, 0)]
        assert made.ingress.firewall is None
        assert headers(made.services[0]) == {}

    @pytest.mark.parametrize(("environment", "seconds"), [("production", 31_536_000), ("staging", 300)])
    def test_hsts_lasts_where_browsers_trust_the_issuer(self, environment: str, seconds: int) -> None:
        value = headers(service(environment))["Strict-Transport-Security"]
        assert value == f"max-age={seconds}; includeSubDomains"

    def test_the_firewall_has_its_rules(self) -> None:
        made = planned("production", {"ingress": {"acmeEmail": "ops@example.org", "waf": WAF}}).ingress
        assert made.firewall is not None
        assert made.firewall.image == WAF["image"]
        assert "Include @owasp_crs/*.conf" in made.firewall.directives


class TestOfAService:
    def test_its_own_terms_come_before_those_of_the_stack(self) -> None:
        made = planned(rateLimit={"requests": 5, "per": "minute"}, maxRequestBytes=10)
        [limit] = made.ingress.limits
        assert (limit.requests, limit.seconds, limit.max_request_bytes) == (5, 60, 10)

    def test_none_is_no_limit(self) -> None:
        [limit] = planned(rateLimit="none", maxRequestBytes="none").ingress.limits
        assert (limit.requests, limit.max_request_bytes) == (0, 0)

    def test_its_own_headers_replace_those_of_the_same_name_whatever_their_case(self) -> None:
        made = headers(service(securityHeaders={"x-frame-options": "SAMEORIGIN"}))
        assert made["x-frame-options"] == "SAMEORIGIN"
        assert "X-Frame-Options" not in made
        assert made["X-Content-Type-Options"] == "nosniff"

    def test_none_is_no_header(self) -> None:
        assert headers(service(securityHeaders="none")) == {}

    def test_an_alias_has_its_own_limits_and_certificate_and_the_same_route(self) -> None:
        made = planned(aliases=["example.org"])
        assert made.ingress.hosts == ("example.org", "www.example.org")
        assert [limit.host for limit in made.ingress.limits] == ["example.org", "www.example.org"]
        assert route_spec(made.services[0], made.services[0].public_ports[0])["hostnames"] == [
            "www.example.org",
            "example.org",
        ]

    @pytest.mark.parametrize(
        ("web", "message"),
        [
            ({"host": None, "rateLimit": {"requests": 5}}, "rateLimit: it needs host"),
            ({"host": None, "aliases": ["example.org"], "securityHeaders": "none"}, "aliases: it needs host"),
            (
                {"aliases": ["www.example.org"]},
                "aliases: under host and aliases it stands twice: keep one, found 'www.example.org'",
            ),
            ({"aliases": ["*.example.org"]}, "wildcard"),
            ({"maxRequestBytes": "all"}, "none"),
        ],
    )
    def test_wrong_terms_are_refused(self, web: dict[str, Any], message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            parse_service(yaml.safe_dump({**WEB, **web}), "services/web.yaml")


class TestOfAnIngress:
    INGRESS: ClassVar[dict[str, Any]] = {
        "kind": "ingress",
        "className": "haproxy",
        "acmeEmail": "ops@example.org",
        "controller": {"namespace": "haproxy", "serviceAccount": "haproxy"},
        "annotations": {
            "headers": {"example.org/headers": "X-Frame-Options DENY"},
            "rateLimit": {"example.org/requests": "{requests}", "example.org/period": "{seconds}s"},
            "maxRequestBytes": {"example.org/body": "{bytes}"},
            "tls": {"example.org/tls": "1.2"},
        },
    }

    def test_the_annotations_of_its_class_say_the_terms(self) -> None:
        made = ingress_manifest(service(stack={"ingress": self.INGRESS}, rateLimit={"requests": 5, "per": "minute"}))
        assert made["metadata"]["annotations"] == {
            "example.org/headers": "X-Frame-Options DENY",
            "example.org/requests": "5",
            "example.org/period": "60s",
            "example.org/body": "1048576",
            "example.org/tls": "1.2",
            "cert-manager.io/cluster-issuer": "letsencrypt-prod",
        }

    def test_what_is_none_is_not_annotated(self) -> None:
        quiet = {"securityHeaders": "none", "rateLimit": "none", "maxRequestBytes": "none"}
        made = ingress_manifest(service(stack={"ingress": self.INGRESS}, **quiet))
        assert set(made["metadata"]["annotations"]) == {"example.org/tls", "cert-manager.io/cluster-issuer"}

    def test_each_host_has_a_rule_and_a_certificate(self) -> None:
        spec = ingress_manifest(service(stack={"ingress": self.INGRESS}, aliases=["example.org"]))["spec"]
        assert [rule["host"] for rule in spec["rules"]] == ["www.example.org", "example.org"]
        assert spec["tls"][0]["hosts"] == ["www.example.org", "example.org"]

    @pytest.mark.parametrize(
        ("annotations", "web", "key"),
        [
            (INGRESS["annotations"], {"securityHeaders": {"X-Frame-Options": "DENY"}}, "securityHeaders"),
            ({}, {"rateLimit": {"requests": 5}}, "rateLimit"),
            ({}, {"maxRequestBytes": 5}, "maxRequestBytes"),
        ],
    )
    def test_what_it_cannot_say_is_an_error_of_the_service_that_asks(
        self, tmp_path: Path, annotations: dict[str, Any], web: dict[str, Any], key: str
    ) -> None:
        (tmp_path / "web.yaml").write_text(yaml.safe_dump({**WEB, **web}))
        quiet = {"headers": "none", "rateLimit": "none", "maxRequestBytes": "none"}
        chosen = settings("production", ingress={**self.INGRESS, **quiet, "annotations": annotations}).ingress
        admission = Admission((), api_server_reachable=True, unsupported=chosen.unsaid_of_a_service)
        with pytest.raises(ConfigError, match=rf"web\.yaml:\d+: {key}: the stack's class of Ingress has no words"):
            read_services(tmp_path, admission)


class TestIssuers:
    def test_another_acme_server_is_read_with_its_authority(self, tmp_path: Path) -> None:
        bundle = tmp_path / "ca.pem"
        bundle.write_text(AUTHORITY)
        server = {"directory": "https://acme.example.org/dir", "caBundleFile": str(bundle)}
        made = planned("production", {"ingress": {"acmeEmail": "ops@example.org", "acmeServer": server}})
        assert made.ingress.issuer == AcmeIssuer(
            "letsencrypt-prod", "ops@example.org", "https://acme.example.org/dir", AUTHORITY
        )
        bundle.unlink()
        with pytest.raises(ConfigError, match=r"zero-trust:ingress\.acmeServer\.caBundleFile: .*No such file"):
            planned("production", {"ingress": {"acmeEmail": "ops@example.org", "acmeServer": server}})

    def test_a_ca_that_is_there(self) -> None:
        assert planned("dev", {"ingress": {"ca": {"keyPair": "company-ca"}}}).ingress.issuer == CaIssuer("company-ca")

    def test_vault_signs_from_inside_the_cluster(self, tmp_path: Path) -> None:
        bundle = tmp_path / "ca.pem"
        bundle.write_text(AUTHORITY)
        asked = {"posture": {"issuer": {"value": "vault", **REASON}}, "ingress": {"vault": {"role": "hosts"}}}
        inside = VaultIssuer("https://vault.vault.svc:8200", role="hosts", own=True)
        assert planned("production", asked).ingress.issuer == inside
        own = {"server": "https://vault.example.org", "caBundleFile": str(bundle)}
        asked["ingress"] = {"vault": own}
        issuer = planned("production", asked).ingress.issuer
        assert issuer == VaultIssuer("https://vault.example.org", ca_bundle=AUTHORITY)


def test_a_host_is_claimed_once_among_all_names(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(WEB))
    (tmp_path / "b.yaml").write_text(yaml.safe_dump({**WEB, "host": "b.example.org", "aliases": ["www.example.org"]}))
    with pytest.raises(ConfigError, match=r"b\.yaml:\d+: aliases: .*/a\.yaml already claims / of the host") as caught:
        read_services(tmp_path, Admission((), api_server_reachable=True))
    assert len(caught.value.problems) == 1
