"""The messages of Pulumi's SDK for `pulumi up --debug`, which the program sends only when it is asked to.

The SDK tells the engine of each step of each resource, five in all, and waits for the answer each time. The engine
throws them away unless it shows them: a fifth of a run for nothing (docs/explanation/speed.md).
"""

from collections.abc import Mapping

import pulumi

WANTED = "ZERO_TRUST_DEBUG"
"""The environment variable that asks for them, with any value."""


def leave_out_debug_messages(environment: Mapping[str, str]) -> None:
    """From now on send the engine no message for `--debug`, unless the environment asks for them."""
    if not environment.get(WANTED):
        pulumi.log.debug = _unsent


def _unsent(
    msg: str,
    resource: pulumi.Resource | None = None,
    stream_id: int | None = None,
    ephemeral: bool | None = None,
) -> None:
    """Do nothing, with the parameters of `pulumi.log.debug`."""
