"""The arguments of how a service's containers end."""

from dataclasses import dataclass

from components.schema.fields import seconds
from components.service.file.lifecycle import StopSpec


@dataclass(frozen=True)
class StopArgs:
    """How a pod ends, in seconds: SIGTERM after `delay`, SIGKILL after `within`."""

    delay: int = 0
    within: int = 30


def stop_args(spec: StopSpec | None) -> StopArgs:
    """The arguments of the section `stop` in a service file."""
    stop = spec or StopSpec()
    return StopArgs(seconds(stop.delay) if stop.delay else 0, seconds(stop.within))
