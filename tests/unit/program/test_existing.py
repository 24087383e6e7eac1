"""Layers that others installed: the program creates nothing of theirs, and begins only when they have what it needs."""

import re
import runpy
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from components.kube.cluster import Cluster
from components.program.existing import ExistingLayer, existing_layers, refuse_unfit, route_fields
from components.program.plan import plan
from components.schema.problem import ConfigError
from components.service.args.routes import CorsArgs, RouteArgs
from tests.support.installed import MESH_CONFIG, RBAC, Living, cert_manager, gateway_api, istio, kyverno, moved
from tests.support.monitor import Recording, record
from tests.support.packages import API, stack_of
from tests.support.stacks import ROOT, pulumi_config, stack, values

pytestmark = pytest.mark.unit

EXISTING: dict[str, Any] = {
    "kyverno": {"mode": "existing"},
    "mesh": {"mode": "existing"},
    "ingress": {
        "kind": "gateway-api",
        "acmeEmail": "ann@corp.example",
        "certManager": {"mode": "existing"},
        "gatewayApi": {"mode": "existing"},
    },
}
_DASHBOARD = "kubernetes:core/v1:ConfigMap"
ENVIRONMENTS = ("production", "staging", "dev", "local")


def everything() -> Living:
    """One cluster with all of the layers."""
    whole = kyverno()
    for layer in (istio(), cert_manager(), gateway_api("v1.6.0", "filters.cors", "name", "timeouts")):
        for path, there in layer.at.items():
            whole.at[path] = [*whole.at.get(path, []), *there] if isinstance(there, list) else there
    return whole


def run(environment: str, living: Living, recording: Recording | None = None, **changes: object) -> Recording:
    """Run the program as Pulumi does, with this cluster."""

    def program() -> None:
        # The module is read anew each time, and takes what is in place of the connection.
        runpy.run_path(str(ROOT / "__main__.py"), run_name="__main__")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("components.kube.living.living_cluster", lambda: living.cluster)
        return record(program, environment, pulumi_config({**values(environment), **changes}), recording)


def layers(environment: str, **changes: Any) -> list[ExistingLayer]:
    made = stack(environment, **changes)
    return list(existing_layers(made, plan(made)))


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_without_the_mode_nothing_is_asked(environment: str) -> None:
    assert not layers(environment)


@pytest.mark.parametrize(
    ("environment", "asked"),
    [
        ("production", {"Kyverno", "Istio", "cert-manager", "Gateway API"}),
        ("staging", {"Kyverno", "Istio", "cert-manager", "Gateway API"}),
        ("dev", {"Kyverno", "Istio", "cert-manager", "Gateway API"}),
        # Nothing of it is on there.
        ("local", set()),
    ],
)
def test_what_the_posture_has_is_asked(environment: str, asked: set[str]) -> None:
    assert {layer.title for layer in layers(environment, **EXISTING)} == asked


def test_the_mesh_wide_rules_are_in_its_root_namespace() -> None:
    living = everything()
    living.at[MESH_CONFIG]["data"]["mesh"] = living.at[MESH_CONFIG]["data"]["mesh"].replace(
        "rootNamespace: istio-system", "rootNamespace: istio-config"
    )
    living.at["/api/v1/namespaces/istio-config"] = {"metadata": {"name": "istio-config"}}
    changes: dict[str, Any] = {**EXISTING, "mesh": {"mode": "existing", "rootNamespace": "istio-config"}}
    made = run("production", living, **changes)
    rules = {
        kind: {resource.inputs["metadata"]["namespace"] for resource in made.of(kind)}
        for kind in ("PeerAuthentication", "AuthorizationPolicy", "Telemetry")
    }
    assert rules["PeerAuthentication"] == rules["Telemetry"] == {"istio-config"}
    assert "istio-config" in rules["AuthorizationPolicy"]
    assert not any("istio-system" in places for places in rules.values())
    # No rule looks at it, and istiod is where it was.
    assert any("istio-config" in str(resource.inputs) for resource in made.of("ValidatingPolicy"))
    assert any("'istio-system'" in str(resource.inputs) for resource in made.of("NetworkPolicy"))


