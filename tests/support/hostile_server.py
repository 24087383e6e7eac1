"""A server on loopback, over TLS, that gives every request the same answer, however wrong that is."""

import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import trustme


@dataclass(frozen=True)
class Wrong:
    """An answer: its status, headers and body; `promised` are the bytes that it says it has, more than come."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    promised: int = 0
    silent: bool = False
    """Whether it hears the request, and never answers."""


def of_json(value: object, status: int = 200) -> Wrong:
    """An answer in JSON, as an API has it."""
    return Wrong(status, json.dumps(value).encode(), {"Content-Type": "application/json"})


@dataclass
class HostileServer:
    """Answers what `answers` has for the beginning of a path, and `wrong` to all else. It keeps what it was sent."""

    wrong: Wrong = field(default_factory=Wrong)
    answers: Mapping[str, Wrong] = field(default_factory=dict[str, Wrong])
    heard: list[str] = field(default_factory=list[str])
    """What it was sent: each request with its path, its headers and its body."""
    given_up: list[str] = field(default_factory=list[str])
    """The paths to which it gave no answer, and whoever asked still waited when it gave up."""
    port: int = 0

    def answer(self, wrong: Wrong, answers: Mapping[str, Wrong]) -> None:
        """Answer so from now on."""
        self.wrong, self.answers = wrong, answers

    def to(self, path: str) -> Wrong:
        """The answer to a path."""
        return next((told for start, told in self.answers.items() if path.startswith(start)), self.wrong)

    @property
    def address(self) -> str:
        return f"https://127.0.0.1:{self.port}"


@contextmanager
def hostile_server(authority: trustme.CA, name: str = "127.0.0.1") -> Iterator[HostileServer]:
    """A running server with a certificate for `name`."""
    told = HostileServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            told.heard.append(f"{self.command} {self.path}\n{self.headers}{body.decode(errors='replace')}")
            made = told.to(self.path)
            self.close_connection = True
            if made.silent:
                # Until whoever asked goes away.
                self.connection.settimeout(30)
                try:
                    self.connection.recv(1)
                except TimeoutError:
                    told.given_up.append(self.path)
                except OSError:
                    pass
                return
            self.send_response(made.status)
            for header, value in made.headers.items():
                self.send_header(header, value)
            self.send_header("Content-Length", str(made.promised or len(made.body)))
            self.end_headers()
            self.wfile.write(made.body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_LIST = _answer  # noqa: N815 - the names of http.server

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of http.server
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        # A client that goes away is no error here.
        def handle_error(self, request: Any, client_address: Any) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    server = Server(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    told.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
