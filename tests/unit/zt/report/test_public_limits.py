"""What a report says of the limits of each public service: in the model, and on the page."""

from pathlib import Path
from typing import Any

import pytest

from tests.unit.zt.report import stack as stacks
from tests.unit.zt.report.test_page import made
from zt.report.model import PublicLimits
from zt.report.page import page

pytestmark = pytest.mark.unit

WAF = {"image": f"registry.example.org/waf@sha256:{'a' * 64}"}
HEADERS = {"X-Frame-Options": "DENY"}


def limits(
    directory: Path, stack: str = "production", ingress: dict[str, Any] | None = None, **web: Any
) -> PublicLimits:
    """The limits of a stack with one public service, a hidden one and this section `ingress`."""
    services = {
        "web": stacks.service("shop", "web", host="web.example.org", **web),
        "api": stacks.service("shop", "api"),
    }
    project = stacks.project(directory, services, {"ingress": {"acmeEmail": "a@example.org", **(ingress or {})}})
    [found] = made(project, stack, measured=False).public_limits
    return found


class TestOfAGateway:
    def test_the_terms_of_the_stack(self, tmp_path: Path) -> None:
        found = limits(tmp_path, ingress={"headers": HEADERS, "waf": WAF, "tls": {"minVersion": "1.3"}})
        assert found == PublicLimits(
            service="shop/web",
            hosts=("web.example.org",),
            paths=("/",),
            min_tls="1.3",
            requests=100,
            seconds=1,
            over_rate="refused",
            max_request_bytes=1_048_576,
            firewall="blocks",
            headers=("Strict-Transport-Security: max-age=31536000; includeSubDomains", "X-Frame-Options: DENY"),
            annotations=(),
        )

    def test_a_service_s_own_come_before_them(self, tmp_path: Path) -> None:
        own = {"aliases": ["www.example.org"], "paths": ["/v1"], "rateLimit": {"requests": 5, "per": "minute"}}
        found = limits(tmp_path, **own, maxRequestBytes=10, securityHeaders="none")
        assert (found.hosts, found.paths) == (("web.example.org", "www.example.org"), ("/v1",))
        assert (found.requests, found.seconds, found.max_request_bytes, found.headers) == (5, 60, 10, ())
        assert found.firewall == "none"

    def test_no_limit_is_none(self, tmp_path: Path) -> None:
        found = limits(tmp_path, rateLimit="none", maxRequestBytes="none")
        assert (found.requests, found.over_rate, found.max_request_bytes) == (0, "answered", 0)

    def test_a_dry_run_counts(self, tmp_path: Path) -> None:
        assert limits(tmp_path, "staging").over_rate == "counted"

    def test_a_stack_without_authorization_asks_for_tls_alone(self, tmp_path: Path) -> None:
        found = limits(tmp_path, "dev", rateLimit={"requests": 5})
        assert (found.min_tls, found.requests, found.max_request_bytes, found.headers) == ("1.2", 0, 0, ())

    @pytest.mark.parametrize(("authorization", "firewall"), [("enforce", "blocks"), ("dry-run", "detects")])
    def test_the_firewall_follows_the_posture(self, tmp_path: Path, authorization: str, firewall: str) -> None:
        posture = {"authorization": {"value": authorization, "reason": "a case of a test"}}
        services = {"web": stacks.service("shop", "web", host="web.example.org")}
        ingress = {"acmeEmail": "a@example.org", "waf": WAF}
        project = stacks.project(tmp_path, services, {"ingress": ingress, "posture": posture})
        assert [found.firewall for found in made(project, measured=False).public_limits] == [firewall]


def test_an_ingress_says_it_by_annotations(tmp_path: Path) -> None:
    words = {
        "rateLimit": {"haproxy.org/rate-limit-requests": "{requests}"},
        "maxRequestBytes": {"example.org/body-size": "{bytes}"},
    }
    controller = {"namespace": "haproxy-controller", "serviceAccount": "haproxy"}
    ingress = {"kind": "ingress", "className": "haproxy", "controller": controller, "headers": "none"}
    found = limits(tmp_path, ingress={**ingress, "annotations": words})
    assert found.annotations == ("example.org/body-size: 1048576", "haproxy.org/rate-limit-requests: 100")
    assert (found.requests, found.over_rate, found.max_request_bytes) == (100, "refused", 1_048_576)
    # What the controller asks for by itself is in no plan.
    assert (found.min_tls, found.headers) == ("", ())


class TestPage:
    def test_it_has_the_terms(self, tmp_path: Path) -> None:
        web = stacks.service("shop", "web", host="web.example.org", rateLimit={"requests": 7, "per": "hour"})
        text = page(made(stacks.project(tmp_path, {"web": web}), measured=False))
        row = text.partition('id="public-limits"')[2].partition("</table>")[0]
        assert "7 in 3600 s, then" in row
        assert ">refused</span>" in row
        for shown in ("web.example.org", "1.2 or newer", "1048576 bytes", "X-Frame-Options: DENY"):
            assert shown in row
        assert "data-attention" not in row

    def test_a_service_without_a_limit_needs_attention(self, tmp_path: Path) -> None:
        web = stacks.service("shop", "web", host="web.example.org", rateLimit="none")
        text = page(made(stacks.project(tmp_path, {"web": web}), measured=False))
        row = text.partition('id="public-limits"')[2].partition("</table>")[0]
        assert ">no limit</span>" in row
        assert "data-attention" in row

    def test_without_a_public_service_there_is_no_table(self, tmp_path: Path) -> None:
        services = {"api": stacks.service("shop", "api")}
        assert 'id="public-limits"' not in page(made(stacks.project(tmp_path, services), measured=False))