@pytest.mark.parametrize("environment", ["production", "dev"])
def test_the_layers_of_others_are_left_as_they_are(environment: str) -> None:
    living = everything()
    made = run(environment, living, **EXISTING)
    assert not [release.name for release in made.of("Release") if "vault" not in release.name]
    assert not made.of("ConfigFile")
    namespaces = {resource.inputs["metadata"]["name"] for resource in made.of("Namespace")}
    assert not namespaces & {"kyverno", "istio-system", "cert-manager"}
    # Their namespaces hold pods of theirs: a policy of the stack would close them.
    closed = {resource.inputs["metadata"]["namespace"] for resource in made.of("NetworkPolicy")}
    assert not closed & {"kyverno", "istio-system", "cert-manager"}
    # What the stack adds is there all the same.
    assert made.of("ValidatingPolicy")
    assert made.one("PeerAuthentication")
    assert made.of("Gateway")
    assert {call.method for call in living.calls} == {"GET"}


def test_kyvernos_controllers_get_rights_of_the_stacks_own() -> None:
    made = run("production", everything(), **EXISTING)
    labels = [role.inputs["metadata"].get("labels") or {} for role in made.of("ClusterRole")]
    assert {"rbac.kyverno.io/aggregate-to-background-controller": "true"} in labels
    assert {"rbac.kyverno.io/aggregate-to-reports-controller": "true"} in labels
    policy = made.of("GeneratingPolicy")[0]
    assert "policies-background-controller" in made.behind(policy)
    ending = made.one("Role", "policies-zero-trust-expired-exceptions")
    assert ending.inputs["metadata"]["namespace"] == "kyverno"


MOVED: dict[str, Any] = {
    "asOf": "2026-11-15",
    "kyverno": {
        "mode": "existing",
        "namespace": "policy",
        "exceptions": [
            {"rule": "require-probes", "namespace": "monitoring", "serviceAccount": "agent", "owner": "platform"}
            | {"reason": "the vendor's image has none", "granted": "2026-11-01", "expires": "2026-12-01"}
        ],
    },
    "mesh": {"mode": "existing", "namespace": "mesh-root"},
    "ingress": {
        **EXISTING["ingress"],
        "certManager": {"mode": "existing", "namespace": "pki"},
    },
    "teams": {"payments": {"namespaces": ["payments"]}},
    "posture": {"issuer": {"value": "ca", "reason": "an authority of our own signs"}},
}
COPIED: dict[str, Any] = {"externalSecrets": {"mode": "existing", "namespace": "copies"}}
# Names that are no namespaces: of API groups, releases, containers and labels, and of the rules' own texts.
_NO_PLACES = re.compile(
    r"[\w.-]*(?:kyverno|cert-manager|external-secrets)\.(?:io|dev)[\w./-]*|zero-trust:kyverno[\w:-]*|kyverno-[\w-]+|"
    r"\[?\?'app.kubernetes.io/[^']*'|cert-manager-[\w-]+|not-cert-manager|system:serviceaccount:[a-z-]+:cert-manager"
)


def placed(manifest: object) -> Iterator[str]:
    """Each text of a manifest in which the default namespace of a layer stands."""
    if isinstance(manifest, dict):
        for key, value in cast("dict[str, object]", manifest).items():
            if key not in ("description", "annotations", "message"):
                yield from placed(value)
    elif isinstance(manifest, list | tuple):
        for value in cast("list[object]", manifest):
            yield from placed(value)
    elif isinstance(manifest, str):
        text = _NO_PLACES.sub("", manifest)
        if re.search(r"\b(istio-system|kyverno|cert-manager|external-secrets)\b", text):
            yield manifest


@pytest.mark.parametrize("environment", ["production", "staging"])
def test_nothing_is_left_in_the_namespaces_that_the_layers_are_not_in(environment: str) -> None:
    """Neither an object nor a word of one: a rule, a policy, a right or a name in a proxy's settings."""
    made = run(environment, moved(everything()), **MOVED)
    in_cluster = [each for each in made.resources if each.type.startswith("kubernetes:")]
    own = [each for each in in_cluster if each.type not in ("kubernetes:helm.sh/v3:Release", _DASHBOARD)]
    assert len(own) > 50
    left = {f"{each.name}: {text}" for each in own for text in placed(each.inputs)}
    assert not left
    namespaces = {str(each.inputs["metadata"].get("namespace", "")) for each in own}
    assert {"policy", "mesh-root", "pki"} <= namespaces


