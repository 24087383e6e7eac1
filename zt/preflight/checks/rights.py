"""The rights on Kubernetes of whoever runs `pulumi up`: asked of the API server for each kind that the stack creates.

https://kubernetes.io/docs/reference/access-authn-authz/rbac/#privilege-escalation-prevention-and-bootstrapping
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from components.kube.kinds import CLUSTER_KINDS
from zt.cluster.manifest import Manifest, part
from zt.preflight.chart_objects import CHART_KINDS, GATEWAY_API_KINDS
from zt.preflight.cluster import UnreadableError
from zt.preflight.kinds import Resource, resource_of
from zt.preflight.line import Check, Line, Theme, fails, ok
from zt.preflight.session import Session
from zt.project.pool import Pool

_AUTHORIZATION = "authorization.k8s.io/v1"
_AUTHENTICATION = "authentication.k8s.io/v1"
_RBAC = "rbac.authorization.k8s.io"
# Server-side apply creates and changes by PATCH and asks for both rights; Pulumi and Helm wait by GET, LIST and WATCH.
_VERBS = ("get", "list", "watch", "create", "patch", "delete")
# Helm also replaces, and keeps a release in Secrets of its namespace.
_HELM_VERBS = (*_VERBS, "update")
_WAITING = ("get", "list", "watch")
# Whoever writes a role needs all of its rights, or this verb on roles; likewise for a binding.
_GRANTS = {"ClusterRole": "escalate", "Role": "escalate", "ClusterRoleBinding": "bind", "RoleBinding": "bind"}
_AT_ONCE = 16


class Right(NamedTuple):
    """A verb on a resource, in a namespace or in the whole cluster."""

    namespace: str
    resource: Resource
    verb: str


def rights_of(session: Session) -> list[Right]:
    """Every right that `pulumi up` of a stack uses."""
    rights: set[Right] = set()
    for each in session.created.objects:
        rights |= _on(each.namespace, each.api_version, each.kind, _VERBS)
        if each.kind == "Deployment":
            for kind in (("apps/v1", "ReplicaSet"), ("v1", "Pod")):
                rights |= _on(each.namespace, *kind, _WAITING)
    for release in session.created.releases:
        for api_version, kind in (*CHART_KINDS[release.chart], ("v1", "Secret")):
            rights |= _on("" if kind in CLUSTER_KINDS else release.namespace, api_version, kind, _HELM_VERBS)
    for api_version, kind in GATEWAY_API_KINDS if session.created.files else ():
        rights |= _on("", api_version, kind, _VERBS)
    return sorted(rights)


def _on(namespace: str, api_version: str, kind: str, verbs: Iterable[str]) -> set[Right]:
    resource = resource_of(api_version, kind)
    rights = {Right(namespace, resource, verb) for verb in verbs}
    if kind in _GRANTS:
        # The right to bind is one on the roles that a binding names.
        roles = Resource(_RBAC, resource.name.replace("bindings", "s"))
        rights.add(Right(namespace, roles, _GRANTS[kind]))
    return rights


def _rights(session: Session) -> Iterable[Line]:
    about = "rights on Kubernetes"
    who = _who(session)
    if _allowed(session, Right("", Resource("*", "*"), "*")):
        yield ok(about, f"{who} may do everything")
        return
    missing = _missing(session, rights_of(session))
    if not missing:
        yield ok(about, f"{who} may do all that the stack needs")
        return
    fix = (
        "for the first `pulumi up`: kubectl create clusterrolebinding platform-deployer --clusterrole=cluster-admin "
        f"{_subject(who)}"
    )
    yield fails(about, f"{who} has not all rights", fix, *_sentences(missing))


def _missing(session: Session, rights: list[Right]) -> list[Right]:
    """The rights that the API server denies, asked for at the same time."""
    verbs: dict[tuple[str, Resource], list[Right]] = defaultdict(list)
    for right in rights:
        verbs[right.namespace, right.resource].append(right)

    def allowed(right: Right) -> bool:
        return _allowed(session, right)

    with Pool(_AT_ONCE) as pool:
        everything = list(pool.map(allowed, (Right(namespace, resource, "*") for namespace, resource in verbs)))
        asked = [
            right for place, granted in zip(verbs, everything, strict=True) if not granted for right in verbs[place]
        ]
        answers = list(pool.map(allowed, asked))
    return [right for right, granted in zip(asked, answers, strict=True) if not granted]


def _allowed(session: Session, right: Right) -> bool:
    attributes: Manifest = {"verb": right.verb, "group": right.resource.group, "resource": right.resource.name}
    if right.namespace:
        attributes["namespace"] = right.namespace
    status = session.cluster.review(_AUTHORIZATION, "SelfSubjectAccessReview", {"resourceAttributes": attributes})
    return bool(status.get("allowed"))


def _sentences(missing: list[Right]) -> Iterator[str]:
    """What is missing: verbs that are missing on several resources of a place in one sentence."""
    places: dict[tuple[str, Resource], list[str]] = defaultdict(list)
    for right in missing:
        places[right.namespace, right.resource].append(right.verb)
    alike: dict[tuple[str, str], list[str]] = defaultdict(list)
    for (namespace, resource), verbs in places.items():
        alike[namespace, ", ".join(verbs)].append(str(resource))
    for (namespace, verbs), resources in alike.items():
        yield f"{f'namespace {namespace}' if namespace else 'cluster'}: {verbs} on {', '.join(resources)}"


def _who(session: Session) -> str:
    try:
        status = session.cluster.review(_AUTHENTICATION, "SelfSubjectReview", {})
    except UnreadableError:
        return "the identity of the kubeconfig"
    return str(part(status, "userInfo").get("username") or "the identity of the kubeconfig")


def _subject(who: str) -> str:
    parts = who.split(":")
    if parts[:2] == ["system", "serviceaccount"]:
        return f"--serviceaccount={':'.join(parts[2:])}"
    return f"--user={who}" if " " not in who else "--user=NAME"


THEME = Theme("rights", (Check("kubernetes-rights", "rights on Kubernetes", _rights),))
