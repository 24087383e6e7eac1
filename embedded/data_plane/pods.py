"""Starts what the pods of the mesh would run, and stops it with them: the node's part that KWOK only simulates."""

import asyncio
import contextlib
import logging
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from embedded.data_plane.applications import application_program, server_of
from embedded.data_plane.errors import DataPlaneError
from embedded.data_plane.namespaces import NetworkNamespace
from embedded.data_plane.network import OUTSIDE_ADDRESS, PodNetwork
from embedded.data_plane.proxy import (
    ISTIOD_PORT,
    istiod_of,
    proxy_container,
    proxy_program,
    redirect_connections,
    write_token,
)
from embedded.supervisor.container import MissingReferenceError
from embedded.supervisor.egress import close, join
from embedded.supervisor.https_api import ApiError
from embedded.supervisor.kubernetes_api import KubernetesApi, Manifest
from embedded.supervisor.layout import Layout
from embedded.supervisor.ports import LOOPBACK
from embedded.supervisor.postgres import PostgresError
from embedded.supervisor.process import Process, Program
from embedded.toolchain import ToolchainError

OUTSIDE = "outside"
OUTSIDE_PORT = 80

_LOG = logging.getLogger(__name__)
_INTERVAL_SECONDS = 1.0
_RENEW_TOKEN_AFTER_SECONDS = 1200
_EXPECTED = (ApiError, DataPlaneError, MissingReferenceError, PostgresError, ToolchainError)


@dataclass(slots=True)
class _Running:
    """A pod's namespace, its files and its processes."""

    pod: Manifest
    namespace: NetworkNamespace
    directory: Path
    processes: list[Process]
    token_written: float = field(default_factory=time.monotonic)


class DataPlane:
    """The proxies and applications of all pods of the mesh, a node between them, and a host outside of the cluster."""

    def __init__(self, layout: Layout, api: KubernetesApi, on_change: Callable[[], None]) -> None:
        self._layout = layout
        self._api = api
        self._on_change = on_change
        self._directory = layout.directory("data-plane")
        self._network: PodNetwork | None = None
        self._outside: list[Process] = []
        self._running: dict[str, _Running] = {}
        self._waiting: dict[str, str] = {}
        self._seen_at = 0.0

    @property
    def processes(self) -> list[Process]:
        """All proxies and applications that run now."""
        return [*self._outside, *(process for running in self._running.values() for process in running.processes)]

    @property
    def status(self) -> dict[str, object]:
        """When the pods were last looked at, and which of them have no processes yet, and why."""
        return {"seen": self._seen_at, "waiting": list(self._waiting.values())}

    async def run(self) -> None:
        """Follow the pods until cancelled. Raises ``DataPlaneError`` when this machine has no network namespaces."""
        shutil.rmtree(self._directory)
        self._network = await asyncio.to_thread(PodNetwork)
        listening = self._network.listen(ISTIOD_PORT)
        server = await asyncio.start_server(self._to_istiod, sock=listening)
        async with server:
            await self._start_outside(self._network)
            while True:
                await self._reconcile(self._network)
                await asyncio.sleep(_INTERVAL_SECONDS)

    async def stop(self) -> None:
        """Stop every process and remove every namespace."""
        await asyncio.gather(*(self._stop(uid) for uid in list(self._running)))
        await asyncio.gather(*(process.stop() for process in self._outside))
        self._outside.clear()
        if self._network:
            self._network.close()

    async def _to_istiod(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A connection of an agent, to its istiod on loopback: TLS between the two, which nobody here looks into."""
        here, _ = writer.get_extra_info("peername")
        pods = (running.pod for running in self._running.values())
        istiod = next((istiod_of(pod) for pod in pods if pod["status"]["podIP"] == here), "")
        port = self._layout.ports.get(f"{istiod}.secure-grpc")
        with contextlib.suppress(OSError):
            if port:
                await join((reader, writer), await asyncio.open_connection(LOOPBACK, port))
        await close(writer)

    async def _start_outside(self, network: PodNetwork) -> None:
        namespace = await asyncio.to_thread(network.attach, OUTSIDE_ADDRESS)
        self._outside.append(self._launch(server_of("http", OUTSIDE, OUTSIDE_PORT, self._layout, namespace)))

    def _launch(self, program: Program) -> Process:
        process = Process(program, self._on_change)
        process.start()
        return process

    async def _reconcile(self, network: PodNetwork) -> None:
        looked_at = time.time()
        try:
            pods = await asyncio.to_thread(self._pods)
        except ApiError as error:
            _LOG.warning("data plane: %s", error)
            return
        gone = self._running.keys() - pods.keys()
        await asyncio.gather(*(self._stop(uid) for uid in gone))
        self._waiting = {uid: reason for uid, reason in self._waiting.items() if uid in pods}
        new = {uid: pod for uid, pod in pods.items() if uid not in self._running}
        await asyncio.gather(*(self._start(network, uid, pod) for uid, pod in new.items()))
        await asyncio.to_thread(self._renew_tokens)
        self._seen_at = looked_at

    def _pods(self) -> dict[str, Manifest]:
        """The pods of the mesh that have an address, by their uid."""
        pods = self._api.list("/api/v1/pods?resourceVersion=0")
        return {pod["metadata"]["uid"]: pod for pod in pods if _runs_in_mesh(pod)}

    async def _start(self, network: PodNetwork, uid: str, pod: Manifest) -> None:
        name = _name(pod)
        directory = self._directory / name
        try:
            namespace, programs = await asyncio.to_thread(self._prepare, network, pod, directory)
        except _EXPECTED as error:
            if self._waiting.get(uid) != f"{name}: {error}":
                _LOG.warning("%s: %s", name, error)
            self._waiting[uid] = f"{name}: {error}"
            return
        self._waiting.pop(uid, None)
        self._running[uid] = _Running(pod, namespace, directory, [self._launch(program) for program in programs])

    def _prepare(self, network: PodNetwork, pod: Manifest, directory: Path) -> tuple[NetworkNamespace, list[Program]]:
        name = _name(pod)
        namespace = network.attach(pod["status"]["podIP"])
        try:
            redirect_connections(pod, self._layout, namespace)
            proxy = proxy_program(f"{name}.proxy", pod, self._layout, self._api, namespace, directory)
            application = application_program(name, pod, self._layout, namespace)
        except _EXPECTED:
            namespace.close()
            raise
        return namespace, [proxy, *([application] if application else [])]

    async def _stop(self, uid: str) -> None:
        running = self._running.pop(uid)
        await asyncio.gather(*(process.stop() for process in running.processes))
        running.namespace.close()
        shutil.rmtree(running.directory, ignore_errors=True)
        self._on_change()

    def _renew_tokens(self) -> None:
        for running in self._running.values():
            if time.monotonic() - running.token_written > _RENEW_TOKEN_AFTER_SECONDS:
                with contextlib.suppress(ApiError):
                    write_token(running.pod, self._api, running.directory)
                    running.token_written = time.monotonic()


def _runs_in_mesh(pod: Manifest) -> bool:
    status = pod.get("status", {})
    alive = status.get("phase") == "Running" and not pod["metadata"].get("deletionTimestamp")
    return alive and bool(status.get("podIP")) and proxy_container(pod) is not None


def _name(pod: Manifest) -> str:
    return f"{pod['metadata']['namespace']}.{pod['metadata']['name']}"
