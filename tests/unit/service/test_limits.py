"""What a file may ask for: its own amounts beside their defaults, and what the rules allow in its namespace."""

from pathlib import Path
from typing import Any

import pytest

from components.kyverno.library import load_library
from components.program.stack import read_stack
from components.schema.problem import ConfigError, FieldError
from components.service.args.jobs import JobArgs
from components.service.args.lifecycle import StopArgs
from components.service.args.network import EgressArgs, JwtArgs
from components.service.args.scaling import AutoscalingArgs
from components.service.args.service import ApiRuleArgs, SecretArgs, SecureServiceArgs
from components.service.args.storage import ConfigArgs, VolumeArgs
from components.service.file.directory import parse_service
from tests.support.stacks import platform, settings
from tests.unit.service.test_directory import SMALL

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("resources", "requests", "limits"),
    [
        ("{}", ("100m", "128Mi"), ("500m", "256Mi")),
        ("{limits: {cpu: 50m, memory: 64Mi}}", ("50m", "64Mi"), ("50m", "64Mi")),
        ("{limits: {cpu: '2', memory: 64Mi}}", ("100m", "64Mi"), ("2", "64Mi")),
        ("{requests: {cpu: '1', memory: 1Gi}}", ("1", "1Gi"), ("1", "1Gi")),
        ("{requests: {cpu: 10m, memory: 1Gi}}", ("10m", "1Gi"), ("500m", "1Gi")),
    ],
)
def test_an_amount_that_is_left_out_makes_room_for_the_other(
    resources: str, requests: tuple[str, str], limits: tuple[str, str]
) -> None:
    spec = parse_service(f"{SMALL}resources: {resources}", "x.yaml").spec.resources
    assert ((spec.requests.cpu, spec.requests.memory), (spec.limits.cpu, spec.limits.memory)) == (requests, limits)


def planned(directory: Path, *files: str, **changes: Any) -> None:
    (directory / "services").mkdir(exist_ok=True)
    for number, text in enumerate(files):
        (directory / "services" / f"s{number}.yaml").write_text(text.replace("r.example.org", "registry.example.org"))
    read_stack(directory, "Pulumi.production.yaml", settings("production", **changes))


def parameter(rule: str, name: str) -> object:
    return load_library().rules[rule].parameters[name]


def test_no_container_may_have_more_than_the_limit_range_of_its_namespace(tmp_path: Path) -> None:
    largest = (
        f"{{cpu: '{parameter('limit-range', 'cpuMaximum')}', memory: {parameter('limit-range', 'memoryMaximum')}}}"
    )
    planned(tmp_path, f"{SMALL}resources: {{limits: {largest}}}")
    for amounts, key in (("{cpu: '12', memory: 1Gi}", "cpu"), ("{cpu: '1', memory: 32Gi}", "memory")):
        with pytest.raises(ConfigError, match=rf"s0\.yaml:5: resources\.limits\.{key}: more than a container may have"):
            planned(tmp_path, f"{SMALL}resources: {{limits: {amounts}}}")
    with pytest.raises(ConfigError, match=r"jobs\.b\.resources\.limits\.memory"):
        planned(tmp_path, f"{SMALL}jobs: {{b: {{resources: {{limits: {{cpu: '1', memory: 32Gi}}}}}}}}")
    wider = {"parameters": {"limit-range": {"memoryMaximum": "64Gi"}}}
    planned(tmp_path, f"{SMALL}resources: {{limits: {{cpu: '1', memory: 32Gi}}}}", kyverno=wider)


def test_the_services_of_a_namespace_fit_into_its_quota(tmp_path: Path) -> None:
    quota = {"parameters": {"resource-quota": {"pods": "6"}}}
    planned(tmp_path, f"{SMALL}replicas: 3", f"{SMALL}replicas: 2", kyverno=quota)
    with pytest.raises(ConfigError, match=r"s1\.yaml.*than the namespace's quota of pods, 6"):
        # The six fit, and none of them could ever be replaced.
        planned(tmp_path, f"{SMALL}replicas: 3", f"{SMALL}replicas: 3", kyverno=quota)
    other = SMALL.replace("namespace: shop", "namespace: other")
    planned(tmp_path, f"{SMALL}replicas: 3", f"{other}replicas: 3", kyverno=quota)
    in_place = f"{SMALL}volumes: {{data: {{path: /data, size: 1Gi}}}}\n"
    planned(tmp_path, f"{in_place}replicas: 3", f"{in_place}replicas: 3", kyverno=quota)


@pytest.mark.parametrize("name", ["api.yml", "team/api.yaml"])
def test_a_file_that_would_be_left_out_is_a_problem(tmp_path: Path, name: str) -> None:
    place = tmp_path / "services" / name
    place.parent.mkdir(parents=True)
    place.write_text(SMALL)
    with pytest.raises(ConfigError, match=r"rename it|move them up"):
        planned(tmp_path)


