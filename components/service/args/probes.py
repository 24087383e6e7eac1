"""The arguments of a service's probes, with the default times."""

from collections.abc import Sequence
from dataclasses import dataclass

from components.service.file.probes import ProbeSpec, ProbesSpec


@dataclass(frozen=True)
class ProbeArgs:
    """One probe: a request to `path`, else `command`, else gRPC's health checking with `rpc`, else a request to the
    service's `health`, else a connection.

    Times are seconds; a `port` of 0 is the port of the service. `rpc_service` is what gRPC asks the health of; empty:
    of the whole application.
    """

    period: int
    failures: int
    delay: int = 0
    timeout: int = 1
    path: str = ""
    port: int = 0
    command: Sequence[str] = ()
    rpc: bool = False
    rpc_service: str = ""


READINESS = ProbeArgs(period=5, failures=3)
LIVENESS = ProbeArgs(period=10, failures=6, delay=10)
STARTUP = ProbeArgs(period=5, failures=60)


@dataclass(frozen=True)
class ProbesArgs:
    """The probes of a service; there is no startup probe when its period is 0."""

    readiness: ProbeArgs = READINESS
    liveness: ProbeArgs = LIVENESS
    startup: ProbeArgs = ProbeArgs(0, 0)


def probes_args(spec: ProbesSpec | None) -> ProbesArgs:
    """The arguments of the probes in a service file."""
    probes = spec or ProbesSpec()
    return ProbesArgs(
        readiness=_probe_args(probes.readiness, READINESS),
        liveness=_probe_args(probes.liveness, LIVENESS),
        startup=_probe_args(probes.startup, STARTUP) if probes.startup else ProbeArgs(0, 0),
    )


def _probe_args(spec: ProbeSpec | None, default: ProbeArgs) -> ProbeArgs:
    if spec is None:
        return default
    return ProbeArgs(
        period=spec.period_seconds or default.period,
        failures=spec.failure_threshold or default.failures,
        delay=default.delay if spec.initial_delay_seconds is None else spec.initial_delay_seconds,
        timeout=spec.timeout_seconds or default.timeout,
        path=spec.path or "",
        port=spec.port or 0,
        command=spec.command,
        rpc=spec.grpc is not None,
        rpc_service=spec.grpc or "",
    )
