"""The nodes in the life of the supervisor: started in order, followed, and gone without a trace."""

import asyncio
import logging
from collections.abc import Callable

from embedded.node import volumes
from embedded.node.images.store import let_go
from embedded.node.injector import Injector
from embedded.node.load_balancer import give_addresses
from embedded.node.metrics_api import ensure_metrics_api
from embedded.node.names import HOSTS, METRICS_ADDRESS, METRICS_PORT, NODE, NODE_ADDRESS
from embedded.node.objects import ensure_objects
from embedded.node.running_host import RunningHost
from embedded.node.world import Place, World
from embedded.supervisor.controllers import CONTROLLERS
from embedded.supervisor.https_api import ApiError
from embedded.supervisor.kubernetes_api import KubernetesApi, Manifest
from embedded.supervisor.layout import Layout
from embedded.supervisor.pki import CLUSTER, INJECTOR
from embedded.supervisor.ports import LOOPBACK, load_ports
from embedded.supervisor.process import Process

_LOG = logging.getLogger(__name__)
_INTERVAL_SECONDS = 0.5
_NAMES, _ADDRESSES = {host.name for host in HOSTS}, {host.address for host in HOSTS}


class RealNode:
    """The nodes, the network between them, and the pods on them. ``wanted`` says how many there are to be."""

    def __init__(
        self, layout: Layout, api: KubernetesApi, on_change: Callable[[], None], wanted: Callable[[], int] = lambda: 1
    ) -> None:
        self._layout = layout
        self._api = api
        self._wanted = wanted
        self._volumes = layout.state.root / "volumes"
        self._injector = Injector(layout, api)
        self._world: World | None = None
        self._hosts = [RunningHost(host, layout, api, on_change) for host in HOSTS]
        self._pods: list[dict[str, object]] = []

    @property
    def processes(self) -> list[Process]:
        """The programs of the nodes."""
        return [process for host in self._hosts for process in host.processes]

    @property
    def status(self) -> dict[str, object]:
        """Each pod of the cluster with where it runs, and the images that pods wait for in vain.

        ``outside`` is the network namespace that plays the world: what ``nsenter --net=`` takes.
        """
        missing = {reason for host in self._hosts if host.images for reason in host.images.missing.values()}
        outside = self._world.outside.path if self._world else ""
        return {"name": NODE, "pods": self._pods, "missing_images": sorted(missing), "outside": outside}

    def reaches(self, host: str, port: int) -> bool:
        """Whether the API server reaches an address here: a kubelet's, that of the metrics server, the injector's."""
        known = host in _ADDRESSES or host == METRICS_ADDRESS
        return self._world is not None and (known or self._injector.is_at(host, port))

    async def connect(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to an address of the nodes' network. Raises ``OSError``."""
        if self._injector.is_at(host, port):
            return await asyncio.open_connection(LOOPBACK, self._layout.ports[INJECTOR])
        if self._world is None:
            raise ConnectionRefusedError(f"{host}:{port}: the node does not run")
        if host == METRICS_ADDRESS:
            host, port = NODE_ADDRESS, METRICS_PORT
        return await asyncio.open_connection(sock=await asyncio.to_thread(self._world.connect, host, port))

    async def run(self) -> None:
        """Start the nodes and follow their pods until cancelled.

        Raises ``NodeError``, ``ApiError``, ``TimeoutError``.
        """
        await asyncio.to_thread(ensure_objects, self._api)
        await asyncio.to_thread(ensure_metrics_api, self._api, self._layout.pki.ca(CLUSTER))
        await asyncio.to_thread(volumes.ensure_class, self._api)
        await self._injector.start()
        while True:
            world = await self._opened()
            running: list[RunningHost] = []
            while all(host.alive for host in running):
                for host in self._hosts[len(running) : self._wanted()]:
                    await host.start(world)
                    running.append(host)
                await self._follow(world, running)
                await asyncio.sleep(_INTERVAL_SECONDS)
            _LOG.warning("node: its first process ended, and everything with it: starting it anew")
            await self._end()

    async def stop(self) -> None:
        """End everything of the nodes at once, and wait until their control groups are gone."""
        await self._injector.stop()
        await self._end()

    async def _end(self) -> None:
        await asyncio.gather(*(host.end() for host in self._hosts))
        if self._world:
            self._world.close()
            self._world = None

    async def _opened(self) -> World:
        self._volumes.mkdir(mode=0o711, exist_ok=True)
        self._world = world = await asyncio.to_thread(World)
        ports = self._layout.ports
        await world.open_control_plane(ports["kube-apiserver"], ports["vault"])
        return world

    async def _follow(self, world: World, running: list[RunningHost]) -> None:
        try:
            pods = await asyncio.to_thread(self._api.list, "/api/v1/pods?resourceVersion=0")
            await world.follow(self._ways(pods))
            await asyncio.to_thread(let_go, self._api, pods, [host.images for host in running if host.images])
            await asyncio.to_thread(give_addresses, self._api)
            await asyncio.to_thread(self._injector.register)
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
            if not address or pod["spec"].get("nodeName") in _NAMES:
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
        "runs": pod["spec"].get("nodeName") in _NAMES,
        "phase": status.get("phase", ""),
        "ready": conditions.get("Ready") == "True",
    }
