"""What a person does with the cluster that has the node: kubectl, as the tutorial has it."""

import json
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from embedded.data_plane.namespaces import NetworkNamespace
from embedded.toolchain import ensure
from tests.e2e.plane import Plane

_SECONDS = 120
RESTRICTED = {
    "readOnlyRootFilesystem": True,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
}


@dataclass(frozen=True)
class Cluster:
    """A running plane with the node."""

    plane: Plane

    @cached_property
    def _kubectl(self) -> str:
        return str(ensure(["kubectl"], progress=False) / "kubectl")

    def kubectl(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """What kubectl prints, and its exit code."""
        return subprocess.run(
            [self._kubectl, f"--kubeconfig={self.plane.state / 'kubeconfig'}", *words],
            input=stdin,
            env={"PATH": os.defpath, "HOME": str(self.plane.state)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_SECONDS,
            check=False,
        )

    def apply(self, *manifests: dict[str, Any]) -> None:
        """Create or change objects. Fails with what kubectl says."""
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests})
        done = self.kubectl("apply", "--filename=-", stdin=text)
        assert done.returncode == 0, done.stdout

    def ask(self, pod: str, url: str, *options: str, namespace: str = "team") -> str:
        """What curl in a pod's container prints of a URL, and then the answer's status in a line; 000 without one."""
        curl = ("curl", "-q", "-s", "-S", "-m", "5", "-w", "%{http_code}\n", *options, url)
        return self.kubectl("exec", f"--namespace={namespace}", pod, "--", *curl).stdout

    @contextmanager
    def world(self) -> Iterator[NetworkNamespace]:
        """The network outside of the node."""
        opened = NetworkNamespace(os.open(self.status()["node"]["outside"], os.O_RDONLY))
        try:
            yield opened
        finally:
            opened.close()

    @contextmanager
    def somebody_at(self, address: str, port: int) -> Iterator[None]:
        """A server of HTTP at an address of the world."""
        with self.world() as world:
            listener = world.call(lambda: socket.create_server((address, port)))

        def serve() -> None:
            with suppress(OSError):
                while True:
                    with listener.accept()[0] as connection:
                        connection.recv(1024)
                        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhere\n")

        threading.Thread(target=serve, daemon=True).start()
        with listener:
            try:
                yield
            finally:
                # The thread that accepts would keep the address otherwise.
                listener.shutdown(socket.SHUT_RDWR)

    def status(self) -> dict[str, Any]:
        return json.loads(self.plane.run("status", "--format", "json", check=False).stdout)

    def ready(self, name: str, namespace: str = "team") -> bool:
        """Whether a pod is there and Ready, as its kubelet says."""
        pod = self.pod(name, namespace)
        conditions = {condition.type: condition.status for condition in (pod and pod.status.conditions) or []}
        return conditions.get("Ready") == "True"

    def pod(self, name: str, namespace: str = "team") -> Any:
        """A pod; None while there is none of that name."""
        found = self.plane.core.list_namespaced_pod(namespace, field_selector=f"metadata.name={name}").items
        return found[0] if found else None

    def replicas(self, deployment: str, namespace: str = "team") -> int:
        """How many replicas a Deployment is to have."""
        return self.plane.apps.read_namespaced_deployment(deployment, namespace).spec.replicas

    def address(self, name: str, namespace: str = "team") -> str:
        return self.plane.core.read_namespaced_pod(name, namespace).status.pod_ip


def server(name: str, image: str = "registry.example.org/team/api:v1") -> dict[str, Any]:
    """A pod that serves HTTP, as hardened as one of a service, with the kubelet's own probe."""
    container = {
        "name": name,
        "image": image,
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 1},
        "securityContext": RESTRICTED,
    }
    spec = {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 1,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "team", "labels": {"app": name}},
        "spec": spec,
    }


def busy(name: str) -> dict[str, Any]:
    """A Deployment of such a pod that computes all that its limit lets it, twice what it requests."""
    pod = server(name)
    [container] = pod["spec"]["containers"]
    del container["readinessProbe"]
    container["command"] = ["/bin/sh", "-c", "while :; do :; done"]
    container["resources"] = {"requests": {"cpu": "50m", "memory": "16Mi"}, "limits": {"cpu": "100m", "memory": "64Mi"}}
    return _workload("Deployment", name, 1, pod["spec"])


def stateful(name: str) -> dict[str, Any]:
    """A StatefulSet of two such servers, each with a claim; each start writes a file of its own on the volume."""
    pod = server(name)
    spec = pod["spec"] | {"securityContext": {**pod["spec"]["securityContext"], "fsGroup": 2000}}
    [container] = spec["containers"]
    mounts = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    write = {
        "name": "write",
        "image": "docker.io/hashicorp/vault:2.0.4",
        "command": ["/bin/sh", "-ec", "echo begun > /data/$(cat /proc/sys/kernel/random/uuid)"],
        "securityContext": RESTRICTED,
        **mounts,
    }
    claim = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    pods = spec | {"initContainers": [write], "containers": [container | mounts]}
    return _workload("StatefulSet", name, 2, pods, serviceName=name, volumeClaimTemplates=[claim])


def _workload(kind: str, name: str, replicas: int, pods: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "team"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": pods},
            **more,
        },
    }


def default_deny() -> dict[str, Any]:
    """The policy that refuses each connection of each pod of the namespace."""
    return _policy("default-deny", {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]})


def edge(caller: str, callee: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The policies of both ends that let one pod connect to another."""
    outward = {"to": [{"podSelector": {"matchLabels": {"app": callee}}}], "ports": [{"port": 8080}]}
    inward = {"from": [{"podSelector": {"matchLabels": {"app": caller}}}], "ports": [{"port": 8080}]}
    return (
        _policy(f"{caller}-out", {"podSelector": {"matchLabels": {"app": caller}}, "egress": [outward]}, "Egress"),
        _policy(f"{callee}-in", {"podSelector": {"matchLabels": {"app": callee}}, "ingress": [inward]}, "Ingress"),
    )


def _policy(name: str, spec: dict[str, Any], kind: str = "") -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": "team"},
        "spec": spec | ({"policyTypes": [kind]} if kind else {}),
    }
