"""An Istio that others installed: each setting on which the mesh-wide rules rely, taken away in turn."""

from dataclasses import replace
from typing import Any

import pytest

from components.mesh.existing import existing_mesh
from components.mesh.security import TracingArgs, istiod_values
from tests.support.installed import (
    APPS,
    HOOKS,
    INJECTOR_CONFIG,
    MESH_CONFIG,
    Living,
    changed,
    hook,
    istio,
)
from tests.unit.mesh.asked import ARGS, ROOT, SELECTED, UNKNOWN, USE, only, proxies, root, said, share

pytestmark = pytest.mark.unit

INJECTORS = f"{HOOKS}/mutatingwebhookconfigurations"


def with_env(**env: str) -> Living:
    living = istio()
    container = living.deployment("istiod")["spec"]["template"]["spec"]["containers"][0]
    container["env"] = [{"name": name, "value": value} for name, value in env.items()]
    return living


def of_version(tag: str) -> Living:
    living = with_env()
    living.deployment("istiod")["spec"]["template"]["spec"]["containers"][0]["image"] = f"docker.io/istio/pilot:{tag}"
    return living


def test_one_with_what_the_rules_rely_on_lacks_nothing() -> None:
    living = istio()
    assert not said(living)
    assert not said(living, "warns")
    assert {call.method for call in living.calls} == {"GET"}


def test_an_empty_cluster_lacks_istiod() -> None:
    lacking = said(Living())
    assert "mesh.mode: helm" in lacking["istiod of revision default"]
    assert "security.istio.io/v1" in lacking["kinds of Istio's security"]


def of_revision(revision: str) -> Living:
    living = istio()
    there = living.deployment("istiod")
    there["spec"]["template"]["metadata"]["labels"]["istio.io/rev"] = revision
    for path in (MESH_CONFIG, INJECTOR_CONFIG):
        living.at[f"{path}-{revision}"] = living.at.pop(path)
    for kind in ("mutatingwebhookconfigurations", "validatingwebhookconfigurations"):
        living.at[f"{HOOKS}/{kind}"][0]["metadata"]["labels"]["istio.io/rev"] = revision
    return living


def test_another_revision_is_not_this_one() -> None:
    vendor = of_revision("asm-1-31")
    assert not said(vendor, args=replace(ARGS, revision="asm-1-31"))
    assert "name its mesh.namespace and mesh.revision" in only(vendor, "istiod of revision default")
    assert "istiod of revision 1-30" in said(istio(), args=replace(ARGS, revision="1-30"))


@pytest.mark.parametrize(
    ("tag", "result", "word"),
    [
        ("1.31.0", "ok", ""),
        ("1.29.4-distroless", "ok", ""),
        ("1.28.3", "fails", "upgrade it to 1.29 to 1.31"),
        ("1.32.0", "warns", "newer than 1.31"),
        ("latest", "fails", "neither an image's tag nor a label"),
    ],
)
def test_the_version(tag: str, result: str, word: str) -> None:
    lines = [each for each in existing_mesh(of_version(tag).cluster, ARGS, USE) if each.about == "version of Istio"]
    assert [line.result for line in lines] == [result]
    assert word in f"{lines[0].found} {lines[0].fix}"


