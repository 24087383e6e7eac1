"""What a check may ask: the stack, the cluster, other servers, names, the clock."""

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread

from components.program.plan import Plan
from components.program.stack import Stack
from zt.preflight.cluster import Cluster
from zt.preflight.created import Created
from zt.preflight.web import SECONDS, Web, web

Resolve = Callable[[str], tuple[str, ...]]
"""The addresses of a host; none when it has none, or nobody answers in time."""


def addresses(host: str, seconds: float = SECONDS) -> tuple[str, ...]:
    """The addresses of a host by this machine's resolver, which has no limit of time of its own."""
    answers: SimpleQueue[tuple[str, ...]] = SimpleQueue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, 443, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            found = []
        answers.put(tuple(dict.fromkeys(str(address[0]) for *_, address in found)))

    # A thread that waits for a resolver does not keep the process.
    Thread(target=ask, daemon=True).start()
    try:
        return answers.get(timeout=seconds)
    except Empty:
        return ()


@dataclass(frozen=True)
class Outside:
    """Everything beside the cluster. A program that calls the command may pass another."""

    web: Web = web
    resolve: Resolve = addresses
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    environment: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class Session:
    """A stack, what `pulumi up` of it creates, and where it shall run."""

    stack: Stack
    planned: Plan
    created: Created
    cluster: Cluster
    outside: Outside
    project: Path
    """The directory of the program."""

    @property
    def file(self) -> str:
        """The name of the stack file, for what to change in it."""
        return self.stack.file

    @property
    def cluster_version(self) -> str:
        """What the API server calls its version, such as `v1.34.1+k3s1`; empty if it says none."""
        return str(self.cluster.get("/version").body.get("gitVersion", ""))

    @property
    def in_cluster_vault(self) -> bool:
        """Whether the stack installs Vault's servers."""
        return self.planned.vault is not None and self.planned.vault.server is not None
