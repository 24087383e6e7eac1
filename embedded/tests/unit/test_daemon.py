"""The supervisor's process itself."""

from pathlib import Path

import pytest

from embedded.paths import State
from embedded.supervisor import daemon
from embedded.supervisor.control_plane import ControlPlane

pytestmark = pytest.mark.unit


def test_the_lock_is_let_go_by_the_end_of_the_process_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`down` waits for it: a supervisor that still ends would be a process that outlives the command."""

    async def nothing(*_: object) -> None:
        return None

    monkeypatch.setattr(daemon, "_serve", nothing)
    monkeypatch.chdir(tmp_path)
    options = ["--state", str(tmp_path), "--tools", str(tmp_path)]
    assert daemon.main(options) == 0
    assert ControlPlane(State(tmp_path)).running
    assert daemon.main(options) == 2