@pytest.mark.parametrize(
    ("change", "about", "word"),
    [
        ({"trustDomain": "corp.example"}, "meshConfig.trustDomain", "corp.example, not cluster.local"),
        ({"rootNamespace": "istio-config"}, "meshConfig.rootNamespace", "istio-config"),
        ({"outboundTrafficPolicy": {"mode": "ALLOW_ANY"}}, "meshConfig.outboundTrafficPolicy.mode", "ALLOW_ANY"),
        ({"outboundTrafficPolicy": None}, "meshConfig.outboundTrafficPolicy.mode", "ALLOW_ANY"),
        ({"pathNormalization": None}, "meshConfig.pathNormalization.normalization", "BASE"),
        ({"pathNormalization__normalization": "NONE"}, "meshConfig.pathNormalization.normalization", "NONE"),
        ({"discoverySelectors": [{"matchLabels": {"mesh": "on"}}]}, "meshConfig.discoverySelectors", "leave"),
        ({"enableAutoMtls": False}, "meshConfig.enableAutoMtls", "plaintext"),
        ({"defaultServiceExportTo": ["."]}, "meshConfig.defaultServiceExportTo", "another namespace"),
        ({"defaultDestinationRuleExportTo": ["."]}, "meshConfig.defaultDestinationRuleExportTo", "any identity"),
        ({"inboundTrafficPolicy": {"mode": "LOCALHOST"}}, UNKNOWN, "mode: LOCALHOST gives a proxy a variable"),
        (proxies(proxyMetadata={"EXIT_ON_ZERO_ACTIVE_CONNECTIONS": "true"}), UNKNOWN, "EXIT_ON_ZERO_ACTIVE_CONN"),
        (proxies(proxy_metadata={"IPTABLES_TRACE_LOGGING": "true"}), UNKNOWN, "IPTABLES_TRACE_LOGGING"),
        (proxies(interceptionMode="TPROXY"), UNKNOWN, "meshConfig.defaultConfig: interceptionMode is TPROXY"),
        (proxies(binaryPath="/own"), UNKNOWN, "binaryPath gives its pods another program"),
        (proxies(customConfigFile="/own"), UNKNOWN, "customConfigFile gives its pods another program"),
        (proxies(caCertificatesPem=["-----BEGIN\nA"]), UNKNOWN, "caCertificatesPem has a text with a sign"),
        (proxies(extraStatTags=["a", 'b"c']), UNKNOWN, "extraStatTags has a text with a sign"),
        (proxies(interceptionMode="NONE"), "traffic past the proxies", "meshConfig.defaultConfig.interceptionMode"),
        (proxies(image={"imageType": "distroless"}), "image of the proxy", "proxyv2:1.31.0-distroless"),
        (proxies(discoveryAddress="istiod.mesh.svc:15012"), "istiod of the proxies", "istiod.mesh.svc:15012"),
        (proxies(controlPlaneAuthPolicy="NONE"), "istiod of the proxies", "controlPlaneAuthPolicy: NONE"),
    ],
)
def test_a_setting_of_the_mesh(change: dict[str, Any], about: str, word: str) -> None:
    assert word in only(changed(istio(), MESH_CONFIG, "mesh", **change), about)


@pytest.mark.parametrize(
    "change",
    [
        {"inboundTrafficPolicy": {"mode": "PASSTHROUGH"}},
        {"defaultDestinationRuleExportTo": ["*"]},
        proxies(holdApplicationUntilProxyStarts=True, concurrency=2, drainDuration="45s"),
        proxies(proxyMetadata={"ISTIO_META_DNS_CAPTURE": "true", "SECRET_TTL": "12h"}),
        proxies(interceptionMode="REDIRECT", image={"imageType": "default"}),
        proxies(configPath="/etc/istio/proxy", binaryPath="/usr/local/bin/envoy"),
        proxies(discoveryAddress="istiod.istio-system.svc:15012", controlPlaneAuthPolicy="MUTUAL_TLS"),
        proxies(discoveryAddress="istiod-1-31.istio-system.svc.cluster.local:15012"),
        proxies(tracing={"zipkin": {"address": "zipkin.istio-system:9411"}}, statNameLength=200),
    ],
)
def test_a_setting_of_the_proxies_that_changes_nothing_for_the_rules(change: dict[str, Any]) -> None:
    assert not said(changed(istio(), MESH_CONFIG, "mesh", **change))


def test_identities_of_other_trust_domains_are_remarked_on() -> None:
    living = changed(istio(), MESH_CONFIG, "mesh", trustDomainAliases=["old.example"])
    assert not said(living)
    assert "old.example count as those of cluster.local" in said(living, "warns")["meshConfig.trustDomainAliases"]


