"""A team's program against the recording monitor: what it creates, with whose rights, and what stops it."""

import json
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi.provider.experimental.component import ComponentProvider

from components.service import packaged
from components.service.args.document import Platform
from components.service.packaged import PACKAGE, TeamService
from components.service.secure_service import SecureService
from tests.support.monitor import Recording, record
from tests.unit.service.test_team import SMALL, platform

pytestmark = pytest.mark.unit

SECRET = "secrets: {stripe: {generate: [key]}}\n"


def run(tmp_path: Path, file: str, told: Platform | None = None) -> Recording:
    (tmp_path / "checkout.yaml").write_text(file)
    known = told or platform()
    return record(
        lambda: SecureService.from_file(tmp_path / "checkout.yaml", platform=known) and None, "production", {}
    )


class TestFromFile:
    def test_it_writes_no_policy_and_no_role_in_vault(self, tmp_path: Path) -> None:
        made = run(tmp_path, SMALL + SECRET)
        assert [each.type for each in made.resources if each.type.startswith("vault:")] == [
            "vault:kv/secretV2:SecretV2"
        ]
        assert made.one("SecretV2").inputs["name"] == "payments/checkout/stripe"

    def test_it_logs_in_as_the_team_s_deployer(self, tmp_path: Path) -> None:
        [provider] = run(tmp_path, SMALL + SECRET).of("pulumi:providers:vault")
        login = json.loads(provider.inputs["authLoginJwt"])
        assert login == {"mount": "kubernetes", "role": "team_deployer_payments"}

    def test_a_service_without_secrets_needs_no_vault(self, tmp_path: Path) -> None:
        assert not run(tmp_path, SMALL).of("pulumi:providers:vault")

    def test_a_wrong_file_creates_nothing(self, tmp_path: Path) -> None:
        recording = Recording()
        (tmp_path / "checkout.yaml").write_text(SMALL + "host: shop.example.org\n")
        with pytest.raises(pulumi.RunError, match=r"checkout\.yaml:5: host: no host of payments"):
            record(
                lambda: SecureService.from_file(tmp_path / "checkout.yaml", platform=platform()) and None,
                "production",
                {},
                recording,
            )
        assert not recording.resources


class TestThePackage:
    @pytest.fixture
    def deploy(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        monkeypatch.setattr(packaged, "platform_of_cluster", lambda team: platform(team=team))

        def deploy(**args: Any) -> Recording:
            given: Any = {
                "team": "payments",
                "service": {"namespace": "payments", "team": "payments", "image": "registry.example.org/x:v1"},
                **args,
            }
            return record(lambda: TeamService("checkout", given) and None, "production", {})

        return deploy

    def test_its_schema_has_three_properties_and_no_type_of_its_own(self) -> None:
        schema = json.loads(ComponentProvider([TeamService], PACKAGE, None, "0.1.0").schema or "")
        [component] = schema["resources"].values()
        assert component["inputProperties"].keys() == {"team", "service", "asOf"}
        assert component["requiredInputs"] == ["service", "team"]
        assert component["properties"].keys() == {"url"}
        assert not schema["types"]

    def test_it_is_the_service_of_a_file(self, deploy: Any) -> None:
        made = deploy(service={**_service(), "port": 8080, "calls": ["ledger/book:8080"]})
        assert made.one("Deployment").name == "payments.checkout"
        parent = made.one("zero-trust:platform:SecureService").parent
        assert parent == made.one("zero-trust:index:TeamService").urn

    @pytest.mark.parametrize(
        ("args", "error"),
        [
            ({"service": {"namespace": "ledger"}}, r"checkout\.yaml:\d+: "),
            ({"asOf": 1, "as_of": "tomorrow"}, "asOf: tomorrow is no day"),
        ],
    )
    def test_what_is_wrong_is_said_as_of_a_file(self, deploy: Any, args: dict[str, Any], error: str) -> None:
        with pytest.raises(pulumi.RunError, match=error):
            deploy(**args)


def _service() -> dict[str, Any]:
    return {"namespace": "payments", "team": "payments", "image": "registry.example.org/payments/checkout:v1"}
