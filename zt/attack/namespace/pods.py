"""Attack 13: create a malicious pod as a member, against each critical rule and past the exceptions of services."""

from collections.abc import Callable, Iterator
from copy import deepcopy

from components.kube.names import ANNOTATION
from zt.attack.attempt import Attempt
from zt.attack.attempts_pods import refusal, with_fault
from zt.attack.evidence import Control, Evidence, not_measured, together
from zt.attack.faults import FAULTS
from zt.attack.namespace.requests import controllers, own_pod, path_of, pods_path, targets
from zt.attack.session import Session
from zt.cluster.manifest import Manifest, word


def _breaks(rule: str) -> Callable[[Session], Evidence]:
    return lambda session: with_fault(session, session.member, own_pod(session), FAULTS[rule], rule)


def _borrow(session: Session) -> Evidence:
    """Break a rule under the name, the labels and the owner of a service that has an exception from it."""
    tried: list[Evidence] = []
    for spec in targets(session):
        for rule in (exception.rule for exception in spec.exceptions if exception.rule in FAULTS):
            for path, body in _under_the_name_of(session, spec.name, rule):
                answer = session.member.call("POST", path, body, dry_run=True)
                tried.append(refusal(answer, (rule,), f"{body['kind']} {body['metadata']['name']} without {rule}"))
    return together(tried, "no service of the namespace has an exception from a critical rule")


def _under_the_name_of(session: Session, service: str, rule: str) -> Iterator[tuple[str, Manifest]]:
    """Pods that break the rule, and what makes such: with the service's labels and without, and with its owner."""
    own = own_pod(session)
    FAULTS[rule](own)
    own["metadata"] |= {"name": f"{service}-0", "annotations": {f"{ANNOTATION}/exceptions": rule}}
    labelled = deepcopy(own)
    labelled["metadata"]["labels"] |= {"app": service, "app.kubernetes.io/name": service}
    for body in (own, labelled):
        owned = deepcopy(body)
        owned["metadata"]["ownerReferences"] = _owners(session, service)
        yield pods_path(session), body
        yield pods_path(session), owned
        for request in controllers(session, body):
            made: Manifest = request.body or {}
            made["metadata"]["name"] = service
            yield request.path, made


def _owners(session: Session, service: str) -> list[Manifest]:
    """What owns the service's pods, as anybody may write it."""
    sets = session.admin.listed(path_of("apps/v1", "replicasets", session.service.namespace))
    owners = [item["metadata"] for item in sets if word(item, "metadata", "labels", "app") == service]
    uid = owners[0]["uid"] if owners else "00000000-0000-0000-0000-000000000000"
    name = owners[0]["name"] if owners else f"{service}-0"
    return [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": name, "uid": uid, "controller": True}]


def _borrowed(session: Session) -> Evidence:
    good = session.member.call("POST", pods_path(session), own_pod(session), dry_run=True)
    if not good.ok:
        return not_measured(f"even a good pod is refused: {good.status} {good.message}")
    return _borrow(session)


ATTEMPTS = (
    *(
        Attempt(
            f"rule-{rule}",
            13,
            f"Create a pod that breaks the rule {rule}.",
            Control("critical", "KyvernoPolicySet", (rule,)),
            _breaks(rule),
        )
        for rule in FAULTS
    ),
    Attempt(
        "borrowed-exception",
        13,
        "Use the exception of a service under its name, its labels and its owner.",
        Control("critical", "SecureService: an exception is bound to the service's account"),
        _borrowed,
    ),
)
