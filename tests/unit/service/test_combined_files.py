"""What is accepted works: the API server's validation and the runtime take the objects of many features at once."""

import copy
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pulumi
import pulumi_vault
import pytest
import yaml
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, given, settings
from pulumi_kubernetes import Provider

from components.config.settings import Settings
from components.schema.problem import ConfigError, Problem
from components.service.args.service import SecureServiceArgs
from components.service.secure_service import SecureService
from tests.support import api_rules, stacks
from tests.support.combined_files import Feature, combined_files, connected, database, listening, public
from tests.support.monitor import record
from tests.support.offline_root import OfflineRoot
from tests.support.service_files import PLACEMENT, File, planned

pytestmark = pytest.mark.unit

SCRAPER = {"namespace": "monitoring", "serviceAccount": "prometheus"}
NO_WORDS = dict.fromkeys(("headers", "hsts", "rateLimit", "maxRequestBytes"), "none")
INGRESS = {"kind": "ingress", "className": "nginx", "controller": {"namespace": "nginx", "serviceAccount": "nginx"}}
COPIES = {"delivery": "external-secrets", "deliveryReason": "no agent here yet", "tlsSecret": "vault-tls"}
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
VARIANTS: dict[str, tuple[str, dict[str, Any], Sequence[Feature], int]] = {
    "production": ("production", {}, (), 60),
    "staging": ("staging", {}, (), 15),
    "dev": ("dev", {}, (), 15),
    "local": ("local", {}, (database,), 15),
    "external secrets": ("production", {"vault": COPIES}, (), 15),
    "ingress": ("production", {"ingress": {**INGRESS, **NO_WORDS}}, (public,), 15),
    "ambient": ("production", {"mesh": {"dataPlane": "ambient"}}, (connected, listening, public), 15),
}
"""Stacks, by the changes of a stack file, what a file cannot have there, and how many are tried."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("authority") / "ca.pem"
    file.write_bytes(OfflineRoot().certificate.public_bytes(Encoding.PEM))
    return file


def settings_of(environment: str, changes: dict[str, Any], authority: Path) -> Settings:
    own = stacks.values(environment)
    more = {key: {**own.get(key, {}), **value} for key, value in changes.items()}
    if "vault" in more:
        more["vault"]["caCertFile"] = str(authority)
    if environment != "local":
        more["mesh"] = {**own["mesh"], **more.get("mesh", {}), "scraper": SCRAPER}
    networks = ["10.0.0.1/32", "2001:db8::1/128"]
    return stacks.settings(environment, None, apiServerCidrs=networks, placement=PLACEMENT, **more)


def args_of(name: str, file: File, environment: str, chosen: Settings) -> SecureServiceArgs:
    with tempfile.TemporaryDirectory() as root:
        return planned(Path(root), name, file, chosen, environment)


def made_of(*services: SecureServiceArgs) -> list[dict[str, Any]]:
    """The objects of services in the cluster."""

    def program() -> None:
        providers = [Provider("cluster"), pulumi_vault.Provider("vault", address="https://v:8200")]
        for args in services:
            SecureService(args.key, args, pulumi.ResourceOptions(providers=providers))

    found = [dict(each.inputs) for each in record(program).resources if each.type.startswith("kubernetes:")]
    return [each for each in found if "kind" in each]


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_is_made_of_an_accepted_file_is_right(variant: str, authority: Path) -> None:
    environment, changes, without, examples = VARIANTS[variant]
    chosen = settings_of(environment, changes, authority)
    tried: list[bool] = []
    refused: list[Problem] = []

    @settings(max_examples=examples, derandomize=True, deadline=None, suppress_health_check=SLOW)
    @given(made=combined_files(without))
    def right(made: tuple[str, File]) -> None:
        try:
            args = args_of(*made, environment, chosen)
        except ConfigError as error:
            tried.append(False)
            refused.extend(error.problems)
            return
        tried.append(True)
        assert api_rules.problems(made_of(args)) == []

    right()
    assert [str(problem) for problem in refused if not (problem.line and problem.key)] == []
    # Else it would be a test of what is refused.
    assert sum(tried) > len(tried) / 3


POD = ("spec", "template", "spec")
CONTAINER = (*POD, "containers", 0)
WRONG: list[tuple[str, tuple[str | int, ...], object, str]] = [
    ("Deployment", ("metadata", "name"), "A", "its name is none"),
    ("Deployment", ("metadata", "labels", "team"), "a" * 64, "no value of the label team"),
    ("Deployment", ("metadata", "labels", "a b"), "a", "a b is no key"),
    ("Deployment", ("metadata", "annotations"), {"a": "x" * 262_144}, "its annotations have 262145 bytes"),
    ("Deployment", ("metadata", "annotations"), {"a": "x" * 1_048_576}, "it has 105"),
    ("Deployment", ("spec", "selector", "matchLabels", "app"), "b", "does not select its own pods"),
    ("Deployment", (*POD, "volumes", 0, "name"), "shared-work", "the volume shared-work twice"),
    ("Deployment", (*POD, "volumes", 0, "name"), "a.b", "a.b is no name of a volume"),
    ("Deployment", (*POD, "containers", 1, "name"), "web", "the container web twice"),
    ("Deployment", (*POD, "hostAliases"), [{"ip": "::1", "hostnames": ["a"]}] * 2, "the address ::1 twice"),
    ("Deployment", (*POD, "hostAliases"), [{"ip": "::1", "hostnames": ["a_b"]}], "are no host names"),
    ("Deployment", (*POD, "imagePullSecrets"), [{"name": "a"}] * 2, "the pull secret a twice"),
    ("Deployment", (*POD, "topologySpreadConstraints", 0, "topologyKey"), "kubernetes.io/hostname", "the constraint"),
    ("Deployment", (*CONTAINER, "env"), [{"name": "A"}] * 2, "the variable A twice"),
    ("Deployment", (*CONTAINER, "env"), [{"name": "1 A"}], "1 A is no variable"),
    ("Deployment", (*CONTAINER, "volumeMounts", 0, "mountPath"), "/work", "the mount /work twice"),
    ("Deployment", (*CONTAINER, "volumeMounts", 0, "mountPath"), "/etc/config/x", "below /etc/config, which is read"),
    ("Deployment", (*CONTAINER, "volumeMounts", 0, "mountPath"), "/a:b", "a colon in /a:b"),
    ("Deployment", (*CONTAINER, "volumeMounts", 0, "name"), "other", "no volume other"),
    ("Deployment", (*CONTAINER, "ports", 1, "containerPort"), 8080, "the port (8080, 'TCP') twice"),
    ("Deployment", (*CONTAINER, "ports", 1, "name"), "http", "the name of a port http twice"),
    ("Deployment", (*CONTAINER, "ports", 1, "name"), "a" * 16, "is no port"),
    ("Deployment", (*CONTAINER, "resources", "requests", "cpu"), "9", "it asks for 9 of cpu"),
    ("Deployment", (*CONTAINER, "readinessProbe", "periodSeconds"), 0, "the probe"),
    ("Deployment", (*CONTAINER, "readinessProbe", "exec"), {"command": ["a"]}, "the probe"),
    ("Deployment", (*CONTAINER, "readinessProbe", "tcpSocket", "port"), 0, "the port of the probe"),
    ("Deployment", (*CONTAINER, "lifecycle"), {"preStop": {"sleep": {"seconds": 31}}}, "it sleeps longer"),
    ("Deployment", (*CONTAINER, "args"), ["x" * 100_000] * 21, "its program gets 21"),
    ("CronJob", ("metadata", "name"), "a" * 53, "its name is none"),
    ("CronJob", ("spec", "jobTemplate", "metadata", "labels", "team"), "-", "no value of the label team"),
    ("Service", ("metadata", "name"), "1a", "its name is none"),
    ("Service", ("spec", "ports", 1, "port"), 8080, "the port (8080, 'TCP') twice"),
    ("Service", ("spec", "ports", 1, "name"), "http", "the name of a port http twice"),
    ("ConfigMap", ("data",), {"a/b": "x"}, "a/b is no key"),
    ("ConfigMap", ("data",), {"a": "x" * 1_048_577}, "its data is more than a mebibyte"),
    ("NetworkPolicy", ("spec", "egress", 0, "ports", 0, "port"), 65536, "the port"),
    ("HorizontalPodAutoscaler", ("spec", "maxReplicas"), 1, "its numbers of pods"),
    ("ServiceEntry", ("spec", "ports"), [{"number": 1, "name": "a"}, {"number": 1, "name": "b"}], "the port 1 twice"),
    ("Sidecar", ("spec", "egress", 0, "hosts"), ["./a", "./a"], "the host ./a twice"),
    ("AuthorizationPolicy", ("spec", "rules", 0, "to", 0, "operation", "paths"), ["/a*b"], "is no path of a rule"),
    ("AuthorizationPolicy", ("spec", "rules", 0, "from", 0, "source", "principals"), [], "no principals"),
    ("HTTPRoute", ("spec", "rules"), [], "0 rules"),
    ("HTTPRoute", ("spec", "hostnames"), ["a", "a"], "the host a twice"),
]
EVERYTHING = """\
name: web
namespace: files
team: commerce
image: registry.example.org/shop/web:v1
port: 8080
ports: {admin: 9001}
host: web.example.org
config: {files: {a: b}}
scratch: {work: {path: /work}}
autoscaling: {min: 2, max: 3}
egress: [{host: a.example.net, port: 443}]
sidecars: {exporter: {port: 9187}}
jobs: {night: {schedule: 0 3 * * *}}
"""


@pytest.fixture(scope="module")
def everything(authority: Path) -> list[dict[str, Any]]:
    return made_of(args_of("web", yaml.safe_load(EVERYTHING), "production", settings_of("production", {}, authority)))


@pytest.mark.parametrize(("kind", "place", "value", "told"), WRONG, ids=[f"{each[0]} {each[3]}" for each in WRONG])
def test_what_the_api_server_would_refuse_is_found(
    everything: list[dict[str, Any]], kind: str, place: tuple[str | int, ...], value: object, told: str
) -> None:
    assert api_rules.problems(everything) == []
    changed = copy.deepcopy(everything)
    here: Any = next(each for each in changed if each["kind"] == kind)
    for part in place[:-1]:
        here = here.setdefault(part, {}) if isinstance(here, dict) else here[part]
    here[place[-1]] = value
    assert any(told in problem for problem in api_rules.problems(changed)), api_rules.problems(changed)


def test_two_objects_of_one_name_are_found(everything: list[dict[str, Any]]) -> None:
    assert "two ServiceAccount web" in api_rules.problems([*everything, *everything])
