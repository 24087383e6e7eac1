"""The CLI as `zt resume` runs it: states through pipes alone, and what a failure says."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from components.schema.problem import ConfigError
from zt.project.errors import ToolError
from zt.resume.pulumi import LockedError, Pulumi, on_path

pytestmark = pytest.mark.unit

STATE = {"version": 3, "deployment": {"resources": [], "secret": "s3cr3t"}}
Made = Callable[[str], Pulumi]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """A Pulumi that is a script of the shell, which notes its arguments."""

    def made(script: str) -> Pulumi:
        executable = tmp_path / "pulumi"
        executable.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/arguments\n{script}\n')
        executable.chmod(0o755)
        return Pulumi("production", str(executable), tmp_path, {"PATH": os.environ["PATH"]})

    return made


def test_a_state_is_read_and_written_through_pipes(made: Made, tmp_path: Path) -> None:
    pulumi = made(f"case $2 in export) echo '{json.dumps(STATE)}';; import) cat > {tmp_path}/put;; esac")
    pulumi.put(pulumi.export())
    assert json.loads((tmp_path / "put").read_text()) == STATE
    arguments = (tmp_path / "arguments").read_text()
    assert arguments == "stack export --stack production\nstack import --stack production\n"


def test_a_refresh_reads_what_it_is_told(made: Made, tmp_path: Path) -> None:
    made("").refresh(["urn:a", "urn:b"])
    arguments = (tmp_path / "arguments").read_text()
    assert "--target urn:a --target urn:b --stack production" in arguments
    assert {"--yes", "--skip-preview", "--non-interactive"} <= set(arguments.split())


@pytest.mark.parametrize(
    "said",
    [
        "error: the stack is currently locked by 1 lock(s). Either wait for the other process(es) to end or delete",
        "error: [409] Conflict: Another update is currently in progress.",
    ],
)
def test_a_lock_of_another_run_names_how_to_remove_it(made: Made, said: str) -> None:
    with pytest.raises(LockedError, match="`pulumi cancel production` removes its lock"):
        made(f"echo '{said}' >&2; exit 255").refresh(["urn:a"])


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (
            "echo 'error: no stack named production' >&2; exit 6",
            r"stack export of production ended with status 6:\n.*no",
        ),
        ("echo nothing", "printed no state"),
        ("echo '{}'", "printed no state"),
    ],
)
def test_what_is_no_state_is_an_error(made: Made, script: str, why: str) -> None:
    with pytest.raises(ToolError, match=why):
        made(script).export()


def test_an_import_that_fails_does_not_show_the_state(made: Made) -> None:
    with pytest.raises(ToolError) as refused:
        made("cat; echo wrong >&2; exit 1").put(STATE)
    assert "s3cr3t" not in str(refused.value)
    assert "wrong" in str(refused.value)


@pytest.mark.parametrize("trap", ["'rm {lock}; exit 1'", "''"], ids=["lets go of its lock", "does not end"])
def test_one_that_is_interrupted_ends(tmp_path: Path, trap: str) -> None:
    """Killed at once, the CLI would leave the stack locked; one that does not end is killed in the end."""
    lock, executable = tmp_path / "lock", tmp_path / "pulumi"
    text = f"#!/bin/sh\ntrap {trap.format(lock=lock)} INT\ntouch {lock}\nwhile :; do sleep 0.05; done\n"
    executable.write_text(text)
    executable.chmod(0o755)
    # Who runs the tests in the background may have the signal ignored, and a shell does not trap one that is.
    program = f"""
import signal
from pathlib import Path
from zt.project.process import ended_in_order
from zt.resume import pulumi
from zt.resume.pulumi import Pulumi
pulumi._END_SECONDS = {2 if trap == "''" else 60}
signal.signal(signal.SIGINT, signal.default_int_handler)
with ended_in_order():
    Pulumi("dev", "{executable}", Path("."), {{"PATH": "{os.environ["PATH"]}"}}).refresh([])
"""
    with subprocess.Popen([sys.executable, "-c", program], start_new_session=True) as running:
        deadline = time.monotonic() + 30
        while not lock.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        running.send_signal(signal.SIGTERM)
        assert running.wait(60) == 128 + signal.SIGTERM
    assert lock.exists() == (trap == "''")


def test_a_directory_that_is_no_project_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--project: there is no Pulumi\.yaml in it"):
        on_path(tmp_path, "production")


def test_without_pulumi_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "Pulumi.yaml").touch()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match="pulumi is not on PATH"):
        on_path(tmp_path, "production")
