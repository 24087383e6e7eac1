"""The security contexts of a service's pods and of each of their containers.

Standard: https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
"""

from components.kube.manifest import Manifest
from components.service.args.service import SecureServiceArgs
from components.service.manifests.probes import probed_ports

FS_GROUP = 2000
# https://man7.org/linux/man-pages/man7/ip.7.html, ip_unprivileged_port_start
_UNPRIVILEGED = 1024


def pod_security_context(args: SecureServiceArgs) -> Manifest:
    """The security context of the pod."""
    # Otherwise every start would change the group of every file on a volume.
    kept = {"fsGroupChangePolicy": "OnRootMismatch"} if args.volumes else {}
    return {
        "runAsNonRoot": True,
        "runAsUser": args.run_as_user,
        "runAsGroup": args.run_as_user,
        "fsGroup": FS_GROUP,
        **kept,
        **_low_ports(args),
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def _low_ports(args: SecureServiceArgs) -> Manifest:
    """What lets a program listen below 1024 that is not root and has no capability, in its pod's own network alone.

    Some container runtimes allow it to every pod, and others to none.
    """
    probed = [] if args.ends else probed_ports(args.probes, args.probed_port)
    ports = [*(each.port for each in args.served_ports), *args.peers, *probed]
    ports += [port for each in args.sidecars for port in (each.port, *probed_ports(each.probes, each.port))]
    lowest = min((port for port in ports if port), default=_UNPRIVILEGED)
    if lowest >= _UNPRIVILEGED:
        return {}
    return {"sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": str(lowest)}]}


def container_security_context(user: int) -> Manifest:
    """The security context of a container that runs as this user."""
    return {
        "runAsNonRoot": True,
        "runAsUser": user,
        "runAsGroup": user,
        "privileged": False,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