@pytest.mark.parametrize(
    ("section", "settings"),
    [
        ("kyverno", {"namespace": "policy"}),
        ("mesh", {"namespace": "mesh-root"}),
        ("ingress", {**EXISTING["ingress"], "certManager": {"namespace": "pki"}}),
    ],
)
def test_a_layer_that_the_program_installs_has_its_own_namespace(section: str, settings: Any) -> None:
    with pytest.raises(
        ConfigError, match=r"namespace: the program installs it in [a-z-]+: leave it out, or write mode"
    ):
        stack("production", **{section: settings})


@pytest.mark.parametrize("taken", ["vault", "istio-ingress", "default", "platform-teams"])
def test_a_layer_is_in_no_namespace_of_somebody_else(taken: str) -> None:
    with pytest.raises(ConfigError, match=r"kyverno\.namespace: it is .*write that of the layer"):
        stack("production", kyverno={"mode": "existing", "namespace": taken})


def test_no_service_has_the_namespace_of_a_layer(tmp_path: Path) -> None:
    (tmp_path / "services").mkdir()
    (tmp_path / "services" / "api.yaml").write_text(yaml.safe_dump({**API, "namespace": "policy"}))
    with pytest.raises(ConfigError, match=r"services/api\.yaml:2: namespace: it is the platform's"):
        stack_of(tmp_path, kyverno={"mode": "existing", "namespace": "policy"})


@pytest.mark.parametrize("absent", ["kyverno", "istio", "cert-manager", "gateway"])
def test_a_layer_that_lacks_something_stops_the_run_before_the_first_resource(absent: str) -> None:
    living = everything()
    for path in [path for path in living.at if absent in path]:
        del living.at[path]
    recording = Recording()
    with pytest.raises(Exception, match=r"Pulumi\.production\.yaml"):
        run("production", living, recording, **EXISTING)
    assert not [each for each in recording.resources if each.custom]


def refused(ask: Callable[[], Cluster], preview: bool, warnings: list[str]) -> ConfigError | None:
    made = stack("production", **EXISTING)
    try:
        refuse_unfit(made, existing_layers(made, plan(made)), ask, preview, warnings.append)
    except ConfigError as error:
        return error
    return None


def test_every_layer_says_all_that_it_lacks_at_its_key_with_the_fix() -> None:
    living = everything()
    living.deployment("kyverno-admission-controller")["spec"]["template"]["spec"]["containers"][0]["args"] = []
    living.deployment("cert-manager")["spec"]["template"]["spec"]["containers"][0]["args"] = []
    error = refused(lambda: living.cluster, False, [])
    assert error
    keys = [problem.key for problem in error.problems]
    assert keys.count("zero-trust:kyverno.mode") == 3
    assert keys.count("zero-trust:ingress.certManager.mode") == 1
    assert all("To do: " in problem.message for problem in error.problems)


def unreadable() -> Living:
    return everything().with_(f"{RBAC}/clusterroles", 403)


@pytest.mark.parametrize("why", ["forbidden", "unreachable"])
def test_what_cannot_be_read_stops_an_update_and_not_a_preview(why: str) -> None:
    def connect() -> Cluster:
        if why == "unreachable":
            raise ConnectionError("it does not answer")
        return unreadable().cluster

    warnings: list[str] = []
    error = refused(connect, False, warnings)
    assert error
    assert "cannot be checked" in str(error)
    assert refused(connect, True, warnings) is None
    assert any("`pulumi up` checks it before it changes anything" in warning for warning in warnings)


def test_what_is_remarked_on_is_said_and_stops_nothing() -> None:
    living = everything()
    image = "reg.kyverno.io/kyverno/kyverno:v1.20.1"
    living.deployment("kyverno-admission-controller")["spec"]["template"]["spec"]["containers"][0]["image"] = image
    warnings: list[str] = []
    assert refused(lambda: living.cluster, False, warnings) is None
    assert any("newer than 1.19" in warning for warning in warnings)


def test_the_fields_of_routes_follow_from_the_services() -> None:
    made = stack("production")
    services = plan(made).services
    assert route_fields(services) == ()
    first = next(args for args in services if args.public)
    route = RouteArgs("/app", timeout=5, cors=CorsArgs(origins=("https://www.example.org",)))
    with_route = replace(first, paths=["/app"], routes=[route])
    assert route_fields([with_route]) == (
        ("HTTPRoute", "name"),
        ("HTTPRoute", "timeouts"),
        ("HTTPRoute", "filters", "cors"),
    )
