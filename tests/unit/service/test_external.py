"""A secret whose values come from outside: the program writes none of it, and its readers get it all the same."""

from pathlib import Path

import pulumi
import pytest
from pulumi_kubernetes import Provider

from components.program.plan import plan
from components.program.stack import read_stack
from components.service.manifests.vault import injector_annotations, vault_policy
from components.service.secure_service import SecureService
from tests.support.monitor import Recording, record
from tests.support.stacks import settings
from tests.unit.service.test_directory import SMALL, write

pytestmark = pytest.mark.unit

API = SMALL.replace("r.example.org", "registry.example.org") + "secrets: {stripe: {external: [key, hook]}}\n"


def created(directory: Path, stack: str) -> Recording:
    write(directory, api=API)
    [args] = plan(read_stack(directory, f"Pulumi.{stack}.yaml", settings(stack))).services

    def program() -> None:
        SecureService("shop.api", args, pulumi.ResourceOptions(providers=[Provider("cluster")]))

    return record(program)


@pytest.mark.parametrize("stack", ["production", "staging", "dev"])
def test_the_program_reads_it_into_the_pod_and_writes_nothing(tmp_path: Path, stack: str) -> None:
    made = created(tmp_path, stack)
    assert not made.of("SecretV2")
    assert not made.of("RandomPassword")
    assert "secret/data/shop/api/stripe" in made.one("vault:index/policy:Policy").inputs["policy"]


def test_its_file_has_every_field(tmp_path: Path) -> None:
    write(tmp_path, api=API)
    [args] = plan(read_stack(tmp_path, "Pulumi.production.yaml", settings("production"))).services
    template = injector_annotations(args)["vault.hashicorp.com/agent-inject-template-stripe"]
    assert "HOOK={{ .Data.data.hook }}\nKEY={{ .Data.data.key }}" in template
    assert "secret/data/shop/api/stripe" in vault_policy(args)


def test_without_vault_its_values_are_empty(tmp_path: Path) -> None:
    assert created(tmp_path, "local").one("Secret").inputs["stringData"] == {"stripe": "HOOK=\nKEY="}
