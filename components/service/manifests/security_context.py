"""The security contexts of a service's pods and of each of their containers.

Standard: https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
"""

from components.kube.manifest import Manifest
from components.service.args.service import SecureServiceArgs

FS_GROUP = 2000


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
        "seccompProfile": {"type": "RuntimeDefault"},
    }


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