def test_settings_left_out_have_istios_defaults() -> None:
    assert not said(changed(istio(), MESH_CONFIG, "mesh", trustDomain=None, rootNamespace=None))
    args = replace(ARGS, trust_domain="corp.example")
    bare = changed(istio(), MESH_CONFIG, "mesh", trustDomain=None)
    assert "trustDomain in the stack file" in only(bare, "meshConfig.trustDomain", args)
    assert not said(changed(istio(), MESH_CONFIG, "mesh", trustDomain="corp.example"), args=args)


def test_shared_settings_count_below_those_of_the_revision() -> None:
    living = changed(istio(), MESH_CONFIG, "mesh", outboundTrafficPolicy=None)
    share(living, "outboundTrafficPolicy: {mode: REGISTRY_ONLY}\ntrustDomain: else.where\n")
    assert not said(living)


def test_access_logs_as_text_are_remarked_on() -> None:
    living = changed(istio(), MESH_CONFIG, "mesh", accessLogEncoding=None)
    assert not said(living)
    assert "meshConfig.accessLogEncoding" in said(living, "warns")


def test_a_tracer_needs_its_provider() -> None:
    args = replace(ARGS, tracing=TracingArgs("observability", "tempo"))
    assert "tempo.observability.svc.cluster.local:4317" in only(istio(), "provider of spans", args)
    assert not said(changed(istio(), MESH_CONFIG, "mesh", extensionProviders=[{"name": "collector"}]), args=args)


@pytest.mark.parametrize("path", [MESH_CONFIG, INJECTOR_CONFIG])
def test_a_configuration_that_is_not_there(path: str) -> None:
    living = istio()
    del living.at[path]
    assert any("there is no ConfigMap" in each for each in said(living).values())


@pytest.mark.parametrize(
    ("living", "refused"),
    [
        (with_env(), False),
        (with_env(ENABLE_NATIVE_SIDECARS="false"), True),
        (with_env(PILOT_ENABLE_GATEWAY_API="false", ENABLE_NATIVE_SIDECARS="true"), True),
        (with_env(PILOT_ENABLE_GATEWAY_API_DEPLOYMENT_CONTROLLER="false"), True),
    ],
)
def test_a_feature_of_istiod(living: Living, refused: bool) -> None:
    lacking = said(living)
    assert bool(lacking) is refused
    assert not refused or "pilot.env" in next(iter(lacking.values()))


def test_a_gateway_that_the_stack_has_not_needs_nothing() -> None:
    use = replace(USE, gateway=False)
    assert not said(with_env(PILOT_ENABLE_GATEWAY_API="false"), use=use)
    assert not said(changed(istio(), INJECTOR_CONFIG, "values", gateways=None), use=use)


class TestAmbient:
    ARGS = replace(ARGS, ambient=True)

    def test_one_with_ztunnel_lacks_nothing(self) -> None:
        assert not said(istio(ambient=True), args=self.ARGS)

    def test_without_ztunnel(self) -> None:
        living = istio(ambient=True)
        living.at[f"{APPS}/daemonsets"].pop()
        assert "ztunnel" in only(living, "proxies of the nodes", self.ARGS)

    def test_without_the_feature(self) -> None:
        living = istio(ambient=True)
        living.deployment("istiod")["spec"]["template"]["spec"]["containers"][0]["env"] = []
        assert "PILOT_ENABLE_AMBIENT" in only(living, "ambient mode", self.ARGS)

    def test_a_dry_run_needs_its_own(self) -> None:
        args = replace(self.ARGS, authorization="dry-run")
        assert "DRY_RUN" in only(istio(ambient=True), "dry run in the ambient mode", args)


@pytest.mark.parametrize(
    ("kind", "about"),
    [
        ("mutatingwebhookconfigurations", "injector of the revision"),
        ("validatingwebhookconfigurations", "validation of the revision"),
    ],
)
def test_a_webhook_that_fails_open_or_is_not_there(kind: str, about: str) -> None:
    path = f"{HOOKS}/{kind}"
    there = hook("of-istio", "istio-system", "Ignore", **{"istio.io/rev": "default"})
    assert "fails open" in only(istio().with_(path, [there]), about)
    other = hook("of-istio", "istio-system", **{"istio.io/rev": "old"})
    assert "istio.io/rev=default" in only(istio().with_(path, [other]), about)


