"""The network around the nodes: one link for each, and at its other end all that pods may try to reach.

All ends are network namespaces without a name and without a way to the networks of this machine. What a pod reaches of
the control plane (API server, istiod, Vault) are sockets that the supervisor holds in ``world``, each a way to one
process on loopback.
"""

import asyncio
import contextlib
import socket
from collections.abc import Mapping

from embedded.data_plane.namespaces import NetworkNamespace
from embedded.node.names import (
    API_PORT,
    BALANCED_NETWORK,
    HOSTS,
    METADATA_ADDRESS,
    NODE_ADDRESS,
    NODE_PREFIX,
    OUTSIDE_ADDRESS,
    VAULT_ADDRESS,
    WORLD_ADDRESS,
)
from embedded.supervisor.egress import close, join
from embedded.supervisor.ports import LOOPBACK

_LINK, _SWITCH = "eth0", "nodes"
Place = tuple[str, int]


class World:
    """The namespaces, the links between them, and the ways into the control plane."""

    def __init__(self) -> None:
        self.nodes = {host.name: NetworkNamespace.new() for host in HOSTS}
        self.outside = NetworkNamespace.new()
        self._ways: dict[Place, tuple[int, asyncio.Server]] = {}
        self._addresses: set[str] = set()
        self._connections: set[asyncio.Task[None]] = set()
        self._join()

    def _join(self) -> None:
        self.outside.ip(
            f"link add {_SWITCH} type bridge",
            f"address add {WORLD_ADDRESS}/{NODE_PREFIX} dev {_SWITCH}",
            f"address add {VAULT_ADDRESS}/32 dev lo",
            f"address add {OUTSIDE_ADDRESS}/32 dev lo",
            f"address add {METADATA_ADDRESS}/32 dev lo",
            f"link set {_SWITCH} up",
        )
        for host in HOSTS:
            node = self.nodes[host.name]
            self.outside.ip(
                f"link add {host.name} type veth peer name {_LINK} netns {node.path}",
                f"link set {host.name} master {_SWITCH} up",
                f"route add {host.pods} via {host.address}",
            )
            node.ip(
                f"address add {host.address}/{NODE_PREFIX} dev {_LINK}",
                f"link set {_LINK} up",
                f"route add default via {WORLD_ADDRESS}",
                *(f"route add {other.pods} via {other.address}" for other in HOSTS if other != host),
            )
            node.set_parameter("net.ipv4.ip_forward", "1")
        self.outside.ip(f"route add {BALANCED_NETWORK} via {NODE_ADDRESS} src {OUTSIDE_ADDRESS}")

    async def open_control_plane(self, api_server: int, vault: int) -> None:
        """Let pods reach the API server and Vault, whose loopback ports these are."""
        await self._open((WORLD_ADDRESS, API_PORT), api_server)
        # The port that its address has everywhere else, too.
        await self._open((VAULT_ADDRESS, vault), vault)

    async def follow(self, wanted: Mapping[Place, int]) -> None:
        """Open and close ways to host processes: ``wanted`` maps the address and port of a simulated pod to a port."""
        fixed = {place for place in self._ways if place[0] in {WORLD_ADDRESS, VAULT_ADDRESS}}
        for place in self._ways.keys() - wanted.keys() - fixed:
            self._ways.pop(place)[1].close()
        for place, port in wanted.items():
            known = self._ways.get(place)
            if known and known[0] == port:
                continue
            if known:
                self._ways.pop(place)[1].close()
            await self._open(place, port)

    async def _open(self, place: Place, port: int) -> None:
        address, _ = place
        if address not in {WORLD_ADDRESS, VAULT_ADDRESS} | self._addresses:
            await asyncio.to_thread(self.outside.ip, f"address add {address}/32 dev lo")
            self._addresses.add(address)
        listening = await asyncio.to_thread(self.outside.call, lambda: socket.create_server(place))

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if task := asyncio.current_task():
                # The event loop itself holds a task weakly, and this one waits for two others that only it knows.
                self._connections.add(task)
                task.add_done_callback(self._connections.discard)
            with contextlib.suppress(OSError):
                await join((reader, writer), await asyncio.open_connection(LOOPBACK, port))
            await close(writer)

        self._ways[place] = (port, await asyncio.start_server(serve, sock=listening))

    def connect(self, host: str, port: int) -> socket.socket:
        """A connection from the control plane to a node or to a pod on it."""
        made = self.outside.call(lambda: socket.create_connection((host, port), timeout=10))
        made.setblocking(False)
        return made

    def close(self) -> None:
        """Let go of everything; the namespaces end with their last process."""
        for _, server in self._ways.values():
            server.close()
        self._ways.clear()
        for namespace in (*self.nodes.values(), self.outside):
            namespace.close()
