"""Which errors of an update pass by themselves: those of an API server that a busy machine answers too late for.

The Kubernetes provider reads the server's OpenAPI schema once it knows of new kinds, with a limit of 32 seconds that no
setting changes. What the update made by then is in its state, so the next one goes on from there.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

_PASSING = re.compile(
    r"Failed to fetch OpenAPI schema from the API server"
    r"|etcdserver: (request timed out|leader changed)"
    r"|the server was unable to return a response in the time allotted"
    # A webhook that ended an idle connection as the API server used it again.
    r"|failed to call webhook: Post \"[^\"]+\": EOF"
    r"|(TLS handshake timeout|context deadline exceeded|Client\.Timeout exceeded)"
)


def passing_error(events: Path) -> str:
    """The first error of an update that passes by itself, on one line; empty when it has none.

    `events` is what `pulumi --event-log` wrote: one engine event a line.
    """
    return next((message for message in _errors(events) if passes(message)), "")


def passes(message: str) -> bool:
    """Whether a message is about such an error."""
    return bool(_PASSING.search(message))


def _errors(events: Path) -> Iterator[str]:
    if not events.is_file():
        return
    for line in events.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            diagnostic = json.loads(line).get("diagnosticEvent") or {}
        except json.JSONDecodeError:
            # The last line of a command that was killed.
            continue
        if diagnostic.get("severity") == "error":
            yield " ".join(re.sub(r"<\{%.*?%\}>", "", diagnostic.get("message", "")).split())
