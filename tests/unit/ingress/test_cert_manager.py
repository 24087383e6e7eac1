"""cert-manager: its values, its order, and where its resources were before it had a component of its own."""

import pytest

from components.ingress.cert_manager import CertManager, CertManagerArgs, cert_manager_values
from components.kube.charts import ChartSources
from components.kube.platform_network import default_deny
from components.schema.problem import FieldError
from tests.support.monitor import record

pytestmark = pytest.mark.unit


def test_less_than_one_replica_is_refused() -> None:
    with pytest.raises(FieldError, match="replicas: less than 1"):
        CertManagerArgs(replicas=0)


def test_the_start_up_check_stays_on_and_crds_go_with_the_release() -> None:
    values = cert_manager_values(2, gateway_api=True)
    assert values["startupapicheck"]["enabled"] is True
    assert values["crds"] == {"enabled": True, "keep": False}


@pytest.mark.parametrize("gateway_api", [True, False])
def test_it_watches_the_gateway_api_only_where_there_is_one(gateway_api: bool) -> None:
    assert ("--enable-gateway-api" in cert_manager_values(2, gateway_api)["extraArgs"]) is gateway_api


@pytest.mark.parametrize(("replicas", "budget"), [(1, False), (3, True)])
def test_one_replica_has_no_disruption_budget(replicas: int, budget: bool) -> None:
    values = cert_manager_values(replicas, gateway_api=True)
    assert {values[key]["podDisruptionBudget"]["enabled"] for key in ("webhook", "cainjector")} == {budget}
    assert values["webhook"]["replicaCount"] == replicas


def test_it_starts_closed_and_after_the_gateway_api_is_there() -> None:
    args = CertManagerArgs(ChartSources("/charts"), network_policies=[default_deny("cert-manager")])
    recording = record(lambda: CertManager("ingress", args))
    release = recording.one("kubernetes:helm.sh/v3:Release")
    definitions = recording.one("kubernetes:yaml/v2:ConfigFile")
    assert definitions.inputs["file"] == "/charts/gateway-api.yaml"
    policy = recording.one("NetworkPolicy")
    assert {definitions.urn, policy.urn, recording.one("Namespace").urn} <= release.dependencies
    component = recording.one("zero-trust:platform:CertManager")
    assert {made.parent for made in recording.resources if made.custom} == {component.urn}


def test_what_stands_under_the_ingress_of_an_older_stack_stays() -> None:
    args = CertManagerArgs(network_policies=[default_deny("cert-manager")])
    moved = [made for made in record(lambda: CertManager("ingress", args)).resources if made.custom]
    assert len(moved) == 4
    former = "urn:pulumi:test::zero-trust::zero-trust:platform:SecureIngress::ingress"
    assert {made.aliases for made in moved} == {(former,)}


def test_without_a_gateway_it_needs_no_definitions() -> None:
    recording = record(lambda: CertManager("ingress", CertManagerArgs(gateway_api=False)))
    assert [made.type.rpartition(":")[2] for made in recording.resources if made.custom] == ["Namespace", "Release"]
