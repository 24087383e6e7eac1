"""The state service: keeps the stacks in place of Pulumi Cloud, whose API it speaks (``embedded/tools/pulumi``).

The CLI finds the service's token where it looks for any backend's: in ``credentials.json`` of its home directory.
"""

import secrets

from embedded.paths import State
from embedded.supervisor import probes
from embedded.supervisor.core_programs import host_program
from embedded.supervisor.layout import STATE_SERVICE, Layout
from embedded.supervisor.ports import address
from embedded.supervisor.private_files import write_private, write_private_json
from embedded.supervisor.process import Program

_TOKEN_BYTES = 32


def state_service(layout: Layout) -> Program:
    """The service, on plain HTTP over loopback: the token in each request is what lets a client in."""
    state = layout.state
    _write_credentials(state, layout.state_service_url)
    arguments = (
        layout.tool(STATE_SERVICE),
        f"--listen={address(layout.ports, STATE_SERVICE)}",
        f"--directory={state.stacks}",
        f"--token-file={state.state_service_token}",
    )
    return host_program(layout, STATE_SERVICE, arguments, probes.listens(layout.ports[STATE_SERVICE]))


def _write_credentials(state: State, url: str) -> None:
    """Make the token of this checkout unless it exists, and log the CLI in with it."""
    path = state.state_service_token
    if not path.exists():
        write_private(path, secrets.token_urlsafe(_TOKEN_BYTES))
    token = path.read_text()
    content = {"current": url, "accessTokens": {url: token}, "accounts": {url: {"accessToken": token}}}
    write_private_json(state.pulumi_home / "credentials.json", content)
