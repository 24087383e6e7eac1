"""The flags of `zt new service` that make more than one word of a file."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from components.schema.problem import ConfigError
from components.service.file.directory import parse_service
from components.service.file.service import ServiceSpec
from tests.unit.zt.new.test_new import FLAGS, Run, project, run, written
from zt.new.file import service_text
from zt.new.flags import values_of

__all__ = ["project", "run"]

pytestmark = pytest.mark.unit

SMALL: dict[str, object] = {"namespace": "shop", "team": "t", "image": "r.example.org/x:v1", "port": 80}


def spec(**flags: Any) -> ServiceSpec:
    return parse_service(service_text(values_of({**SMALL, **flags})), "services/x.yaml").spec


def test_a_database_and_its_grants() -> None:
    found = spec(database="main", grants=["public:SELECT,INSERT", "stock:SELECT:items, boxes"]).database
    assert found is not None
    one, other = found.grants
    assert (found.connection, one.schema_, one.privileges, one.tables) == (
        "main",
        "public",
        ("SELECT", "INSERT"),
        "all",
    )
    assert (other.schema_, other.tables) == ("stock", ("items", "boxes"))


def test_rights_on_the_api() -> None:
    timed = "patch:gateways.gateway.networking.k8s.io:2099-01-31:ann:the old one: it is written by hand"
    one, other = spec(kubernetesApi=["get,list:deployments.apps", timed]).kubernetes_api
    assert (one.api_groups, one.resources, one.verbs) == (("apps",), ("deployments",), ("get", "list"))
    assert (other.api_groups, other.resources) == (("gateway.networking.k8s.io",), ("gateways",))
    assert (one.exception, other.owner, other.reason) == (None, "ann", "the old one: it is written by hand")
    assert other.granted == datetime.now(UTC).date()


@pytest.mark.parametrize(("text", "numbers"), [("2:6", (2, 6, 80)), ("1:3:50", (1, 3, 50))])
def test_autoscaling(text: str, numbers: tuple[int, int, int]) -> None:
    found = spec(autoscaling=text).autoscaling
    assert found is not None
    assert (found.min, found.max, found.cpu) == numbers


def test_resources_have_the_usual_half_where_one_is_given() -> None:
    found = spec(requests="250m,256Mi").resources
    assert (found.requests.cpu, found.requests.memory, found.limits.cpu) == ("250m", "256Mi", "500m")
    assert spec(limits="2, 4Gi").resources.limits.memory == "4Gi"


def test_volumes_and_environment() -> None:
    found = spec(volumes=["data:/data:1Gi", "logs:/logs:2Gi:fast"], env=["A=1", "B=x=y"])
    assert (found.volumes["data"].size, found.volumes["data"].storage_class) == ("1Gi", None)
    assert (found.volumes["logs"].path, found.volumes["logs"].storage_class) == ("/logs", "fast")
    assert found.env == {"A": "1", "B": "x=y"}


def test_an_exception_is_granted_today_and_its_reason_may_hold_colons() -> None:
    (found,) = spec(exceptions=["require-probes:2099-01-31:ann:not yet: the vendor is slow"]).exceptions
    assert (found.rule, found.owner, found.reason) == ("require-probes", "ann", "not yet: the vendor is slow")
    assert found.granted == datetime.now(UTC).date()


@pytest.mark.parametrize(
    ("flags", "error"),
    [
        ({"autoscaling": "6"}, "--autoscaling: write MIN:MAX or MIN:MAX:CPU, as 2:6:80, found '6'"),
        ({"autoscaling": "2:"}, "--autoscaling: write MIN:MAX"),
        ({"requests": "250m"}, "--requests: write CPU,MEMORY, as 250m,256Mi"),
        ({"limits": "1,2,3"}, "limits.memory: not a Kubernetes quantity"),
        ({"volumes": ["data:/data"]}, "--volume: write NAME:PATH:SIZE"),
        ({"kubernetesApi": ["get"]}, "--kubernetes-api: write VERB,VERB:RESOURCE"),
        ({"kubernetesApi": ["patch:services:2099-01-31"]}, "a right that may lead to more is VERB:RESOURCE.GROUP:DAY:"),
        ({"kubernetesApi": ["patch:services:soon:ann:the reason"]}, "--kubernetes-api: not a day such as 2030-01-31"),
        ({"kubernetesApi": ["patch:services"]}, "patch services may lead to more than it says: write reason, owner"),
        ({"grants": ["public:SELECT"]}, "--grant: of no database: name one with --database"),
        ({"database": "main"}, "--database: says nothing of what its users may do: add --grant, found 'main'"),
        ({"database": "main", "grants": ["public"]}, "--grant: write SCHEMA:RIGHT,RIGHT"),
        (
            {"exceptions": ["require-probes:soon:ann:the reason"]},
            "--exception: not a day such as 2030-01-31, found 'soon'",
        ),
        ({"exceptions": ["require-probes:2099-01-31"]}, "--exception: write RULE:DAY:OWNER:REASON"),
    ],
)
def test_a_wrong_flag_says_how_it_is_written(flags: dict[str, Any], error: str) -> None:
    with pytest.raises(ConfigError) as caught:
        spec(**flags)
    assert error in str(caught.value)


@pytest.mark.parametrize("text", ["hunter2", "=hunter2"])
def test_a_wrong_variable_is_not_repeated(text: str) -> None:
    with pytest.raises(ConfigError, match="--env: write NAME=VALUE") as caught:
        spec(env=[text])
    assert "hunter2" not in str(caught.value)


def test_the_command_shows_what_they_come_to(project: Path, run: Run) -> None:
    done = run(
        *FLAGS, "--autoscaling", "2:5", "--volume", "data:/data:1Gi", "--env", "LOG_LEVEL=info", "--limits", "1,1Gi"
    )
    assert done.exit_code == 0, done.stderr
    assert "StatefulSet" in done.stdout
    assert "2 to 5 x registry.example.org/shop/orders:v1; /data: 1Gi that each keeps" in done.stdout
    assert "HorizontalPodAutoscaler" in done.stdout
    assert "orders now keeps what is written to /data, each of its pods by itself" in done.stdout
    assert "autoscaling: {min: 2, max: 5}" in written(project)


def test_a_secret_in_the_environment_is_refused_and_not_shown(run: Run) -> None:
    done = run(*FLAGS, "--env", "DB_PASSWORD=hunter2")
    assert done.exit_code == 2
    assert "env.DB_PASSWORD: is called like a secret" in done.stderr
    assert "hunter2" not in done.stderr + done.stdout
