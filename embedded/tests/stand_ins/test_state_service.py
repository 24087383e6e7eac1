"""The state service with the real CLI: who gets in, one update at a time, and what is left when something is killed."""

import hmac
import json
import os
import signal
import stat
import subprocess
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import requests

from embedded.paths import State
from embedded.supervisor.interrupted_update import is_interrupted, is_locked, operations_in, stop_orphaned_plugins
from embedded.tests.stand_ins.state_fixtures import PROJECT, SECRET, STACK, Service
from pending_operations.state import operations

STACK_PATH = f"/api/stacks/organization/{PROJECT}/{STACK}"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    running = Service(State(tmp_path / "state"), tmp_path / "program")
    try:
        yield running
    finally:
        running.kill()
        # A killed update's plugins outlive it, until the next command stops them.
        stop_orphaned_plugins(running.state.pulumi_home)


def end(update: subprocess.Popen[str], service: Service) -> str:
    """Let the update go on, and return what it printed once it has succeeded."""
    service.release()
    output, _ = update.communicate(timeout=600)
    assert update.returncode == 0, output
    return output


def kill(update: subprocess.Popen[str]) -> None:
    os.killpg(update.pid, signal.SIGKILL)
    update.wait()


def send_again(service: Service) -> None:
    """What the CLI does with entries of which it does not know whether they arrived."""
    header, *batches = [json.loads(line) for line in service.journal.read_text().splitlines()]
    key = service.state.state_service_token.read_bytes()
    token = hmac.new(key, header["update"].encode(), "sha256").hexdigest()
    answer = requests.patch(
        f"{service.url}{STACK_PATH}/update/{header['update']}/journalentries",
        json={"entries": [entry for batch in batches for entry in batch]},
        headers={"Authorization": f"update-token {token}"},
        timeout=600,
    )
    assert answer.status_code == HTTPStatus.OK


def names(deployment: dict[str, Any]) -> list[str]:
    return [resource["urn"].rpartition("::")[2] for resource in deployment["resources"]]


class TestAuthorization:
    def test_who_shows_no_token_or_another_one_is_refused(self, service: Service) -> None:
        token = service.state.state_service_token.read_text()
        update = f"{STACK_PATH}/update/update-1"
        refused = {
            (method, path, authorization): service.ask(method, path, authorization).status_code
            for method, path in (
                ("GET", "/api/capabilities"),
                ("GET", f"{STACK_PATH}/export"),
                ("POST", update),
                ("POST", f"{update}/cancel"),
                ("PATCH", f"{update}/journalentries"),
                ("GET", "/nowhere"),
            )
            for authorization in (None, "token ", "token wrong", f"Bearer {token}", f"update-token {token}")
        }
        assert set(refused.values()) == {HTTPStatus.UNAUTHORIZED}, refused
        # The checkout's own token starts updates; what happens in one takes that update's.
        assert service.ask("PATCH", f"{update}/journalentries", f"token {token}").status_code == HTTPStatus.UNAUTHORIZED
        assert service.ask("GET", f"{STACK_PATH}/export", f"token {token}").status_code == HTTPStatus.OK

    def test_the_token_is_in_private_files_only(self, service: Service) -> None:
        token = service.state.state_service_token.read_text()
        holders = {path for path in service.state.root.rglob("*") if path.is_file() and token in path.read_text()}
        assert holders == {service.state.state_service_token, service.state.pulumi_home / "credentials.json"}
        assert {stat.S_IMODE(path.stat().st_mode) for path in holders} == {0o600}
        assert service.process
        process = Path(f"/proc/{service.process.pid}")
        assert token not in process.joinpath("cmdline").read_text() + process.joinpath("environ").read_text()

    def test_what_it_does_not_know_it_names(self, service: Service) -> None:
        answer = service.ask("GET", "/api/nowhere", f"token {service.state.state_service_token.read_text()}")
        assert answer.status_code == HTTPStatus.NOT_FOUND
        assert "GET /api/nowhere" in answer.json()["message"]
        assert "GET /api/nowhere" in service.program.log.read_text()

    @pytest.mark.parametrize(
        "path", ["/api/stacks/organization/..%2f..%2f/dev/export", f"/api/stacks/else/{PROJECT}/dev"]
    )
    def test_no_name_leads_out_of_its_directory(self, service: Service, path: str) -> None:
        answer = service.ask("GET", path, f"token {service.state.state_service_token.read_text()}")
        assert answer.status_code in {HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND}


