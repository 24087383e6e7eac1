"""Where pods run, what they may use, and what their images are pulled with."""

from pathlib import Path
from typing import Any

import pytest

from components.program.plan import plan
from components.program.stack import read_stack
from components.schema.problem import ConfigError, FieldError
from components.service.args.containers import ContainerArgs
from components.service.args.jobs import JobArgs
from components.service.args.placement import PlacementArgs
from components.service.args.scaling import AutoscalingArgs
from components.service.args.service import SecureServiceArgs
from components.service.file.directory import parse_service
from components.service.manifests.held import held_names
from components.service.manifests.job import job_spec, workload_of
from components.service.manifests.scaling import autoscaler_spec
from components.service.manifests.workload import workload_spec
from tests.support.stacks import platform, service, settings
from tests.unit.service.test_directory import SMALL

pytestmark = pytest.mark.unit

GPU: dict[str, Any] = {
    "nodeSelector": {"pool": "gpu"},
    "tolerations": [{"key": "nvidia.com/gpu", "effect": "NoSchedule"}, {"key": "pool", "value": "gpu"}],
    "priorityClass": "high",
    "runtimeClass": "nvidia",
    "resources": {"nvidia.com/gpu": 2},
    "spread": "DoNotSchedule",
}
CHOSEN = "placement: {class: gpu}\n"


def pod_of(args: SecureServiceArgs) -> dict[str, Any]:
    return workload_spec(args)["template"]["spec"]


def read(tmp_path: Path, text: str, **changes: Any) -> SecureServiceArgs:
    (tmp_path / "services").mkdir(exist_ok=True)
    (tmp_path / "services" / "orders.yaml").write_text(SMALL.replace("r.example.org", "registry.example.org") + text)
    (found,) = plan(read_stack(tmp_path, "Pulumi.production.yaml", settings("production", **changes))).services
    return found