def test_a_note_beside_the_services_is_none(tmp_path: Path) -> None:
    (tmp_path / "services").mkdir()
    (tmp_path / "services" / "README.md").write_text("# ours")
    planned(tmp_path, SMALL)


@pytest.mark.parametrize(
    ("tag", "label"),
    [("1.0_", "1.0"), ("_build.7", "build.7"), ("v" * 128, "v" * 63), (f"{'v' * 62}-x", "v" * 62), ("_", "digest")],
)
def test_every_tag_gives_a_label_that_the_api_server_takes(tag: str, label: str) -> None:
    image = f"r.example.org/shop/x:{tag}"
    assert parse_service(SMALL.replace("r.example.org/shop/x:v1", image), "x.yaml")
    args = SecureServiceArgs("x", "shop", "t", image, 8080, platform())
    assert args.labels["version"] == args.labels["app.kubernetes.io/version"] == label


SECRET = "secrets: {key: {generate: [x]}}\n"


@pytest.mark.parametrize("grant", ["calls: [s1]", "egress: [{host: vault.example.com, port: 8200}]"])
def test_a_service_with_secrets_reaches_nobody_but_vault_at_the_port_that_passes_by_the_mesh(
    tmp_path: Path, grant: str
) -> None:
    callee = SMALL.replace("8080", "8200") + ("callers: [s0]\n" if "calls" in grant else "")
    with pytest.raises(ConfigError, match=r"s0\.yaml:\d+: (calls\[0\]|egress\[0\]\.port): at port 8200"):
        planned(tmp_path, f"{SMALL}{SECRET}{grant}", callee)
    planned(tmp_path, f"{SMALL}{grant}", callee)


OUTSIDE: list[Any] = [("*.example.org", 443), ("a.svc", 443), ("a.example.org", 15001), ("a.example.org", 443, "udp")]
OUTSIDE += [("a.example.org", 443, "tcp", ["0.0.0.0/0"])]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("namespace", namespace) for namespace in ("kube-system", "istio-system", "default", "external-secrets")),
        *(("replicas", number) for number in (0, -3)),
        *(("stop", stop) for stop in (StopArgs(30, 30), StopArgs(-1, 30), StopArgs(0, 0))),
        ("pod_env", {"X": "labels"}),
        *(("protocol", protocol) for protocol in ("bogus", "HTTP", "")),
        *(("port", port) for port in (0, -1, 65536, 15001)),
        *(("run_as_user", user) for user in (0, -1, 1337)),
        *(("team", team) for team in ("", "A b")),
        *(("namespace", namespace) for namespace in ("Shop", "a.b")),
        *(("host", host) for host in ("*.example.org", "A.example.org", "vault.vault.svc")),
        ("paths", ["orders"]),
        *(("writable", paths) for paths in (["/proc"], ["data"])),
        *(("env", values) for values in ({"1 A": "x"}, {"DB_PASSWORD": "hunter2"})),
        ("health", "healthz"),
        ("cpu_limit", "1Gi"),
        ("memory_request", "1Gi"),
        ("autoscaling", AutoscalingArgs(5, 2)),
        ("replicas", 101),
        *(("egress", [EgressArgs(*outside)]) for outside in OUTSIDE),
        *(("secrets", [SecretArgs("x", file, {}, ["a"], text)]) for file, text in (("../x", ""), ("x", "{{ env }}"))),
        ("secrets", [SecretArgs(name, "same", {}, ["a"], "") for name in ("a", "b")]),
        *(("volumes", [VolumeArgs("d", path, size)]) for path, size in (("/proc", "1Gi"), ("/d", "much"))),
        ("config", ConfigArgs("/etc", {"a": "b"})),
        ("kubernetes_api", [ApiRuleArgs([""], ["secrets"], ["get"])]),
        ("kubernetes_api", [ApiRuleArgs([""], ["pods"], ["delete"])]),
        *(("jobs", [JobArgs(name, schedule=when)]) for name, when in (("A", ""), ("a" * 60, ""), ("a", "daily"))),
        ("jwt", JwtArgs("http://l.example.org", "https://l.example.org/k", audiences=["a"])),
        ("image", "r.example.org/x:-v1"),
        *(("image", image) for image in ("nginx", "r.example.org/x", "r.example.org/x:latest", "r.example.org/X:1")),
    ],
)
def test_a_service_that_is_built_in_code_is_checked_as_a_file_is(field: str, value: object) -> None:
    good: dict[str, Any] = {"name": "x", "namespace": "shop", "team": "t", "image": "r.example.org/x:v1", "port": 80}
    assert SecureServiceArgs(**good, platform=platform())
    spelt = {
        "cpu_limit": "limits.cpu",
        "memory_request": "requests.memory",
        "kubernetes_api": "kubernetesApi",
        "run_as_user": "runAsUser",
    }
    with pytest.raises(FieldError, match=spelt.get(field, field)) as caught:
        SecureServiceArgs(**{**good, field: value}, platform=platform())
    assert "hunter2" not in str(caught.value)
