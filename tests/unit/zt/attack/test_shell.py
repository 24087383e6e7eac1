"""The attacks from a shell: what each command says, what is never shown, and a container without a shell."""

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from components.service.file.directory import parse_service
from tests.support.stacks import settings
from tests.unit.zt.attack.stack import SECRET, Stack
from zt.attack.evidence import Evidence, Result, UntriedError
from zt.attack.exec_api import Container, Printed
from zt.attack.kubernetes_api import Kubernetes
from zt.attack.replay import ATTEMPTS
from zt.attack.session import Declared, Session
from zt.attack.vault_api import Place

NO_PROGRAM = Printed("sh: 1: not found", 127)
SERVICE = """\
namespace: shop
team: commerce
image: registry.example.org/shop/api:v1
port: 8080
secrets: {database: {generate: [password]}}
"""
SHELL = {":": Printed()}


def tried(stack: Stack, name: str, says: Mapping[str, Printed]) -> Evidence:
    """An attempt in a container that says something to each command that begins so; what is not named is not there."""
    config = base64.b64encode(json.dumps({"vault": {"address": "https://vault.vault.svc:8200"}}).encode()).decode()
    agent = {"name": "vault-agent", "image": "v", "env": [{"name": "VAULT_CONFIG", "value": config}]}
    stack.pods[0]["spec"]["containers"].append(agent)

    def execute(container: Container, command: Sequence[str], _seconds: float) -> Printed:
        assert (container.pod, container.name, tuple(command[:2])) == ("api-1", "api", ("sh", "-c"))
        return next((said for start, said in says.items() if command[2].startswith(start)), NO_PROGRAM)

    spec = parse_service(SERVICE, "services/api.yaml").spec
    declared = Declared("production", settings("production").decisions(), "cluster.local", (spec,), spec)
    cluster = stack.cluster(None)
    [attempt] = [attempt for attempt in ATTEMPTS if attempt.name == name]
    with_shell = Kubernetes(cluster.send, cluster.where, execute=execute)
    with Session(declared, with_shell, stack.vault(Place("https://v", ""))) as attacker:
        return attempt.run(attacker)


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    (tmp_path / "audit.log").touch()
    return Stack([tmp_path / "audit.log"])


def test_the_names_of_variables_are_shown_and_no_value(stack: Stack) -> None:
    found = tried(stack, "shell-env", {**SHELL, "env": Printed("PATH=/bin\nTOKEN=hidden\n")})
    assert found.result is Result.BLOCKED
    assert ("PATH, TOKEN" in found.answer, "hidden" in found.answer) == (True, False)


def test_a_secret_in_the_environment_is_found_and_not_shown(stack: Stack) -> None:
    found = tried(stack, "shell-env", {**SHELL, "env": Printed(f"DB_PASS={SECRET}\n")})
    assert (found.result, SECRET in found.answer) == (Result.SUCCEEDED, False)


COMMANDS = {
    "shell-vault-read": ("vault read", "https://vault.vault.svc:8200/v1/secret/data/shop/api/database"),
    "shell-kubectl-get": ("kubectl get pods --namespace kube-system", "/api/v1/namespaces/kube-system/pods"),
    "shell-kubectl-run": ("kubectl run zt-attack --image=attacker/cryptominer", "/namespaces/shop/pods?dryRun=All"),
}


@pytest.mark.parametrize("name", COMMANDS)
class TestACommand:
    def test_says_itself_why_it_failed(self, stack: Stack, name: str) -> None:
        program, _ = COMMANDS[name]
        code = 2 if program.startswith("vault") else 1
        found = tried(stack, name, {**SHELL, program: Printed("permission denied", code)})
        assert (found.result, "permission denied" in found.answer) == (Result.BLOCKED, True)
        assert f"$ {program}" in found.answer

    def test_that_gets_through_shows_nothing_of_what_it_read(self, stack: Stack, name: str) -> None:
        program, _ = COMMANDS[name]
        found = tried(stack, name, {**SHELL, program: Printed(SECRET, 0)})
        assert (found.result, SECRET in found.answer) == (Result.SUCCEEDED, False)

    def test_that_is_not_there_becomes_the_request_that_it_makes(self, stack: Stack, name: str) -> None:
        program, request = COMMANDS[name]
        found = tried(stack, name, {**SHELL, "curl": Printed("curl: (7) Failed to connect", 7)})
        assert (found.result, request in found.answer, f"$ {program}" in found.answer) == (Result.BLOCKED, True, False)

    @pytest.mark.parametrize(("of_curl", "code"), [(False, 126), (False, 137), (True, 2), (True, 3)])
    def test_that_could_not_run_says_nothing_of_the_control(
        self, stack: Stack, name: str, of_curl: bool, code: int
    ) -> None:
        program = "curl" if of_curl else COMMANDS[name][0]
        found = tried(stack, name, {**SHELL, program: Printed("Killed", code)})
        assert (found.result, f"it ended with {code}" in found.answer) == (Result.NOT_MEASURED, True)

    def test_is_not_measured_without_either(self, stack: Stack, name: str) -> None:
        program, _ = COMMANDS[name]
        found = tried(stack, name, SHELL)
        assert (found.result, f"neither {program.split()[0]} nor curl" in found.answer) == (Result.NOT_MEASURED, True)

    def test_needs_a_shell(self, stack: Stack, name: str) -> None:
        with pytest.raises(UntriedError, match="it has no shell"):
            tried(stack, name, {})


def test_an_end_that_does_not_come_is_not_measured(stack: Stack) -> None:
    says = {**SHELL, "kubectl": Printed("", refused="no end within 30 s")}
    assert tried(stack, "shell-kubectl-get", says).result is Result.NOT_MEASURED
