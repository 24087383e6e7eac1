"""How the cluster asks a service whether it has started, can serve, and still works.

Probes: https://kubernetes.io/docs/concepts/workloads/pods/probes/
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Self

from pydantic import Field, StrictInt, StrictStr, model_validator

from components.network_spec import HttpPath
from components.typed_file import Port, TypedFile, misplaced


class ProbeSpec(TypedFile):
    """One probe. Without `path` and `command` it asks at `health`, or else for a connection; what is left out has the
    value that this probe has without this section."""

    path: HttpPath | None = None
    """The HTTP path that answers."""
    command: tuple[Annotated[StrictStr, Field(min_length=1)], ...] = ()
    """A program of the image and its arguments, which ends with 0."""
    port: Port | None = None
    """Another port than the service's own."""
    initial_delay_seconds: Annotated[StrictInt, Field(ge=0, le=600)] | None = None
    """How long after its start the container is first asked."""
    period_seconds: Annotated[StrictInt, Field(ge=1, le=600)] | None = None
    """How long between two questions."""
    timeout_seconds: Annotated[StrictInt, Field(ge=1, le=60)] | None = None
    """How long an answer may take."""
    failure_threshold: Annotated[StrictInt, Field(ge=1, le=240)] | None = None
    """How many failures in a row count."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.command:
            for key, value in (("path", self.path), ("port", self.port)):
                if value is not None:
                    raise misplaced([key], "the probe has a command: keep one of the two", value)
        return self


class ProbesSpec(TypedFile):
    """Probes that differ from the ones that `health` makes."""

    readiness: ProbeSpec | None = None
    """Whether it gets requests."""
    liveness: ProbeSpec | None = None
    """Whether it is restarted."""
    startup: ProbeSpec | None = None
    """Whether it has started, for one that takes its time: the other two wait until it has."""


@dataclass(frozen=True)
class ProbeArgs:
    """One probe: at its path, else by its command, else at the service's `health`, else by a connection.

    Times are seconds; a `port` of 0 is the service's.
    """

    period: int
    failures: int
    delay: int = 0
    timeout: int = 1
    path: str = ""
    port: int = 0
    command: Sequence[str] = ()


READINESS = ProbeArgs(period=5, failures=3)
LIVENESS = ProbeArgs(period=10, failures=6, delay=10)
STARTUP = ProbeArgs(period=5, failures=60)


@dataclass(frozen=True)
class ProbesArgs:
    """The probes of a service; without a period a startup probe is none."""

    readiness: ProbeArgs = READINESS
    liveness: ProbeArgs = LIVENESS
    startup: ProbeArgs = ProbeArgs(0, 0)


def probes_args(spec: ProbesSpec | None) -> ProbesArgs:
    """The arguments that a service file's probes make."""
    found = spec or ProbesSpec()
    return ProbesArgs(
        readiness=_probe_args(found.readiness, READINESS),
        liveness=_probe_args(found.liveness, LIVENESS),
        startup=_probe_args(found.startup, STARTUP) if found.startup else ProbeArgs(0, 0),
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
    )


def probe_manifests(args: ProbesArgs, health: str, port: int) -> dict[str, Any]:
    """The probes of the container of a service that listens on a port."""
    probes = {"readinessProbe": args.readiness, "livenessProbe": args.liveness, "startupProbe": args.startup}
    return {key: _manifest(probe, health, probe.port or port) for key, probe in probes.items() if probe.period}


def probed_ports(args: ProbesArgs, port: int) -> list[int]:
    """The ports that the cluster asks at; none for probes that run a program."""
    probes = (args.readiness, args.liveness, args.startup)
    return sorted({probe.port or port for probe in probes if probe.period and not probe.command})


def _manifest(args: ProbeArgs, health: str, port: int) -> dict[str, Any]:
    path = args.path or ("" if args.command else health)
    way: dict[str, Any] = {"tcpSocket": {"port": port}}
    if path:
        way = {"httpGet": {"path": path, "port": port, "scheme": "HTTP"}}
    elif args.command:
        way = {"exec": {"command": list(args.command)}}
    delay = {"initialDelaySeconds": args.delay} if args.delay else {}
    return {
        **way,
        **delay,
        "periodSeconds": args.period,
        "timeoutSeconds": args.timeout,
        "failureThreshold": args.failures,
    }
