"""The supervisor process: starts the control plane in order, keeps it running, stops it in reverse."""

import argparse
import asyncio
import contextlib
import fcntl
import logging
import os
import signal
import sys
import time
from pathlib import Path

from embedded.data_plane.pods import DataPlane
from embedded.node.real_node import RealNode
from embedded.paths import State
from embedded.supervisor import core_programs, simulation
from embedded.supervisor.acme import PEBBLE, dns_program, pebble_program
from embedded.supervisor.challenge_gateway import ChallengeGateway
from embedded.supervisor.control_plane import LOCK, PID
from embedded.supervisor.controllers import CONTROLLERS
from embedded.supervisor.egress import EgressProxy
from embedded.supervisor.features import Features
from embedded.supervisor.https_api import ApiError, HttpsApi
from embedded.supervisor.kubernetes_api import KubernetesApi
from embedded.supervisor.layout import CORE_PORTS, EGRESS_SOCKET, Layout, prepare
from embedded.supervisor.pki import CLUSTER, Pki
from embedded.supervisor.ports import choose_ports
from embedded.supervisor.postgres import PostgresError, postgres_program
from embedded.supervisor.private_files import write_private, write_private_json
from embedded.supervisor.process import Process, Program
from embedded.supervisor.reconciler import Reconciler
from embedded.supervisor.service_routes import ServiceRoutes
from embedded.supervisor.state_service import state_service
from embedded.supervisor.vault_server import VaultServer
from embedded.supervisor.volumes import follow_claims

_READY_SECONDS = 90.0
_RETRY_SECONDS = 0.2
_LOG_LIMIT_BYTES = 20_000_000
_LOG = logging.getLogger("embedded.supervisor")


