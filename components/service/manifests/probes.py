"""The probes of a container, and their ports."""

from typing import Any

from components.service.args.probes import ProbeArgs, ProbesArgs


def probe_manifests(args: ProbesArgs, health: str, port: int) -> dict[str, Any]:
    """The probes of the container of a service; `port` is the service's."""
    probes = {"readinessProbe": args.readiness, "livenessProbe": args.liveness, "startupProbe": args.startup}
    return {key: _manifest(probe, health, probe.port or port) for key, probe in probes.items() if probe.period}


def probed_ports(args: ProbesArgs, port: int) -> list[int]:
    """The ports of the probes; a probe that runs a program has none."""
    probes = (args.readiness, args.liveness, args.startup)
    return sorted({probe.port or port for probe in probes if probe.period and not probe.command})


def _manifest(args: ProbeArgs, health: str, port: int) -> dict[str, Any]:
    path = args.path or ("" if args.command or args.rpc else health)
    handler: dict[str, Any] = {"tcpSocket": {"port": port}}
    if path:
        handler = {"httpGet": {"path": path, "port": port, "scheme": "HTTP"}}
    elif args.rpc:
        # https://kubernetes.io/docs/concepts/workloads/pods/probes/#probe-grpc
        handler = {"grpc": {"port": port, "service": args.rpc_service}}
    elif args.command:
        handler = {"exec": {"command": list(args.command)}}
    delay = {"initialDelaySeconds": args.delay} if args.delay else {}
    return {
        **handler,
        **delay,
        "periodSeconds": args.period,
        "timeoutSeconds": args.timeout,
        "failureThreshold": args.failures,
    }