APPLIED = {"managedFields": [{"manager": "pulumi-kubernetes-1dd8ecac"}]}


@pytest.mark.parametrize(
    ("group", "kind", "spec", "about"),
    [
        ("security.istio.io/v1", "peerauthentications", {"mtls": {"mode": "PERMISSIVE"}}, "mesh-wide peerauth"),
        ("telemetry.istio.io/v1", "telemetries", {}, "mesh-wide telemetries of others"),
        ("networking.istio.io/v1", "sidecars", {}, "mesh-wide sidecars of others"),
        ("security.istio.io/v1", "authorizationpolicies", {"rules": [{}]}, "mesh-wide allows of others"),
        ("security.istio.io/v1", "authorizationpolicies", {"action": "ALLOW"}, "mesh-wide allows of others"),
    ],
)
def test_an_object_of_others_for_the_whole_mesh(group: str, kind: str, spec: dict[str, Any], about: str) -> None:
    path = f"/apis/{group}/{ROOT}/{kind}"
    (refused,) = said(istio().with_(path, [root("old", **spec)]))
    assert refused.startswith(about)
    assert not said(istio().with_(path, [root("old", **spec, **SELECTED)]))
    own = root("old", **spec)
    own["metadata"] |= APPLIED
    assert not said(istio().with_(path, [own]))


def test_what_denies_mesh_wide_is_nobodys_way_in() -> None:
    path = f"/apis/security.istio.io/v1/{ROOT}/authorizationpolicies"
    assert not said(istio().with_(path, [root("old", action="DENY")]))


def test_an_envoy_filter_of_the_whole_mesh_is_remarked_on() -> None:
    living = istio().with_(f"/apis/networking.istio.io/v1alpha3/{ROOT}/envoyfilters", [root("lua")])
    assert not said(living)
    assert "istio-system/lua" in said(living, "warns")["mesh-wide EnvoyFilters of others"]


def space(name: str, **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": labels}}


MEMBER = {"istio-injection": "enabled"}
REVISED = {"istio.io/rev": "default"}
OTHERS = "namespaces of others in this mesh"


@pytest.mark.parametrize("labels", [MEMBER, REVISED, {"istio.io/dataplane-mode": "ambient"}])
def test_namespaces_of_others_have_to_agree(labels: dict[str, str]) -> None:
    living = istio().with_("/api/v1/namespaces", [space("legacy", **labels), space("shop", **labels), space("bare")])
    refused = only(living, OTHERS)
    assert "STRICT mutual TLS and the default deny" in refused
    assert "'legacy'" in refused
    assert "'shop'" not in refused
    assert not said(living, use=replace(USE, others=("legacy",)))


def test_rules_that_refuse_nobody_are_remarked_on() -> None:
    living = istio().with_("/api/v1/namespaces", [space("legacy", **MEMBER)])
    loose = replace(ARGS, mtls="PERMISSIVE", authorization="dry-run")
    assert not said(living, args=loose)
    assert "legacy" in said(living, "warns", loose)[OTHERS]


def test_members_of_another_revision_are_not_in_this_mesh() -> None:
    living = of_revision("new").with_("/api/v1/namespaces", [space("legacy", **MEMBER)])
    assert not said(living, args=replace(ARGS, revision="new"))


def test_every_setting_of_the_program_is_asked_for() -> None:
    """A key of the mesh's settings that the program sets is read here; so are the variables and the proxy's values."""
    values = istiod_values(replace(ARGS, existing=False))
    assert set(values["meshConfig"]) == {
        "trustDomain",
        "outboundTrafficPolicy",
        "accessLogEncoding",
        "pathNormalization",
        # The Telemetry of the stack names the provider `envoy`, which every Istio has.
        "accessLogFile",
    }
    assert set(values["env"]) == {"ENABLE_NATIVE_SIDECARS"}
    # A profile of the proxy's own is not needed: the pods of services have one for all containers.
    assert set(values["global"]) == {"hub", "tag", "proxy"}
    assert set(values["global"]["proxy"]) == {"seccompProfile"}
