"""Network namespaces without a name: open as long as this process holds them, gone with it (network_namespaces(7)).

A crash so leaves nothing behind, neither namespaces nor the devices in them, and two checkouts never meet.
"""

import ctypes
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Thread
from typing import Generic, TypeVar

from embedded.data_plane.errors import DataPlaneError

_CLONE_NEWNET = 0x40000000
_COMMAND_SECONDS = 30
_LIBC = ctypes.CDLL(None, use_errno=True)

T = TypeVar("T")


class NetworkNamespace:
    """A network namespace that this process holds open. ``close`` lets go of it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def new(cls) -> "NetworkNamespace":
        """A new one, with its loopback device up. Raises ``DataPlaneError``."""
        made = cls(_OwnThread(_unshare).result())
        made.ip("link set lo up")
        return made

    @classmethod
    def of_process(cls, pid: int) -> "NetworkNamespace":
        """The one that a process is in."""
        return cls(os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC))

    @property
    def path(self) -> str:
        """What ``nsenter --net=`` and ``ip ... netns`` take, as long as this process lives."""
        return f"/proc/{os.getpid()}/fd/{self._descriptor}"

    @property
    def enter(self) -> tuple[str, ...]:
        """The start of a command line that runs the rest in the namespace, without a process in between."""
        return ("nsenter", f"--net={self.path}", "--")

    def call(self, function: Callable[[], T]) -> T:
        """Call ``function`` in a thread inside the namespace: the sockets it opens stay there."""

        def inside() -> T:
            _check(_LIBC.setns(self._descriptor, _CLONE_NEWNET))
            return function()

        return _OwnThread(inside).result()

    def ip(self, *commands: str) -> None:
        """Run commands of ip(8) inside. Raises ``DataPlaneError``."""
        self.run(("ip", "-batch", "-"), text="\n".join(commands))

    def run(self, command: Sequence[str], environment: Mapping[str, str] | None = None, text: str = "") -> None:
        """Run a command inside to its end. Raises ``DataPlaneError`` with what it printed."""
        done = self._run(command, environment, text)
        if done.returncode:
            raise DataPlaneError(f"{' '.join(command)} ended with status {done.returncode}:\n{text}\n{done.stdout}")

    def output(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
        """What a command prints inside, errors among it, whatever its status."""
        return self._run(command, environment).stdout

    def _run(
        self, command: Sequence[str], environment: Mapping[str, str] | None, text: str = ""
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.enter, *command],
            input=text,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_COMMAND_SECONDS,
            check=False,
        )

    def set_parameter(self, name: str, value: str) -> None:
        """Set a kernel parameter of the namespace, such as ``net.ipv4.ip_forward``."""
        self.call(lambda: Path("/proc/sys", *name.split(".")).write_text(value))

    def close(self) -> None:
        """Let go of it: the kernel removes it when its last process has ended."""
        os.close(self._descriptor)


class _OwnThread(Thread, Generic[T]):
    """Calls a function in a thread that ends with it, since a thread in another namespace is of no further use."""

    def __init__(self, function: Callable[[], T]) -> None:
        super().__init__(daemon=True)
        self._function = function
        self._answer: list[T] = []
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        """Call it and keep what comes of it."""
        try:
            self._answer.append(self._function())
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that asked
            self._error = error

    def result(self) -> T:
        """Wait for the answer, or raise what the function raised."""
        self.join()
        if self._error is not None:
            raise self._error
        return self._answer[0]


def _unshare() -> int:
    _check(_LIBC.unshare(_CLONE_NEWNET))
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def _check(answer: int) -> None:
    if answer:
        number = ctypes.get_errno()
        raise DataPlaneError(f"cannot use network namespaces: {os.strerror(number)} (they need root, CAP_SYS_ADMIN)")
