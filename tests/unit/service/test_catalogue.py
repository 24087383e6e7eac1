"""What the platform says to a team, read from the cluster: each way to fail says whom to ask."""

from types import SimpleNamespace
from typing import Any

import pulumi
import pytest
from kubernetes import client
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import MaxRetryError

from components.kube.names import CATALOGUE_KEY, TEAMS_NAMESPACE
from components.program.plans.teams import text
from components.service import catalogue
from tests.unit.service.test_team import platform

pytestmark = pytest.mark.unit


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets what the API server answers: the data of the ConfigMap, or an error."""

    def answers(found: object) -> None:
        class Core:
            def __init__(self, _: object) -> None:
                pass

            def read_namespaced_config_map(self, name: str, namespace: str, **_: object) -> Any:
                assert (name, namespace) == ("payments", TEAMS_NAMESPACE)
                if isinstance(found, Exception):
                    raise found
                return SimpleNamespace(data=found)

        monkeypatch.setattr(client, "CoreV1Api", Core)
        monkeypatch.setattr(catalogue, "_client", lambda: None)

    return answers


def test_it_is_the_team_s_own_platform(answers: Any) -> None:
    answers({CATALOGUE_KEY: text(platform())})
    assert catalogue.platform_of_cluster("payments").team.name == "payments"


@pytest.mark.parametrize(
    ("found", "error"),
    [
        (ApiException(status=403), "this identity may not read it: deploy as the team's deployer"),
        (ApiException(status=404), "the platform has no such team"),
        (ApiException(status=500), "the API server answered 500"),
        (MaxRetryError(None, "/api", None), "cannot be read"),  # pyright: ignore[reportArgumentType] - no pool is there
        (OSError("no route"), "cannot be read: no route"),
        ({}, "no platform wrote it"),
        (None, "no platform wrote it"),
    ],
)
def test_why_it_cannot_be_read(answers: Any, found: object, error: str) -> None:
    answers(found)
    with pytest.raises(pulumi.RunError, match=error):
        catalogue.platform_of_cluster("payments")


def test_the_provider_has_the_authority_in_a_file(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made: list[dict[str, Any]] = []
    monkeypatch.setattr(catalogue.pulumi_vault, "Provider", lambda name, **given: made.append({"name": name, **given}))
    for authority in ("one", "another", ""):
        vault = catalogue.VaultConnection(
            "https://vault.example.org", authority, "kubernetes", "team_deployer_payments"
        )
        catalogue.vault_provider("checkout.vault", vault)
    assert (tmp_path / ".vault-authority.pem").read_text() == "another"
    assert [provider["ca_cert_file"] for provider in made] == [".vault-authority.pem", ".vault-authority.pem", None]
    assert all(provider["skip_child_token"] for provider in made)
