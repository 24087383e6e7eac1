"""One supervised process: started, probed until it is ready, started again with a growing pause when it dies."""

import asyncio
import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PROBE_UNTIL_READY_SECONDS = 0.15
# A kubelet's default periodSeconds. That a process ends is told by the kernel, at once.
_PROBE_WHEN_READY_SECONDS = 10.0
# One slow answer on a busy machine is no outage; a kubelet's default failureThreshold is 3 as well.
_FAILURES_UNTIL_UNREADY = 3
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 15.0
_STABLE_AFTER_SECONDS = 30.0

# Loaded before any fork: a child between fork and exec must not load a library.
_LIBC = ctypes.CDLL(None, use_errno=True)


class Phase(StrEnum):
    """Where a process is in its life."""

    STARTING = "starting"
    READY = "ready"
    NOT_READY = "not ready"
    RESTARTING = "restarting"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Program:
    """What to run and how to tell that it is ready.

    ``ready`` is called in a thread and gets the time (``time.time()``) at which the process was started.
    """

    name: str
    arguments: tuple[str, ...]
    directory: Path
    log: Path
    ready: Callable[[float], bool]
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 10.0


class Process:
    """Keeps one program running until ``stop``. All of it must happen in the thread of one event loop.

    The kernel kills the child when the thread that started it ends (PR_SET_PDEATHSIG in prctl(2)), so that no child
    outlives a supervisor that was killed.
    """

    def __init__(self, program: Program, on_change: Callable[[], None] = lambda: None) -> None:
        self.program = program
        self.phase = Phase.STARTING
        self.restarts = 0
        self.pid: int | None = None
        self.message = ""
        self.since = time.time()
        self._on_change = on_change
        self._became_ready = asyncio.Event()
        self._stopping = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    @property
    def ready(self) -> bool:
        """Whether the last probe succeeded."""
        return self.phase is Phase.READY

    def start(self) -> None:
        """Begin to keep the program running; returns at once."""
        self._keeper = asyncio.create_task(self._keep(), name=self.program.name)

    async def wait_ready(self, seconds: float) -> None:
        """Wait until the program is ready. Raises ``TimeoutError`` that names it and its log."""
        try:
            await asyncio.wait_for(self._became_ready.wait(), seconds)
        except TimeoutError:
            reason = f" ({self.message})" if self.message else ""
            raise TimeoutError(
                f"{self.program.name} was not ready within {seconds:.0f} s{reason}: read {self.program.log}"
            ) from None

    async def stop(self) -> None:
        """Ask the program to end, kill it after its grace period, and wait until it is gone."""
        self._stopping.set()
        if self._keeper:
            await self._keeper
        self._set(Phase.STOPPED)

    async def _keep(self) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while not self._stopping.is_set():
            began = time.monotonic()
            await self._run_once()
            if self._stopping.is_set():
                break
            if time.monotonic() - began > _STABLE_AFTER_SECONDS:
                pause = _FIRST_PAUSE_SECONDS
            self.restarts += 1
            self._set(Phase.RESTARTING)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    async def _run_once(self) -> None:
        self._set(Phase.STARTING)
        try:
            child = await self._spawn()
        except OSError as error:
            self.message = f"cannot start: {error}"
            return
        self.pid = child.pid
        probing = asyncio.create_task(self._probe(time.time()))
        stopping = asyncio.create_task(self._stopping.wait())
        ended = asyncio.create_task(child.wait())
        try:
            await asyncio.wait({stopping, ended}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                await self._end(child, ended)
        finally:
            probing.cancel()
            stopping.cancel()
            self.pid = None
        self.message = f"ended with status {child.returncode}"

    async def _spawn(self) -> asyncio.subprocess.Process:
        program = self.program
        descriptor = os.open(program.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            return await asyncio.create_subprocess_exec(
                *program.arguments,
                cwd=program.directory,
                env=dict(program.environment),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                start_new_session=True,
                preexec_fn=end_with_parent(signal.SIGKILL),
            )
        finally:
            os.close(descriptor)

    async def _probe(self, started: float) -> None:
        failures = 0
        while True:
            if await asyncio.to_thread(self.program.ready, started):
                failures = 0
                self.message = ""
                self._set(Phase.READY)
            else:
                failures += 1
                if self.ready and failures >= _FAILURES_UNTIL_UNREADY:
                    self._set(Phase.NOT_READY)
            await asyncio.sleep(_PROBE_WHEN_READY_SECONDS if self.ready else _PROBE_UNTIL_READY_SECONDS)

    async def _end(self, child: asyncio.subprocess.Process, ended: asyncio.Task[int]) -> None:
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(self.program.stop_signal)
        done, _ = await asyncio.wait({ended}, timeout=self.program.stop_seconds)
        if not done:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await ended

    def _set(self, phase: Phase) -> None:
        if phase is self.phase:
            return
        self.phase = phase
        self.since = time.time()
        if phase is Phase.READY:
            self._became_ready.set()
        else:
            self._became_ready.clear()
        self._on_change()


def end_with_parent(number: signal.Signals) -> Callable[[], None]:
    """What a child does between fork and exec, to get this signal when the thread that started it ends (prctl(2))."""

    def request() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)

    return request
