"""Attack 10: have more rights than the role gives, or the same ones in another namespace."""

from components.kube.names import USE
from zt.attack.attempt import Attempt
from zt.attack.evidence import Control
from zt.attack.namespace.requests import Request, Requests, create, own_pod, path_of, targets, tries
from zt.attack.session import Session
from zt.attack.temporary_rights import NAME
from zt.cluster.manifest import Manifest

_RBAC = "rbac.authorization.k8s.io/v1"
_GROUP = "rbac.authorization.k8s.io"
_ANYTHING = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
_BEYOND: tuple[Manifest, ...] = (
    _ANYTHING,
    {"apiGroups": [_GROUP], "resources": ["roles", "rolebindings"], "verbs": ["escalate", "bind"]},
    {"apiGroups": ["policies.kyverno.io", "kyverno.io"], "resources": ["policyexceptions"], "verbs": ["create"]},
    {"apiGroups": ["security.istio.io"], "resources": ["authorizationpolicies"], "verbs": ["create", "delete"]},
)
_LABELS: tuple[Manifest, ...] = (
    {"istio-injection": "disabled"},
    {"istio.io/rev": NAME},
    {"istio.io/dataplane-mode": "none"},
    {"pod-security.kubernetes.io/enforce": "privileged"},
    {"kubernetes.io/metadata.name": "kube-system"},
)


def _role(session: Session, rule: Manifest) -> Request:
    return create(_RBAC, "Role", "roles", session.service.namespace, {"rules": [rule]})


def _use(session: Session) -> list[Request]:
    names = [spec.name for spec in targets(session)]
    rule: Manifest = {"apiGroups": [""], "resources": ["serviceaccounts"], "verbs": [USE]}
    return [_role(session, rule), *(_role(session, {**rule, "resourceNames": [name]}) for name in names)]


def _more(session: Session) -> list[Request]:
    return [*(_role(session, rule) for rule in _BEYOND), _binding(session, session.service.namespace)]


def _binding(session: Session, namespace: str) -> Request:
    reference = {"apiGroup": _GROUP, "kind": "ClusterRole", "name": "cluster-admin"}
    subject = {"apiGroup": _GROUP, "kind": "User", "name": session.member.headers["Impersonate-User"]}
    content: Manifest = {"roleRef": reference, "subjects": [subject]}
    plural = "rolebindings" if namespace else "clusterrolebindings"
    return create(_RBAC, "RoleBinding" if namespace else "ClusterRoleBinding", plural, namespace, content)


def _cluster(session: Session) -> list[Request]:
    # The label would add the rules to the role that the member has.
    labels = {"rbac.authorization.k8s.io/aggregate-to-edit": "true"}
    return [
        create(_RBAC, "ClusterRole", "clusterroles", "", {"rules": [_ANYTHING]}, {"labels": labels}),
        Request("PATCH", path_of(_RBAC, "clusterroles", "", session.attacker_kind.role), {"rules": [_ANYTHING]}),
        _binding(session, ""),
    ]


def _namespace(session: Session) -> list[Request]:
    path = path_of("v1", "namespaces", "", session.service.namespace)
    patches = [Request("PATCH", path, {"metadata": {"labels": labels}}) for labels in _LABELS]
    return [*patches, Request("DELETE", path)]


def _elsewhere(session: Session) -> list[Request]:
    requests: list[Request] = []
    for namespace in sorted(session.namespaces):
        if namespace != session.service.namespace:
            configuration: Manifest = {"data": {NAME: "was-here"}}
            pod = own_pod(session)
            requests += [
                create("v1", "Pod", "pods", namespace, {"spec": pod["spec"]}),
                create("v1", "ConfigMap", "configmaps", namespace, configuration),
                create("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies", namespace, _OPEN),
                create("v1", "Secret", "secrets", namespace, {"type": "Opaque"}),
            ]
    return requests


_OPEN: Manifest = {"spec": {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}]}}
_ESCALATION = Control("identity", "the API server: nobody grants what he has not")
_ROLE = Control("identity", "the built-in roles: rights in one namespace")


def _attempt(name: str, tried: str, control: Control, requests: Requests) -> Attempt:
    return Attempt(name, 10, tried, control, tries(requests))


ATTEMPTS = (
    _attempt("grant-use", "Grant itself the right to run as a service.", _ESCALATION, _use),
    _attempt("grant-more", "Grant itself cluster-admin, and rights of the platform's API groups.", _ESCALATION, _more),
    _attempt("grant-cluster", "Grant itself rights in the cluster, and widen its own role.", _ROLE, _cluster),
    _attempt("label-namespace", "Take the namespace out of the mesh by its labels, or delete it.", _ROLE, _namespace),
    _attempt("write-elsewhere", "Create pods, configuration and policies in every other namespace.", _ROLE, _elsewhere),
)
