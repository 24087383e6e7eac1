"""The loopback ports of one checkout: chosen once, kept, and checked before the control plane starts.

A control plane listens at some of its ports only minutes later, when a stack is there. So that another one does not
choose them meanwhile, each supervisor has a block of ports to itself, by a lock that ends with it.
"""

import fcntl
import json
import secrets
import socket
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TextIO

from embedded.paths import cache_dir
from embedded.polling import until
from embedded.supervisor.private_files import write_private_json

LOOPBACK = "127.0.0.1"

# Below Linux' ephemeral range (ip_local_port_range starts at 32768): no outgoing connection takes one of these.
_FIRST, _LAST = 20000, 31999
_BLOCK = 400
_ATTEMPTS = 1000
# The block of this process, with the file whose lock it holds.
_HELD: list[tuple[range, TextIO]] = []


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def load_ports(path: Path) -> dict[str, int]:
    """The ports written by an earlier start; empty before the first one."""
    return json.loads(path.read_text()) if path.exists() else {}


def choose_ports(path: Path, names: Iterable[str], patience_seconds: float = 5.0) -> dict[str, int]:
    """Give every name a free port and keep the choice in ``path``.

    A port kept from an earlier start stays, unless another program holds it for longer than ``patience_seconds``
    (a process told to end needs a moment to let go of its own), or another supervisor has its block.
    """
    kept = load_ports(path)
    own = _own_block(kept.values())
    deadline = time.monotonic() + patience_seconds
    chosen: dict[str, int] = {}
    for name in names:
        port = kept.get(name)
        if port is None or port not in own or not _becomes_free(port, deadline):
            port = _pick(taken={*kept.values(), *chosen.values()})
        chosen[name] = port
    write_private_json(path, dict(sorted(chosen.items())))
    return chosen


def add_ports(path: Path, chosen: dict[str, int], names: Iterable[str]) -> None:
    """Give those of the names a free port that have none in ``chosen``, there and in ``path``."""
    for name in names:
        if name not in chosen:
            chosen[name] = _pick(taken=set(chosen.values()))
    write_private_json(path, dict(sorted(chosen.items())))


def _becomes_free(port: int, deadline: float) -> bool:
    return until(lambda: is_free(port), deadline - time.monotonic(), 0.1)


def _pick(taken: set[int]) -> int:
    own = _own_block(taken)
    for _ in range(_ATTEMPTS):
        port = secrets.choice(own)
        if port not in taken and is_free(port):
            return port
    raise RuntimeError(f"no free loopback port found from {own[0]} to {own[-1]}: stop something that listens there")


def _own_block(kept: Iterable[int]) -> range:
    """The ports that this process may choose from as long as it lives: those around one that it had, if it can be."""
    if _HELD:
        return _HELD[0][0]
    every = range(_FIRST, _LAST + 1, _BLOCK)
    former = [first for first in every if any(first <= port < first + _BLOCK for port in kept)]
    places = cache_dir() / "ports"
    places.mkdir(exist_ok=True)
    for first in [*former, *secrets.SystemRandom().sample(every, len(every))]:
        file = (places / str(first)).open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            continue
        _HELD.append((range(first, first + _BLOCK), file))
        return _HELD[0][0]
    raise RuntimeError(f"{len(every)} control planes run already: stop one of them (`make down`)")


def address(ports: Mapping[str, int], name: str) -> str:
    """``host:port`` of the named listener."""
    return f"{LOOPBACK}:{ports[name]}"
