"""The containers that packets leave from: that of a running pod, or of a probe pod with its labels and its account."""

import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from components.kube.mesh_labels import DATA_PLANE
from components.kube.names import PLATFORM_CONTAINERS
from zt.attack.evidence import UntriedError
from zt.attack.exec_api import Container, Printed
from zt.attack.faults import first_container, good_pod, without_probes
from zt.attack.kubernetes_api import Answer
from zt.attack.network import Pod, pod_of
from zt.attack.packets.packet import Arrival, Packet, Sender, Sent
from zt.attack.packets.shell import AT_ONCE, NEEDS, SECONDS, answers, program
from zt.attack.session import Session
from zt.attack.temporary_rights import NAME
from zt.cluster.manifest import Manifest, part, parts, word

_INJECT = "sidecar.istio.io/inject"
# Labels by which a controller knows its pods. With them it would take the probe pod for one of its own.
_OF_CONTROLLERS = (
    *("pod-template-hash", "controller-revision-hash", "pod-template-generation", "job-name", "controller-uid"),
    *("statefulset.kubernetes.io/", "apps.kubernetes.io/", "batch.kubernetes.io/"),
    # What the mesh's injector adds of its own.
    *("security.istio.io/", "service.istio.io/"),
)
_LIVES_SECONDS, _START_SECONDS, _ASK_SECONDS, _POLL_SECONDS = 900, 90, 20.0, 0.2
_PROBE = "probe"
_NEVER = "zero-trust.dev/takes-no-traffic"
"""A condition that nobody sets: no Service sends anything to a pod that waits for it."""


class ProbeRefusedError(UntriedError):
    """The node's network is refused to the probe pod, which would be admitted without it. One line names the rule."""


def send(session: Session, sender: Sender, packets: Sequence[Packet]) -> list[Sent]:
    """Send packets of one sender. Raises `UntriedError` when there is no container to send them from."""
    with container_of(session, sender) as container:
        sent: list[Sent] = []
        for start in range(0, len(packets), AT_ONCE):
            some = packets[start : start + AT_ONCE]
            printed = session.admin.execute(container, ("sh", "-c", program(some)), SECONDS)
            if printed.refused:
                sent += [Sent(packet, Arrival.NOT_SENT, printed.refused) for packet in some]
            else:
                replies = answers(some, printed.text)
                sent += [Sent(packet, *reply) for packet, reply in zip(some, replies, strict=True)]
        return sent


@contextmanager
def container_of(session: Session, sender: Sender) -> Generator[Container]:
    """A container that sends as somebody: the running pod's own if it has what is needed, or else that of a probe pod.

    Raises `UntriedError` without either, and `ProbeRefusedError` when a rule refuses the probe pod.
    """
    why = f"{sender} is no running pod"
    if sender.running:
        pod = next(one for one in session.pods if _runs_as(one, sender.pod))
        own, why = _in(session, pod)
        if own:
            yield own
            return
    if not session.probe_image:
        raise UntriedError(f"{why}: --probe-image names an image, with sh and curl, for a pod to send from")
    with _probe(session, sender) as container:
        yield container


def _runs_as(manifest: Manifest, pod: Pod) -> bool:
    """Whether a live pod is the end of a connection, which goes by its service's name."""
    end = pod_of(manifest, pod.namespace_labels)
    # Pods in a node's network share its address.
    return (end.namespace, end.account, end.ip) == (pod.namespace, pod.account, pod.ip)


def _in(session: Session, pod: Manifest) -> tuple[Container | None, str]:
    """The first of a pod's own containers that has what is needed, or why there is none."""
    metadata, why = pod["metadata"], ""
    for container in parts(pod, "spec", "containers"):
        if container["name"] not in PLATFORM_CONTAINERS:
            place = Container(metadata["namespace"], metadata["name"], container["name"])
            printed = session.admin.execute(place, NEEDS, _ASK_SECONDS)
            if not printed.refused and printed.code == 0:
                return place, ""
            why = f"{place}: {_lacks(printed)}"
    return None, why


