"""A team's program against the recording monitor: what it creates, with whose rights, and what stops it."""

import json
from pathlib import Path

import pulumi
import pytest

from components.service.args.document import Platform
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
