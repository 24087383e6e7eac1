"""Attack 5: create a malicious pod as the compromised service account, and as somebody who may create pods."""

import re
from collections.abc import Sequence
from copy import deepcopy

from components.config.action import Action
from components.kube.names import IDENTITIES
from components.service.file.service import ServiceSpec
from zt.attack.attempt import Attempt
from zt.attack.evidence import Control, Evidence, Result, blocked, not_measured, succeeded, together
from zt.attack.faults import CRYPTOMINER, FAULTS, Change, first_container, good_pod, without_probes
from zt.attack.kubernetes_api import Answer, Kubernetes, by_rights
from zt.attack.session import Run, Session
from zt.attack.temporary_rights import NAME
from zt.cluster.manifest import Manifest

_REFUSING_RULE = re.compile(r"AdmissionPolicy '(?:vpol-)?([a-z0-9-]+)'|[Pp]olicy ([a-z0-9-]+) (?:failed|error)")


def pods_path(session: Session) -> str:
    """The pods of the service's namespace."""
    return f"/api/v1/namespaces/{session.service.namespace}/pods"


def refusal(answer: Answer, rules: tuple[str, ...], what: str) -> Evidence:
    """How admission answered a pod. A refusal by another rule than expected is blocked too, and names that rule."""
    if answer.ok:
        return succeeded(f"{what}: admitted")
    if answer.unauthorized or not answer.by_admission:
        return not_measured(f"{what}: refused before admission: {answer.status} {answer.message}")
    named = [validating or by_webhook for validating, by_webhook in _REFUSING_RULE.findall(answer.message)]
    by = ", ".join(dict.fromkeys(named)) or "a webhook"
    native = "native policy" if "ValidatingAdmissionPolicy" in answer.message else "Kyverno"
    unexpected = "" if not rules or set(named) & set(rules) else f", not {' or '.join(rules)}"
    return blocked(f"{by} ({native}{unexpected}): {_reason(answer.message)}")


def _reason(message: str) -> str:
    _, denied, reason = message.partition(" denied request: ")
    return reason if denied else message.partition(" denied the request: ")[2] or message


def deploy(change: Change, rule: str) -> Run:
    """Create a pod with one fault, as the deployer."""
    return lambda session: with_fault(session, session.deployer, good_pod(session), change, rule)


def with_fault(session: Session, who: Kubernetes, good: Manifest, change: Change, rule: str) -> Evidence:
    """Create a good pod with one fault. Not measured where even the good one is refused, or where the rule reports."""
    answer = who.call("POST", pods_path(session), good, dry_run=True)
    if not answer.ok:
        return not_measured(f"even a good pod is refused: {answer.status} {answer.message}")
    bad = deepcopy(good)
    change(bad)
    evidence = refusal(who.call("POST", pods_path(session), bad, dry_run=True), (rule,), "the pod")
    return _by_phase(evidence, rule, session)


def _by_phase(evidence: Evidence, rule: str, session: Session) -> Evidence:
    """An important rule that has not reached its last phase only reports, which does not breach the posture."""
    action, ceiling = session.declared.actions.get(rule, ""), session.declared.posture.important
    observes = action in (Action.AUDIT, Action.WARN) and rule in session.declared.phased and ceiling is Action.DENY
    if evidence.result is Result.SUCCEEDED and observes:
        return not_measured(f"admitted: {rule} is in phase {action} on this stack and reports; `zt promote` moves it")
    return evidence


def _latest(body: Manifest) -> None:
    name = first_container(body)["image"].partition("@")[0]
    path, slash, last = name.rpartition("/")
    first_container(body)["image"] = f"{path}{slash}{last.partition(':')[0]}:latest"


def _label_trick(body: Manifest) -> None:
    """Claim an exception by the labels of the service and by the annotation of an exception."""
    first_container(body)["image"] = CRYPTOMINER
    body["metadata"]["labels"]["app"] = body["spec"]["serviceAccountName"]
    body["metadata"]["annotations"] = {"zero-trust.dev/exceptions": "restrict-image-registries"}


def _create_pod(session: Session) -> Evidence:
    places = (session.service.namespace, "default", "kube-system")
    paths = [f"/api/v1/namespaces/{place}/pods" for place in places]
    deployments = [f"/apis/apps/v1/namespaces/{session.service.namespace}/deployments"]
    body = good_pod(session)
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
    running = [live for spec in services for live in session.pods_of(spec)[:1]]
    if not running:
        return None
    target = running[-1]["metadata"]
    container = without_probes(first_container(good_pod(session)), name=NAME, image=image)
    del container["resources"]
    path = f"/api/v1/namespaces/{target['namespace']}/pods/{target['name']}/ephemeralcontainers"
    return path, {"spec": {"ephemeralContainers": [container]}}


def _debug_as_service(session: Session) -> Evidence:
    # The image is approved, so only the missing right stops it.
    if (request := _debug_container(session, session.service.image, session.declared.services)) is None:
        return not_measured("no pod of a service runs")
    return by_rights(session.attacker.call("PATCH", *request, dry_run=True), request[0])


def _debug_as_deployer(session: Session) -> Evidence:
    if (request := _debug_container(session, "docker.io/attacker/shell:v1", [session.service])) is None:
        return not_measured("no pod of a service runs")
    answer = session.deployer.call("PATCH", *request, dry_run=True)
    return refusal(answer, ("restrict-image-registries",), "the debug container")


def _other_identity(session: Session) -> Evidence:
    others = [spec.name for spec in session.declared.others if spec.namespace == session.service.namespace]
    tries: list[Evidence] = []
    for name in others:
        body = good_pod(session)
        body["spec"]["serviceAccountName"] = name
        answer = session.deployer.call("POST", pods_path(session), body, dry_run=True)
        tries.append(refusal(answer, (IDENTITIES,), f"the pod as {name}"))
    return together(tries, f"{session.service.namespace} has no other service")


_RIGHTS = Control("identity", "SecureService: a service account without rights")


def _bad(name: str, tried: str, rule: str, change: Change | None = None, layer: str = "critical") -> Attempt:
    return Attempt(name, 5, tried, Control(layer, "KyvernoPolicySet", (rule,)), deploy(change or FAULTS[rule], rule))


ATTEMPTS = (
    Attempt("create-pod", 5, "Create a good pod, and a Deployment, with the token of {service}.", _RIGHTS, _create_pod),
    Attempt("debug-container", 5, "Add a debug container to another pod with it.", _RIGHTS, _debug_as_service),
    _bad("pod-cryptominer", "Deploy a cryptominer from a public registry.", "restrict-image-registries"),
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
    _bad("pod-privileged", "Deploy a privileged pod.", "disallow-privileged"),
    _bad("pod-host-path", "Deploy a pod that mounts the node's root directory.", "disallow-host-path"),
    _bad("pod-host-network", "Deploy a pod in the node's network.", "disallow-host-namespaces"),
    _bad("pod-root", "Deploy a pod that runs as root.", "require-run-as-non-root"),
    _bad("pod-capabilities", "Deploy a pod with capabilities of the kernel.", "drop-all-capabilities"),
    _bad("pod-api-token", "Deploy a pod with a token of the API server.", "disallow-token-automount"),
    _bad(
        "pod-latest-tag",
        "Deploy an approved image by the tag latest.",
        "disallow-latest-tag",
        _latest,
        layer="important",
    ),
)
