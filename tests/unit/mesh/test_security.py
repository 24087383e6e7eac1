"""What the Istio releases are told, the mesh-wide rules, and their order."""

from typing import Any

import pytest

from components.config.posture import SCALE, TABLE
from components.kube.charts import PUBLISHED
from components.kube.mesh_labels import namespace_label, pod_label
from components.mesh.security import (
    AutoscalingArgs,
    MeshSecurity,
    MeshSecurityArgs,
    TracingArgs,
    base_values,
    cni_values,
    deny_by_default,
    istiod_values,
    peer_authentication,
    telemetry,
    ztunnel_values,
)
from tests.support.monitor import record

pytestmark = pytest.mark.unit


def args(**changes: Any) -> MeshSecurityArgs:
    return MeshSecurityArgs(**({"charts": PUBLISHED, "mtls": "STRICT", "authorization": "enforce"} | changes))


class TestArguments:
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"mtls": "strict"}, "mtls: .*'strict'; legal: STRICT, PERMISSIVE"),
            ({"mtls": "DISABLE"}, "mtls"),
            ({"authorization": "audit"}, "authorization: .*'audit'; legal: enforce, dry-run, off"),
            ({"replicas": 0}, "replicas"),
            (
                {"replicas": 3, "autoscaling": AutoscalingArgs(3)},
                "autoscaling: the most istiods are not more than the least, 3, found 3",
            ),
        ],
    )
    def test_a_wrong_decision_is_refused_with_what_is_legal(self, changes: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            args(**changes)

    def test_every_decision_of_the_posture_table_is_accepted(self) -> None:
        for mtls in SCALE["mtls"]:
            for authorization in SCALE["authorization"]:
                if mtls is not None:
                    assert args(mtls=mtls, authorization=authorization)
        assert all(args(mtls=p.mtls, authorization=p.authorization) for p in TABLE.values() if p.mtls)


class TestRules:
    @pytest.mark.parametrize("mtls", ["STRICT", "PERMISSIVE"])
    def test_the_mode_holds_for_the_whole_mesh(self, mtls: str) -> None:
        rule = peer_authentication(mtls)
        assert rule["metadata"] == {"name": "default", "namespace": "istio-system"}
        # A selector would make it hold for the pods of istio-system alone.
        assert rule["spec"] == {"mtls": {"mode": mtls}}

    def test_the_default_deny_matches_nothing_and_so_allows_nothing(self) -> None:
        rule = deny_by_default("enforce")
        assert rule is not None
        assert rule["metadata"] == {"name": "deny-by-default", "namespace": "istio-system"}
        # `rules: [{}]` would match, and allow, everything.
        assert rule["spec"] == {}

    def test_a_dry_run_is_the_same_rule_with_the_annotation(self) -> None:
        dry, enforced = deny_by_default("dry-run"), deny_by_default("enforce")
        assert dry is not None
        assert enforced is not None
        assert dry["metadata"].pop("annotations") == {"istio.io/dry-run": "true"}
        assert dry == enforced

    def test_no_rule_when_authorization_is_off(self) -> None:
        assert deny_by_default("off") is None


class TestTelemetry:
    def test_every_request_is_logged(self) -> None:
        made = telemetry(None)
        # In the root namespace and without a selector: for the whole mesh.
        assert made["metadata"]["namespace"] == "istio-system"
        assert made["spec"] == {"accessLogging": [{"providers": [{"name": "envoy"}]}]}
        assert "extensionProviders" not in istiod_values(args())["meshConfig"]

    def test_spans_go_to_the_collector_of_the_stack(self) -> None:
        collector = TracingArgs("observability", "otel", 4317, 5)
        (provider,) = istiod_values(args(tracing=collector))["meshConfig"]["extensionProviders"]
        assert provider["opentelemetry"] == {"service": "otel.observability.svc.cluster.local", "port": 4317}
        assert telemetry(collector)["spec"]["tracing"] == [
            {"providers": [{"name": provider["name"]}], "randomSamplingPercentage": 5}
        ]


class TestReleases:
    def test_the_validating_webhook_fails_closed(self) -> None:
        assert base_values()["base"]["validationFailurePolicy"] == "Fail"

    def test_no_application_pod_needs_a_network_capability(self) -> None:
        values = istiod_values(args())
        assert values["cni"] == {"enabled": True}
        assert values["env"]["ENABLE_NATIVE_SIDECARS"] == "true"

    def test_egress_is_closed_and_requests_are_logged(self) -> None:
        mesh = istiod_values(args(trust_domain="example.org"))["meshConfig"]
        assert mesh["outboundTrafficPolicy"] == {"mode": "REGISTRY_ONLY"}
        assert mesh["accessLogFile"] == "/dev/stdout"
        assert mesh["trustDomain"] == "example.org"

    def test_sidecars_gateways_and_istiod_have_the_runtimes_seccomp_profile(self) -> None:
        values = istiod_values(args())
        for part in (values, values["global"]["proxy"], values["gateways"]):
            assert part["seccompProfile"] == {"type": "RuntimeDefault"}

    def test_the_number_of_replicas_is_fixed(self) -> None:
        values = istiod_values(args(replicas=3))
        assert (values["autoscaleEnabled"], values["replicaCount"]) == (False, 3)

    def test_an_autoscaler_writes_the_number_alone(self) -> None:
        values = istiod_values(args(replicas=2, autoscaling=AutoscalingArgs(5, 70)))
        assert "replicaCount" not in values
        assert (values["autoscaleEnabled"], values["autoscaleMin"], values["autoscaleMax"]) == (True, 2, 5)
        assert values["cpu"] == {"targetAverageUtilization": 70}

    def test_a_path_is_judged_as_an_application_reads_it(self) -> None:
        mesh = istiod_values(args())["meshConfig"]
        assert mesh["pathNormalization"] == {"normalization": "DECODE_AND_MERGE_SLASHES"}

    @pytest.mark.parametrize(
        ("revision", "default", "label"),
        [("", "default", {"istio-injection": "enabled"}), ("1-31-0", "1-31-0", {"istio.io/rev": "1-31-0"})],
    )
    def test_a_revision_is_that_of_the_webhooks_and_the_namespaces(
        self, revision: str, default: str, label: dict[str, str]
    ) -> None:
        assert base_values(revision)["defaultRevision"] == default
        assert istiod_values(args(revision=revision))["revision"] == revision
        assert namespace_label(revision, ambient=False) == label

    def test_images_come_from_the_given_hub_with_the_pinned_version(self) -> None:
        for values in (
            istiod_values(args(hub="mirror.example.com/istio")),
            cni_values(args(hub="mirror.example.com/istio")),
        ):
            assert values["global"]["hub"] == "mirror.example.com/istio"
            assert values["global"]["tag"] not in ("", "latest")
        assert istiod_values(args())["global"]["hub"] == "docker.io/istio"

    def test_every_chart_that_runs_on_nodes_knows_the_platform(self) -> None:
        made = args(platform="gke", ambient=True)
        assert [cni_values(made)["global"]["platform"], istiod_values(made)["global"]["platform"]] == ["gke", "gke"]
        assert ztunnel_values(made)["platform"] == "gke"
        assert "platform" not in {**cni_values(args())["global"], **istiod_values(args())["global"]}


class TestAmbient:
    """https://istio.io/latest/docs/ambient/install/helm/."""

    def test_istiod_serves_the_nodes(self) -> None:
        assert istiod_values(args(ambient=True))["env"] == {"PILOT_ENABLE_AMBIENT": "true"}
        assert "PILOT_ENABLE_AMBIENT" not in istiod_values(args())["env"]

    def test_a_dry_run_is_shown_to_the_nodes(self) -> None:
        for authorization in ("enforce", "dry-run", "off"):
            env = istiod_values(args(ambient=True, authorization=authorization))["env"]
            assert ("AMBIENT_ENABLE_DRY_RUN_AUTHORIZATION_POLICY" in env) == (authorization == "dry-run")

    def test_the_node_redirects_to_its_proxy_and_leaves_names_to_the_clusters_dns(self) -> None:
        values = cni_values(args(ambient=True))
        assert values["ambient"] == {"enabled": True, "dnsCapture": False}
        assert values["repair"] == {"enabled": False}
        assert cni_values(args()) == {key: values[key] for key in ("global", "excludeNamespaces")}

    @pytest.mark.parametrize("revision", ["", "1-31-0"])
    def test_the_proxy_of_a_node_is_of_the_same_version_and_revision(self, revision: str) -> None:
        values = ztunnel_values(args(ambient=True, revision=revision, hub="mirror.example.com/istio"))
        assert values == {
            "hub": "mirror.example.com/istio",
            "tag": istiod_values(args())["global"]["tag"],
            "revision": revision,
            "logAsJson": True,
        }

    @pytest.mark.parametrize("revision", ["", "1-31-0"])
    def test_a_namespace_is_labelled_for_the_nodes_and_for_no_webhook(self, revision: str) -> None:
        assert namespace_label(revision, ambient=True) == {"istio.io/dataplane-mode": "ambient"}
        assert pod_label(revision, ambient=True) == namespace_label(revision, ambient=True)

    def test_the_release_of_the_nodes_is_one_for_all_revisions(self) -> None:
        made = args(ambient=True, revision="1-31-0")
        ready: list[object] = []
        recording = record(lambda: ready.extend(MeshSecurity("mesh", made).ready))
        releases = {one.inputs["name"]: one for one in recording.of("kubernetes:helm.sh/v3:Release")}
        assert set(releases) == {"istio-base", "istio-cni", "istiod-1-31-0", "ztunnel"}
        assert {releases["istio-cni"].urn, releases["istiod-1-31-0"].urn} <= releases["ztunnel"].dependencies
        assert releases["ztunnel"].inputs["namespace"] == "istio-system"
        assert len(ready) == 7


class TestComponent:
    def test_crds_come_before_istiod_and_istiod_before_the_rules(self) -> None:
        recording = record(lambda: MeshSecurity("mesh", args()))
        releases = {made.inputs["name"]: made for made in recording.of("kubernetes:helm.sh/v3:Release")}
        assert set(releases) == {"istio-base", "istio-cni", "istiod"}
        assert {made.inputs["namespace"] for made in releases.values()} == {"istio-system"}
        namespace = recording.one("kubernetes:core/v1:Namespace")
        assert namespace.urn in releases["istio-base"].dependencies
        for later in ("istio-cni", "istiod"):
            assert releases["istio-base"].urn in releases[later].dependencies
        rules = [made for made in recording.resources if made.type.startswith("kubernetes:security.istio.io")]
        assert {made.inputs["metadata"]["name"] for made in rules} == {"default", "deny-by-default"}
        assert all(releases["istiod"].urn in made.dependencies for made in rules)
        component = recording.one("zero-trust:platform:MeshSecurity")
        assert {made.parent for made in recording.resources if made.custom} == {component.urn}

    def test_another_revision_is_another_release(self) -> None:
        recording = record(lambda: MeshSecurity("mesh", args(revision="1-31-0")))
        releases = {made.inputs["name"] for made in recording.of("kubernetes:helm.sh/v3:Release")}
        # The old one goes at the end of the run that makes the new one: Pulumi deletes last.
        assert releases == {"istio-base", "istio-cni", "istiod-1-31-0"}

    @pytest.mark.parametrize(("authorization", "count"), [("enforce", 6), ("dry-run", 6), ("off", 5)])
    def test_ready_holds_everything_that_a_pod_of_the_mesh_needs(self, authorization: str, count: int) -> None:
        ready: list[object] = []
        record(lambda: ready.extend(MeshSecurity("mesh", args(authorization=authorization)).ready))
        assert len(ready) == count
