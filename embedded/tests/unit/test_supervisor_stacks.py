"""What the commands of the embedded stack decide, without any process."""

import json
import os
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from embedded.paths import State
from embedded.pulumi_stack import PulumiStack, StackError, pulumi_environment, write_project
from embedded.supervisor import interrupted_update
from embedded.supervisor.log_view import UnknownLogError, last_lines, show_logs
from pending_operations.state import UNREAD

pytestmark = pytest.mark.unit


# Stacks


def test_the_cli_gets_nothing_that_leads_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "VAULT_TOKEN",
        "PULUMI_ACCESS_TOKEN",
        "PULUMI_CONFIG_PASSPHRASE",
        "KUBECONFIG",
        "AWS_SECRET_ACCESS_KEY",
    ):
        monkeypatch.setenv(name, "elsewhere")
    (tmp_path / "ports.json").write_text('{"state-service": 20001}')
    environment = pulumi_environment(State(tmp_path), Path("/tools"))
    assert "elsewhere" not in environment.values()
    assert environment["PULUMI_BACKEND_URL"] == "http://127.0.0.1:20001"
    assert "/tools" in environment["PATH"].split(os.pathsep)


def test_a_control_plane_older_than_the_state_service_is_to_be_started_again(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="no state service yet: start it with"):
        pulumi_environment(State(tmp_path), Path("/tools"))


def test_the_project_leads_back_to_the_program(tmp_path: Path) -> None:
    directory = tmp_path / "project"
    write_project(directory)
    project = yaml.safe_load((directory / "Pulumi.yaml").read_text())
    assert ((directory / project["main"]) / "__main__.py").resolve().exists()


def test_the_salt_stays_out_of_the_tracked_stack_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = State(tmp_path).create()
    stack = PulumiStack("dev", state, Path("/tools"))
    monkeypatch.setattr(PulumiStack, "run", lambda *_arguments, **_options: None)
    stack.prepare()
    copy = stack.project / "Pulumi.dev.yaml"
    copy.write_text(copy.read_text() + "encryptionsalt: v1:salt\n")
    stack.prepare()
    assert yaml.safe_load(copy.read_text())["encryptionsalt"] == "v1:salt"
    assert stat.S_IMODE(state.passphrase_file.stat().st_mode) == 0o600


def test_an_unknown_stack_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"--stack nowhere: there is no Pulumi.nowhere.yaml; .*production"):
        PulumiStack("nowhere", State(tmp_path).create(), Path("/tools")).prepare()


@pytest.mark.parametrize(
    ("resources", "journal", "stands"), [([], False, False), ([{"urn": "urn:x"}], False, True), ([], True, True)]
)
def test_a_stack_that_stands_is_in_the_way_of_another(
    tmp_path: Path, resources: list[object], journal: bool, stands: bool
) -> None:
    state = State(tmp_path)
    staging = PulumiStack("staging", state, Path("/tools"))
    staging.checkpoint.parent.mkdir(parents=True)
    staging.checkpoint.write_text(json.dumps({"checkpoint": {"latest": {"resources": resources}}}))
    if journal:
        staging.journal.touch()
    with pytest.raises(StackError, match="STACK=staging") if stands else nullcontext():
        PulumiStack("dev", state, Path("/tools")).refuse_beside_another()
    staging.refuse_beside_another()


# Interrupted updates


def test_what_was_cut_off_is_settled_before_the_refresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For the refresh to say whether it is there, but for a secret, which nothing reads."""
    stack = PulumiStack("dev", State(tmp_path).create(), Path("/tools"))
    stack.state.run.mkdir(parents=True, exist_ok=True)
    mount = {"urn": "urn:mount", "type": "vault:index/mount:Mount", "inputs": {"path": "secret"}}
    secret = {"urn": "urn:s", "type": "vault:kv/secretV2:SecretV2", "inputs": {"mount": "secret", "name": "a/b"}}
    pending = [{"type": "creating", "resource": each} for each in (mount, secret)]
    exported = json.dumps({"version": 3, "deployment": {"pending_operations": pending}})
    imported: list[dict[str, Any]] = []

    def run(_self: PulumiStack, *arguments: str, **_options: object) -> None:
        file = Path(arguments[-1])
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        imported.append(json.loads(file.read_text()))

    monkeypatch.setattr(PulumiStack, "output", lambda *_arguments: exported)
    monkeypatch.setattr(PulumiStack, "run", run)
    stack._settle()
    [state] = imported
    assert state["deployment"] == {
        "resources": [
            {**mount, "id": "secret", "outputs": {"path": "secret"}, "initErrors": [UNREAD]},
            {**secret, "id": "secret/data/a/b", "outputs": secret["inputs"]},
        ],
        "pending_operations": [],
    }
    assert not list(stack.state.run.iterdir())


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is called as the CLI is, with this checkout's home."""
    environment = {"PULUMI_HOME": str(tmp_path)}
    with subprocess.Popen(["/tools/pulumi", "60"], executable=shutil.which("sleep"), env=environment) as running:
        try:
            # The kernel lets go of the caller before it has set the new program's arguments and environment.
            while not Path(f"/proc/{running.pid}/environ").read_bytes():
                time.sleep(0.01)
            yield running
        finally:
            running.kill()


