"""Reads the settings of a service's workload that a security diff compares."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from components.service.args.containers import ContainerArgs
from components.service.args.service import SecureServiceArgs
from components.service.args.storage import VolumeArgs
from components.service.manifests.placement import placement_text

Manifest = dict[str, Any]


def scope(args: SecureServiceArgs, volume: VolumeArgs) -> str:
    """Which pods have a volume that a service or a job claims."""
    if volume in args.replica_volumes:
        return "each of its pods by itself"
    return "one of its pods after the other" if args.ends else "all of its pods together"


def storage(args: SecureServiceArgs) -> str:
    """How large the volumes are that it claims, and of what class."""
    claimed = (volume for volume in args.volumes if not volume.claim)
    return _listed(f"{v.name} {v.size} of class {v.storage_class or 'default'}" for v in claimed)


def workload_settings(args: SecureServiceArgs, workload: Manifest) -> Iterator[tuple[str, str]]:
    """The name and the value of each setting. Every service has all of them."""
    container: Manifest = workload["template"]["spec"]["containers"][0]
    scaling = args.autoscaling
    yield "pods", str(args.smallest)
    by_load = f"{scaling.minimum} to {scaling.maximum} pods at {scaling.aim}"
    yield "scaling", by_load if scaling.maximum else "off"
    yield "probes", probes(container, args.probed_port) or "none"
    yield "end", f"SIGTERM after {args.stop.delay} s, SIGKILL after {args.stop.within} s"
    yield "resources", resources(container)
    yield "placement", placement_text(args.place)
    yield "pull-secrets", _listed(args.pull_secrets)
    yield "storage", storage(args)
    if args.scratch:
        yield "scratch", _listed(f"{each.path} of {each.size}" for each in args.scratch)
    yield from given(args)
    bundle = args.ca_bundle
    yield "authorities", f"ConfigMap {bundle.config_map} ({bundle.key})" if bundle.config_map else "the image"
    runs = [("itself", args.run), *((job.name, job.run) for job in args.jobs)]
    yield "schedule", _listed(f"{name} at {run.schedule or 'each release'}" for name, run in runs if run.timeout)


def given(args: SecureServiceArgs | ContainerArgs) -> Iterator[tuple[str, str]]:
    """What a container is told to do: its command, its environment and its configuration."""
    yield "command", " ".join([*args.command, *args.arguments]) or "the image's own"
    variables = [*args.env.items(), *((name, f"the pod's {field}") for name, field in args.pod_env.items())]
    yield "environment", _listed(f"{name}={value}" for name, value in sorted(variables))
    yield "copies", _listed(args.writable_copies)
    yield "configuration", f"digest {args.config.digest} at {args.config.path}" if args.config.path else "none"


def hardening(context: Manifest) -> Iterator[tuple[str, str]]:
    """What the security context of a container says."""
    # The defaults of Kubernetes for absent fields.
    assumed = {"runAsNonRoot": False, "readOnlyRootFilesystem": False, "allowPrivilegeEscalation": True}
    for key, value in {**assumed, "privileged": False}.items():
        yield key, str(context.get(key, value)).lower()
    dropped = cast("list[str]", cast("Manifest", context.get("capabilities") or {}).get("drop", []))
    yield "capabilities", ", ".join(dropped) or "none"
    yield "seccomp", str(cast("Manifest", context.get("seccompProfile") or {}).get("type", "Unconfined"))


def probes(container: Manifest, port: int) -> str:
    """The probes of a container that listens on `port`."""
    return "; ".join(_probes(container, port))


def resources(container: Manifest) -> str:
    """The requests and limits of a container."""
    return "; ".join(_amounts(cast("Mapping[str, Mapping[str, str]]", container["resources"])))


def _probes(container: Manifest, port: int) -> Iterator[str]:
    for kind in ("readiness", "liveness", "startup"):
        probe = cast("Manifest | None", container.get(f"{kind}Probe"))
        if probe:
            times = f"{probe.get('initialDelaySeconds', 0)}+{probe['failureThreshold']}x{probe['periodSeconds']} s"
            yield f"{kind} {_way(probe, port)} in {times}"


def _way(probe: Manifest, port: int) -> str:
    if "exec" in probe:
        return " ".join(probe["exec"]["command"])
    if "grpc" in probe:
        check: Manifest = probe["grpc"]
        way = f"the gRPC health of {check['service'] or 'all'}"
    else:
        check = probe.get("httpGet") or probe["tcpSocket"]
        way = f"GET {check['path']}" if "path" in check else "a connection"
    # The service's port is left out: a change of it is a separate difference.
    return way if check["port"] == port else f"{way} at port {check['port']}"


def _amounts(resources: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    for kind, amounts in resources.items():
        yield f"{kind} {', '.join(f'{name} {amount}' for name, amount in amounts.items())}"


def _listed(texts: Iterable[str]) -> str:
    return ", ".join(texts) or "none"
