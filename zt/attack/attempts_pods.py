"""Attack 5: a malicious pod, as the compromised service account and as somebody who may create pods."""

import re
from collections.abc import Callable, Sequence
from copy import deepcopy

from components.posture import Action
from components.service_spec import IDENTITIES, ServiceSpec
from zt.attack.attempt import Attempt
from zt.attack.evidence import Control, Evidence, Result, blocked, not_measured, succeeded, together
from zt.attack.kubernetes_api import Answer, by_rights
from zt.attack.manifest import Manifest
from zt.attack.session import NAME, Session

CRYPTOMINER = "attacker/cryptominer"
"""The zero-trust model's own: `kubectl run evil-pod --image=attacker/cryptominer`."""

_REFUSING_RULE = re.compile(r"AdmissionPolicy '(?:vpol-)?([a-z0-9-]+)'|[Pp]olicy ([a-z0-9-]+) (?:failed|error)")

Change = Callable[[Manifest], None]


def pod(session: Session) -> Manifest:
    """A pod that every rule admits; each attempt spoils one thing of it."""
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
        "livenessProbe": {"tcpSocket": {"port": spec.port}},
        "readinessProbe": {"tcpSocket": {"port": spec.port}},
    }
    # Out of the mesh: its webhook would only add containers that are not the attacker's.
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


def _path(session: Session) -> str:
    return f"/api/v1/namespaces/{session.service.namespace}/pods"


def refusal(answer: Answer, rules: tuple[str, ...], what: str) -> Evidence:
    """What admission made of a pod. Refused by another rule than the one meant is blocked too, and said so."""
    if answer.ok:
        return succeeded(f"{what}: admitted")
    if answer.unauthorized or not answer.by_admission:
        return not_measured(f"{what}: refused before admission: {answer.status} {answer.message}")
    named = [one or other for one, other in _REFUSING_RULE.findall(answer.message)]
    by = ", ".join(dict.fromkeys(named)) or "a webhook"
    native = "native policy" if "ValidatingAdmissionPolicy" in answer.message else "Kyverno"
    unexpected = "" if not rules or set(named) & set(rules) else f", not {' or '.join(rules)}"
    return blocked(f"{by} ({native}{unexpected}): {_reason(answer.message)}")


def _reason(message: str) -> str:
    _, denied, reason = message.partition(" denied request: ")
    return reason if denied else message.partition(" denied the request: ")[2] or message


def deploy(change: Change, rule: str) -> Callable[[Session], Evidence]:
    """Create a pod that is bad in one thing, as the deployer. Without its rule on the stack it is not measured."""

    def run(session: Session) -> Evidence:
        good = session.deployer.call("POST", _path(session), pod(session), dry_run=True)
        if not good.ok:
            return not_measured(f"even a good pod is refused: {good.status} {good.message}")
        bad = deepcopy(pod(session))
        change(bad)
        found = refusal(session.deployer.call("POST", _path(session), bad, dry_run=True), (rule,), "the pod")
        return _by_phase(found, rule, session)

    return run


def _by_phase(found: Evidence, rule: str, session: Session) -> Evidence:
    """A rule of the important tier that has not reached its last phase reports: that is no breach of the posture."""
    action, ceiling = session.declared.actions.get(rule, ""), session.declared.posture.important
    observes = action in (Action.AUDIT, Action.WARN) and rule in session.declared.phased and ceiling is Action.DENY
    if found.result is Result.SUCCEEDED and observes:
        return not_measured(f"admitted: {rule} is in phase {action} on this stack and reports; `zt promote` moves it")
    return found


def _container(body: Manifest) -> Manifest:
    return body["spec"]["containers"][0]


def _image(image: str) -> Change:
    return lambda body: _container(body).update(image=image)


def _latest(body: Manifest) -> None:
    name = _container(body)["image"].partition("@")[0]
    path, slash, last = name.rpartition("/")
    _container(body)["image"] = f"{path}{slash}{last.partition(':')[0]}:latest"


def _privileged(body: Manifest) -> None:
    context = _container(body)["securityContext"]
    # The API server itself refuses a privileged container that may not escalate.
    del context["allowPrivilegeEscalation"]
    context["privileged"] = True


def _host_path(body: Manifest) -> None:
    body["spec"]["volumes"] = [{"name": "host", "hostPath": {"path": "/"}}]


def _root(body: Manifest) -> None:
    # In so many words: what is absent, admission fills in.
    body["spec"]["securityContext"] |= {"runAsNonRoot": False, "runAsUser": 0}


def _capabilities(body: Manifest) -> None:
    _container(body)["securityContext"]["capabilities"] = {"drop": ["ALL"], "add": ["NET_ADMIN", "SYS_PTRACE"]}


def _label_trick(body: Manifest) -> None:
    """What an exception could be recognised by, were it a label: the service's own, and its annotation."""
    _container(body)["image"] = CRYPTOMINER
    body["metadata"]["labels"]["app"] = body["spec"]["serviceAccountName"]
    body["metadata"]["annotations"] = {"zero-trust.dev/exceptions": "restrict-image-registries"}


