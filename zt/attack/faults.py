"""A pod that every rule admits, and for each critical rule a change that breaks it."""

from collections.abc import Callable
from copy import deepcopy

from zt.attack.session import Session
from zt.attack.temporary_rights import NAME
from zt.cluster.manifest import Manifest

CRYPTOMINER = "attacker/cryptominer"
"""The image in the zero-trust model: `kubectl run evil-pod --image=attacker/cryptominer`."""

_PORT = 8080
Change = Callable[[Manifest], None]


def good_pod(session: Session) -> Manifest:
    """A pod of the service that every rule admits. Each attempt breaks one thing in it."""
    spec = session.service
    container: Manifest = {
        "name": "app",
        "image": spec.image,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"cpu": "100m", "memory": "64Mi"}},
        "livenessProbe": {"tcpSocket": {"port": _PORT}},
        "readinessProbe": {"tcpSocket": {"port": _PORT}},
    }
    # Outside the mesh: its webhook would add containers that the attacker did not write.
    labels = {"app": NAME, "sidecar.istio.io/inject": "false"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": NAME, "labels": labels},
        "spec": {
            "serviceAccountName": spec.name,
            "automountServiceAccountToken": False,
            "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container],
        },
    }


def without_probes(container: Manifest, **changes: object) -> Manifest:
    """A container as an init or a debug container may be: those have no probes, and a debug container no resources."""
    kept = {key: value for key, value in deepcopy(container).items() if not key.endswith("Probe")}
    return {**kept, **changes}


def first_container(body: Manifest) -> Manifest:
    """The container of a pod."""
    return body["spec"]["containers"][0]


def _in_pod(**content: object) -> Change:
    return lambda body: body["spec"].update(content)


def _in_context(**content: object) -> Change:
    return lambda body: body["spec"]["securityContext"].update(content)


def _in_container(**content: object) -> Change:
    return lambda body: first_container(body).update(content)


def _in_container_context(**content: object) -> Change:
    return lambda body: first_container(body)["securityContext"].update(content)


def _privileged(body: Manifest) -> None:
    context = first_container(body)["securityContext"]
    # The API server itself refuses a privileged container that may not escalate.
    del context["allowPrivilegeEscalation"]
    context["privileged"] = True


def _host_process(body: Manifest) -> None:
    # The API server takes one in the node's network alone.
    body["spec"]["hostNetwork"] = True
    body["spec"]["securityContext"]["windowsOptions"] = {"hostProcess": True}


def _proc_mount(body: Manifest) -> None:
    # The API server takes it in a user namespace alone.
    body["spec"]["hostUsers"] = False
    first_container(body)["securityContext"]["procMount"] = "Unmasked"


_ELSEWHERE = {"httpGet": {"host": "169.254.169.254", "port": 80}}

FAULTS: dict[str, Change] = {
    "disallow-default-service-account": _in_pod(serviceAccountName="default"),
    "disallow-host-namespaces": _in_pod(hostNetwork=True),
    "disallow-host-path": _in_pod(volumes=[{"name": "host", "hostPath": {"path": "/"}}]),
    "disallow-host-ports": _in_container(ports=[{"containerPort": 8080, "hostPort": 8080}]),
    "disallow-host-process": _host_process,
    "disallow-privilege-escalation": _in_container_context(allowPrivilegeEscalation=True),
    "disallow-privileged": _privileged,
    "disallow-probe-hosts": _in_container(livenessProbe=_ELSEWHERE),
    "disallow-proc-mount": _proc_mount,
    "disallow-proxy-user": _in_container_context(runAsUser=1337),
    "disallow-token-automount": _in_pod(automountServiceAccountToken=True),
    "drop-all-capabilities": _in_container_context(capabilities={"drop": ["ALL"], "add": ["NET_ADMIN", "SYS_PTRACE"]}),
    "require-read-only-root-filesystem": _in_container_context(readOnlyRootFilesystem=False),
    # Written out, because admission fills in what is absent.
    "require-run-as-non-root": _in_context(runAsNonRoot=False, runAsUser=0),
    "require-seccomp-profile": _in_context(seccompProfile={"type": "Unconfined"}),
    "restrict-apparmor-profiles": _in_context(appArmorProfile={"type": "Unconfined"}),
    "restrict-image-registries": _in_container(image=CRYPTOMINER),
    "restrict-selinux-options": _in_context(seLinuxOptions={"user": "system_u", "role": "sysadm_r"}),
    "restrict-sysctls": _in_context(sysctls=[{"name": "kernel.core_pattern", "value": "|/tmp/x"}]),
    "restrict-volume-types": _in_pod(volumes=[{"name": "nfs", "nfs": {"server": "10.0.0.1", "path": "/"}}]),
}
"""For each critical rule of the library a change of a good pod that breaks it."""