def test_one_update_at_a_time_and_then_the_stack_is_what_the_cli_says(service: Service) -> None:
    update = service.begin()
    home = service.state.pulumi_home
    assert is_locked(service.journal, home)
    assert not is_interrupted(service.journal, home)
    assert "[409] Conflict" in service.pulumi("up", "--yes", "--skip-preview", "--stack", STACK, check=False)
    assert "[409] Conflict" in service.pulumi("stack", "rm", "--force", "--yes", STACK, check=False)
    written = "".join(path.read_text() for path in service.state.backend.rglob("*") if path.is_file())
    assert "ciphertext" in written
    assert SECRET not in written
    printed = end(update, service)
    assert "http" not in printed
    assert not service.journal.exists()
    assert names(service.exported()) == names(service.checkpoint) == ["slow-dev", "first", "default", "slow"]
    assert SECRET not in json.dumps(service.checkpoint)
    assert (
        json.loads(service.pulumi("stack", "output", "--json", "--show-secrets", "--stack", STACK))["secret"] == SECRET
    )
    assert "still has resources" in service.pulumi("stack", "rm", "--yes", STACK, check=False)
    (service.directory / "exported").write_text(service.pulumi("stack", "export", "--stack", STACK))
    service.pulumi("stack", "import", "--file", "exported", "--stack", STACK)
    assert "3 unchanged" in service.pulumi("preview", "--stack", STACK)
    assert "3 unchanged" in service.pulumi("refresh", "--yes", "--skip-preview", "--stack", STACK)
    service.pulumi("destroy", "--yes", "--skip-preview", "--stack", STACK)
    service.pulumi("stack", "rm", "--yes", STACK)
    assert not list(service.journal.parent.iterdir())


def test_an_update_whose_cli_is_killed_is_resumed(service: Service) -> None:
    kill(service.begin())
    assert is_interrupted(service.journal, service.state.pulumi_home)
    # What a service that is killed while it writes leaves behind.
    service.kill()
    with service.journal.open("a") as journal:
        journal.write('[{"version":1,"kind":1,"sequenceID":99')
    service.start()
    left = service.exported()
    assert names(left) == ["slow-dev", "first", "default"]
    assert [operation["type"] for operation in left["pending_operations"]] == ["creating"]
    assert "[409] Conflict" in service.pulumi("up", "--yes", "--skip-preview", "--stack", STACK, check=False)
    service.pulumi("cancel", "--yes", STACK)
    assert not service.journal.exists()
    assert service.checkpoint["resources"] == left["resources"]
    assert operations_in(service.journal.with_suffix(".json")) == operations(left)
    service.pulumi("refresh", "--yes", "--skip-preview", "--clear-pending-creates", "--stack", STACK)
    end(service.begin(), service)
    assert names(service.exported()) == ["slow-dev", "first", "default", "slow"]


def test_an_update_goes_on_when_the_service_is_started_again(service: Service) -> None:
    update = service.begin()
    service.kill()
    service.start()
    send_again(service)
    end(update, service)
    assert not service.journal.exists()
    assert names(service.exported()) == ["slow-dev", "first", "default", "slow"]


def test_a_journal_that_is_part_of_the_checkpoint_is_not_replayed(service: Service) -> None:
    update = service.begin()
    journal = service.journal.read_bytes()
    end(update, service)
    service.kill()
    service.journal.write_bytes(journal)
    service.start()
    assert names(service.exported()) == ["slow-dev", "first", "default", "slow"]
    assert not service.journal.exists()