def test_a_journal_is_a_lock_as_long_as_an_engine_of_the_checkout_lives(
    tmp_path: Path, engine: subprocess.Popen[bytes]
) -> None:
    journal = tmp_path / "dev.journal"
    assert not interrupted_update.is_locked(journal, tmp_path)
    assert not interrupted_update.is_interrupted(journal, tmp_path)
    journal.touch()
    assert interrupted_update.is_locked(journal, tmp_path)
    assert not interrupted_update.is_interrupted(journal, tmp_path)
    # Another checkout's engine says nothing about this one.
    assert interrupted_update.is_interrupted(journal, tmp_path / "elsewhere")
    engine.kill()
    engine.wait()
    assert not interrupted_update.is_locked(journal, tmp_path)
    assert interrupted_update.is_interrupted(journal, tmp_path)


@pytest.mark.parametrize("settled", [True, False], ids=["settled", "refused"])
def test_an_interrupted_update_is_cancelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settled: bool) -> None:
    stack = PulumiStack("dev", State(tmp_path).create(), Path("/tools"))
    stack.journal.parent.mkdir(parents=True)
    stack.journal.touch()
    ran: list[tuple[str, ...]] = []

    def cancel(_self: PulumiStack, *arguments: str, **_options: object) -> None:
        ran.append(arguments)
        if settled:
            stack.journal.unlink()
        raise StackError("stack dev has never been updated")

    monkeypatch.setattr(PulumiStack, "run", cancel)
    with nullcontext() if settled else pytest.raises(StackError, match="never been updated"):
        stack.resume_after_interruption(lambda _line: None)
    assert ran == [("cancel", "dev", "--yes")]


# Commands


@pytest.fixture
def stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.setenv("ZERO_TRUST_EMBEDDED_DIR", str(tmp_path / "state"))
    return CliRunner()


def test_status_of_a_stopped_control_plane(stopped: CliRunner) -> None:
    from embedded.cli import app

    assert stopped.invoke(app, ["status"]).exit_code == 3
    asked = stopped.invoke(app, ["status", "--format", "json"])
    assert (asked.exit_code, json.loads(asked.output)) == (3, None)
    assert stopped.invoke(app, ["status", "--format", "xml"]).exit_code == 2


@pytest.mark.parametrize("verb", ["preview", "destroy", "env"])
def test_verbs_that_need_a_running_control_plane_say_so(stopped: CliRunner, verb: str) -> None:
    from embedded.cli import app

    assert stopped.invoke(app, [verb]).exit_code == 3


def test_down_of_a_stopped_control_plane_is_no_error(stopped: CliRunner) -> None:
    from embedded.cli import app

    assert stopped.invoke(app, ["down"]).exit_code == 0


def test_help_documents_the_exit_codes(stopped: CliRunner) -> None:
    from embedded.cli import app

    assert "Exit codes" in stopped.invoke(app, ["--help"]).output


def test_an_unknown_log_is_refused_with_those_there_are(tmp_path: Path) -> None:
    (tmp_path / "etcd.log").write_text("a\nb\nc\n")
    assert last_lines(tmp_path / "etcd.log", 2) == ["b\n", "c\n"]
    with pytest.raises(UnknownLogError, match="there are: etcd"):
        show_logs(tmp_path, "vault", lines=1, follow=False)


def test_a_summary_is_printed_as_the_stack_says_it(capsys: pytest.CaptureFixture[str]) -> None:
    from embedded.supervisor.presentation import Reporter

    service = {
        "name": "api",
        "namespace": "shop",
        "url": "https://api.example.org",
        "calls": ["redis"],
        "vault_role": "r",
    }
    layers = [{"layer": "mTLS", "state": "STRICT", "enforced": True}]
    Reporter().summary({"environment": "production", "layers": layers, "services": [service]})
    printed = capsys.readouterr().out
    assert all(text in printed for text in ("production", "mTLS", "STRICT", "yes", "https://api.example.org", "redis"))


def test_supervised_phases_are_those_that_have_a_style() -> None:
    from embedded.supervisor.presentation import _STYLES
    from embedded.supervisor.process import Phase

    assert set(_STYLES) == {phase.value for phase in Phase}
