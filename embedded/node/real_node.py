"""The node in the life of the supervisor: started in order, followed, and gone without a trace."""

import asyncio
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

from embedded.node import cgroups, programs, volumes
from embedded.node.configuration import SANDBOX_IMAGE
from embedded.node.images.store import ImageStore
from embedded.node.injector import Injector
from embedded.node.load_balancer import give_addresses
from embedded.node.names import NODE, NODE_ADDRESS
from embedded.node.objects import DNS_IMAGE, ensure_objects
from embedded.node.programs import Node
from embedded.node.world import Place, World
from embedded.supervisor.controllers import CONTROLLERS
from embedded.supervisor.https_api import ApiError
from embedded.supervisor.kubernetes_api import KubernetesApi, Manifest
from embedded.supervisor.layout import Layout
from embedded.supervisor.pki import INJECTOR
from embedded.supervisor.ports import LOOPBACK, load_ports
from embedded.supervisor.process import Process, Program

_LOG = logging.getLogger(__name__)
_INTERVAL_SECONDS = 0.5
_START_SECONDS = 60.0
_RETRY_SECONDS = 0.1


class RealNode:
    """The node's processes, its network, and the pods on it."""

    def __init__(self, layout: Layout, api: KubernetesApi, on_change: Callable[[], None]) -> None:
        self._layout = layout
        self._api = api
        self._on_change = on_change
        self._directory = layout.state.root / "node"
        self._volumes = layout.state.root / "volumes"
        self._name = cgroups.group_name(layout.state.root)
        self._injector = Injector(layout, api)
        self._reaper: cgroups.Reaper | None = None
        self._world: World | None = None
        self._init: Process | None = None
        self._processes: list[Process] = []
        self._images: ImageStore | None = None
        self._pods: list[dict[str, object]] = []

    @property
    def processes(self) -> list[Process]:
        """The programs of the node."""
        return [*([self._init] if self._init else []), *self._processes]

    @property
    def status(self) -> dict[str, object]:
        """Each pod of the cluster with where it runs, and the images that pods wait for in vain.

        ``outside`` is the network namespace that plays the world: what ``nsenter --net=`` takes.
        """
        missing = sorted(self._images.missing.values()) if self._images else []
        outside = self._world.outside.path if self._world else ""
        return {"name": NODE, "pods": self._pods, "missing_images": missing, "outside": outside}

    def reaches(self, host: str, port: int) -> bool:
        """Whether the API server reaches an address here: the kubelet's, and that of the injector."""
        return self._world is not None and (host == NODE_ADDRESS or self._is_injector(host, port))

    def _is_injector(self, host: str, port: int) -> bool:
        return (host, port) == (LOOPBACK, self._layout.ports[INJECTOR])

    async def connect(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to an address of the node's network. Raises ``OSError``."""
        if self._is_injector(host, port):
            return await asyncio.open_connection(host, port)
        if self._world is None:
            raise ConnectionRefusedError(f"{host}:{port}: the node does not run")
        return await asyncio.open_connection(sock=await asyncio.to_thread(self._world.connect, host, port))

    async def run(self) -> None:
        """Start the node and follow its pods until cancelled. Raises ``NodeError``, ``ApiError``, ``TimeoutError``."""
        await asyncio.to_thread(ensure_objects, self._api)
        await asyncio.to_thread(volumes.ensure_class, self._api)
        await self._injector.start()
        while True:
            images = await self._start()
            while self._init and self._init.restarts == 0:
                await self._follow(images)
                await asyncio.sleep(_INTERVAL_SECONDS)
            _LOG.warning("node: its first process ended, and everything with it: starting it anew")
            await self._end()

    async def stop(self) -> None:
        """End everything of the node at once, and wait until its control groups are gone."""
        await self._injector.stop()
        await self._end()

    async def _end(self) -> None:
        if self._init:
            # The kernel kills the others with it.
            await self._init.stop()
        await asyncio.gather(*(process.stop() for process in self._processes))
        self._processes.clear()
        self._init = None
        if self._world:
            self._world.close()
            self._world = None
        if self._reaper:
            await asyncio.to_thread(self._reaper.reap)
            self._reaper = None

    async def _start(self) -> ImageStore:
        shutil.rmtree(self._directory, ignore_errors=True)
        self._directory.mkdir(mode=0o711)
        self._volumes.mkdir(mode=0o711, exist_ok=True)
        self._world = await asyncio.to_thread(World)
        ports = self._layout.ports
        await self._world.open_control_plane(ports["kube-apiserver"], ports["vault"])
        groups = await asyncio.to_thread(cgroups.create, self._name)
        self._reaper = cgroups.Reaper(self._name)
        self._init = Process(
            programs.init_program(self._layout, self._world.node, groups, self._directory), self._on_change
        )
        self._init.start()
        node = await self._laid_out(self._init, self._world, groups)
        await asyncio.to_thread(programs.install_network, node)
        await self._launch(programs.containerd(node))
        self._images = images = ImageStore(node)
        for reference in (SANDBOX_IMAGE, DNS_IMAGE):
            await asyncio.to_thread(images.provide, reference)
        pods = await asyncio.to_thread(self._api.list, "/api/v1/pods")
        await asyncio.to_thread(images.provide_again, pods)
        await asyncio.gather(
            *(self._launch(program(node)) for program in (programs.kubelet, programs.kube_proxy, programs.kube_router))
        )
        return images

    async def _laid_out(self, init: Process, world: World, groups: list[Path]) -> Node:
        for _ in range(int(_START_SECONDS / _RETRY_SECONDS)):
            if node := Node.of(init, self._layout, world.node, groups, self._directory):
                return node
            await asyncio.sleep(_RETRY_SECONDS)
        raise TimeoutError(
            f"the node's file system was not laid out within {_START_SECONDS:.0f} s: read {init.program.log}"
        )

    async def _launch(self, program: Program) -> None:
        process = Process(program, self._on_change)
        self._processes.append(process)
        process.start()
        await process.wait_ready(_START_SECONDS)

    async def _follow(self, images: ImageStore) -> None:
        try:
            pods = await asyncio.to_thread(self._api.list, "/api/v1/pods?resourceVersion=0")
            if self._world:
                await self._world.follow(self._ways(pods))
            await asyncio.to_thread(images.let_go, self._api, pods)
            await asyncio.to_thread(give_addresses, self._api)
            await asyncio.to_thread(volumes.provide, self._api, self._volumes)
        except ApiError as error:
            _LOG.warning("node: %s", error)
            return
        self._pods = [_described(pod) for pod in pods]

    def _ways(self, pods: list[Manifest]) -> dict[Place, int]:
        """For each port of a simulated pod that a host process serves, the port of that one."""
        ports = load_ports(self._layout.state.ports)
        found: dict[Place, int] = {}
        for pod in pods:
            address = pod.get("status", {}).get("podIP")
            if not address or pod["spec"].get("nodeName") == NODE:
                continue
            for controller in filter(None, (row.of_pod(pod) for row in CONTROLLERS)):
                served = (
                    (number, ports.get(f"{controller.name}.{name}")) for number, name in controller.serves.items()
                )
                found |= {(address, number): port for number, port in served if port and isinstance(number, int)}
        return found


def _described(pod: Manifest) -> dict[str, object]:
    metadata, status = pod["metadata"], pod.get("status", {})
    conditions = {condition["type"]: condition["status"] for condition in status.get("conditions") or []}
    return {
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "node": pod["spec"].get("nodeName", ""),
        "runs": pod["spec"].get("nodeName") == NODE,
        "phase": status.get("phase", ""),
        "ready": conditions.get("Ready") == "True",
    }
