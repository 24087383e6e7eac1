"""How a service's pods end, what they know of themselves, and how they agree on a leader."""

from pathlib import Path
from typing import Any

import pytest

from components.program.plan import plan
from components.program.stack import read_stack
from components.schema.problem import ConfigError
from components.service.args.jobs import JobArgs
from components.service.args.lifecycle import StopArgs
from components.service.args.service import SecureServiceArgs
from components.service.file.directory import parse_service
from components.service.file.kubernetes_api import LEADER_ELECTION
from components.service.file.lifecycle import POD_FIELDS
from components.service.manifests.job import job_spec, workload_of
from components.service.manifests.workload import role_rules, workload_spec
from tests.support.stacks import service, settings
from tests.unit.service.test_directory import SMALL

pytestmark = pytest.mark.unit


def pod_of(args: SecureServiceArgs) -> dict[str, Any]:
    return workload_spec(args)["template"]["spec"]


def read(tmp_path: Path, text: str, **changes: Any) -> SecureServiceArgs:
    (tmp_path / "services").mkdir()
    (tmp_path / "services" / "orders.yaml").write_text(SMALL.replace("r.example.org", "registry.example.org") + text)
    (found,) = plan(read_stack(tmp_path, "Pulumi.production.yaml", settings("production", **changes))).services
    return found


class TestStop:
    def test_a_pod_without_it_has_what_kubernetes_gives_every_pod(self) -> None:
        pod = pod_of(service())
        assert "terminationGracePeriodSeconds" not in pod
        assert "lifecycle" not in pod["containers"][0]

    def test_the_container_goes_on_for_the_delay_within_the_whole_time(self, tmp_path: Path) -> None:
        pod = pod_of(read(tmp_path, "stop: {delay: 10s, within: 2m}\n"))
        assert pod["terminationGracePeriodSeconds"] == 120
        assert pod["containers"][0]["lifecycle"] == {"preStop": {"sleep": {"seconds": 10}}}

    def test_a_job_ends_as_every_job(self) -> None:
        args = service(stop=StopArgs(10, 120))
        spec = job_spec(workload_of(args, JobArgs("migrate")))["template"]["spec"]
        assert "terminationGracePeriodSeconds" not in spec
        assert "lifecycle" not in spec["containers"][0]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("{delay: 30s}", r"stop\.delay: not less than within, which is 30s"),
            ("{delay: 1m, within: 60s}", r"stop\.delay: not less than within, which is 60s"),
            ("{within: 61m}", r"stop\.within: more than an hour"),
        ],
    )
    def test_a_stop_that_leaves_no_time_is_refused(self, text: str, message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            parse_service(f"{SMALL}stop: {text}\n", "x.yaml")


class TestPodEnv:
    def test_each_field_is_one_that_the_api_has(self) -> None:
        args = service(pod_env={field.upper(): field for field in POD_FIELDS})
        sources = {one["name"]: one["valueFrom"] for one in pod_of(args)["containers"][0]["env"]}
        assert sources["NAME"] == {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}
        assert sources["MEMORYLIMIT"] == {
            "resourceFieldRef": {"containerName": args.name, "resource": "limits.memory", "divisor": "0"}
        }
        assert len(sources) == len(POD_FIELDS)

    def test_a_value_may_have_them_since_they_come_first(self) -> None:
        args = service(env={"ADDRESS": "$(POD_NAME).nats-peers.shop.svc"}, pod_env={"POD_NAME": "name"})
        assert [one["name"] for one in pod_of(args)["containers"][0]["env"]] == ["POD_NAME", "ADDRESS"]

    def test_a_limit_in_a_job_is_that_of_the_job_s_container(self) -> None:
        args = service(pod_env={"LIMIT": "cpuLimit"})
        (container,) = job_spec(workload_of(args, JobArgs("migrate")))["template"]["spec"]["containers"]
        assert container["env"][0]["valueFrom"]["resourceFieldRef"]["containerName"] == container["name"]

    def test_a_variable_has_one_value(self) -> None:
        with pytest.raises(ConfigError, match=r"podEnv\.A: env has a variable of that name"):
            parse_service(f"{SMALL}env: {{A: b}}\npodEnv: {{A: name}}\n", "x.yaml")


class TestLeaderElection:
    def test_it_gives_the_rights_on_leases_and_no_more(self, tmp_path: Path) -> None:
        args = read(tmp_path, "leaderElection: true\n", apiServerCidrs=["10.0.0.1/32"])
        assert role_rules(args) == [
            {
                "apiGroups": ["coordination.k8s.io"],
                "resources": ["leases"],
                "verbs": ["get", "create", "update", "patch"],
            }
        ]

    def test_it_leads_nowhere(self) -> None:
        assert not list(LEADER_ELECTION.leading_on())

    def test_it_needs_a_way_to_the_api_server(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"leaderElection: the stack's apiServerCidrs is empty"):
            read(tmp_path, "leaderElection: true\n", apiServerCidrs=[])


def test_a_large_service_is_held_by_its_namespace_s_quota(tmp_path: Path) -> None:
    assert parse_service(f"{SMALL}replicas: 40\n", "x.yaml").spec.replicas == 40
    quota = {"parameters": {"resource-quota": {"requestsMemory": "12Gi"}}}
    with pytest.raises(ConfigError, match=r"resources: with it the services of \w+, and one more pod .* ask for more"):
        read(tmp_path, "replicas: 100\n", kyverno=quota)
