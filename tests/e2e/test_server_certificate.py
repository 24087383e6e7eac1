"""The certificate of Vault's servers, from the real cert-manager, by a program that the real Pulumi runs."""

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from components.kube.names import VAULT_NAMESPACE, VAULT_TLS_SECRET
from components.vault.server_certificate import server_names
from embedded.cli import NEEDED_TOOLS
from embedded.paths import State
from embedded.pulumi_stack import pulumi_environment
from embedded.toolchain import ensure
from tests.e2e.plane import PROJECT, Plane
from zt.preflight.server_certificate import faults

pytestmark = pytest.mark.e2e

HOST, REPLICAS, FILE = "vault.example.org", 3, ".vault-authority.test.pem"
PROGRAM = f"""
import pulumi
from components.vault.server_certificate import ServerCertificateArgs, server_certificate, written

parent = pulumi.ComponentResource("test:index:Vault", "vault")
_, authority = server_certificate("vault", ServerCertificateArgs("{HOST}", {REPLICAS}, "{FILE}"), [], parent)
pulumi.export("authority", authority)
pulumi.export("file", written(authority, "{FILE}"))
"""


class Program:
    """A program with the certificate alone, its state in a directory."""

    def __init__(self, plane: Plane, directory: Path) -> None:
        self.directory = directory
        (directory / "state").mkdir()
        (directory / "passphrase").write_text("of a test")
        project = {"name": "certificate", "runtime": {"name": "python", "options": {"virtualenv": sys.prefix}}}
        (directory / "Pulumi.yaml").write_text(yaml.safe_dump(project))
        (directory / "__main__.py").write_text(PROGRAM)
        self._environment = pulumi_environment(State(plane.state), ensure(NEEDED_TOOLS)) | {
            "PULUMI_BACKEND_URL": f"file://{directory / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE_FILE": str(directory / "passphrase"),
            "PYTHONPATH": str(PROJECT),
            "NO_COLOR": "1",
        }

    def run(self, *arguments: str) -> str:
        command = [str(ensure(NEEDED_TOOLS) / "pulumi"), *arguments, "--stack", "test", "--non-interactive"]
        done = subprocess.run(
            command, cwd=self.directory, env=self._environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def program(plane: Plane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    plane.stand("production")
    made = Program(plane, tmp_path_factory.mktemp("certificate"))
    made.run("stack", "init", "--secrets-provider", "passphrase")
    made.run("preview")
    assert not (made.directory / FILE).exists()
    made.run("up", "--yes", "--skip-preview")
    yield made
    made.run("destroy", "--yes", "--skip-preview")
    for name in (VAULT_TLS_SECRET, "vault-authority"):
        plane.core.delete_namespaced_secret(name, VAULT_NAMESPACE)


@pytest.fixture(scope="module")
def mounted(program: Program, plane: Plane) -> dict[str, bytes]:
    """The files that the servers mount."""
    assert program
    secret = plane.core.read_namespaced_secret(VAULT_TLS_SECRET, VAULT_NAMESPACE)
    return {key: base64.b64decode(value) for key, value in secret.data.items()}


def test_clients_have_no_objection_to_it(mounted: dict[str, bytes]) -> None:
    names, now = server_names(REPLICAS, HOST), datetime.now(UTC)
    assert list(faults(mounted["tls.crt"], mounted["tls.key"], mounted["ca.crt"], names, now)) == []


def test_a_server_is_a_client_of_the_others_too(mounted: dict[str, bytes]) -> None:
    leaf = x509.load_pem_x509_certificates(mounted["tls.crt"])[0]
    usages = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(usages) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}


def test_the_program_learns_the_authority_and_no_key(program: Program, mounted: dict[str, bytes]) -> None:
    outputs: dict[str, Any] = json.loads(program.run("stack", "output", "--json"))
    assert outputs == {"authority": mounted["ca.crt"].decode(), "file": FILE}
    assert (program.directory / FILE).read_bytes() == mounted["ca.crt"]
    state = program.run("stack", "export", "--show-secrets")
    assert "PRIVATE KEY" not in state
    assert base64.b64encode(b"PRIVATE KEY").decode()[:12] not in state


def test_what_the_request_got_may_do_nothing(plane: Plane, program: Program) -> None:
    assert program
    made = plane.objects.get_namespaced_custom_object(
        "cert-manager.io", "v1", VAULT_NAMESPACE, "certificaterequests", "vault-authority"
    )
    leaf = x509.load_pem_x509_certificates(base64.b64decode(made["status"]["certificate"]))[0]
    with pytest.raises(x509.ExtensionNotFound):
        leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    constraints = leaf.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert not constraints.ca
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["authority.invalid"]


def test_a_second_run_changes_nothing_and_needs_no_file_from_the_first(program: Program) -> None:
    (program.directory / FILE).unlink()
    assert "unchanged" in program.run("preview", "--expect-no-changes")
    assert (program.directory / FILE).exists()
