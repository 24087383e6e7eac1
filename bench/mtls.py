"""`python -m bench.mtls`: what two proxies and mutual TLS between them add to a round trip, against plaintext.

`api` calls `redis` on the production stack, both behind their sidecars. Each round trip is followed by one between two
namespaces on a bridge of the same kind, without a proxy: both meet the same moment of the same machine. Prints
milliseconds, and writes all that was measured to `bench/results/`. Needs root.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kubernetes import client, config
from rich.console import Console
from rich.table import Table
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from bench.latencies import percentiles
from bench.plane import plane
from bench.record import Record
from bench.workload import PROJECT
from embedded.data_plane.namespaces import NetworkNamespace
from embedded.data_plane.network import PodNetwork
from embedded.paths import STATE_VARIABLE, State

NAMESPACE, CALLER, CALLEE, PORT = "shop", "api", "redis", 6379
PROXIED, PLAIN = "two sidecars, mutual TLS", "plaintext, no proxy"
_MESSAGE = b"x" * 64
_WARM_UP = 500
_TIMEOUT = 10

Latencies = dict[str, list[float]]


def main(arguments: Sequence[str]) -> int:
    """Measure, print and write; 0 when every round trip was answered."""
    parser = argparse.ArgumentParser(prog="python -m bench.mtls", description=__doc__)
    parser.add_argument("--requests", type=int, default=5000, help="round trips on each of the two paths")
    count: int = parser.parse_args(arguments).requests
    console = Console()
    with tempfile.TemporaryDirectory(prefix="zero-trust-bench-") as scratch, plane(Path(scratch)) as state:
        _up(state)
        with _proxied(state) as through, _plain() as past:
            measured = _latencies({PROXIED: through, PLAIN: past}, count)
    added = _print(console, measured)
    record = Record("mtls")
    record.value("milliseconds", measured)
    console.print(record.figure("mtls", added))
    console.print(f"written to {record.path.relative_to(PROJECT)}")
    return 0


def _up(state: State) -> None:
    environment = os.environ | {STATE_VARIABLE: str(state.root)}
    command = [sys.executable, "-m", "embedded", "up", "--stack", "production", "--data-plane"]
    subprocess.run(command, cwd=PROJECT, env=environment, check=True)


@contextmanager
def _proxied(state: State) -> Iterator[socket.socket]:
    """A connection of `api` to the Service `redis`, which its sidecar takes over."""
    core: Any = client.CoreV1Api(config.new_client_from_config(str(state.kubeconfig)))
    address = core.read_namespaced_service(CALLEE, NAMESPACE).spec.cluster_ip
    processes = json.loads(state.status.read_text())["processes"]
    pid = next(process["pid"] for process in processes if process["name"].startswith(f"{NAMESPACE}.{CALLER}-"))
    with _connected(NetworkNamespace.of_process(pid), address) as connection:
        yield connection


@contextmanager
def _plain() -> Iterator[socket.socket]:
    """A connection between two namespaces that have no proxy."""
    network = PodNetwork()
    caller, callee = network.attach("10.244.0.2"), network.attach("10.244.0.3")
    server = [*callee.enter, sys.executable, "-m", "embedded.data_plane.servers", "tcp", str(PORT), "1000"]
    with subprocess.Popen(server, cwd=PROJECT) as process:
        try:
            with _connected(caller, "10.244.0.3") as connection:
                yield connection
        finally:
            process.kill()


def _connected(namespace: NetworkNamespace, address: str) -> socket.socket:
    patiently = Retrying(
        stop=stop_after_delay(_TIMEOUT),
        wait=wait_fixed(0.1),
        retry=retry_if_exception_type(ConnectionRefusedError),
        reraise=True,
    )
    made = patiently(lambda: namespace.call(lambda: socket.create_connection((address, PORT), timeout=_TIMEOUT)))
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def _latencies(connections: Mapping[str, socket.socket], count: int) -> Latencies:
    """Milliseconds of each round trip, one path after the other."""
    found: Latencies = {name: [] for name in connections}
    for number in range(_WARM_UP + count):
        for name, connection in connections.items():
            started = time.perf_counter()
            _round_trip(connection)
            elapsed = (time.perf_counter() - started) * 1000
            if number >= _WARM_UP:
                found[name].append(round(elapsed, 4))
    return found


def _round_trip(connection: socket.socket) -> None:
    connection.sendall(_MESSAGE)
    left = len(_MESSAGE)
    while left:
        chunk = connection.recv(left)
        if not chunk:
            raise SystemExit(f"the connection of {CALLER} to {CALLEE} was closed: is the call allowed?")
        left -= len(chunk)


def _print(console: Console, measured: Latencies) -> float:
    """Print the percentiles of both paths; the median that is added, in milliseconds."""
    table = Table("path", "p50", "p99")
    for name, values in measured.items():
        table.add_row(name, *(f"{value:.3f} ms" for value in percentiles(values)))
    pairs = zip(percentiles(measured[PROXIED]), percentiles(measured[PLAIN]), strict=True)
    added = [proxied - plain for proxied, plain in pairs]
    table.add_row("added", *(f"{value:.3f} ms" for value in added))
    console.print(table)
    return added[0]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
