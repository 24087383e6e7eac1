"""The proxy through which the API server reaches Services that host processes implement (HTTP CONNECT).

The API server resolves a webhook's Service to its cluster IP and asks the proxy for that address (k8s.io/apiserver,
``egressselector``). The proxy connects to the process that implements the Service, and refuses everything else.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from embedded.supervisor.ports import LOOPBACK

_LOG = logging.getLogger(__name__)
_REQUEST_LIMIT = 8192
_CHUNK = 65536
# A webhook's time limit is 10 s by default: a controller that is just being replaced may take most of it.
_PATIENCE_SECONDS = 8.0
_RETRY_SECONDS = 0.1

Resolve = Callable[[str, int], int | None]
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Network(Protocol):
    """A network beside the cluster's own, in which the API server reaches kubelets."""

    def reaches(self, host: str, port: int) -> bool:
        """Whether an address is in it."""
        ...

    async def connect(self, host: str, port: int) -> Streams:
        """A connection there. Raises ``OSError``."""
        ...


class EgressProxy:
    """Serves CONNECT on a Unix socket. ``resolve`` gives the local port behind a host and port of the cluster.

    What ``network`` reaches is connected to there.
    """

    def __init__(self, socket: Path, resolve: Resolve, network: Network | None = None) -> None:
        self._socket = socket
        self._resolve = resolve
        self._network = network
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Begin to listen."""
        self._server = await asyncio.start_unix_server(self._serve, self._socket, limit=_REQUEST_LIMIT)
        self._socket.chmod(0o600)

    async def stop(self) -> None:
        """Stop listening; connections that are open end with the processes behind them."""
        if self._server:
            self._server.close()
            self._socket.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._tunnel(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
            _LOG.debug("egress connection ended: %s", error)
        finally:
            await close(writer)

    async def _tunnel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port = parse_connect(await reader.readuntil(b"\r\n\r\n"))
        if self._network and self._network.reaches(host, port):
            upstream = await self._network.connect(host, port)
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await join((reader, writer), upstream)
            return
        local = await asyncio.to_thread(self._resolve, host, port)
        if local is None:
            _LOG.info("egress to %s:%d refused: no host process implements it", host, port)
            writer.write(b"HTTP/1.1 403 Forbidden\r\n\r\n")
            return
        try:
            upstream_reader, upstream_writer = await _connect(local)
        except OSError:
            _LOG.warning("egress to %s:%d failed: nothing listens on its local port %d", host, port, local)
            writer.write(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
            return
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await join((reader, writer), (upstream_reader, upstream_writer))


async def join(client: Streams, upstream: Streams) -> None:
    """Copy between two connections until both sides have ended; the upstream one is closed."""
    try:
        await asyncio.gather(_copy(client[0], upstream[1]), _copy(upstream[0], client[1]))
    finally:
        await close(upstream[1])


def parse_connect(request: bytes) -> tuple[str, int]:
    """Host and port of a CONNECT request. Raises ``ValueError`` for any other request."""
    line = request.split(b"\r\n", 1)[0].decode("ascii")
    method, _, rest = line.partition(" ")
    target = rest.split(" ", 1)[0]
    host, _, port = target.rpartition(":")
    if method != "CONNECT" or not host:
        raise ValueError(f"not a CONNECT request: {line!r}")
    return host.strip("[]"), int(port)


async def _connect(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    deadline = asyncio.get_running_loop().time() + _PATIENCE_SECONDS
    while True:
        try:
            return await asyncio.open_connection(LOOPBACK, port)
        except ConnectionRefusedError:
            if asyncio.get_running_loop().time() > deadline:
                raise
            await asyncio.sleep(_RETRY_SECONDS)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(_CHUNK):
        writer.write(chunk)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


async def close(writer: asyncio.StreamWriter) -> None:
    """Close a connection, whatever state it is in."""
    with contextlib.suppress(OSError):
        writer.close()
        await writer.wait_closed()