class Supervisor:
    """All processes of one checkout."""

    def __init__(self, state: State, tools: Path) -> None:
        names = [*CORE_PORTS, *(name for controller in CONTROLLERS for name in controller.port_names)]
        self._layout = Layout(state, tools, choose_ports(state.ports, names), Pki(state.pki))
        prepare(self._layout)
        simulation.write_stages(self._layout.kwok_config)
        ca, client = self._layout.pki.ca(CLUSTER), self._layout.pki.pair("supervisor")
        self._api = HttpsApi(self._layout.api_server_url, ca, client)
        kubernetes = KubernetesApi(self._api)
        self._kubernetes = kubernetes
        self._routes = ServiceRoutes(kubernetes, self._layout.ports)
        # Relative, since a Unix socket's path may have 107 bytes at most (unix(7)).
        socket = (self._layout.directory("kube-apiserver") / EGRESS_SOCKET).relative_to(state.root)
        self._features = Features(state)
        nodes = lambda: 2 if "secondNode" in self._features else 1  # noqa: E731
        self._node = RealNode(self._layout, kubernetes, self.write_status, nodes)
        self._proxy = EgressProxy(socket, self._routes.resolve, self._node)
        self._challenge_gateway = ChallengeGateway(self._layout.ports["challenges"], kubernetes)
        self._processes: list[Process] = []
        self._reconciler = Reconciler(self._layout, kubernetes, self.write_status)
        self._data_plane: DataPlane | None = None
        self._message = "starting"
        self._started = False

    async def run(self, stop: asyncio.Event) -> None:
        """Start everything, keep it running until ``stop`` is set, then stop everything."""
        work = asyncio.create_task(self._work())
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
        except Exception as error:
            self._message = f"failed: {error}"
            self.write_status()
            # Long enough for the command that waits to read why.
            await asyncio.sleep(1)
            raise
        finally:
            work.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await work
            await self._stop()

    async def _work(self) -> None:
        await self._proxy.start()
        own = [self._launch(state_service(self._layout)), self._launch(VaultServer(self._layout).program())]
        await self._start(core_programs.etcd(self._layout))
        await self._start(core_programs.api_server(self._layout, self._api))
        await self._ensure_cluster_objects()
        components = [
            self._launch(core_programs.controller_manager(self._layout)),
            self._launch(core_programs.scheduler(self._layout)),
            self._launch(core_programs.kwok(self._layout)),
        ]
        await asyncio.gather(*(self._ready(process) for process in [*own, *components]))
        await self._ready_nodes()
        if "dataPlane" in self._features or "node" in self._features:
            self._reconciler.configure_stock_envoy()
        self._reconciler.have_reports("noReports" not in self._features)
        await self._reconciler.start()
        self._started, self._message = True, ""
        self.write_status()
        volumes = follow_claims(self._kubernetes, lambda: "node" not in self._features)
        features = (self._follow_features(), self._run_data_plane(), self._run_node())
        await asyncio.gather(self._reconciler.run(), volumes, *features)

    async def _start(self, program: Program) -> None:
        await self._ready(self._launch(program))

    def _launch(self, program: Program) -> Process:
        process = Process(program, self.write_status)
        self._processes.append(process)
        process.start()
        return process

    async def _ready(self, process: Process) -> None:
        await process.wait_ready(_READY_SECONDS)

    async def _ensure_cluster_objects(self) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while True:
            try:
                await asyncio.to_thread(simulation.ensure_cluster_objects, self._kubernetes)
            except ApiError as error:
                # The API server is ready a moment before its bootstrap roles are.
                if time.monotonic() > deadline:
                    raise
                _LOG.info("cluster objects: %s", error)
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                return

    async def _ready_nodes(self) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while not await asyncio.to_thread(simulation.nodes_ready, self._kubernetes):
            if time.monotonic() > deadline:
                raise TimeoutError(f"the nodes were not Ready within {_READY_SECONDS:.0f} s: read kwok's log")
            await asyncio.sleep(_RETRY_SECONDS)

    async def _follow_features(self) -> None:
        while True:
            running = {process.program.name for process in self._processes}
            if "postgres" not in running and "postgres" in self._features:
                await self._launch_postgres()
            if PEBBLE not in running and "acme" in self._features:
                await self._challenge_gateway.start()
                await self._start(dns_program(self._layout))
                self._launch(pebble_program(self._layout))
            self._reconciler.have_reports("noReports" not in self._features)
            self.write_status()
            await asyncio.sleep(1)

    async def _launch_postgres(self) -> None:
        try:
            self._launch(await asyncio.to_thread(postgres_program, self._layout))
        except PostgresError as error:
            self._message = f"postgres: {error}"
            _LOG.exception("postgres")
            self._features.forget("postgres")

    async def _run_data_plane(self) -> None:
        while "dataPlane" not in self._features:
            await asyncio.sleep(1)
        self._reconciler.configure_stock_envoy()
        self._data_plane = DataPlane(self._layout, self._kubernetes, self.write_status)
        await self._data_plane.run()

    async def _run_node(self) -> None:
        while "node" not in self._features:
            await asyncio.sleep(1)
        self._reconciler.configure_stock_envoy()
        await self._node.run()

    async def _stop(self) -> None:
        self._started, self._message = False, "stopping"
        await self._node.stop()
        if self._data_plane:
            await self._data_plane.stop()
        await self._reconciler.stop()
        for process in reversed(self._processes):
            await process.stop()
        await self._challenge_gateway.stop()
        await self._proxy.stop()
        self._layout.state.status.unlink(missing_ok=True)

    def write_status(self) -> None:
        """Write what runs and whether it is ready to the status file."""
        pods = self._data_plane.processes if self._data_plane else []
        processes = [*self._processes, *self._reconciler.processes, *pods, *self._node.processes]
        content = {
            "pid": os.getpid(),
            "tools": str(self._layout.tools),
            "ready": self._started and all(process.ready for process in processes),
            "started": self._started,
            "reports": self._reconciler.reports,
            "message": self._message,
            "api_server": self._layout.api_server_url,
            "vault": self._layout.vault_url,
            "data_plane": self._data_plane.status if self._data_plane else None,
            "node": self._node.status if self._node.processes else None,
            "processes": [_describe(process) for process in processes],
        }
        write_private_json(self._layout.state.status, content)


def _describe(process: Process) -> dict[str, object]:
    return {
        "name": process.program.name,
        "state": process.phase.value,
        "ready": process.ready,
        "pid": process.pid,
        "restarts": process.restarts,
        "since": process.since,
        "message": process.message,
        "log": str(process.program.log),
    }


async def _serve(state: State, tools: Path) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    await Supervisor(state, tools).run(stop)


def _rotate_logs(logs: Path) -> None:
    for log in logs.glob("*.log"):
        # The supervisor's own is open already.
        if log.stem != "supervisor" and log.stat().st_size > _LOG_LIMIT_BYTES:
            log.replace(log.with_suffix(".log.1"))


def main(arguments: list[str]) -> int:
    """Run the supervisor until it is told to stop: 0, or 2 when one runs already. Raises what kept it from starting."""
    parser = argparse.ArgumentParser(prog="python -m embedded.supervisor.daemon", description=__doc__)
    parser.add_argument("--state", type=Path, required=True, help="state directory of the checkout")
    parser.add_argument("--tools", type=Path, required=True, help="directory of the executables")
    options = parser.parse_args(arguments)
    state = State(options.state).create()
    # Never closed here: the kernel lets go of the lock when this process is gone, and who can take it knows so.
    lock = os.open(state.run / LOCK, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return 2
    os.chdir(state.root)
    write_private(state.run / PID, f"{os.getpid()}\n")
    _rotate_logs(state.logs)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    try:
        asyncio.run(_serve(state, options.tools))
    finally:
        (state.run / PID).unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