def _create_pod(session: Session) -> Evidence:
    places = (session.service.namespace, "default", "kube-system")
    paths = [f"/api/v1/namespaces/{place}/pods" for place in places]
    deployments = [f"/apis/apps/v1/namespaces/{session.service.namespace}/deployments"]
    body = pod(session)
    template = {"metadata": body["metadata"], "spec": body["spec"]}
    selector = {"matchLabels": {"app": NAME}}
    deployment: Manifest = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME},
        "spec": {"selector": selector, "template": template},
    }
    tries = [by_rights(session.attacker.call("POST", path, body, dry_run=True), path) for path in paths]
    tries += [by_rights(session.attacker.call("POST", path, deployment, dry_run=True), path) for path in deployments]
    return together(tries, "nothing was asked for")


def _debug_container(session: Session, image: str, services: Sequence[ServiceSpec]) -> tuple[str, Manifest] | None:
    running = [one for spec in services for one in session.pods_of(spec)[:1]]
    if not running:
        return None
    target = running[-1]["metadata"]
    container = {**_container(pod(session)), "name": NAME, "image": image}
    for key in ("resources", "livenessProbe", "readinessProbe"):
        del container[key]
    path = f"/api/v1/namespaces/{target['namespace']}/pods/{target['name']}/ephemeralcontainers"
    return path, {"spec": {"ephemeralContainers": [container]}}


def _debug_as_service(session: Session) -> Evidence:
    # An approved image: what stops it is the missing right alone.
    if (found := _debug_container(session, session.service.image, session.declared.services)) is None:
        return not_measured("no pod of a service runs")
    return by_rights(session.attacker.call("PATCH", *found, dry_run=True), found[0])


def _debug_as_deployer(session: Session) -> Evidence:
    if (found := _debug_container(session, "docker.io/attacker/shell:v1", [session.service])) is None:
        return not_measured("no pod of a service runs")
    answer = session.deployer.call("PATCH", *found, dry_run=True)
    return refusal(answer, ("restrict-image-registries",), "the debug container")


def _other_identity(session: Session) -> Evidence:
    others = [spec.name for spec in session.declared.others if spec.namespace == session.service.namespace]
    tries: list[Evidence] = []
    for name in others:
        body = pod(session)
        body["spec"]["serviceAccountName"] = name
        answer = session.deployer.call("POST", _path(session), body, dry_run=True)
        tries.append(refusal(answer, (IDENTITIES,), f"the pod as {name}"))
    return together(tries, f"{session.service.namespace} has no other service")


_RIGHTS = Control("identity", "SecureService: a service account without rights")


def _bad(name: str, tried: str, rule: str, change: Change, layer: str = "critical") -> Attempt:
    return Attempt(name, 5, tried, Control(layer, "KyvernoPolicySet", (rule,)), deploy(change, rule))


ATTEMPTS = (
    Attempt("create-pod", 5, "Create a good pod, and a Deployment, with the token of {service}.", _RIGHTS, _create_pod),
    Attempt("debug-container", 5, "Add a debug container to another pod with it.", _RIGHTS, _debug_as_service),
    _bad(
        "pod-cryptominer",
        "Deploy a cryptominer from a public registry.",
        "restrict-image-registries",
        _image(CRYPTOMINER),
    ),
    _bad(
        "pod-label-trick",
        "Deploy it with the labels of {service} and an annotation that claims an exception.",
        "restrict-image-registries",
        _label_trick,
    ),
    Attempt(
        "pod-debug-container",
        5,
        "Add a debug container from a public registry to a running pod, as a deployer.",
        Control("critical", "KyvernoPolicySet", ("restrict-image-registries",)),
        _debug_as_deployer,
    ),
    Attempt(
        "pod-other-identity",
        5,
        "Deploy a good pod with the identity of another service, as a deployer of {service}.",
        Control("critical", f"ServiceIdentities: {IDENTITIES}"),
        _other_identity,
    ),
    _bad("pod-privileged", "Deploy a privileged pod.", "disallow-privileged", _privileged),
    _bad("pod-host-path", "Deploy a pod that mounts the node's root directory.", "disallow-host-path", _host_path),
    _bad(
        "pod-host-network",
        "Deploy a pod in the node's network.",
        "disallow-host-namespaces",
        lambda body: body["spec"].update(hostNetwork=True),
    ),
    _bad("pod-root", "Deploy a pod that runs as root.", "require-run-as-non-root", _root),
    _bad("pod-capabilities", "Deploy a pod with capabilities of the kernel.", "drop-all-capabilities", _capabilities),
    _bad(
        "pod-api-token",
        "Deploy a pod with a token of the API server.",
        "disallow-token-automount",
        lambda body: body["spec"].update(automountServiceAccountToken=True),
    ),
    _bad(
        "pod-latest-tag",
        "Deploy an approved image by the tag latest.",
        "disallow-latest-tag",
        _latest,
        layer="important",
    ),
)
