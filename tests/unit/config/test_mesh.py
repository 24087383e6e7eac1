"""What the mesh section of a stack file comes to, in the platform and in every service."""

from typing import Any

import pytest

from components.ingress.secure_ingress import gateway
from components.mesh.security import AutoscalingArgs, TracingArgs
from components.schema.problem import ConfigError
from components.service.manifests.workload import deployment_spec
from tests.support.stacks import plan_of, stack

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("mesh", "replicas", "autoscaling"),
    [
        ({}, 1, None),
        ({"replicas": 3}, 3, None),
        ({"autoscaling": {}}, 2, AutoscalingArgs(5, 80)),
        ({"autoscaling": {"min": 3, "max": 9, "cpu": 60}}, 3, AutoscalingArgs(9, 60)),
    ],
)
def test_the_number_of_istiods_is_fixed_or_follows_the_load(
    mesh: dict[str, Any], replicas: int, autoscaling: AutoscalingArgs | None
) -> None:
    made = plan_of("production", mesh=mesh).mesh
    assert made is not None
    assert (made.replicas, made.autoscaling) == (replicas, autoscaling)


def test_the_scraper_and_the_collector_are_known_to_every_service() -> None:
    scraper = {"namespace": "monitoring", "serviceAccount": "prometheus"}
    tracing = {"namespace": "observability", "service": "otel", "sampling": 10}
    wanted = plan_of("production", mesh={"scraper": scraper, "tracing": tracing})
    assert wanted.mesh is not None
    assert wanted.mesh.tracing == TracingArgs("observability", "otel", 4317, 10)
    for service in wanted.services:
        platform = service.platform
        assert (platform.mesh.scraper.namespace, platform.mesh.scraper.name) == ("monitoring", "prometheus")
        assert (platform.mesh.collector.namespace, platform.mesh.collector.name, platform.mesh.collector_port) == (
            "observability",
            "otel",
            4317,
        )


@pytest.mark.parametrize("environment", ["production", "dev"])
def test_a_revision_reaches_all_that_joins_the_mesh(environment: str) -> None:
    mesh = {"revision": "1-31-0"}
    wanted = plan_of(environment, mesh=mesh)
    assert wanted.mesh is not None
    assert wanted.mesh.revision == "1-31-0"
    labels = stack(environment, mesh=mesh).namespace_labels("shop")
    assert {"team": "commerce", "istio.io/rev": "1-31-0"}.items() <= labels.items()
    assert gateway(wanted.ingress)["metadata"]["labels"] == {"istio.io/rev": "1-31-0"}
    for service in wanted.services:
        spec = deployment_spec(service)
        # Another revision changes the template, so that its pods are made again; what selects them stays.
        assert spec["template"]["metadata"]["labels"]["istio.io/rev"] == "1-31-0"
        assert spec["selector"] == {"matchLabels": {"app": service.name}}


def test_without_a_revision_only_the_gateway_names_the_default() -> None:
    wanted = plan_of("production")
    assert gateway(wanted.ingress)["metadata"]["labels"] == {"istio.io/rev": "default"}
    assert all("istio.io/rev" not in str(deployment_spec(service)) for service in wanted.services)


def test_a_revision_may_not_have_the_name_of_the_control_plane_without_one() -> None:
    with pytest.raises(ConfigError, match="default is the control plane without a revision"):
        plan_of("production", mesh={"revision": "default"})


def test_a_revision_means_nothing_without_a_mesh() -> None:
    wanted = plan_of("local", mesh={"revision": "1-31-0"})
    assert wanted.mesh is None
    assert all("istio.io/rev" not in str(deployment_spec(service)) for service in wanted.services)
