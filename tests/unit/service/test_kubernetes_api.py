"""Rights on the Kubernetes API: which lead nowhere, which need a reason and a last day, and which nobody gets."""

from datetime import date
from pathlib import Path

import pytest

from components.schema.problem import ConfigError
from components.service.file.directory import Admission, parse_service, read_services
from components.service.file.kubernetes_api import HARMLESS

SMALL = """\
namespace: shop
team: commerce
image: registry.example.org/shop/x:v1
port: 8080
"""
TIMED = "reason: the old operator writes it, owner: commerce, granted: 2026-01-01, expires: 2026-02-01"
PLATFORM_GROUPS = (
    "policies.kyverno.io",
    "kyverno.io",
    "reports.kyverno.io",
    "openreports.io",
    "wgpolicyk8s.io",
    "security.istio.io",
    "networking.istio.io",
    "extensions.istio.io",
    "telemetry.istio.io",
    "gateway.networking.k8s.io",
    "cert-manager.io",
    "acme.cert-manager.io",
    "external-secrets.io",
    "generators.external-secrets.io",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "certificates.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "rbac.authorization.k8s.io",
)


def text(resource: str, verb: str, more: str = "") -> str:
    name, _, group = resource.partition(".")
    tail = f", {more}" if more else ""
    return f"{SMALL}kubernetesApi: [{{apiGroups: ['{group}'], resources: ['{name}'], verbs: ['{verb}']{tail}}}]"


