"""``python -m embedded.data_plane.servers``: what an application container would run, as small as it can be.

``http`` answers every request with who asked, as the proxy told it, and in headers with what it was asked for and with
the address of its pod. A query makes it wait (``?wait=2``), or answer with 503 before it serves that query
(``?failures=2&of=a``). ``tcp`` sends back what it gets.
"""

import argparse
import os
import signal
import socketserver
import sys
import time
from collections import Counter
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

from embedded.supervisor.process import end_with_parent

_CHUNK = 65536


class _Http(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    asked: ClassVar[Counter[str]] = Counter()

    def do_GET(self) -> None:
        """Answer with the client certificate's identity that the proxy passes on, if any."""
        query = urlsplit(self.path).query
        wanted = {key: values[-1] for key, values in parse_qs(query).items()}
        time.sleep(float(wanted.get("wait", "0")))
        self.asked[query] += 1
        failed = self.asked[query] <= int(wanted.get("failures", "0"))
        content = f"{self.headers.get('x-forwarded-client-cert', 'no client certificate')}\n".encode()
        self.send_response(HTTPStatus.SERVICE_UNAVAILABLE if failed else HTTPStatus.OK)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-Asked", f"{self.command} {self.path}")
        self.send_header("X-Pod", self.connection.getsockname()[0])
        self.end_headers()
        self.wfile.write(content)

    def __getattr__(self, name: str) -> object:
        """The same for every other method."""
        if name.startswith("do_"):
            return self.do_GET
        raise AttributeError(name)


class _Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        """Send back what comes, until the client has ended."""
        while chunk := self.request.recv(_CHUNK):
            self.request.sendall(chunk)


class _EchoServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def main(arguments: list[str]) -> int:
    """Serve until killed, as the given user."""
    parser = argparse.ArgumentParser(prog="python -m embedded.data_plane.servers", description=__doc__)
    parser.add_argument("protocol", choices=("http", "tcp"))
    parser.add_argument("port", type=int)
    parser.add_argument("user", type=int, help="user id to run as")
    options = parser.parse_args(arguments)
    address = ("", options.port)
    server = ThreadingHTTPServer(address, _Http) if options.protocol == "http" else _EchoServer(address, _Echo)
    _become(options.user)
    server.serve_forever()
    return 0


def _become(user: int) -> None:
    """Drop root once everything is imported and open: the interpreter may lie where no other user can read."""
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
    # Linux forgets it when a process changes its user (prctl(2)).
    end_with_parent(signal.SIGKILL)()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
