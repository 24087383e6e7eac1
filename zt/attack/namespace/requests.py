"""Requests of a namespace's member as data, and what they are aimed at."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from components.kube.names import SHARED_ACCOUNTS
from components.service.file.service import ServiceSpec
from zt.attack.evidence import Evidence, not_measured, together
from zt.attack.faults import good_pod
from zt.attack.kubernetes_api import by_answer
from zt.attack.session import Session
from zt.attack.temporary_rights import NAME
from zt.cluster.manifest import Manifest

SHARED_ACCOUNT = SHARED_ACCOUNTS[-1]
"""The account that anybody's pods may have, under every rule."""


@dataclass(frozen=True)
class Request:
    """A request to the API server. `what` is the object as an answer calls it."""

    method: str
    path: str
    body: Manifest | None = None

    @property
    def what(self) -> str:
        """The request as a person reads it."""
        return f"{self.method} {self.path}"


Requests = Callable[[Session], Sequence[Request]]


def path_of(api_version: str, plural: str, namespace: str = "", name: str = "") -> str:
    """The path of a collection, or of an object in it."""
    prefix = f"/{'apis' if '/' in api_version else 'api'}/{api_version}"
    place = f"/namespaces/{namespace}" if namespace else ""
    return f"{prefix}{place}/{plural}{f'/{name}' if name else ''}"


def create(
    api_version: str, kind: str, plural: str, namespace: str, content: Manifest, metadata: Manifest | None = None
) -> Request:
    """A request to create an object; `metadata` are labels or annotations."""
    body: Manifest = {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": NAME, **({"namespace": namespace} if namespace else {}), **(metadata or {})},
        **content,
    }
    return Request("POST", path_of(api_version, plural, namespace), body)


def tried(session: Session, requests: Sequence[Request], nothing: str) -> Evidence:
    """Make the requests as the member. Everything but reading is a dry run."""
    tries = [
        by_answer(
            session.member.call(request.method, request.path, request.body, dry_run=request.method != "GET"),
            request.what,
        )
        for request in requests
    ]
    return together(tries, nothing)


def tries(requests: Requests, nothing: str = "nothing was asked for") -> Callable[[Session], Evidence]:
    """An attempt that makes some requests. Without any it is not measured: `nothing` says what is not there."""
    return lambda session: tried(session, requests(session), nothing)


def tries_pods(requests: Requests, nothing: str = "nothing was asked for") -> Callable[[Session], Evidence]:
    """As `tries`, where a good pod of the member's own is admitted: a refusal says something of the fault alone."""

    def run(session: Session) -> Evidence:
        good = session.member.call("POST", pods_path(session), own_pod(session), dry_run=True)
        if not good.ok:
            return not_measured(f"even a good pod is refused: {good.status} {good.message}")
        return tried(session, requests(session), nothing)

    return run


def targets(session: Session) -> list[ServiceSpec]:
    """The services of the namespace: a member has the right `use` to none of them."""
    return [spec for spec in session.declared.services if spec.namespace == session.service.namespace]


def own_pod(session: Session) -> Manifest:
    """A pod that every rule admits, of no service: with the account that everybody may use."""
    body = good_pod(session)
    body["spec"]["serviceAccountName"] = SHARED_ACCOUNT
    return body


def pods_path(session: Session) -> str:
    """The pods of the namespace."""
    return path_of("v1", "pods", session.service.namespace)


def controllers(session: Session, pod: Manifest) -> list[Request]:
    """A request for each kind of object that makes pods, to make this one."""
    namespace = session.service.namespace
    labels: Manifest = pod["metadata"].get("labels", {})
    template: Manifest = {"metadata": {"labels": labels}, "spec": pod["spec"]}
    selected: Manifest = {"selector": {"matchLabels": labels}, "template": template}
    once: Manifest = {"metadata": {"labels": labels}, "spec": {**pod["spec"], "restartPolicy": "Never"}}
    job: Manifest = {"template": once}
    return [
        create("apps/v1", "Deployment", "deployments", namespace, {"spec": selected}),
        create("apps/v1", "ReplicaSet", "replicasets", namespace, {"spec": selected}),
        create("apps/v1", "StatefulSet", "statefulsets", namespace, {"spec": {**selected, "serviceName": NAME}}),
        create("apps/v1", "DaemonSet", "daemonsets", namespace, {"spec": selected}),
        create(
            "v1",
            "ReplicationController",
            "replicationcontrollers",
            namespace,
            {"spec": {"selector": labels, "template": template}},
        ),
        create("batch/v1", "Job", "jobs", namespace, {"spec": job}),
        create(
            "batch/v1",
            "CronJob",
            "cronjobs",
            namespace,
            {"spec": {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": job}}},
        ),
    ]