def refusal(content: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_service(content, "services/x.yaml")
    (problem,) = caught.value.problems
    return str(problem)


@pytest.mark.parametrize(
    ("resource", "verb"),
    [
        ("configmaps", "get"),
        ("pods", "list"),
        ("deployments.apps", "watch"),
        ("leases.coordination.k8s.io", "update"),
        ("leases.coordination.k8s.io", "create"),
        ("events", "create"),
        ("events.events.k8s.io", "patch"),
        ("endpointslices.discovery.k8s.io", "list"),
        ("pods.metrics.k8s.io", "get"),
    ],
)
def test_what_leads_nowhere_needs_no_reason(resource: str, verb: str) -> None:
    (rule,) = parse_service(text(resource, verb), "x.yaml").spec.kubernetes_api
    assert (rule.exception, list(rule.leading_on())) == (None, [])


LEADS_ON = [
    ("configmaps", "update"),
    ("pods/log", "get"),
    ("pods/portforward", "create"),
    ("pods/portforward", "get"),
    ("pods/proxy", "get"),
    ("pods/eviction", "create"),
    ("services", "patch"),
    ("services/proxy", "get"),
    ("services/status", "update"),
    ("endpoints", "update"),
    ("serviceaccounts", "create"),
    ("persistentvolumeclaims", "create"),
    ("namespaces", "patch"),
    ("pods", "create"),
    ("pods", "delete"),
    ("nodes/proxy", "get"),
    ("leases.coordination.k8s.io", "deletecollection"),
    ("endpointslices.discovery.k8s.io", "update"),
    ("deployments.apps", "patch"),
    ("deployments/scale.apps", "update"),
    ("statefulsets.apps", "create"),
    ("daemonsets.apps", "update"),
    ("jobs.batch", "create"),
    ("cronjobs.batch", "patch"),
    ("networkpolicies.networking.k8s.io", "create"),
    ("ingresses.networking.k8s.io", "update"),
    ("policyexceptions.policies.kyverno.io", "create"),
    ("namespacedmutatingpolicies.policies.kyverno.io", "create"),
    ("authorizationpolicies.security.istio.io", "create"),
    ("peerauthentications.security.istio.io", "update"),
    ("certificates.cert-manager.io", "create"),
    ("externalsecrets.external-secrets.io", "create"),
    ("localsubjectaccessreviews.authorization.k8s.io", "create"),
    ("widgets.example.org", "get"),
]


@pytest.mark.parametrize(("resource", "verb"), LEADS_ON)
def test_what_may_lead_to_more_needs_a_reason_and_a_last_day(resource: str, verb: str) -> None:
    message = refusal(text(resource, verb))
    assert message.startswith("services/x.yaml:5: kubernetesApi[0].")
    assert f"{verb} {resource} may lead to more than it says" in message
    assert "write reason, owner, granted, expires beside it" in message
    assert ", found [" in message
    (rule,) = parse_service(text(resource, verb, TIMED), "x.yaml").spec.kubernetes_api
    assert rule.exception is not None
    assert rule.exception.expires == date(2026, 2, 1)


def test_the_error_says_which_verbs_lead_nowhere() -> None:
    message = refusal(text("services", "patch"))
    assert "kubernetesApi[0].verbs: " in message
    assert message.endswith("found ['patch']; legal: get, list, watch")


def test_the_error_says_which_resources_lead_nowhere() -> None:
    message = refusal(text("widgets.batch", "get"))
    assert "kubernetesApi[0].resources: " in message
    assert message.endswith("found ['widgets']; legal: cronjobs, cronjobs/status, jobs, jobs/status")


@pytest.mark.parametrize(
    ("resource", "verb"),
    [
        ("secrets", "get"),
        ("secrets", "watch"),
        ("serviceaccounts/token", "create"),
        ("pods/exec", "get"),
        ("pods/attach", "create"),
        ("pods/ephemeralcontainers", "update"),
        ("serviceaccounts", "impersonate"),
        ("serviceaccounts", "use"),
        ("users", "impersonate:user-info"),
        ("roles.rbac.authorization.k8s.io", "get"),
        ("roles.rbac.authorization.k8s.io", "escalate"),
        ("clusterroles.rbac.authorization.k8s.io", "bind"),
        ("rolebindings.rbac.authorization.k8s.io", "create"),
        ("signers.certificates.k8s.io", "approve"),
        ("signers.certificates.k8s.io", "sign"),
        ("*", "get"),
        ("pods", "*"),
        ("*/scale.apps", "get"),
        ("deployments.*", "get"),
    ],
)
def test_no_reason_buys_the_rights_of_another(resource: str, verb: str) -> None:
    for more in ("", TIMED):
        message = refusal(text(resource, verb, more))
        assert message.startswith("services/x.yaml:5: kubernetesApi[0].")
        assert "no service gets it" in message or "a wildcard is over-broad" in message
        assert ", found " in message


@pytest.mark.parametrize("missing", ["reason", "owner", "granted", "expires"])
def test_each_part_of_the_reason_is_due(missing: str) -> None:
    kept = ", ".join(part for part in TIMED.split(", ") if not part.startswith(missing))
    assert f"kubernetesApi[0].{missing}: missing: patch services may lead" in refusal(text("services", "patch", kept))


def test_a_reason_for_what_needs_none_is_refused() -> None:
    message = refusal(text("configmaps", "get", TIMED))
    assert "kubernetesApi[0].reason: these rights lead nowhere and need none: leave it out, found" in message


def test_the_last_day_is_after_the_first() -> None:
    message = refusal(text("services", "patch", TIMED.replace("2026-02-01", "2025-12-01")))
    assert "kubernetesApi[0].expires: not after granted, which is 2026-01-01, found '2025-12-01'" in message


@pytest.mark.parametrize(
    ("day", "change", "error"),
    [
        (date(2026, 1, 31), ("", ""), ""),
        (date(2026, 2, 1), ("", ""), r"a\.yaml:5: kubernetesApi\[0\]\.expires: expired as of 2026-02-01: remove it"),
        (date(2025, 12, 31), ("", ""), r"kubernetesApi\[0\]\.granted: 2026-01-01 is in the future"),
        (date(2026, 1, 2), ("2026-02-01", "2026-04-02"), r"kubernetesApi\[0\]\.expires: 91 days, 90 at most"),
    ],
)
def test_it_ends_on_its_last_day(tmp_path: Path, day: date, change: tuple[str, str], error: str) -> None:
    (tmp_path / "a.yaml").write_text(text("services", "patch", TIMED.replace(*change)))
    admission = Admission(registries=(), api_server_reachable=True, as_of=lambda: day)

    def read() -> int:
        return len(read_services(tmp_path, admission))

    if error:
        with pytest.raises(ConfigError, match=error):
            read()
    else:
        assert read() == 1


def test_the_list_of_harmless_rights_holds_none_of_the_platforms_groups() -> None:
    assert not {group for group, _ in HARMLESS} & set(PLATFORM_GROUPS)


def test_what_may_be_written_is_leases_and_events_alone() -> None:
    written = {resource for (_, resource), verbs in HARMLESS.items() if set(verbs) - {"get", "list", "watch"}}
    assert written == {"leases", "events"}


class TestAcrossTheCluster:
    def rule(self, resources: str, verbs: str, exception: str = TIMED) -> str:
        wide = f"resources: [{resources}], verbs: [{verbs}], clusterWide: true"
        return f"{SMALL}kubernetesApi:\n  - {{{wide}{', ' if exception else ''}{exception}}}\n"

    def test_reading_needs_a_reason_and_a_last_day(self) -> None:
        message = refusal(self.rule("pods", "list", exception=""))
        assert "kubernetesApi[0].clusterWide: list pods reaches other teams' namespaces: write reason, owner" in message
        (rule,) = parse_service(self.rule("pods, nodes", "get, list, watch"), "x.yaml").spec.kubernetes_api
        assert rule.exception is not None
        assert ("", "pods", "list") in set(rule.leading_on())

    @pytest.mark.parametrize(
        ("resources", "verbs", "said"),
        [
            ("pods", "list, delete", r"kubernetesApi[0].verbs[1]: clusterWide is for reading alone, found 'delete'"),
            ("nodes/proxy", "get", "kubernetesApi[0].resources[0]: clusterWide is for objects alone"),
            ("pods/log", "get", "kubernetesApi[0].resources[0]: clusterWide is for objects alone"),
            ("secrets", "get", "kubernetesApi[0].resources[0]: it would give more than is written"),
        ],
    )
    def test_more_than_reading_objects_is_refused(self, resources: str, verbs: str, said: str) -> None:
        assert said in refusal(self.rule(resources, verbs))