class TestPlacement:
    def test_a_class_says_where_and_with_what_pods_run(self, tmp_path: Path) -> None:
        pod = pod_of(read(tmp_path, CHOSEN, placement={"gpu": GPU}))
        assert pod["nodeSelector"] == {"pool": "gpu"}
        assert pod["tolerations"] == [
            {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
            {"key": "pool", "operator": "Equal", "value": "gpu"},
        ]
        assert (pod["priorityClassName"], pod["runtimeClassName"]) == ("high", "nvidia")
        assert {spread["whenUnsatisfiable"] for spread in pod["topologySpreadConstraints"]} == {"DoNotSchedule"}
        resources = pod["containers"][0]["resources"]
        assert resources["requests"]["nvidia.com/gpu"] == resources["limits"]["nvidia.com/gpu"] == "2"

    def test_the_devices_are_those_of_the_service_s_own_container(self) -> None:
        place = platform(placements={"gpu": PlacementArgs("gpu", resources={"nvidia.com/gpu": 1})})
        beside = ContainerArgs("web", "registry.example.org/shop/web:v1", 1000, port=9000)
        own, other = pod_of(service(platform=place, placement="gpu", sidecars=[beside]))["containers"]
        assert "nvidia.com/gpu" in own["resources"]["limits"]
        assert "nvidia.com/gpu" not in other["resources"]["limits"]

    def test_without_one_nothing_is_said(self) -> None:
        assert not pod_of(service()).keys() & {"nodeSelector", "tolerations", "priorityClassName", "runtimeClassName"}

    def test_a_job_chooses_for_itself(self, tmp_path: Path) -> None:
        text = f"{CHOSEN}jobs: {{a: {{}}, b: {{placement: {{class: gpu}}}}}}\n"
        args = read(tmp_path, text, placement={"gpu": GPU})
        first, second = (job_spec(workload_of(args, job))["template"]["spec"] for job in args.jobs)
        assert "nodeSelector" not in first
        assert second["nodeSelector"] == {"pool": "gpu"}
        assert second["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "2"

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (
                CHOSEN,
                r"orders\.yaml:5: placement\.class: no class under the stack's placement, found 'gpu'; legal: own",
            ),
            ("placement: {class: kept}", r"placement\.class: the stack keeps it from shop, found 'kept'; legal: own"),
            ("jobs: {a: {placement: {class: kept}}}", r"jobs\.a\.placement\.class: the stack keeps it from shop"),
            ("placement: {}", r"placement\.class: missing"),
            ("placement: {class: own, nodeSelector: {a: b}}", r"placement\.nodeSelector: unknown key"),
        ],
    )
    def test_a_team_chooses_from_what_the_stack_has_for_it(self, tmp_path: Path, text: str, message: str) -> None:
        classes = {"own": {"spread": "DoNotSchedule", "namespaces": ["shop"]}, "kept": {**GPU, "namespaces": ["ml"]}}
        with pytest.raises(ConfigError, match=message):
            read(tmp_path, text, placement=classes)

    def test_in_code_too(self) -> None:
        with pytest.raises(FieldError, match=r"placement: no class"):
            service(placement="gpu")

    @pytest.mark.parametrize(
        ("made", "message"),
        [
            ({}, r"placement\.gpu: it says nothing of the pods"),
            ({"namespaces": ["shop"]}, r"placement\.gpu: it says nothing of the pods"),
            ({"nodeSelector": {"a b": "c"}}, r"not the key of a label"),
            ({"nodeSelector": {"a": "b c"}}, r"not the value of a label"),
            ({"tolerations": [{"effect": "NoSchedule"}]}, r"tolerations\[0\]\.key: missing"),
            ({"tolerations": [{"key": "a", "effect": "Never"}]}, r"tolerations\[0\]\.effect"),
            ({"priorityClass": "system-node-critical"}, r"priorityClass: the cluster's own pods have it"),
            ({"runtimeClass": "A"}, r"runtimeClass: not a name"),
            ({"resources": {"cpu": 1}}, r"not an extended resource"),
            ({"resources": {"kubernetes.io/x": 1}}, r"not an extended resource"),
            ({"resources": {"nvidia.com/gpu": 0}}, r"less than 1"),
        ],
    )
    def test_what_a_class_cannot_say(self, made: dict[str, Any], message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            settings("production", placement={"gpu": made})


class TestPullSecrets:
    def test_the_pods_with_an_image_of_the_registry_name_it(self, tmp_path: Path) -> None:
        text = "sidecars: {s: {port: 9000, image: registry.example.org/other/s:v1}}\njobs: {a: {}}\n"
        secrets = {"registry.example.org/shop": "shop", "registry.example.org/other": "other"}
        args = read(tmp_path, text, pullSecrets=secrets)
        assert pod_of(args)["imagePullSecrets"] == [{"name": "other"}, {"name": "shop"}]
        assert job_spec(workload_of(args, args.jobs[0]))["template"]["spec"]["imagePullSecrets"] == [{"name": "shop"}]
        assert held_names([args])["shop"]["secrets/shop"] == ["orders", "orders-a"]

    def test_other_pods_do_not(self, tmp_path: Path) -> None:
        assert "imagePullSecrets" not in pod_of(read(tmp_path, "", pullSecrets={"registry.example.org/other": "x"}))

    def test_a_registry_that_no_image_may_come_from(self) -> None:
        with pytest.raises(ConfigError, match=r"pullSecrets\S*: no image may come from there"):
            settings("production", pullSecrets={"registry.example.net": "x"})


class TestAmounts:
    @pytest.mark.parametrize(
        ("text", "requests", "limits"),
        [
            ("{limits: {memory: 1Gi}}", ("100m", "128Mi", None), ("500m", "1Gi", None)),
            ("{limits: {memory: 64Mi}}", ("100m", "64Mi", None), ("500m", "64Mi", None)),
            ("{requests: {cpu: '2'}}", ("2", "128Mi", None), ("2", "256Mi", None)),
            ("{requests: {cpu: '2'}, limits: {memory: 1Gi}}", ("2", "128Mi", None), ("2", "1Gi", None)),
            ("{limits: {ephemeralStorage: 2Gi}}", ("100m", "128Mi", "2Gi"), ("500m", "256Mi", "2Gi")),
            ("{requests: {ephemeralStorage: 2Gi}}", ("100m", "128Mi", "2Gi"), ("500m", "256Mi", "2Gi")),
        ],
    )
    def test_one_may_stand_alone(self, text: str, requests: tuple[str, ...], limits: tuple[str, ...]) -> None:
        spec = parse_service(f"{SMALL}resources: {text}", "x.yaml").spec.resources
        found = [(each.cpu, each.memory, each.ephemeral_storage) for each in (spec.requests, spec.limits)]
        assert found == [requests, limits]

    def test_more_than_the_limit_is_refused_and_said_once(self) -> None:
        text = f"{SMALL}resources: {{requests: {{ephemeralStorage: 2Gi}}, limits: {{ephemeralStorage: 1Gi}}}}"
        with pytest.raises(ConfigError, match=r"requests\.ephemeralStorage: more than limits\.ephemeralStorage"):
            parse_service(text, "x.yaml")
        with pytest.raises(ConfigError) as wrong:
            parse_service(f"{SMALL}resources: {{limits: {{memory: 3}}}}", "x.yaml")
        assert [problem.key for problem in wrong.value.problems] == ["resources.limits.memory"]

    def test_every_container_may_have_disk_space(self, tmp_path: Path) -> None:
        disk = "resources: {limits: {ephemeralStorage: 1Gi}}"
        args = read(tmp_path, f"{disk}\ninit: {{i: {{{disk}}}}}\njobs: {{j: {{{disk}}}}}\n")
        job = job_spec(workload_of(args, args.jobs[0]))["template"]["spec"]["containers"]
        for each in (*pod_of(args)["containers"], *pod_of(args)["initContainers"], *job):
            assert each["resources"]["requests"]["ephemeral-storage"] == "1Gi"
            assert each["resources"]["limits"]["ephemeral-storage"] == "1Gi"
        none = job_spec(workload_of(service(), JobArgs("m")))["template"]["spec"]["containers"][0]["resources"]
        assert {*none["limits"]} == {"cpu", "memory"}

    def test_the_autoscaler_may_look_at_memory_too(self) -> None:
        def aims(args: AutoscalingArgs) -> dict[str, int]:
            metrics = autoscaler_spec("Deployment", "api", args)["metrics"]
            each = [metric["containerResource"] for metric in metrics]
            return {one["name"]: one["target"]["averageUtilization"] for one in each}

        assert aims(AutoscalingArgs(2, 5, 70, 60)) == {"cpu": 70, "memory": 60}
        assert aims(AutoscalingArgs(2, 5)) == {"cpu": 80}
