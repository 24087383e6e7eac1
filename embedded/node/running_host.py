"""One node while it runs: its first process, its programs, its images and its control groups."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

from embedded.node import cgroups, programs
from embedded.node.configuration import SANDBOX_IMAGE
from embedded.node.images.store import ImageStore
from embedded.node.names import HOSTS, Host
from embedded.node.objects import DNS_IMAGE
from embedded.node.programs import Node
from embedded.node.world import World
from embedded.supervisor.kubernetes_api import KubernetesApi
from embedded.supervisor.layout import Layout
from embedded.supervisor.process import Process, Program

_START_SECONDS = 60.0
_RETRY_SECONDS = 0.1


class RunningHost:
    """The processes of one node, started in order and gone without a trace."""

    def __init__(self, host: Host, layout: Layout, api: KubernetesApi, on_change: Callable[[], None]) -> None:
        self.host = host
        self._layout = layout
        self._api = api
        self._on_change = on_change
        self._directory = layout.state.root / f"node{host.suffix}"
        self._name = f"{cgroups.group_name(layout.state.root)}{host.suffix}"
        self._reaper: cgroups.Reaper | None = None
        self._init: Process | None = None
        self._programs: list[Process] = []
        self.images: ImageStore | None = None

    @property
    def processes(self) -> list[Process]:
        """Its programs."""
        return [*([self._init] if self._init else []), *self._programs]

    @property
    def alive(self) -> bool:
        """Whether its first process is the one that was started: with that everything of it ends."""
        return self._init is not None and self._init.restarts == 0

    async def start(self, world: World) -> None:
        """Start everything of it. Raises ``NodeError``, ``ApiError``, ``TimeoutError``."""
        shutil.rmtree(self._directory, ignore_errors=True)
        self._directory.mkdir(mode=0o711)
        groups = await asyncio.to_thread(cgroups.create, self._name)
        self._reaper = cgroups.Reaper(self._name)
        network = world.nodes[self.host.name]
        init = programs.init_program(self._layout, network, groups, self._directory, self.host)
        self._init = Process(init, self._on_change)
        self._init.start()
        node = await self._laid_out(self._init, world, groups)
        await asyncio.to_thread(programs.install_network, node)
        await self._launch(programs.containerd(node))
        self.images = images = ImageStore(node)
        for reference in (SANDBOX_IMAGE, DNS_IMAGE):
            await asyncio.to_thread(images.provide, reference)
        pods = await asyncio.to_thread(self._api.list, "/api/v1/pods")
        await asyncio.to_thread(images.provide_again, pods)
        await asyncio.gather(
            *(self._launch(program(node)) for program in (programs.kubelet, programs.kube_proxy, programs.kube_router))
        )
        if self.host is HOSTS[0]:
            await self._launch(programs.metrics_server(node))

    async def end(self) -> None:
        """End everything of it at once, and wait until its control groups are gone."""
        if self._init:
            # The kernel kills the others with it.
            await self._init.stop()
        await asyncio.gather(*(process.stop() for process in self._programs))
        self._programs.clear()
        self._init = None
        if self._reaper:
            await asyncio.to_thread(self._reaper.reap)
            self._reaper = None

    async def _laid_out(self, init: Process, world: World, groups: list[Path]) -> Node:
        network = world.nodes[self.host.name]
        for _ in range(int(_START_SECONDS / _RETRY_SECONDS)):
            if node := Node.of(init, self._layout, self.host, network, groups, self._directory):
                return node
            await asyncio.sleep(_RETRY_SECONDS)
        raise TimeoutError(
            f"the node's file system was not laid out within {_START_SECONDS:.0f} s: read {init.program.log}"
        )

    async def _launch(self, program: Program) -> None:
        process = Process(program, self._on_change)
        self._programs.append(process)
        process.start()
        await process.wait_ready(_START_SECONDS)