def _lacks(printed: Printed) -> str:
    return printed.refused or "it has no curl"


@contextmanager
def _probe(session: Session, sender: Sender) -> Generator[Container]:
    namespace = sender.pod.namespace
    collection = f"/api/v1/namespaces/{namespace}/pods"
    path = f"{collection}/{NAME}"
    # What a killed run left.
    _remove(session, path)
    try:
        answer = session.admin.call("POST", collection, probe_pod(session, sender))
        if not answer.ok:
            raise _refusal(session, collection, sender, answer)
        _started(session, path, sender)
        yield Container(namespace, NAME, _PROBE)
    finally:
        _remove(session, path)


def _refusal(session: Session, collection: str, sender: Sender, answer: Answer) -> UntriedError:
    without = probe_pod(session, replace(sender, host_network=False))
    good = sender.host_network and session.admin.call("POST", collection, without, dry_run=True).ok
    said = f"the probe pod as {sender} is refused: {answer.status} {answer.message}"
    return ProbeRefusedError(said) if good else UntriedError(said)


def probe_pod(session: Session, sender: Sender) -> Manifest:
    """A pod that every rule admits, to send packets as somebody: with the same labels and service account.

    It never becomes Ready, so that nobody's traffic comes to it, and ends by itself if nobody removes it.
    """
    pod = sender.pod
    body = good_pod(session)
    container = without_probes(
        first_container(body), name=_PROBE, image=session.probe_image, command=["sleep", str(_LIVES_SECONDS)]
    )
    probe = {"exec": {"command": ["sh", "-c", "true"]}}
    body["spec"] |= {
        "serviceAccountName": pod.account,
        "containers": [{**container, "livenessProbe": probe, "readinessProbe": probe}],
        "readinessGates": [{"conditionType": _NEVER}],
        "activeDeadlineSeconds": _LIVES_SECONDS,
        "terminationGracePeriodSeconds": 0,
    }
    body["metadata"]["labels"] = _labels(sender)
    if sender.host_network:
        body["spec"]["hostNetwork"] = True
    return body


def _labels(sender: Sender) -> dict[str, str]:
    labels = {key: value for key, value in sender.pod.labels.items() if not key.startswith(_OF_CONTROLLERS)}
    labels["app.kubernetes.io/managed-by"] = NAME
    if sender.meshed:
        return labels
    outside = {_INJECT: "false"}
    return labels | outside | ({DATA_PLANE: "none"} if sender.pod.ambient else {})


def _started(session: Session, path: str, sender: Sender) -> None:
    deadline = session.clock() + _START_SECONDS
    answer = Answer(0, "")
    while session.clock() < deadline:
        answer = session.admin.call("GET", path)
        statuses = parts(answer.body, "status", "containerStatuses")
        if statuses and all("running" in part(status, "state") for status in statuses):
            return
        time.sleep(_POLL_SECONDS)
    raise UntriedError(f"the probe pod as {sender} did not start within {_START_SECONDS} s: {_waits_for(answer)}")


def _waits_for(answer: Answer) -> str:
    """What keeps a pod from running, as its status says it."""
    waiting = [part(status, "state", "waiting") for status in parts(answer.body, "status", "containerStatuses")]
    said = [word(one, "message") or word(one, "reason") for one in waiting if one]
    conditions = parts(answer.body, "status", "conditions")
    said += [word(one, "message") for one in conditions if one.get("status") == "False" and one.get("message")]
    return said[0] if said else f"{word(answer.body, 'status', 'phase') or answer.status}"


def _remove(session: Session, path: str) -> None:
    """Delete the probe pod at once, and wait until it is gone."""
    deadline = session.clock() + _START_SECONDS
    session.admin.call("DELETE", f"{path}?gracePeriodSeconds=0")
    while session.admin.call("GET", path).ok and session.clock() < deadline:
        time.sleep(_POLL_SECONDS)
