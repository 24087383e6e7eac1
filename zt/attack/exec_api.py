"""Runs a program in a container, as `kubectl exec` does. That it cannot be run is an answer, not an error."""

import ast
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from kubernetes.client import ApiException
from kubernetes.stream import ws_client

_HANDSHAKE = "-+-+-"
_REASON = 400


@dataclass(frozen=True)
class Container:
    """A container of a running pod."""

    namespace: str
    pod: str
    name: str

    def __str__(self) -> str:
        """As a person reads it."""
        return f"{self.namespace}/{self.pod}, container {self.name}"


@dataclass(frozen=True)
class Printed:
    """What a program printed on both outputs, and its exit code. `refused` says why it did not run or did not end."""

    text: str = ""
    code: int = 0
    refused: str = ""


Execute = Callable[[Container, Sequence[str], float], Printed]
"""Runs a command line in a container for a number of seconds at most."""


def no_exec(container: Container, _command: Sequence[str], _seconds: float) -> Printed:
    """For connections without a way into containers."""
    return Printed(refused=f"no way into {container}")


def executor(api: Any) -> Execute:
    """The way into containers through the API server, with the credentials of a client."""
    stream: Any = ws_client

    def execute(container: Container, command: Sequence[str], seconds: float) -> Printed:
        path = f"/api/v1/namespaces/{container.namespace}/pods/{container.pod}/exec"
        outputs = [("container", container.name), ("stdout", "true"), ("stderr", "true")]
        method, url, headers, *_ = api.param_serialize(
            "GET",
            path,
            query_params=[*(("command", word) for word in command), *outputs],
            header_params={"Accept": "*/*"},
            auth_settings=["BearerToken"],
        )
        started = time.monotonic()
        try:
            client = stream.websocket_call(api.configuration, method, url, headers=headers, _preload_content=False)
            client.run_forever(timeout=seconds)
        except ApiException as error:
            failure: Any = error
            return Printed(refused=_reason(str(failure.reason)))
        text = str(client.read_stdout(timeout=0) or "") + str(client.read_stderr(timeout=0) or "")
        if client.is_open():
            client.close()
            return Printed(text, refused=f"no end within {time.monotonic() - started:.0f} s")
        return _ended(text, client)

    return execute


def _ended(text: str, client: Any) -> Printed:
    try:
        return Printed(text, int(client.returncode))
    except (KeyError, IndexError, TypeError, ValueError):
        # The runtime itself failed: there is no such program, or the container has gone.
        return Printed(text, refused="the container's runtime did not start the program")


def _reason(text: str) -> str:
    """The API server's own message in the failure of a handshake, which has its headers and its body in one line."""
    head, _, rest = text.partition(_HANDSHAKE)
    body = rest.rpartition(_HANDSHAKE)[2].strip()
    try:
        # The library shows the body as Python writes bytes.
        said = json.loads(ast.literal_eval(body))["message"]
    except (ValueError, SyntaxError, KeyError, TypeError):
        said = body or head
    return " ".join(str(said).split())[:_REASON]
