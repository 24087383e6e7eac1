"""What is seen of a mesh while its control plane is replaced by another revision."""

import http.client
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from embedded.data_plane.pods import OUTSIDE
from tests.e2e.mesh_pods import Mesh, Workload
from tests.e2e.plane import Plane

SECURITY = "security.istio.io", "v1", "istio-system"
NAMESPACE = "shop"
SERVICES = "app in (api, postgres, redis)"
_API_PORT = 8080
_PAUSE_SECONDS = 0.5


@dataclass(frozen=True)
class Sight:
    """One look: the istiods that stood around it, those of them that were ready, the revisions of the services' pods,
    and the rules of the whole mesh."""

    istiods: frozenset[str]
    ready: frozenset[str]
    revisions: frozenset[str]
    rules: tuple[Any, ...]


@dataclass
class Watch:
    """All looks, and what came of asking the pods of api in plain text, from outside of the mesh."""

    sights: list[Sight] = field(default_factory=list[Sight])
    refusing: set[str] = field(default_factory=set[str])
    """The revisions of the pods that gave no answer."""
    answers: list[str] = field(default_factory=list[str])
    error: Exception | None = None


def istiods(plane: Plane) -> dict[str, bool]:
    """Each Deployment of istiod, and whether all of its pods are ready."""
    found = plane.apps.list_namespaced_deployment(SECURITY[2], label_selector="app=istiod").items
    return {item.metadata.name: item.status.ready_replicas == item.spec.replicas for item in found}


def pods(plane: Plane, selector: str = SERVICES, namespace: str = NAMESPACE) -> list[Any]:
    """The pods that are not going."""
    found = plane.core.list_namespaced_pod(namespace, label_selector=selector).items
    return [item for item in found if item.metadata.deletion_timestamp is None]


def revision_of(pod: Any) -> str:
    """The revision whose webhook injected the pod's proxy; empty without one."""
    containers = [*(pod.spec.init_containers or []), *pod.spec.containers]
    injected = any(container.name == "istio-proxy" for container in containers)
    return (pod.metadata.annotations or {}).get("istio.io/rev", "") if injected else ""


@contextmanager
def watching(mesh: Mesh) -> Generator[Watch]:
    """Look again and again as long as the block runs."""
    outside, watch, over = mesh.workload(OUTSIDE), Watch(), threading.Event()

    def look() -> None:
        try:
            while not over.wait(_PAUSE_SECONDS):
                watch.sights.append(_sight(mesh.plane))
                _ask(mesh.plane, outside, watch)
        except Exception as error:  # noqa: BLE001 - raised again at the end of the block
            watch.error = error

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield watch
    finally:
        over.set()
        thread.join()
    if watch.error:
        raise watch.error


def _sight(plane: Plane) -> Sight:
    # The old one may go once the pods are read, and the new one come before that.
    before, revisions, after = istiods(plane), {revision_of(pod) for pod in pods(plane)}, istiods(plane)
    ready = frozenset(name for name, is_ready in after.items() if is_ready)
    objects = (("peerauthentications", "default"), ("authorizationpolicies", "deny-by-default"))
    rules = (plane.objects.get_namespaced_custom_object(*SECURITY, *name)["spec"] for name in objects)
    return Sight(frozenset(before | after), ready, frozenset(revisions), tuple(rules))


def _ask(plane: Plane, outside: Workload, watch: Watch) -> None:
    for pod in pods(plane, "app=api"):
        if not pod.status.pod_ip:
            continue
        try:
            answer = outside.get(pod.status.pod_ip, _API_PORT, "/healthz")
        except (OSError, http.client.HTTPException):
            watch.refusing.add(revision_of(pod))
        else:
            watch.answers.append(f"{pod.metadata.name}: {answer}")
