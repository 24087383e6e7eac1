"""What a command does with the control plane of a checkout: start it, watch it, stop it."""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from embedded.paths import CHECKOUT, State
from embedded.polling import until
from embedded.supervisor.features import Features
from embedded.supervisor.interrupted_update import stop_orphaned_plugins

LOCK = "supervisor.lock"
PID = "supervisor.pid"

_POLL_SECONDS = 0.15
_UP_SECONDS = 180.0
_DOWN_SECONDS = 60.0
_SUPERVISOR = "supervisor"

Status = dict[str, Any]


class ControlPlaneError(Exception):
    """The control plane did not start, did not stop, or is not running; the message says where to look."""


class ControlPlane:
    """The control plane of one checkout. It runs in a process of its own, apart from the command that started it."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.features = Features(state)

    @property
    def log(self) -> Path:
        """Log file of the supervisor."""
        return self.state.logs / f"{_SUPERVISOR}.log"

    @property
    def running(self) -> bool:
        """Whether a supervisor runs: it holds a lock as long as it lives."""
        try:
            with (self.state.run / LOCK).open("r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def status(self) -> Status | None:
        """What runs and whether it is ready; None when no supervisor runs."""
        if not self.running or not self.state.status.exists():
            return None
        return json.loads(self.state.status.read_text())

    def up(
        self,
        tools: Path,
        *,
        postgres: bool = False,
        data_plane: bool = False,
        node: bool = False,
        second_node: bool = False,
        acme: bool = False,
        external_secrets: bool = False,
        reports: bool | None = None,
        on_progress: Callable[[Status], None] = lambda _status: None,
    ) -> Status:
        """Start the control plane unless it runs, and wait until all of it is ready; `reports`: what Kyverno writes.

        One that runs with other tools is restarted with these. Raises ``ControlPlaneError``.
        """
        self.state.create()
        self.features.add(
            postgres=postgres,
            dataPlane=data_plane,
            node=node,
            secondNode=second_node,
            acme=acme,
            externalSecrets=external_secrets,
        )
        if reports is not None:
            self.features.forget("noReports")
            self.features.add(noReports=not reports)
        status = self.status()
        if status and status["tools"] != str(tools):
            self.down()
        if not self.running:
            self.state.status.unlink(missing_ok=True)
            self._spawn(tools)
        further = {"postgres": postgres, "pebble": acme, "kubelet": node, "kubelet-1": second_node}
        names = {name for name, wanted in further.items() if wanted}
        reported = "noReports" not in self.features

        def is_wanted(status: Status) -> bool:
            listed = {process["name"] for process in status["processes"]}
            return status.get("reports", True) is reported and names <= listed

        return self._wait_ready(on_progress, is_wanted)

    def down(self) -> bool:
        """Stop everything, in reverse order, and wait until it is gone; False when nothing ran.

        The kernel kills every process that a supervisor leaves behind, should it have to be killed itself. A Pulumi
        that was killed left its plugins to nobody.
        """
        stop_orphaned_plugins(self.state.pulumi_home)
        if not self.running:
            return False
        for number in (signal.SIGTERM, signal.SIGKILL):
            # Without the file it is about to be gone, or began a moment ago.
            with contextlib.suppress(ProcessLookupError, FileNotFoundError):
                os.kill(int((self.state.run / PID).read_text()), number)
            if self._wait_stopped(_DOWN_SECONDS):
                return True
        raise ControlPlaneError(f"the supervisor does not end: read {self.log}")

    def wait_data_plane(self) -> None:
        """Wait until each pod of the mesh has its proxy and application. Raises ``ControlPlaneError``."""
        asked, missing = time.time(), ""

        def ready() -> bool:
            nonlocal missing
            status = self.status()
            if status is None:
                raise ControlPlaneError(f"the supervisor ended: read {self.log}")
            pods = status["data_plane"]
            missing = "; ".join(pods["waiting"] if pods else []) or _what_is_missing(status)
            return bool(status["ready"] and pods and pods["seen"] > asked and not pods["waiting"])

        if not until(ready, _UP_SECONDS, _POLL_SECONDS):
            raise ControlPlaneError(f"data plane: not ready within {_UP_SECONDS:.0f} s: {missing}")

    def _spawn(self, tools: Path) -> None:
        arguments = [sys.executable, "-m", "embedded.supervisor.daemon", "--state", str(self.state.root)]
        with self.log.open("ab") as log:
            subprocess.Popen(
                [*arguments, "--tools", str(tools)],
                cwd=CHECKOUT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until(lambda: self.running, _UP_SECONDS, _POLL_SECONDS)

    def _wait_ready(self, on_progress: Callable[[Status], None], is_wanted: Callable[[Status], bool]) -> Status:
        status: Status | None = None

        def ready() -> Status | None:
            nonlocal status
            status = self.status()
            if status:
                on_progress(status)
                if status["message"].startswith("failed"):
                    raise ControlPlaneError(f"{status['message']} (all of it in {self.log})")
                if status["ready"] and is_wanted(status):
                    return status
            elif not self.running:
                raise ControlPlaneError(f"the supervisor ended while it started: read {self.log}")
            return None

        if found := until(ready, _UP_SECONDS, _POLL_SECONDS):
            return found
        raise ControlPlaneError(f"not ready within {_UP_SECONDS:.0f} s: {_what_is_missing(status)}")

    def _wait_stopped(self, seconds: float) -> bool:
        return until(lambda: not self.running, seconds, _POLL_SECONDS)


def _what_is_missing(status: Status | None) -> str:
    if not status:
        return "the supervisor wrote no status"
    waiting = [p for p in status["processes"] if not p["ready"]]
    return "; ".join(f"{p['name']} is {p['state']} (read {p['log']})" for p in waiting) or status["message"]
